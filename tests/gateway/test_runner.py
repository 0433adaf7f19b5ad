"""How messages wait and are handled: bounds, fairness, and who waits for whom."""

import asyncio
from dataclasses import replace

from trunkline import limits, testing, websocket
from trunkline.wire.frames import (
    OP_CONTINUATION,
    OP_PING,
    OP_TEXT,
    encode_client_message,
    encode_frame,
)

MASK = b"\1\2\3\4"


def echoing(**options):
    socket = websocket("socket", **options)

    @socket.on("message")
    async def message(ctx):
        return ctx.req.data

    return socket


def connection_of(node):
    (connection,) = node.running.gateway.alive
    return connection


async def test_a_thousand_pings_in_one_read_are_all_answered_in_order():
    async with testing.node([echoing()]) as node, await node.connect("socket") as client:
        client.send_bytes(b"".join(encode_frame(OP_PING, str(n).encode(), mask=MASK) for n in range(1000)))
        await client.send("after them")
        assert await client.receive() == "after them"
        assert client.pongs == [str(n).encode() for n in range(1000)]


async def test_pings_are_answered_while_a_handler_runs():
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        await asyncio.sleep(20)

    async with testing.node([socket]) as node, await node.connect("socket") as client:
        await client.send("slow")
        client.send_bytes(encode_frame(OP_PING, b"x", mask=MASK) * 500)
        await asyncio.sleep(1)
        assert len(client.pongs) == 500


async def test_everybody_else_gets_a_turn_after_16_messages_of_one_client():
    order = []
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        order.append(ctx.req.data)

    async with testing.node([socket]) as node:
        async with await node.connect("socket") as greedy, await node.connect("socket") as modest:
            greedy.send_bytes(encode_client_message("greedy") * 1000)
            await modest.send("modest")
            await asyncio.sleep(1)
    assert len(order) == 1001
    assert order.index("modest") <= 2 * limits.WAITING_MESSAGES


async def test_4096_fragments_take_many_turns_of_the_loop():
    turns = 0

    async def turning():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with testing.node([echoing()]) as node, await node.connect("socket") as client:
        empty = encode_frame(OP_CONTINUATION, b"", fin=False, mask=MASK)
        client.send_bytes(encode_frame(OP_TEXT, b"a", fin=False, mask=MASK) + empty * 4000)
        client.send_bytes(encode_frame(OP_CONTINUATION, b"z", mask=MASK))
        task = asyncio.create_task(turning())
        assert await client.receive() == "az"
        task.cancel()
    assert turns > 4000 / (64 + limits.WAITING_MESSAGES)


async def test_no_more_than_16_messages_or_256_kib_wait_for_a_handler():
    started, gate = [], asyncio.Event()
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        started.append(ctx.req.data)
        await gate.wait()

    async with testing.node([socket]) as node, await node.connect("socket") as client:
        for _ in range(100):
            await client.send("short")
        await asyncio.sleep(1)
        connection = connection_of(node)
        assert connection._taken + len(connection._queue) == limits.WAITING_MESSAGES
        assert connection._held == 0
        gate.set()
        await asyncio.sleep(1)
        assert len(started) == 100
        gate.clear()
        long = "ф" * 16_000  # 32 kB, on the wire and in memory
        for _ in range(100):
            await client.send(long)
        await asyncio.sleep(1)
        assert limits.WAITING_BYTES <= connection._held < limits.WAITING_BYTES + limits.MESSAGE_BYTES
        gate.set()
        await asyncio.sleep(1)
        assert connection._held == 0
        assert len(started) == 200


async def test_replies_of_messages_that_are_handled_at_once_wait_for_a_client_that_does_not_read():
    socket = websocket("socket", ordered=False)

    @socket.on("message")
    async def message(ctx):
        return "x" * 100_000

    async with testing.node([socket]) as node, await node.connect("socket") as client:
        connection = connection_of(node)
        client.stop_reading()
        for _ in range(200):
            await client.send("more")
        await asyncio.sleep(60)
        assert connection._out_bytes <= limits.MESSAGE_BYTES
        client.go_on_reading()
        for _ in range(200):
            assert len(await client.receive()) == 100_000


async def test_waiting_for_the_client_does_not_count_as_the_handlers_time(caplog):
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        return "x" * 100_000

    async with testing.node([socket]) as node, await node.connect("socket") as client:
        client.stop_reading()
        for _ in range(3):
            await client.send("more")
        await asyncio.sleep(100)
        client.go_on_reading()
        for _ in range(3):
            assert len(await client.receive()) == 100_000
    assert caplog.records == []


async def test_a_close_waits_for_the_answers_of_messages_that_are_handled_at_once():
    socket = websocket("socket", ordered=False)

    @socket.on("message")
    async def message(ctx):
        await asyncio.sleep(1)
        return "answer"

    async with testing.node([socket]) as node:
        client = await node.connect("socket")
        await client.send("question")
        await client.close(1000, "bye")
        assert await client.receive() == "answer"


async def test_a_one_way_route_answers_errors_only():
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        if ctx.req.data == "raise":
            raise ValueError("secret")
        return "not for the client"

    async with testing.node([socket]) as node, await node.connect("socket") as client:
        stage = node.running.gateway.stages["socket"]
        route = replace(stage.api.routes["$default"], two_way=False)
        stage.api = replace(stage.api, routes={"$default": route})
        await client.send("hello")
        await client.nothing(1)
        await client.send("raise")
        assert (await client.receive_json())["message"] == "Internal server error"
