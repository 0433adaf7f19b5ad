"""How connections end, and handlers fail, when several things happen at once."""

import asyncio

import pytest

from trunkline import Limits, limits, testing, websocket
from trunkline.wire.frames import OP_TEXT, encode_client_message, encode_close, encode_frame

MASK = b"\1\2\3\4"


class Life:
    def __init__(self, **options):
        self.socket = socket = websocket("socket", **options).allow("closing")
        self.events = []
        self.id = None

        @socket.on("connect")
        async def connect(ctx):
            self.id = ctx.req.connection_id
            self.events.append("connect")

        @socket.on("message")
        async def message(ctx):
            self.events.append(ctx.req.data)
            return await self.handle(ctx)

        @socket.on("disconnect")
        async def disconnect(ctx):
            self.events.append(("disconnect", ctx.req.close_code))

    async def handle(self, ctx):
        return None


class Stop(BaseException):
    pass


async def test_a_close_that_is_parsed_after_the_socket_is_gone():
    life = Life()
    life.handle = lambda ctx: asyncio.sleep(1)
    async with testing.node([life.socket]) as node:
        client = await node.connect("socket")
        burst = b"".join(encode_client_message(str(n)) for n in range(20))
        client.send_bytes(burst + encode_close(1000, mask=MASK))
        await asyncio.sleep(0.5)
        client.vanish()
        await asyncio.sleep(60)
        alive = len(node.running.gateway.alive)
        node.running.gateway.alive.clear()
    assert life.events == ["connect", *map(str, range(20)), ("disconnect", 1000)]
    assert alive == 0


async def test_a_bad_frame_that_is_parsed_after_the_socket_is_gone():
    life = Life()
    life.handle = lambda ctx: asyncio.sleep(1)
    async with testing.node([life.socket]) as node:
        client = await node.connect("socket")
        burst = b"".join(encode_client_message(str(n)) for n in range(20))
        client.send_bytes(burst + encode_frame(OP_TEXT, b"unmasked"))
        await asyncio.sleep(0.5)
        client.vanish()
        await asyncio.sleep(60)
        alive = len(node.running.gateway.alive)
        node.running.gateway.alive.clear()
    assert life.events[:-1] == ["connect", *map(str, range(20))]
    assert life.events[-1][0] == "disconnect"
    assert alive == 0


async def test_unordered_messages_that_come_in_several_reads_are_bounded_too():
    life = Life(ordered=False)
    running, most = 0, 0

    async def handle(ctx):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(5)
        running -= 1

    life.handle = handle
    async with testing.node([life.socket]) as node:
        client = await node.connect("socket")
        for n in range(100):
            await client.send(str(n))
            await asyncio.sleep(0.01)
        await asyncio.sleep(60)
        await client.close()
    assert len(life.events) == 102
    assert most == limits.WAITING_MESSAGES


async def test_unordered_messages_before_the_close_are_answered_before_it():
    life = Life(ordered=False)

    async def handle(ctx):
        await asyncio.sleep(0.1)
        return ctx.req.data + "!"

    life.handle = handle
    async with testing.node([life.socket]) as node:
        client = await node.connect("socket")
        for n in range(3):
            await client.send(str(n))
        await client.close()
        assert [await client.receive() for _ in range(3)] == ["0!", "1!", "2!"]


async def test_unordered_messages_received_before_the_loss_are_all_handled():
    life = Life(ordered=False)
    life.handle = lambda ctx: asyncio.sleep(1)
    async with testing.node([life.socket]) as node:
        client = await node.connect("socket")
        client.send_bytes(b"".join(encode_client_message(str(n)) for n in range(40)))
        await asyncio.sleep(0.5)
        client.vanish()
        await asyncio.sleep(60)
    assert life.events == ["connect", *map(str, range(40)), ("disconnect", 1006)]


@pytest.mark.parametrize("error", [Stop("now"), BaseExceptionGroup("all", [SystemExit(1)])])
async def test_a_connect_handler_that_raises_no_exception_is_502(error):
    socket = websocket("socket")

    @socket.on("connect")
    async def connect(ctx):
        raise error

    async with testing.node([socket]) as node:
        try:
            with pytest.raises(testing.Refused) as refused:
                await node.connect("socket")
            assert refused.value.status == 502
            assert not node.running.gateway.alive
        finally:
            node.running.gateway.alive.clear()


