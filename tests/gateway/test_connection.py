"""A connection from its handshake to its end, seen from its client."""

import asyncio
import json
import logging
import sys
from dataclasses import replace

import pytest

from trunkline import Limits, MessageTooLarge, SlowConsumer, limits, testing, websocket
from trunkline.integrations.base import IntegrationError, IntegrationTimeout, MessageRefused, ReplyTooLarge
from trunkline.model.api import CompiledAuthorizer, CompiledRoute, Response
from trunkline.model.identity_sources import parse_identity_sources
from trunkline.wire.frames import (
    OP_BINARY,
    OP_CLOSE,
    OP_CONTINUATION,
    OP_PING,
    OP_PONG,
    OP_TEXT,
    encode_client_message,
    encode_frame,
    encode_message,
)

MASK = b"\1\2\3\4"


def echoing(**options):
    socket = websocket("socket", **options)

    @socket.on("message")
    async def message(ctx):
        return ctx.req.data

    return socket


class Recorder:
    """A socket that notes what happens on it."""

    def __init__(self, **options):
        self.socket = websocket("socket", **options).allow("closing", "inspecting")
        self.events = []
        self.contexts = []

        @self.socket.on("connect")
        async def connect(ctx):
            self.contexts.append(ctx)
            self.events.append("connect")

        @self.socket.on("message")
        async def message(ctx):
            self.events.append(ctx.req.data)
            await self.handle(ctx)

        @self.socket.on("disconnect")
        async def disconnect(ctx):
            self.events.append(("disconnect", ctx.req.close_code, ctx.req.close_reason))

    async def handle(self, ctx):
        pass

    @property
    def id(self):
        return self.contexts[-1].req.connection_id


# Messages.


async def test_a_message_comes_back():
    async with testing.node([echoing(binary=True)]) as node, await node.connect("socket") as client:
        for message in ("", "hello", "é𝄞", b"", b"\0\xff", "x" * 125, "x" * 126, "x" * 32_768, b"y" * 30_000):
            await client.send(message)
            assert await client.receive() == message


async def test_a_long_reply_comes_in_frames_of_32_kib():
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        return "x" * int(ctx.req.data)

    async with testing.node([socket]) as node, await node.connect("socket") as client:
        await client.send("131072")
        assert await client.receive() == "x" * 131_072


async def test_a_message_in_fragments_with_a_ping_between():
    async with testing.node([echoing()]) as node, await node.connect("socket") as client:
        client.send_bytes(encode_frame(OP_TEXT, b"hel", fin=False, mask=MASK))
        await client.ping(b"now")
        client.send_bytes(encode_frame(OP_CONTINUATION, b"lo", mask=MASK))
        assert await client.receive() == "hello"
        assert client.pongs == [b"now"]


async def test_a_pong_that_nobody_asked_for_is_nothing():
    async with testing.node([echoing()]) as node, await node.connect("socket") as client:
        client.send_bytes(encode_frame(OP_PONG, b"unsolicited", mask=MASK))
        await client.send("hello")
        assert await client.receive() == "hello"


async def test_bytes_that_come_one_by_one():
    async with testing.node([echoing()]) as node, await node.connect("socket") as client:
        for byte in encode_client_message("hello"):
            client.send_bytes(bytes([byte]))
            await asyncio.sleep(0.01)
        assert await client.receive() == "hello"


async def test_messages_sent_with_the_handshake_wait_for_its_decision():
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        client = node.client()
        handshake = asyncio.create_task(client.handshake("/socket"))
        await asyncio.sleep(0)
        client.send_bytes(encode_client_message("early"))
        await handshake
        await client.close()
    assert recorder.events == ["connect", "early", ("disconnect", 1000, "")]


async def test_what_a_client_sends_too_early_waits_for_the_decision_and_then_for_its_turn():
    socket = websocket("socket")
    events = []

    @socket.on("connect")
    async def connect(ctx):
        await asyncio.sleep(1)
        events.append("connect")

    @socket.on("message")
    async def message(ctx):
        events.append(ctx.req.data)

    async with testing.node([socket]) as node:
        client = node.client()
        handshake = asyncio.create_task(client.handshake("/socket"))
        for n in range(5):
            await asyncio.sleep(0.1)
            client.send_bytes(encode_client_message(str(n)) + encode_client_message("x" * 30_000))
        await asyncio.sleep(0.1)
        assert events == []
        assert client._transport._inbound, "one read is kept, the rest stays with its client"
        await handshake
        await client.send("last")
        await client.close()
    assert [event for event in events if len(event) < 30_000] == ["connect", "0", "1", "2", "3", "4", "last"]
    assert len(events) == 12


