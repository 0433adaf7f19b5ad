"""The client in memory, and the node that it talks to."""

import asyncio

import pytest

from trunkline import testing, websocket
from trunkline.wire.frames import OP_PING, OP_TEXT, encode_frame


class Listening:
    """A socket that keeps what happens on it."""

    def __init__(self):
        self.socket = websocket("socket", binary=True).allow("closing")
        self.ids, self.events = [], []

        @self.socket.on("connect")
        async def connect(ctx):
            self.ids.append(ctx.req.connection_id)
            self.events.append((dict(ctx.req.query), ctx.req.headers.getlist("x-token"), ctx.req.source_ip))
            if "subprotocol" in ctx.req.query:
                ctx.res.subprotocol = ctx.req.query["subprotocol"]
            if "refuse" in ctx.req.query:
                ctx.res.reject(int(ctx.req.query["refuse"]), "go away")

        @self.socket.on("message")
        async def message(ctx):
            self.events.append(ctx.req.data)
            return ctx.req.data

        @self.socket.on("disconnect")
        async def disconnect(ctx):
            self.events.append((ctx.req.close_code, ctx.req.close_reason))


@pytest.fixture
def room():
    return Listening()


def now():
    return asyncio.get_running_loop().time()


# Connecting.


async def test_query_headers_and_address_are_what_the_handler_sees(room):
    async with testing.node([room.socket]) as node:
        await node.connect("socket", query={"a": "1 &é"}, headers={"X-Token": "t"}, source_ip="10.0.0.1")
        await node.connect("socket", query=[("a", "1"), ("a", "2")], headers=[("x-token", "1"), ("x-token", "2")])
        await node.connect("socket")
    assert room.events[:3] == [
        ({"a": "1 &é"}, ["t"], "10.0.0.1"),
        ({"a": "2"}, ["1", "2"], "127.0.0.1"),
        ({}, [], "127.0.0.1"),
    ]


async def test_the_answer_is_kept(room):
    async with testing.node([room.socket]) as node:
        client = await node.connect("socket", query={"subprotocol": "b"}, subprotocols=["a", "b"])
        assert client.subprotocol == "b"
        assert client.headers["upgrade"] == "websocket"
        assert (await node.connect("socket")).subprotocol is None


async def test_a_refusal_has_status_headers_and_body(room):
    async with testing.node([room.socket]) as node:
        with pytest.raises(testing.Refused, match="^the handshake was refused: 403 go away$") as refused:
            await node.connect("socket", query={"refuse": "403"})
    assert (refused.value.status, refused.value.body) == (403, b"go away")
    assert refused.value.headers["content-type"].startswith("application/json")


async def test_plain_http_can_be_asked_too(room):
    async with testing.node([room.socket]) as node:
        client = node.client()
        client.send_bytes(b"GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n")
        status, headers, body = await client.response()
        assert (status, dict(headers)["content-length"]) == (404, str(len(body)))
        client.hang_up()
        with pytest.raises(testing.Closed, match="the socket ended before a response came"):
            await client.response()


async def test_messages_that_come_with_the_101_are_not_lost(room):
    async with testing.node([room.socket]) as node:
        client = node.client()
        client.stop_reading()
        handshake = asyncio.create_task(client.handshake("/socket"))
        await asyncio.sleep(1)
        assert await room.socket.send(room.ids[0], "early")
        await asyncio.sleep(1)
        client.go_on_reading()
        await handshake
        assert await client.receive() == "early"


# Messages.


async def test_text_bytes_and_json_go_and_come(room):
    async with testing.node([room.socket]) as node, await node.connect("socket") as client:
        for data in ("", "é", b"", b"\0", "x" * 30_000):
            await client.send(data)
            assert await client.receive() == data
        await client.send_json({"é": [1, None]})
        assert await client.receive_json() == {"é": [1, None]}
    assert room.events[1:6] == ["", "é", b"", b"\0", "x" * 30_000]


async def test_messages_are_received_in_order_also_after_the_close(room):
    async with testing.node([room.socket]) as node:
        client = await node.connect("socket")
        for n in range(5):
            await client.send(str(n))
        await client.close()
        assert [await client.receive() for _ in range(5)] == ["0", "1", "2", "3", "4"]
        with pytest.raises(testing.Closed, match="^the connection is closed: 1000$"):
            await client.receive()


async def test_no_wait_is_for_ever(room):
    async with testing.node([room.socket]) as node:
        client = await node.connect("socket")
        for seconds, wait in (
            (5, client.receive()),
            (5, client.closed()),
            (300, client.receive(300)),
            (1, client.closed(1)),
        ):
            before = now()
            with pytest.raises(TimeoutError, match=f"^waited {seconds} s for .*; none came$"):
                await wait
            assert now() - before == pytest.approx(seconds)
        patient = await node.connect("socket", timeout=100)
        before = now()
        with pytest.raises(TimeoutError):
            await patient.receive_json()
        assert now() - before == pytest.approx(100)


async def test_what_comes_in_the_last_moment_is_in_time(room):
    async with testing.node([room.socket]) as node:
        client = await node.connect("socket")
        waiting = asyncio.create_task(client.receive(10))
        await asyncio.sleep(9.999)
        await room.socket.send(room.ids[0], "just")
        assert await waiting == "just"