@pytest.mark.parametrize("error", [Stop("now"), BaseExceptionGroup("all", [SystemExit(1)])])
async def test_a_message_handler_that_raises_no_exception_is_answered(error):
    life = Life()

    async def handle(ctx):
        if ctx.req.data == "fail":
            raise error
        return "fine"

    life.handle = handle
    async with testing.node([life.socket]) as node, await node.connect("socket") as client:
        await client.send("fail")
        assert (await client.receive_json())["message"] == "Internal server error"
        await client.send("go on")
        assert await client.receive() == "fine"


async def test_a_handler_that_fails_at_its_deadline_is_answered_once():
    life = Life(limits=Limits(handler_seconds=1))

    async def handle(ctx):
        if ctx.req.data != "hang":
            return ctx.req.data
        try:
            await asyncio.sleep(1000)
        finally:
            raise ZeroDivisionError

    life.handle = handle
    async with testing.node([life.socket]) as node, await node.connect("socket") as client:
        await client.send("hang")
        await client.send("next")
        assert (await client.receive_json())["message"] == "Endpoint request timed out"
        assert await client.receive() == "next"


async def test_a_connect_handler_that_fails_at_its_deadline_is_504():
    socket = websocket("socket", limits=Limits(handler_seconds=1))

    @socket.on("connect")
    async def connect(ctx):
        try:
            await asyncio.sleep(1000)
        finally:
            raise ZeroDivisionError

    async with testing.node([socket]) as node:
        with pytest.raises(testing.Refused) as refused:
            await node.connect("socket")
        assert refused.value.status == 504


async def test_a_closed_connection_whose_client_has_closed_already_ends_at_once():
    life = Life()

    async def handle(ctx):
        await asyncio.sleep(0.1)
        await life.socket.close(life.id, 4000, "enough")

    life.handle = handle
    async with testing.node([life.socket]) as node:
        client = await node.connect("socket")
        await client.send("x")
        began = asyncio.get_running_loop().time()
        await client.close()
        assert asyncio.get_running_loop().time() - began < 0.5


async def test_a_closing_connection_goes_on_reading_though_many_messages_wait():
    life = Life()
    life.handle = lambda ctx: asyncio.sleep(1)
    async with testing.node([life.socket]) as node:
        client = await node.connect("socket")
        client._close_sent = True
        client.send_bytes(b"".join(encode_client_message(str(n)) for n in range(16)))
        await asyncio.sleep(0.1)
        await life.socket.close(life.id)
        await client.send("late")
        await asyncio.sleep(0.1)
        client.send_bytes(encode_close(1000, mask=MASK))
        began = asyncio.get_running_loop().time()
        await client.closed()
        assert asyncio.get_running_loop().time() - began < 0.5


async def test_a_deadline_that_a_handler_took_back_is_not_the_next_messages():
    life = Life(limits=Limits(handler_seconds=1))

    async def handle(ctx):
        if ctx.req.data == "hang":
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                asyncio.current_task().uncancel()
        return ctx.req.data

    life.handle = handle
    async with testing.node([life.socket]) as node, await node.connect("socket") as client:
        await client.send("hang")
        assert (await client.receive_json())["message"] == "Endpoint request timed out"
        await client.send("next")
        assert await client.receive() == "next"


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_handler_that_raises_no_exception_when_its_client_is_gone_does_not_cost_the_disconnect(ordered):
    life = Life(ordered=ordered)

    async def handle(ctx):
        await asyncio.sleep(1)
        raise Stop

    life.handle = handle
    async with testing.node([life.socket]) as node:
        client = await node.connect("socket")
        await client.send("x")
        await asyncio.sleep(0.5)
        client.vanish()
        await asyncio.sleep(10)
        node.running.gateway.alive.clear()
    assert life.events == ["connect", "x", ("disconnect", 1006)]


async def test_a_task_that_is_cancelled_before_it_began_does_not_make_its_connection_deaf():
    life = Life()
    async with testing.node([life.socket]) as node:
        client = await node.connect("socket")
        (connection,) = node.running.gateway.alive
        await client.send("x")
        while connection._runner is None:
            await asyncio.sleep(0)
        connection._runner.cancel()
        await asyncio.sleep(10)
        client.vanish()
        await asyncio.sleep(10)
        node.running.gateway.alive.clear()
    assert life.events[-1] == ("disconnect", 1006)