async def test_messages_of_one_connection_are_handled_in_order_and_others_do_not_wait():
    recorder = Recorder()
    done = []

    async def handle(ctx):
        if ctx.req.data.startswith("slow"):
            await asyncio.sleep(1)
        done.append(ctx.req.data)

    recorder.handle = handle
    async with testing.node([recorder.socket]) as node:
        async with await node.connect("socket") as ann, await node.connect("socket") as ben:
            for n in range(3):
                await ann.send(f"slow {n}")
            await ann.send("after")
            await ben.send("other")
            await asyncio.sleep(0.5)
            assert done == ["other"]
            await asyncio.sleep(3)
    assert done == ["other", "slow 0", "slow 1", "slow 2", "after"]


async def test_unordered_messages_are_handled_at_once():
    recorder = Recorder(ordered=False)
    done = []

    async def handle(ctx):
        await asyncio.sleep(float(ctx.req.data))
        done.append(ctx.req.data)

    recorder.handle = handle
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        for seconds in ("3", "1", "2"):
            await client.send(seconds)
        await asyncio.sleep(0.1)
        await client.close()
        await asyncio.sleep(4)
    assert done == ["1", "2", "3"]
    assert recorder.events[-1] == ("disconnect", 1000, ""), "after every message was handled"


async def test_many_unordered_messages_are_bounded():
    running = 0
    most = 0
    recorder = Recorder(ordered=False)

    async def handle(ctx):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1

    recorder.handle = handle
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        for n in range(100):
            await client.send(str(n))
        await asyncio.sleep(10)
        await client.close()
    assert most == limits.WAITING_MESSAGES
    assert recorder.events[1:101] == [str(n) for n in range(100)]


async def test_1000_messages_in_one_burst_are_all_handled():
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        async with await node.connect("socket") as client:
            client.send_bytes(b"".join(encode_client_message(str(n)) for n in range(1000)))
            await client.send("end")
            await asyncio.sleep(1)
    assert recorder.events[1:-2] == [str(n) for n in range(1000)]


# What a handler does wrong.


async def test_a_handler_that_raises_is_answered_logged_and_survived(caplog):
    recorder = Recorder()

    async def handle(ctx):
        if ctx.req.data == "fail":
            raise ZeroDivisionError("a secret of the server")

    recorder.handle = handle
    async with testing.node([recorder.socket]) as node, await node.connect("socket") as client:
        await client.send("fail")
        answer = await client.receive()
        body = json.loads(answer)
        assert list(body) == ["message", "connectionId", "requestId"]
        assert (body["message"], body["connectionId"]) == ("Internal server error", recorder.id)
        assert answer == (
            f'{{"message": "Internal server error", "connectionId":"{recorder.id}", "requestId":"{body["requestId"]}"}}'
        )
        await client.send("go on")
        await asyncio.sleep(0)
    assert "go on" in recorder.events
    record = next(r for r in caplog.records if r.name == "trunkline.handlers")
    assert "ZeroDivisionError: a secret of the server" in record.getMessage()
    assert "test_connection.py" in record.getMessage()
    assert "gateway/connection.py" not in record.getMessage(), "the traceback begins in the user's code"
    assert body["requestId"] in record.getMessage()


def served_by(node, message=None, connect=None, disconnect=None):
    """Put integrations other than Python handlers on a running node's one socket."""
    stage = node.running.gateway.stages["socket"]
    routes = {"$default": CompiledRoute("$default", message, "template.yaml:1")} if message else stage.api.routes
    first = CompiledRoute("$connect", connect, "template.yaml:2") if connect else stage.api.connect
    last = CompiledRoute("$disconnect", disconnect, "template.yaml:3") if disconnect else stage.api.disconnect
    stage.api = replace(stage.api, routes=routes, connect=first, disconnect=last)


@pytest.mark.parametrize("body", ["\ud800", 5, bytearray(b"x")])
async def test_an_integration_whose_answer_cannot_be_sent_is_an_internal_error(caplog, body):
    async def invoke(event):
        return Response(200, body if event.data == "odd" else event.data)

    async with testing.node([echoing()]) as node:
        served_by(node, invoke)
        async with await node.connect("socket") as client:
            await client.send("odd")
            assert (await client.receive_json())["message"] == "Internal server error"
            await client.send("even")
            assert await client.receive() == "even"
    assert "the handler of $default at template.yaml:1 raised" in caplog.text


