"""`like="aws"`: a node that promises no more than API Gateway does."""

import asyncio

import pytest

from trunkline import Throttled, testing, websocket
from trunkline.config import Settings
from trunkline.model.api import Rate
from trunkline.wire.frames import encode_client_message, encode_close

LIKE_AWS = Settings(like="aws")
MASK = b"\1\2\3\4"


class Recorder:
    """A socket whose messages take as many seconds as they say, and that notes what begins and ends."""

    def __init__(self, **options):
        self.socket = websocket("socket", **options)
        self.notes = []

        @self.socket.on("message")
        async def message(ctx):
            self.notes.append(f"begin {ctx.req.data}")
            await asyncio.sleep(float(ctx.req.data))
            self.notes.append(f"end {ctx.req.data}")
            return ctx.req.data

        @self.socket.on("disconnect")
        async def disconnect(ctx):
            self.notes.append("disconnect")
            await asyncio.sleep(1)
            self.notes.append("disconnected")


@pytest.fixture
def recorder():
    return Recorder()


# Messages.


@pytest.mark.parametrize("settings", [Settings(), LIKE_AWS], ids=["alone", "aws"])
async def test_messages_of_one_connection_are_handled_at_once_whatever_the_program_declares(recorder, settings):
    async with testing.node([recorder.socket], settings=settings) as node:
        client = await node.connect("socket")
        for seconds in "321":
            await client.send(seconds)
        answers = [await client.receive() for _ in "321"]
    assert answers == (["1", "2", "3"] if settings.like == "aws" else ["3", "2", "1"])


# The end of a connection.


@pytest.mark.parametrize("leave", ["close", "vanish", "hang_up"])
async def test_the_disconnect_handler_waits_for_no_other(recorder, leave):
    async with testing.node([recorder.socket], settings=LIKE_AWS) as node:
        client = await node.connect("socket")
        await client.send("5")
        await asyncio.sleep(1)
        left = getattr(client, leave)()
        await (left or client.closed())
        await asyncio.sleep(2)
        assert recorder.notes == ["begin 5", "disconnect", "disconnected"]
        await asyncio.sleep(3)
        assert recorder.notes == ["begin 5", "disconnect", "disconnected", "end 5"]


@pytest.mark.parametrize("seconds", [0, 1])
async def test_a_close_is_answered_while_handlers_run_and_what_they_reply_is_lost(recorder, seconds):
    async with testing.node([recorder.socket], settings=LIKE_AWS) as node:
        client = await node.connect("socket")
        await client.send("5")
        await client.send("4")
        await asyncio.sleep(seconds)
        began = asyncio.get_running_loop().time()
        closed = await client.close(1000, "bye")
        assert (closed.code, closed.reason) == (1000, "bye")
        assert asyncio.get_running_loop().time() == began
        with pytest.raises(testing.Closed):
            await client.receive()


async def test_messages_that_came_before_a_close_begin_before_the_disconnect_handler(recorder):
    async with testing.node([recorder.socket], settings=LIKE_AWS) as node:
        client = await node.connect("socket")
        client.send_bytes(encode_client_message("2") + encode_client_message("3") + encode_close(1000, "", mask=MASK))
        await client.closed()
        await asyncio.sleep(1)
        assert recorder.notes[:3] == ["begin 2", "begin 3", "disconnect"]


async def test_messages_that_waited_for_a_client_that_does_not_read_begin_before_the_disconnect_handler():
    socket, notes = websocket("socket"), []

    @socket.on("message")
    async def message(ctx):
        notes.append(ctx.req.data)
        return "x" * 100_000

    @socket.on("disconnect")
    async def disconnect(ctx):
        notes.append("disconnect")

    async with testing.node([socket], settings=LIKE_AWS) as node:
        client = await node.connect("socket")
        client.stop_reading()
        await client.send("one")
        await asyncio.sleep(0.1)
        client.send_bytes(encode_client_message("two") + encode_client_message("three"))
        await asyncio.sleep(0.1)
        assert notes == ["one", "two"]  # the third waits: nobody takes the answers
        client.vanish()
        await client.closed()
    assert notes == ["one", "two", "three", "disconnect"]


async def test_a_disconnect_comes_once_although_handlers_end_behind_it(recorder):
    async with testing.node([recorder.socket], settings=LIKE_AWS) as node:
        client = await node.connect("socket")
        for seconds in ("1.2", "0.3", "4", "1.7"):
            await client.send(seconds)
        await asyncio.sleep(0.1)
        client.vanish()
        await asyncio.sleep(10)
    assert recorder.notes.count("disconnect") == 1
    assert recorder.notes[-1] == "end 4"