async def test_nothing_holds_for_its_time_or_fails_with_what_came(room):
    async with testing.node([room.socket]) as node:
        client = await node.connect("socket")
        before = now()
        await client.nothing()
        await client.nothing(10)
        assert now() - before == pytest.approx(10.1)
        await client.send("something")
        with pytest.raises(AssertionError, match="^expected no message for 0.1 s; got 'something'$"):
            await client.nothing()
        await client.close()
        with pytest.raises(testing.Closed):
            await client.nothing()


async def test_pings_go_both_ways(room):
    async with testing.node([room.socket]) as node, await node.connect("socket") as client:
        await client.ping(b"here")
        await client.ping()
        await client.nothing()
        assert client.pongs[-1] == b""
        sent = []
        arrive, client._transport.arrive = client._transport.arrive, sent.append
        client._received(encode_frame(OP_PING, b"there?"))
        client._transport.arrive = arrive
        assert sent[0][:2] == bytes([0x8A, 0x80 | 6]), "a pong, masked"


async def test_a_gateway_that_breaks_the_protocol_fails_the_test(room):
    async with testing.node([room.socket]) as node, await node.connect("socket") as client:
        with pytest.raises(AssertionError, match="the gateway broke the protocol: 1002"):
            client._received(encode_frame(OP_TEXT, b"masked", mask=b"1234"))
        with pytest.raises(AssertionError, match="the gateway broke the protocol: 1007"):
            (await node.connect("socket"))._received(encode_frame(OP_TEXT, b"\xff"))


async def test_a_client_that_does_not_read_gets_nothing_until_it_does(room):
    async with testing.node([room.socket]) as node:
        client = await node.connect("socket")
        client.stop_reading()
        await client.send("x")
        await client.nothing(100)
        client.go_on_reading()
        assert await client.receive() == "x"
        client.go_on_reading()


# The end.


async def test_close_is_a_handshake_and_tells_how_it_ended(room):
    async with testing.node([room.socket]) as node:
        client = await node.connect("socket")
        closed = await client.close(4000, "bye")
        assert (closed.code, closed.reason, str(closed)) == (4000, "bye", "the connection is closed: 4000 bye")
        assert await client.close() is closed, "closing twice is nothing"
        with pytest.raises(testing.Closed):
            await client.send("x")
    assert room.events[-1] == (4000, "bye")


async def test_the_gateways_close_is_answered_at_once(room):
    async with testing.node([room.socket]) as node:
        client = await node.connect("socket")
        await room.socket.close(room.ids[0], 4001, "go")
        closed = await client.closed(1)
        assert (closed.code, closed.reason) == (4001, "go")
    assert room.events[-1] == (4001, "go")


async def test_a_close_without_a_code_is_answered_with_1000(room):
    async with testing.node([room.socket]) as node:
        client = await node.connect("socket")
        sent = []
        client._transport.arrive = sent.append
        client._received(b"\x88\x00")
        payload = bytes(byte ^ sent[0][2 + n % 4] for n, byte in enumerate(sent[0][6:]))
        assert payload == (1000).to_bytes(2, "big")
        client.vanish()


@pytest.mark.parametrize("how", ["vanish", "hang_up"])
async def test_leaving_without_a_word_is_1006(room, how):
    async with testing.node([room.socket]) as node:
        client = await node.connect("socket")
        getattr(client, how)()
        getattr(client, how)()
        assert (await client.closed()).code == 1006
        for operation in (client.receive(), client.send("x")):
            with pytest.raises(testing.Closed, match="1006"):
                await operation
        assert (await client.close()).code == 1006
    assert room.events[-1] == (1006, "Connection closed abnormally")


async def test_a_with_block_closes_and_an_error_in_it_vanishes(room):
    async with testing.node([room.socket]) as node:
        async with await node.connect("socket") as client:
            client.stop_reading()
            await client.send("x")
        assert room.events[-1] == (1000, "")
        with pytest.raises(ZeroDivisionError):
            async with await node.connect("socket"):
                raise ZeroDivisionError
        await asyncio.sleep(1)
    assert room.events[-1] == (1006, "Connection closed abnormally")


async def test_the_nodes_end_closes_clients_also_those_that_do_not_read(room):
    async with testing.node([room.socket]) as node:
        clients = [await node.connect("socket") for _ in range(2)]
        clients[0].stop_reading()
        assert node.clients == clients
        before = now()
    assert [(await client.closed()).code for client in clients] == [1001, 1001]
    assert now() - before < 1
    assert room.events[-2:] == [(1001, "Going away")] * 2


async def test_a_large_output_waits_for_a_client_that_reads_again(room):
    async with testing.node([room.socket]) as node, await node.connect("socket") as client:
        client.stop_reading()
        for n in range(4):
            await room.socket.send(room.ids[0], str(n) * 60_000)
            await asyncio.sleep(0)
        assert client._transport.get_write_buffer_size() > 60_000
        client.go_on_reading()
        assert [(await client.receive())[0] for _ in range(4)] == ["0", "1", "2", "3"]


async def test_a_socket_that_is_cut_drops_what_was_not_taken(room):
    async with testing.node([room.socket]) as node:
        client = await node.connect("socket")
        client.stop_reading()
        await room.socket.send(room.ids[0], "x")
        await asyncio.sleep(0.1)
        transport = client._transport
        transport.abort()
        await client.closed()
        transport.abort()
        transport.close()
        transport.write(b"late")
        assert transport.is_closing()
        client.go_on_reading()
        with pytest.raises(testing.Closed):
            await client.receive()