@pytest.mark.parametrize(
    "response",
    [
        Response(403, "\ud800"),
        Response(403, "x", {"content-type": "text/plain\r\nset-cookie: a=b"}),
        Response(200, None, {"sec-websocket-protocol": "a\r\nb"}),
    ],
)
async def test_a_connect_integration_whose_answer_cannot_be_sent_is_502(caplog, response):
    async def invoke(event):
        return response

    async with testing.node([echoing()]) as node:
        served_by(node, connect=invoke)
        with pytest.raises(testing.Refused) as refused:
            await node.connect("socket")
    assert refused.value.status == 502
    assert b"Internal server error" in refused.value.body
    assert "the handler of $connect at template.yaml:2 raised" in caplog.text


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (IntegrationError("it was killed"), 500, "Internal server error"),
        (IntegrationError("it said no JSON", 502), 502, "Internal server error"),
        (IntegrationTimeout("it took too long"), 504, "Endpoint request timed out"),
    ],
)
async def test_a_connect_integration_that_fails_says_with_which_status(caplog, error, status, message):
    async def invoke(event):
        raise error

    async with testing.node([echoing()]) as node:
        served_by(node, connect=invoke)
        with pytest.raises(testing.Refused) as refused:
            await node.connect("socket")
    assert (refused.value.status, json.loads(refused.value.body)["message"]) == (status, message)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"the integration of $connect at template.yaml:2 failed: {error}; ")


async def test_a_handshake_that_its_integration_refuses_is_no_error(caplog):
    async def invoke(event):
        raise MessageRefused("a header has a line break", 400)

    caplog.set_level(logging.INFO, "trunkline.handlers")
    async with testing.node([echoing()]) as node:
        served_by(node, connect=invoke)
        with pytest.raises(testing.Refused) as refused:
            await node.connect("socket")
    assert (refused.value.status, json.loads(refused.value.body)["message"]) == (400, "Bad request parameters")
    [record] = [one for one in caplog.records if one.name == "trunkline.handlers"]
    assert record.levelname == "INFO"
    assert record.getMessage().startswith("what came to $connect at template.yaml:2 was refused: a header has")


@pytest.mark.parametrize("query", [{}, {"room": ""}, {"other": "1"}])
async def test_a_handshake_without_what_its_route_requires_is_400_and_nobody_is_asked(query, caplog):
    caplog.set_level(logging.INFO, "trunkline.handlers")
    asked = []

    async def invoke(event):
        asked.append(event)

    async with testing.node([echoing()]) as node:
        served_by(node, connect=invoke)
        stage = node.running.gateway.stages["socket"]
        required = parse_identity_sources(["route.request.header.Token", "route.request.querystring.room"])
        authorizer = CompiledAuthorizer(invoke)
        stage.api = replace(stage.api, connect=replace(stage.api.connect, required=required), authorizer=authorizer)
        with pytest.raises(testing.Refused) as refused:
            await node.connect("socket", query=query, headers={"token": "x"})
    told = json.loads(refused.value.body)
    assert (refused.value.status, told["message"]) == (400, "Bad request parameters")
    assert list(told) == ["message", "connectionId", "requestId"]
    assert asked == []
    (record,) = caplog.records
    told = "a handshake was refused: $connect at template.yaml:2 requires route.request.querystring.room; "
    assert (record.levelname, record.getMessage().startswith(told)) == ("INFO", True)


async def test_a_handshake_with_what_its_route_requires_is_taken():
    async def invoke(event):
        return Response()

    async with testing.node([echoing()]) as node:
        served_by(node, connect=invoke)
        stage = node.running.gateway.stages["socket"]
        required = parse_identity_sources(["route.request.querystring.room"])
        stage.api = replace(stage.api, connect=replace(stage.api.connect, required=required))
        async with await node.connect("socket", query={"room": "1"}) as client:
            await client.send("x")
            assert await client.receive() == "x"


async def test_a_reply_that_nobody_is_sent_may_be_too_large(caplog):
    async def invoke(event):
        raise ReplyTooLarge("it answered 200,000 bytes")

    async with testing.node([echoing()]) as node:
        served_by(node, invoke)
        stage = node.running.gateway.stages["socket"]
        stage.api = replace(stage.api, routes={"$default": replace(stage.api.routes["$default"], two_way=False)})
        async with await node.connect("socket") as client:
            await client.send("x")
            await client.nothing()
    assert caplog.records == []


async def test_a_disconnect_integration_that_fails_is_logged_and_survived(caplog):
    async def invoke(event):
        raise IntegrationTimeout("it took too long")

    async with testing.node([echoing()]) as node:
        served_by(node, disconnect=invoke)
        await (await node.connect("socket")).close()
        await asyncio.sleep(0.1)
        assert not node.running.gateway.ending
    (record,) = caplog.records
    assert "the integration of $disconnect at template.yaml:3 failed: it took too long" in record.getMessage()


async def test_a_handler_that_exits_does_not_end_the_node(caplog):
    recorder = Recorder()

    async def handle(ctx):
        if ctx.req.data == "exit":
            sys.exit("enough")

    recorder.handle = handle
    async with testing.node([recorder.socket]) as node, await node.connect("socket") as client:
        await client.send("exit")
        assert (await client.receive_json())["message"] == "Internal server error"
        await client.send("go on")
        await client.close()
    assert recorder.events[-2:] == ["go on", ("disconnect", 1000, "")]
    assert "SystemExit: enough" in caplog.text