async def test_without_a_disconnect_handler_the_end_of_the_node_still_waits_for_handlers():
    socket, ended = websocket("socket"), []

    @socket.on("message")
    async def message(ctx):
        await asyncio.sleep(5)
        ended.append(ctx.req.data)

    async with testing.node([socket], settings=LIKE_AWS) as node:
        client = await node.connect("socket")
        await client.send("x")
        await asyncio.sleep(1)
        client.vanish()
        await asyncio.sleep(1)
    assert ended == ["x"]


async def test_the_end_of_the_node_waits_for_handlers_that_outlive_their_disconnect(recorder):
    async with testing.node([recorder.socket], settings=LIKE_AWS) as node:
        client = await node.connect("socket")
        await client.send("9")
        await asyncio.sleep(1)
        client.vanish()
        await asyncio.sleep(3)
        assert recorder.notes == ["begin 9", "disconnect", "disconnected"]
    assert recorder.notes[-1] == "end 9"


async def test_a_handler_that_outlives_its_disconnect_has_its_deadline_all_the_same(caplog):
    recorder = Recorder()
    async with testing.node([recorder.socket], settings=LIKE_AWS) as node:
        client = await node.connect("socket")
        await client.send("100")
        await asyncio.sleep(1)
        client.vanish()
        await asyncio.sleep(40)
        assert not node.running.gateway.ending
    assert recorder.notes == ["begin 100", "disconnect", "disconnected"]
    assert "was cancelled after 29 s" in caplog.text


async def test_a_node_that_stops_lets_handlers_finish_and_reply(recorder):
    async with testing.node([recorder.socket], settings=LIKE_AWS) as node:
        client = await node.connect("socket")
        await client.send("5")
        await asyncio.sleep(1)
        await node.running.gateway.close()
        assert await client.receive() == "5"
        assert (await client.closed()).code == 1001
    assert recorder.notes == ["begin 5", "end 5", "disconnect", "disconnected"]


# The door.


async def test_the_rates_of_an_aws_account_are_in_force_and_may_be_set_to_those_of_yours():
    async with testing.node([websocket("socket")], settings=LIKE_AWS) as node:
        taken = 0
        for _ in range(600):
            try:
                await node.connect("socket")
                taken += 1
            except testing.Refused as refused:
                assert refused.status == 429
        assert taken == 500
    mine = Settings(like="aws", rate={"connects": Rate(1, 2)})
    async with testing.node([websocket("socket")], settings=mine) as node:
        for _ in range(2):
            await node.connect("socket")
        with pytest.raises(testing.Refused):
            await node.connect("socket")


# What the program itself sends.


async def test_every_use_of_a_connection_by_the_program_is_a_request():
    socket = websocket("socket").allow("closing", "inspecting")
    chosen = Settings(like="aws", rate={"requests": Rate(1, 2)})
    async with testing.node([socket], settings=chosen) as node:
        client = await node.connect("socket")
        id = client._transport.get_protocol()._identity.connection_id
        assert await socket.send(id, "taken") is True
        for use in (socket.send(id, "refused"), socket.info(id), socket.close(id)):
            with pytest.raises(Throttled, match="a rate that 'socket' is under is used up"):
                await use
        assert await client.receive() == "taken"
        await asyncio.sleep(1)
        assert (await socket.info(id)).source_ip == "127.0.0.1"
        await asyncio.sleep(1)
        assert await socket.close(id) is True
        assert (await client.closed()).code == 1000


async def test_a_broadcast_waits_for_the_rate_and_reaches_everybody():
    socket = websocket("socket")
    chosen = Settings(like="aws", rate={"requests": Rate(100, 50)})
    async with testing.node([socket], settings=chosen) as node:
        clients = []
        for _ in range(100):
            clients.append(await node.connect("socket"))
            await asyncio.sleep(0.01)
        ids = [client._transport.get_protocol()._identity.connection_id for client in clients]
        result = await socket.broadcast("news", to=ids)
        assert (result.sent, result.gone, dict(result.failed)) == (100, (), {})
        assert [await client.receive() for client in clients] == ["news"] * 100


async def test_what_does_not_fit_into_a_broadcasts_patience_is_in_failed():
    socket = websocket("socket")
    chosen = Settings(like="aws", rate={"requests": Rate(1, 3)})
    async with testing.node([socket], settings=chosen) as node:
        clients = []
        for _ in range(5):
            clients.append(await node.connect("socket"))
            await asyncio.sleep(1)
        ids = [client._transport.get_protocol()._identity.connection_id for client in clients]
        result = await socket.broadcast("news", to=ids)
        assert result.sent == 4  # the bucket of three, and one in the second and a half that it waits
        assert [type(error) for error in result.failed.values()] == [Throttled]
