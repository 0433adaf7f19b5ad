"""Small programs for the tests in this folder."""

import textwrap

import pytest

ECHO = """
from trunkline import websocket

socket = websocket("socket")

@socket.on("message")
async def echo(ctx):
    return ctx.req.data
"""


@pytest.fixture
def write(tmp_path):
    """Put a program into the test's folder; without a text, one that sends back what it is sent."""

    def write(name="echo.py", text=ECHO):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip())
        return file

    return write