async def test_a_reply_over_the_limit_is_an_internal_error_and_nothing_is_sent_of_it(caplog):
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        return "x" * int(ctx.req.data)

    async with testing.node([socket]) as node, await node.connect("socket") as client:
        await client.send("131073")
        assert (await client.receive_json())["message"] == "Internal server error"
        await client.send("131072")
        assert len(await client.receive()) == 131_072
    assert "MessageTooLarge: the message has 131,073 bytes; the limit message_bytes is 131,072" in caplog.text


async def test_a_runner_that_is_cancelled_from_outside_ends_its_connection_and_runs_its_disconnect():
    recorder = Recorder()

    async def handle(ctx):
        return "y" * 100_000

    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        client.stop_reading()
        await recorder.socket.send(recorder.id, "x" * 100_000)
        await asyncio.sleep(0.1)
        await client.send("waits behind what the client does not read")
        await asyncio.sleep(0.1)
        (connection,) = node.running.gateway.alive
        connection._runner.cancel()
        await asyncio.sleep(0.1)
    assert recorder.events[-1] == ("disconnect", 1006, "Connection closed abnormally")


async def test_no_route_is_forbidden():
    socket = websocket("socket")

    @socket.on("message", route="bid")
    async def bid(ctx):
        return "taken"

    async with testing.node([socket]) as node, await node.connect("socket") as client:
        await client.send('{"action":"bid"}')
        assert await client.receive() == "taken"
        for message in ('{"action":"sell"}', "{}", "no json"):
            await client.send(message)
            assert (await client.receive_json())["message"] == "Forbidden"


async def test_a_handler_past_its_deadline_is_cancelled_and_the_next_message_handled(caplog):
    recorder = Recorder(limits=Limits(handler_seconds=2))
    cancelled = []

    async def handle(ctx):
        if ctx.req.data == "hang":
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                cancelled.append(ctx.req.data)
                raise
        else:
            await recorder.socket.send(ctx.req.connection_id, "done")

    recorder.handle = handle
    async with testing.node([recorder.socket]) as node, await node.connect("socket") as client:
        await client.send("hang")
        await client.send("next")
        assert (await client.receive_json())["message"] == "Endpoint request timed out"
        assert await client.receive() == "done"
    assert cancelled == ["hang"]
    assert "cancelled after 2 s (limit handler_seconds)" in caplog.text


async def test_a_handler_that_swallows_its_cancellation_does_not_reply_twice():
    socket = websocket("socket", limits=Limits(handler_seconds=1))

    @socket.on("message")
    async def message(ctx):
        if ctx.req.data == "hang":
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                return "too late"
        return ctx.req.data

    async with testing.node([socket]) as node, await node.connect("socket") as client:
        await client.send("hang")
        assert (await client.receive_json())["message"] == "Endpoint request timed out"
        await client.send("next")
        assert await client.receive() == "next"


async def test_a_handler_that_cancels_itself_is_an_error_of_its_own(caplog):
    recorder = Recorder()

    async def handle(ctx):
        if ctx.req.data == "cancel":
            raise asyncio.CancelledError

    recorder.handle = handle
    async with testing.node([recorder.socket]) as node, await node.connect("socket") as client:
        await client.send("cancel")
        assert (await client.receive_json())["message"] == "Internal server error"
        await client.send("next")
        await asyncio.sleep(0.1)
        assert recorder.events[-1] == "next"


# Bad input.


@pytest.mark.parametrize(
    ("raw", "code", "reason"),
    [
        (encode_frame(OP_TEXT, b"unmasked"), 1002, "Frame is not masked"),
        (bytes([0xC1, 0x80]) + MASK, 1002, "Reserved bits are set"),
        (encode_frame(0x3, b"", mask=MASK), 1002, "Opcode is not defined"),
        (encode_frame(OP_TEXT, b"\xff\xff", mask=MASK), 1007, "Invalid UTF-8"),
        (encode_frame(OP_BINARY, b"\1", mask=MASK), 1003, "Binary is not supported"),
        (bytes([0x81, 0xFE]) + (32_769).to_bytes(2, "big") + MASK, 1009, "Message too long"),
        (bytes([0x81, 0xFF]) + (2**62).to_bytes(8, "big") + MASK, 1009, "Message too long"),
        (encode_frame(OP_PING, b"x" * 126, mask=MASK), 1002, "Control frame is fragmented or too long"),
        (encode_frame(OP_CLOSE, b"\x03\xed", mask=MASK), 1002, "Close code is not valid"),
    ],
)
async def test_bad_frames_close_with_the_right_code(raw, code, reason):
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        await client.send("before")
        client.send_bytes(raw)
        await client.send("after")
        closed = await client.closed()
        assert (closed.code, closed.reason) == (code, reason)
    assert recorder.events == ["connect", "before", ("disconnect", code, reason)]


