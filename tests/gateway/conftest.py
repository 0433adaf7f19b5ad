"""Real sockets on real loops, for what only a socket shows."""

import asyncio
import sys

import pytest

LOOPS = {"asyncio": asyncio.SelectorEventLoop}
if sys.platform != "win32":
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop


@pytest.fixture(params=LOOPS)
def on_loop(request):
    """Run a coroutine function on a real loop; what went wrong in the background fails the test too."""

    def run(function):
        background = []
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.get_loop().set_exception_handler(lambda _, about: background.append(about))
            result = runner.run(asyncio.wait_for(function(), 20))
        assert background == []
        return result

    return run


class Dial:
    """A raw HTTP client: it sends what it is told to, and reads answers apart."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    def send(self, data):
        self.writer.write(data if isinstance(data, bytes) else data.encode())

    async def answer(self, *, head=False):
        """Status, headers with names in lower case, body."""
        text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = text.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        status = int(first.split(" ")[1])
        body = b"" if head else await self.reader.readexactly(int(headers.get("content-length", "0")))
        return status, headers, body

    async def get(self, target, *headers, method="GET"):
        """One request on a socket that stays open."""
        lines = [f"{method} {target} HTTP/1.1", "host: localhost", *headers, "", ""]
        self.send("\r\n".join(lines))
        return await self.answer(head=method == "HEAD")

    async def ended(self):
        """Whatever else comes until the server closes."""
        return await self.reader.read()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.writer.close()
        await asyncio.wait({asyncio.ensure_future(self.writer.wait_closed())})


@pytest.fixture(scope="session")
def dial():
    """Open a socket to an address."""

    async def dial(address):
        return Dial(*await asyncio.open_connection(*address))

    return dial
