"""Faults on purpose: what a program and its clients see of each, and that it ends."""

import asyncio
import json

import pytest

from trunkline import SlowConsumer, Throttled, Unreachable, collection, testing, websocket


class Room:
    """A socket that keeps its connections as a program does, and notes what happens."""

    def __init__(self):
        self.socket = websocket("room").allow("closing", "inspecting")
        self.members = collection("members").allow("reading", "writing", "deleting")
        self.notes = []

        @self.socket.on("connect")
        async def connect(ctx):
            self.notes.append("connect")
            await self.members.doc(ctx.req.connection_id).set({})

        @self.socket.on("message", route="count")
        async def count(ctx):
            self.notes.append("count")
            return self.notes.count("count")

        @self.socket.on("message")
        async def message(ctx):
            self.notes.append(ctx.req.data)
            return ctx.req.data

        @self.socket.on("disconnect")
        async def disconnect(ctx):
            self.notes.append("disconnect")
            await self.members.doc(ctx.req.connection_id).delete()

    @property
    def program(self):
        return [self.socket, self.members]

    async def ids(self):
        return [member.id async for member in self.members.query().stream()]


@pytest.fixture
def room():
    return Room()


async def call(node, id, method):
    """Status and message of a call to @connections."""
    caller = node.client()
    caller.send_bytes(
        f"{method} /room/@connections/{id} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n".encode()
    )
    status, _, body = await caller.response()
    return status, json.loads(body).get("message", "") if body else ""


# Connections that are gone.


async def test_a_connection_that_is_gone_is_so_for_everybody_but_its_client(room):
    async with testing.node(room.program) as node:
        client = await node.connect("room")
        (id,) = await room.ids()
        node.faults.gone(client)
        assert await room.socket.send(id, "x") is False
        assert await room.socket.close(id) is False
        assert await room.socket.info(id) is None
        assert (await room.socket.broadcast("x", to=[id])).gone == (id,)
        assert [await call(node, id, method) for method in ("POST", "GET", "DELETE")] == [(410, "")] * 3
        await client.send("still here")
        assert await client.receive() == "still here"


async def test_others_are_not_gone(room):
    async with testing.node(room.program) as node:
        ann, ben = await node.connect("room"), await node.connect("room")
        node.faults.gone(ann)
        result = await room.socket.broadcast("news", to=room.members.query().stream())
        assert (result.sent, len(result.gone)) == (1, 1)
        assert await ben.receive() == "news"
        await ann.nothing()


# Sends that fail.


@pytest.mark.parametrize(
    ("fault", "error", "status", "message"),
    [
        ("slow_consumer", SlowConsumer, 429, "The WebSocket client side buffer is full"),
        ("throttle", Throttled, 429, "Too Many Requests"),
        ("unreachable", Unreachable, 503, "Service Unavailable"),
    ],
)
async def test_a_send_that_fails_raises_and_a_post_has_its_status(room, fault, error, status, message):
    async with testing.node(room.program) as node:
        client = await node.connect("room")
        (id,) = await room.ids()
        with getattr(node.faults, fault)(client):
            with pytest.raises(error, match=f"send of connection {id} fails because the test asked for it"):
                await room.socket.send(id, "x")
            assert await call(node, id, "POST") == (status, message)
            await client.nothing()
        assert await room.socket.send(id, "y") is True
        assert await client.receive() == "y"


@pytest.mark.parametrize(("fault", "fails"), [("throttle", True), ("unreachable", True), ("slow_consumer", False)])
async def test_only_a_slow_consumer_can_still_be_asked_for_and_closed(room, fault, fails):
    async with testing.node(room.program) as node:
        client = await node.connect("room")
        (id,) = await room.ids()
        getattr(node.faults, fault)(client)
        if fails:
            for use in (room.socket.info(id), room.socket.close(id)):
                with pytest.raises((Throttled, Unreachable)):
                    await use
        else:
            assert await room.socket.info(id) is not None
            assert await room.socket.close(id) is True


async def test_a_broadcast_is_throttled_and_tries_again(room):
    async with testing.node(room.program) as node:
        client = await node.connect("room")
        node.faults.throttle(client, times=2)
        began = asyncio.get_running_loop().time()
        result = await room.socket.broadcast("news", to=await room.ids())
        assert (result.sent, dict(result.failed)) == (1, {})
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.15)
        assert await client.receive() == "news"


async def test_times_are_counted_for_each_fault(room):
    async with testing.node(room.program) as node:
        client = await node.connect("room")
        (id,) = await room.ids()
        node.faults.throttle(client, times=1)
        node.faults.unreachable(id, times=2)
        raised = []
        for _ in range(4):
            try:
                raised.append(await room.socket.send(id, "x"))
            except (Throttled, Unreachable) as error:
                raised.append(type(error))
        assert raised == [Throttled, Unreachable, Unreachable, True]


# Ends that nobody is told of.


async def test_a_disconnect_that_is_missed_leaves_what_its_handler_would_have_removed(room):
    async with testing.node(room.program) as node:
        ann, ben = await node.connect("room"), await node.connect("room")
        node.faults.miss_disconnect(ann)
        await ann.close()
        await ben.close()
        await asyncio.sleep(1)
        assert room.notes == ["connect", "connect", "disconnect"]
        (stale,) = await room.ids()
        assert await room.socket.send(stale, "x") is False


async def test_a_disconnect_that_is_missed_is_missed_at_the_end_of_the_node_too(room):
    async with testing.node(room.program) as node:
        node.faults.miss_disconnect(await node.connect("room"))
    assert room.notes == ["connect"]