async def test_a_message_over_the_limit_in_fragments_closes_with_1009():
    async with testing.node([echoing()]) as node:
        client = await node.connect("socket")
        client.send_bytes(encode_frame(OP_TEXT, b"x" * 32_768, fin=False, mask=MASK))
        for _ in range(4):
            client.send_bytes(encode_frame(OP_CONTINUATION, b"x" * 32_768, fin=False, mask=MASK))
        assert (await client.closed()).code == 1009


async def test_a_bad_frame_of_a_client_that_does_not_read_closes_all_the_same():
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        client.stop_reading()
        await recorder.socket.send(recorder.id, "x" * 100_000)
        await asyncio.sleep(0.1)
        client.send_bytes(encode_frame(OP_TEXT, b"unmasked"))
        await asyncio.sleep(5)
    assert recorder.events == ["connect", ("disconnect", 1002, "Frame is not masked")]


async def test_after_our_close_what_a_client_sends_is_read_and_thrown_away():
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        client.send_bytes(b"".join(encode_client_message(str(n)) for n in range(200)))
        await client.ping()
        await recorder.socket.close(recorder.id, 4000, "enough")
        began = asyncio.get_running_loop().time()
        assert (await client.closed()).code == 4000
        assert asyncio.get_running_loop().time() - began < 0.1, "its answer was found behind all that"
        assert client.pongs == []
    assert recorder.events == ["connect", ("disconnect", 4000, "enough")]


async def test_after_our_close_a_bad_frame_is_as_good_as_an_answer():
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        client.send_bytes(encode_frame(OP_TEXT, b"unmasked"))
        await recorder.socket.close(recorder.id, 4000, "enough")
        began = asyncio.get_running_loop().time()
        assert (await client.closed()).code == 4000
        assert asyncio.get_running_loop().time() - began < 0.1
    assert recorder.events == ["connect", ("disconnect", 4000, "enough")]


async def test_after_its_bad_frame_a_client_that_stays_is_cut():
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        client._close_sent = True  # this client never answers
        client.send_bytes(encode_frame(OP_TEXT, b"unmasked"))
        assert (await client.closed()).code == 1002
    assert recorder.events[-1] == ("disconnect", 1002, "Frame is not masked")


# The handshake.


async def test_connect_sees_the_handshake_and_chooses_a_subprotocol():
    seen = {}
    socket = websocket("socket")

    @socket.on("connect")
    async def connect(ctx):
        seen.update(ip=ctx.req.source_ip, token=ctx.req.headers["X-TOKEN"], room=ctx.req.query["room"])
        ctx.res.subprotocol = "v2"

    async with testing.node([socket]) as node:
        client = await node.connect(
            "socket", query={"room": "a b"}, headers={"x-token": "t"}, subprotocols=["v1", "v2"], source_ip="127.0.0.9"
        )
        assert client.subprotocol == "v2"
        await client.close()
    assert seen == {"ip": "127.0.0.9", "token": "t", "room": "a b"}


@pytest.mark.parametrize(("status", "body"), [(401, '{"message":"who are you?"}'), (503, ""), (307, "elsewhere")])
async def test_connect_that_rejects_sends_its_own_status_and_body(status, body):
    socket = websocket("socket")
    gone = []

    @socket.on("connect")
    async def connect(ctx):
        ctx.res.reject(status, body)

    @socket.on("disconnect")
    async def disconnect(ctx):
        gone.append(ctx)

    async with testing.node([socket]) as node:
        with pytest.raises(testing.Refused) as refused:
            await node.connect("socket")
        assert (refused.value.status, refused.value.body.decode()) == (status, body)
        await asyncio.sleep(1)
        assert not node.running.gateway.alive
    assert gone == []


async def test_connect_that_raises_is_502(caplog):
    gone = []
    socket = websocket("socket")

    @socket.on("connect")
    async def connect(ctx):
        raise ZeroDivisionError

    @socket.on("disconnect")
    async def disconnect(ctx):
        gone.append(ctx)

    async with testing.node([socket]) as node:
        with pytest.raises(testing.Refused) as refused:
            await node.connect("socket")
    assert refused.value.status == 502
    assert b'"message": "Internal server error"' in refused.value.body
    assert "ZeroDivisionError" in caplog.text
    assert gone == []


async def test_connect_that_hangs_is_504():
    gone = []
    socket = websocket("socket", limits=Limits(handler_seconds=5))

    @socket.on("connect")
    async def connect(ctx):
        await asyncio.sleep(1000)

    @socket.on("disconnect")
    async def disconnect(ctx):
        gone.append(ctx)

    async with testing.node([socket]) as node:
        with pytest.raises(testing.Refused) as refused:
            await node.connect("socket", timeout=10)
    assert refused.value.status == 504
    assert b'"message": "Endpoint request timed out"' in refused.value.body
    assert gone == []


