"""The program of the tutorial, in a process of its own, with an independent client."""

import asyncio
from pathlib import Path

import pytest
import websockets

CHAT = Path(__file__).parents[2] / "examples" / "chat" / "chat.py"


@pytest.fixture
def url(tmp_path, run_trunkline):
    program = tmp_path / "chat.py"
    program.write_text(CHAT.read_text())
    return run_trunkline(program).url("socket")


def test_200_messages_reach_everyone_but_the_sender_in_order(url):
    sent = [f"message {number}" for number in range(200)]

    async def talk():
        async with websockets.connect(url) as ann, websockets.connect(url) as ben, websockets.connect(url) as cia:
            for text in sent:
                await ann.send(text)
            for other in (ben, cia):
                assert [await asyncio.wait_for(other.recv(), 5) for _ in sent] == sent
            await ben.send("to ann")
            assert await asyncio.wait_for(ann.recv(), 5) == "to ann"

    asyncio.run(talk())