async def test_a_fault_that_ended_before_the_end_of_its_connection_misses_nothing(room):
    async with testing.node(room.program) as node:
        client = await node.connect("room")
        with node.faults.miss_disconnect(client):
            pass
        await client.close()
    assert room.notes == ["connect", "disconnect"]


# Handlers that take long, and events that come twice.


async def test_a_slow_handler_begins_late(room):
    async with testing.node(room.program) as node:
        client = await node.connect("room")
        node.faults.slow("$default", 3)
        await client.send("hello")
        await client.nothing(2.9)
        assert room.notes == ["connect"]
        assert await client.receive() == "hello"


async def test_a_handler_that_is_too_slow_has_its_deadline(room):
    async with testing.node(room.program) as node:
        client = await node.connect("room", timeout=40)
        with node.faults.slow("count", 60):
            await client.send('{"action": "count"}')
            assert (await client.receive_json())["message"] == "Endpoint request timed out"
        await client.send('{"action": "count"}')
        assert await client.receive_json() == 1


async def test_a_slow_connect_handler_makes_a_handshake_504(room):
    async with testing.node(room.program) as node:
        node.faults.slow("$connect", 60)
        with pytest.raises(testing.Refused) as caught:
            await node.connect("room", timeout=40)
        assert caught.value.status == 504
        assert room.notes == []


async def test_an_event_that_comes_twice_is_handled_twice_and_answered_once(room):
    async with testing.node(room.program) as node:
        client = await node.connect("room")
        with node.faults.duplicate("count"):
            await client.send('{"action": "count"}')
            assert await client.receive_json() == 2
            await client.nothing()
        await client.send('{"action": "count"}')
        assert await client.receive_json() == 3


async def test_both_times_it_is_the_same_event():
    socket, seen = websocket("socket"), []

    @socket.on("message")
    async def message(ctx):
        seen.append(ctx.req.event["requestContext"]["messageId"])

    async with testing.node([socket]) as node:
        client = await node.connect("socket")
        node.faults.duplicate("$default")
        await client.send("x")
        await client.nothing()
    assert len(seen) == 2
    assert seen[0] == seen[1]


async def test_a_disconnect_may_come_twice(room):
    async with testing.node(room.program) as node:
        client = await node.connect("room")
        node.faults.duplicate("$disconnect")
        await client.close()
    assert room.notes == ["connect", "disconnect", "disconnect"]


async def test_faults_of_one_route_add_up_and_end_apart(room):
    async with testing.node(room.program) as node:
        client, loop = await node.connect("room"), asyncio.get_running_loop()
        first, second = node.faults.slow("$default", 1), node.faults.slow("$default", 2)
        for ended, seconds in ((None, 3), (first, 2), (first, 2), (second, 0)):
            if ended is not None:
                ended.end()
            began = loop.time()
            await client.send("x")
            await client.receive()
            assert loop.time() - began == pytest.approx(seconds)


async def test_a_route_is_that_of_every_socket_unless_one_is_named():
    sockets = [websocket("first"), websocket("second")]
    for socket in sockets:

        @socket.on("message")
        async def message(ctx):
            return ctx.req.data

    async def late(clients):
        """Which clients' answers take long."""
        for client in clients:
            await client.send("x")
        await asyncio.sleep(3)
        waiting = [name for name, client in zip(("first", "second"), clients, strict=True) if not client._inbox]
        for client in clients:
            assert await client.receive() == "x"
        return waiting

    async with testing.node(sockets) as node:
        clients = [await node.connect(name) for name in ("first", "second")]
        with node.faults.slow("$default", 4):
            assert await late(clients) == ["first", "second"]
        with node.faults.slow("$default", 4, socket="second"):
            assert await late(clients) == ["second"]
        assert await late(clients) == []


async def test_functions_behind_routes_have_the_same_faults():
    said = testing.Function(lambda event, context: {"statusCode": 200, "body": "hi"})
    async with testing.lambda_node({"$default": said}, two_way=["$default"]) as node:
        client = await node.connect("test")
        node.faults.duplicate("$default")
        await client.send("x")
        assert await client.receive() == "hi"
        assert len(said.events) == 2


# What cannot be.


async def test_a_connection_that_is_not_open_is_refused(room):
    async with testing.node(room.program) as node:
        client = await node.connect("room")
        (id,) = await room.ids()
        await client.close()
        with pytest.raises(ValueError, match="the client has no open connection to this node"):
            node.faults.gone(client)
        with pytest.raises(ValueError, match=f"no open connection of this node has the id '{id}'"):
            node.faults.gone(id)
        with pytest.raises(ValueError, match="the client has no open connection to this node"):
            node.faults.gone(node.client())


async def test_a_connection_whose_handshake_is_undecided_is_refused(room):
    async with testing.node(room.program) as node:
        node.faults.slow("$connect", 3)
        client = node.client()
        handshake = asyncio.create_task(client.handshake("/room"))
        await asyncio.sleep(1)
        with pytest.raises(ValueError, match="is not open"):
            node.faults.gone(client)
        await handshake
        node.faults.gone(client)


async def test_a_route_that_is_not_there_is_refused_with_those_that_are(room):
    async with testing.node(room.program) as node:
        with pytest.raises(ValueError) as caught:
            node.faults.slow("bid", 1)
        assert str(caught.value) == (
            "no socket has a route 'bid' here; there are '$connect' of 'room', 'count' of 'room', '$default' of 'room', "
            "'$disconnect' of 'room'"
        )
    socket = websocket("socket")
    async with testing.node([socket]) as node:
        client = await node.connect("socket")
        with pytest.raises(ValueError, match=r"no socket has a route '\$disconnect' here; there are none"):
            node.faults.miss_disconnect(client)