async def test_a_subprotocol_that_is_no_token_is_the_handlers_error(caplog):
    socket = websocket("socket")
    gone = []

    @socket.on("connect")
    async def connect(ctx):
        ctx.res.subprotocol = "a\r\nset-cookie: evil"

    @socket.on("disconnect")
    async def disconnect(ctx):
        gone.append(ctx)

    async with testing.node([socket]) as node:
        with pytest.raises(testing.Refused) as refused:
            await node.connect("socket", subprotocols=["a"])
        assert refused.value.status == 502
        assert "set-cookie" not in refused.value.headers
    assert "is not a token" in caplog.text
    assert gone == []


async def test_nothing_is_sent_before_the_handshake_is_accepted():
    recorder = Recorder()
    release = asyncio.Event()
    socket = websocket("socket")
    ids = []

    @socket.on("connect")
    async def connect(ctx):
        ids.append(ctx.req.connection_id)
        assert await socket.send(ctx.req.connection_id, "too early") is False
        await release.wait()

    async with testing.node([socket]) as node:
        client = node.client()
        handshake = asyncio.create_task(client.handshake("/socket"))
        await asyncio.sleep(1)
        assert not client.headers
        release.set()
        await handshake
        assert await socket.send(ids[0], "now") is True
        assert await client.receive() == "now"
        await client.close()
    assert recorder.events == []


async def test_a_client_that_leaves_before_its_101_is_still_disconnected_once():
    recorder = Recorder()
    release = asyncio.Event()
    socket = websocket("socket")

    @socket.on("connect")
    async def connect(ctx):
        await release.wait()
        recorder.events.append("connect")

    @socket.on("disconnect")
    async def disconnect(ctx):
        recorder.events.append(("disconnect", ctx.req.close_code))

    async with testing.node([socket]) as node:
        client = node.client()
        handshake = asyncio.create_task(client.handshake("/socket"))
        await asyncio.sleep(1)
        client.vanish()
        release.set()
        with pytest.raises(testing.Closed):
            await handshake
        await asyncio.sleep(1)
    assert recorder.events == ["connect", ("disconnect", 1006)]


async def test_a_client_that_leaves_before_it_is_refused_is_not_disconnected():
    events = []
    release = asyncio.Event()
    socket = websocket("socket")

    @socket.on("connect")
    async def connect(ctx):
        await release.wait()
        ctx.res.reject(403)

    @socket.on("disconnect")
    async def disconnect(ctx):
        events.append("disconnect")

    async with testing.node([socket]) as node:
        client = node.client()
        client.send_bytes(b"")
        handshake = asyncio.create_task(client.handshake("/socket"))
        await asyncio.sleep(1)
        client.vanish()
        release.set()
        with pytest.raises(testing.Closed):
            await handshake
    assert events == []


# The end.


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "bye"), (4000, "é"), (1005, "")])
async def test_a_clients_close_is_answered_with_its_own_code(code, reason):
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        closed = await client.close(code, reason)
        assert (closed.code, closed.reason) == (code, reason)
    seen = "Client-side close frame status not set" if code == 1005 else reason
    assert recorder.events == ["connect", ("disconnect", code, seen)]


async def test_messages_before_the_close_are_handled_and_answered_before_it():
    recorder = Recorder()

    async def handle(ctx):
        await asyncio.sleep(0.1)
        await recorder.socket.send(ctx.req.connection_id, ctx.req.data + "!")

    recorder.handle = handle
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        for n in range(3):
            await client.send(str(n))
        await client.close()
        assert [await client.receive() for _ in range(3)] == ["0!", "1!", "2!"]
    assert recorder.events == ["connect", "0", "1", "2", ("disconnect", 1000, "")]


async def test_a_handler_may_close_what_its_client_is_closing():
    recorder = Recorder()

    async def handle(ctx):
        await asyncio.sleep(0.1)
        assert await recorder.socket.close(ctx.req.connection_id, 4000, "enough") is True

    recorder.handle = handle
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        await client.send("x")
        assert (await client.close(1000, "bye")).code == 4000
    assert recorder.events == ["connect", "x", ("disconnect", 1000, "bye")], "the client was first"


async def test_a_ping_that_is_read_when_its_client_is_gone_is_nothing():
    recorder = Recorder()
    recorder.handle = lambda ctx: asyncio.sleep(1)
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        ping = encode_frame(OP_PING, b"now", mask=MASK)
        client.send_bytes(b"".join(encode_client_message(str(n)) + ping for n in range(20)))
        await asyncio.sleep(0.5)
        client.vanish()
        await asyncio.sleep(30)
    assert recorder.events[1:-1] == [str(n) for n in range(20)]
    assert recorder.events[-1][0] == "disconnect"


