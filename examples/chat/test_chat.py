"""The chat under test: the real program and gateway, with clients in memory and no waiting.

In a project of your own, mark each test with `@pytest.mark.trunkline`, or set `trunkline_mode = "auto"`.
"""

from pathlib import Path

from trunkline import collection, testing

CHAT = Path(__file__).with_name("chat.py")


async def test_a_message_reaches_everybody_else():
    async with testing.node(CHAT) as node:
        ann, ben, cia = [await node.connect("socket") for _ in range(3)]
        await ann.send("hello")
        assert await ben.receive() == "hello"
        assert await cia.receive() == "hello"
        await ann.nothing()


async def test_messages_keep_their_order():
    async with testing.node(CHAT) as node:
        ann, ben = [await node.connect("socket") for _ in range(2)]
        sent = [f"message {number}" for number in range(100)]
        for text in sent:
            await ann.send(text)
        assert [await ben.receive() for _ in sent] == sent


async def test_whoever_is_alone_talks_to_nobody():
    async with testing.node(CHAT) as node:
        ann = await node.connect("socket")
        await ann.send("is anybody there?")
        await ann.nothing()


async def test_who_has_left_is_forgotten():
    connections = collection("connections").allow("reading")  # the test's own grant on what the program keeps
    async with testing.node(CHAT) as node:
        ann, ben = [await node.connect("socket") for _ in range(2)]
        await ben.close()
        assert len((await connections.query().fetch()).documents) == 1
        await ann.send("gone?")
        await ann.nothing()


async def test_who_is_silent_for_ten_minutes_is_taken_leave_of():
    async with testing.node(CHAT) as node:
        ann = await node.connect("socket")
        closed = await ann.closed(timeout=601)  # virtual seconds: the test takes milliseconds
        assert (closed.code, closed.reason) == (1001, "Going away")
