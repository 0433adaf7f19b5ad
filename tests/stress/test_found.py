"""What the stress run has found, as small as it gets."""

import asyncio

from trunkline import testing, websocket


async def test_a_send_is_written_within_a_few_turns_however_many_others_are_answered():
    socket = websocket("socket")
    ids, over = [], False

    @socket.on("connect")
    async def connect(ctx):
        ids.append(ctx.req.connection_id)

    @socket.on("message")
    async def echo(ctx):
        return ctx.req.data

    async def talk(client):
        while not over:
            await client.send("again")
            await client.receive()

    async with testing.node([socket]) as node:
        listener = await node.connect("socket")
        clients = [await node.connect("socket") for _ in range(200)]
        talking = [asyncio.create_task(talk(client)) for client in clients]
        for _ in range(200):
            await asyncio.sleep(0)
        assert await socket.send(ids[0], "for you")
        listening = asyncio.create_task(listener.receive())
        turns = 0
        while not listening.done():
            turns += 1
            await asyncio.sleep(0)
        over = True
        await asyncio.gather(*talking)
        assert listening.result() == "for you"
        assert turns < 20  # as many as it takes to write once to each


async def test_what_was_sent_before_a_close_is_written_though_its_turn_comes_after_the_closes_deadline():
    socket = websocket("socket").allow("closing")
    ids = []

    @socket.on("connect")
    async def connect(ctx):
        ids.append(ctx.req.connection_id)

    @socket.on("message")
    async def message(ctx):
        for connection in ids:
            assert await socket.send(connection, "for you")
        await socket.close(ids[-1])
        asyncio.get_running_loop()._jumping.now += 3  # the handler holds the loop for so long

    async with testing.node([socket]) as node:
        clients = [await node.connect("socket") for _ in range(100)]
        await clients[0].send("go")
        assert await clients[-1].receive() == "for you"


async def test_outputs_that_were_flushed_are_not_kept_while_others_always_wait():
    socket = websocket("socket")
    ids = []

    @socket.on("connect")
    async def connect(ctx):
        ids.append(ctx.req.connection_id)

    async with testing.node([socket]) as node:
        for _ in range(100):
            await node.connect("socket")
        for _ in range(300):  # more than a turn writes, in every turn
            await socket.broadcast("tick", to=ids)
            await asyncio.sleep(0)
        assert len(node.running.gateway._touched) <= 2 * len(ids)