async def test_a_connection_that_closes_takes_nothing_more_from_whoever_holds_it():
    async with testing.node([echoing()]) as node:
        client = await node.connect("socket")
        (connection,) = node.running.gateway.alive
        assert connection.send(encode_message("one")) is True
        assert connection.close(4000, "enough") is True
        assert connection.send(encode_message("two")) is False
        assert connection.close(4001, "again") is False
        assert await client.receive() == "one"
        assert (await client.closed()).code == 4000


async def test_a_vanished_client_is_disconnected_after_the_running_handler_and_the_messages_received():
    recorder = Recorder()

    async def handle(ctx):
        await asyncio.sleep(1)
        assert await recorder.socket.send(ctx.req.connection_id, "you are gone") is False

    recorder.handle = handle
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        await client.send("one")
        await client.send("two")
        await asyncio.sleep(0.5)
        client.vanish()
        await asyncio.sleep(5)
    assert recorder.events == ["connect", "one", "two", ("disconnect", 1006, "Connection closed abnormally")]


async def test_a_client_that_hangs_up_is_disconnected_with_1006():
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        client.hang_up()
        assert (await client.closed()).code == 1006
    assert recorder.events[-1] == ("disconnect", 1006, "Connection closed abnormally")


async def test_a_closing_client_whose_handler_takes_long_gets_its_answer_within_two_seconds():
    recorder = Recorder()
    recorder.handle = lambda ctx: asyncio.sleep(10)
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        await client.send("long")
        began = asyncio.get_running_loop().time()
        await client.close()
        assert asyncio.get_running_loop().time() - began < 4
        assert recorder.events == ["connect", "long"]
        await asyncio.sleep(10)
    assert recorder.events == ["connect", "long", ("disconnect", 1000, "")]


async def test_closing_from_a_handler_sends_the_message_before_it():
    recorder = Recorder()

    async def handle(ctx):
        if ctx.req.data == "received before the close":
            return
        assert await recorder.socket.send(ctx.req.connection_id, "last words")
        assert await recorder.socket.close(ctx.req.connection_id) is True
        assert await recorder.socket.send(ctx.req.connection_id, "too late") is False
        assert await recorder.socket.close(ctx.req.connection_id) is False

    recorder.handle = handle
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        await client.send("close me")
        await client.send("received before the close")
        assert await client.receive() == "last words"
        client.send_bytes(encode_client_message("sent after it"))
        closed = await client.closed()
        assert (closed.code, closed.reason) == (1000, "Connection Closed Normally")
    assert recorder.events == [
        "connect", "close me", "received before the close", ("disconnect", 1000, "Connection Closed Normally"),
    ]  # fmt: skip


async def test_a_client_that_does_not_answer_our_close_is_cut_after_two_seconds():
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        client._close_sent = True
        began = asyncio.get_running_loop().time()
        await recorder.socket.close(recorder.id, 4001, "go")
        await client.closed()
        assert 1.5 < asyncio.get_running_loop().time() - began < 4
    assert recorder.events == ["connect", ("disconnect", 4001, "go")]


async def test_a_disconnect_handler_that_fails_or_hangs_is_logged(caplog):
    socket = websocket("socket", limits=Limits(handler_seconds=3))
    cancelled = []

    @socket.on("disconnect")
    async def disconnect(ctx):
        if ctx.req.close_code == 4000:
            raise ZeroDivisionError
        try:
            await asyncio.sleep(1000)
        finally:
            cancelled.append(True)

    async with testing.node([socket]) as node:
        await (await node.connect("socket")).close(4000)
        await (await node.connect("socket")).close(4001)
        await asyncio.sleep(5)
        assert not node.running.gateway.ending
    assert "ZeroDivisionError" in caplog.text
    assert "cancelled after 3 s" in caplog.text
    assert cancelled == [True]


# Time limits: virtual, so hours take milliseconds.


async def test_an_idle_connection_is_closed_after_ten_minutes():
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(500)
        await client.send("still here")
        closed = await client.closed(timeout=2000)
        assert (closed.code, closed.reason) == (1001, "Going away")
        assert 1100 <= asyncio.get_running_loop().time() - began < 1103
    assert recorder.events[-1] == ("disconnect", 1001, "Going away")


async def test_messages_to_a_connection_keep_it_from_being_idle():
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        for _ in range(5):
            await asyncio.sleep(500)
            assert await recorder.socket.send(recorder.id, "tick")
            assert await client.receive() == "tick"
        await client.close()


async def test_a_connection_lives_two_hours():
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        began = asyncio.get_running_loop().time()
        for _ in range(14):
            await asyncio.sleep(500)
            await client.send("still here")
        assert (await client.closed(timeout=2000)).code == 1001
        assert 7200 <= asyncio.get_running_loop().time() - began < 7203


# Clients that do not read.


async def test_a_slow_reader_is_refused_past_one_mib_and_cut_after_ten_seconds():
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        client.stop_reading()
        chunk = "x" * 100_000
        sent = 0
        with pytest.raises(SlowConsumer, match=r"does not read: [\d,]+ bytes wait for it; the limit is 1,048,576"):
            while True:
                await recorder.socket.send(recorder.id, chunk)
                await asyncio.sleep(0)
                sent += 1
        assert 10 <= sent <= 14
        began = asyncio.get_running_loop().time()
        while recorder.events[-1] == "connect":
            await asyncio.sleep(0.1)
        assert 9.5 < asyncio.get_running_loop().time() - began < 12
    assert recorder.events[-1] == ("disconnect", 1006, "Connection closed abnormally")


async def test_a_slow_reader_that_reads_again_gets_everything_in_order():
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        client.stop_reading()
        for n in range(30):
            assert await recorder.socket.send(recorder.id, f"{n:030000}")
            await asyncio.sleep(0)
        await client.ping(b"1")
        await client.ping(b"2")
        await asyncio.sleep(0.1)
        client.go_on_reading()
        assert [(await client.receive())[-5:] for _ in range(30)] == [f"{n:05}" for n in range(30)]
        await asyncio.sleep(0.1)
        assert client.pongs == [b"2"], "only the latest ping needs an answer"
        await client.close()


async def test_an_echo_flood_that_is_never_read_holds_a_bounded_queue():
    async with testing.node([echoing()]) as node:
        client = await node.connect("socket")
        client.stop_reading()
        flood = encode_client_message("x" * 20_000)
        for _ in range(500):
            client.send_bytes(flood)
        await asyncio.sleep(5)
        (connection,) = node.running.gateway.alive
        assert connection._out_bytes < 2 * 1024 * 1024
        assert len(client._transport._inbound) > 5_000_000, "reading has stopped"
        client.go_on_reading()
        for _ in range(500):
            assert len(await client.receive()) == 20_000
        await client.close()


async def test_a_closing_connection_that_does_not_read_is_cut():
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        client.stop_reading()
        await recorder.socket.send(recorder.id, "x" * 100_000)
        await asyncio.sleep(0.1)
        await client.send("x")
        await recorder.socket.close(recorder.id)
        await asyncio.sleep(5)
        assert recorder.events[-1] == ("disconnect", 1000, "Connection Closed Normally")


async def test_a_client_that_closes_without_reading_its_replies_gets_them_first():
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        client = await node.connect("socket")
        client.stop_reading()
        await recorder.socket.send(recorder.id, "x" * 100_000)
        await recorder.socket.send(recorder.id, "y")
        await asyncio.sleep(0.1)
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0.5)
        client.go_on_reading()
        assert (await closing).code == 1000
        assert [len(await client.receive()) for _ in range(2)] == [100_000, 1]
    assert recorder.events[-1] == ("disconnect", 1000, "")


# Sending.


async def test_a_message_over_the_limit_cannot_be_sent():
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        async with await node.connect("socket") as client:
            assert await recorder.socket.send(recorder.id, "é" * 65_536)
            assert len(await client.receive()) == 65_536
            with pytest.raises(MessageTooLarge, match=r"131,074 bytes; the limit message_bytes is 131,072"):
                await recorder.socket.send(recorder.id, "é" * 65_537)


async def test_replies_of_one_turn_are_one_write():
    writes = []
    async with testing.node([echoing()]) as node, await node.connect("socket") as client:
        deliver = client._transport._deliver
        client._transport._deliver = lambda data: (writes.append(data), deliver(data))
        client.send_bytes(b"".join(encode_client_message(str(n)) for n in range(16)))
        assert [await client.receive() for _ in range(16)] == [str(n) for n in range(16)]
        assert len(writes) == 1


async def test_info():
    recorder = Recorder()
    async with testing.node([recorder.socket]) as node:
        async with await node.connect("socket", headers={"user-agent": "test"}, source_ip="127.0.0.7"):
            await asyncio.sleep(60)
            await recorder.socket.send(recorder.id, "x")
            info = await recorder.socket.info(recorder.id)
            assert (info.source_ip, info.user_agent) == ("127.0.0.7", "test")
            assert (info.last_active_at - info.connected_at).total_seconds() == pytest.approx(60, abs=0.1)
        assert await recorder.socket.info(recorder.id) is None


async def test_nothing_is_logged_for_a_clean_life(caplog):
    caplog.set_level(logging.DEBUG, "trunkline")
    async with testing.node([echoing()]) as node, await node.connect("socket") as client:
        await client.send("x")
        await client.receive()
    assert caplog.records == []
