"""The door: what it answers, what it refuses, and when it hands the socket to a connection."""

import asyncio
import json
import logging
import runpy
import time
from dataclasses import replace
from pathlib import Path

import pytest

import trunkline
from trunkline import limits, testing, websocket
from trunkline.config import Settings
from trunkline.gateway.acceptor import Acceptor
from trunkline.gateway.http import FileResponse, HttpResponse
from trunkline.gateway.request_reader import HttpRequest
from trunkline.testing.transport import MemoryTransport
from trunkline.wire.frames import encode_client_message

KEY = "AAAAAAAAAAAAAAAAAAAAAA=="


def request(target="/x", *headers, method="GET", version="1.1", host="localhost"):
    lines = [f"{method} {target} HTTP/{version}", *([f"Host: {host}"] if host is not None else []), *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def upgrade(target="/socket", *headers, host="localhost", **how):
    named = {line.split(":")[0].lower() for line in headers}
    usual = [
        line
        for line in (
            "Connection: Upgrade",
            "Upgrade: websocket",
            f"Sec-WebSocket-Key: {KEY}",
            "Sec-WebSocket-Version: 13",
        )
        if line.split(":")[0].lower() not in named
    ]
    return request(target, *usual, *headers, host=host, **how)


def socket_that_keeps(events):
    socket = websocket("socket", binary=True)

    @socket.on("connect")
    async def connect(ctx):
        events.append(ctx.req)
        if "sec-websocket-protocol" in ctx.req.headers:
            ctx.res.subprotocol = "v1"

    @socket.on("message")
    async def message(ctx):
        return ctx.req.data

    return socket


@pytest.fixture
def events():
    """What a node's connect handler saw."""
    return []


@pytest.fixture
def program(events):
    return [socket_that_keeps(events)]


class Slow:
    """Answers after some time, and notes what it was asked."""

    def __init__(self, seconds=1.0):
        self.seconds = seconds
        self.asked = []
        self.cancelled = []

    async def __call__(self, request):
        self.asked.append(f"{request.method} {request.path}")
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled.append(request.path)
            raise
        return HttpResponse.text(200, request.path)


# Plain requests.


async def test_requests_of_one_socket_are_answered_one_after_another(program):
    async with testing.node(program) as node:
        client = node.client()
        for target in ("/x", "/socket", "/x"):
            client.send_bytes(request(target))
            status, headers, _ = await client.response()
            assert status == (426 if target == "/socket" else 404)
            assert "connection" not in dict(headers)
        client.hang_up()
        await client.closed()


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_pipelined_requests_are_answered_in_order(program, size):
    async with testing.node(program) as node:
        node.running.gateway.answer = slow = Slow(0.1)
        client = node.client()
        raw = b"".join(request(f"/{n}", method=method) for n, method in enumerate(("GET", "POST", "DELETE")))
        for at in range(0, len(raw), size):
            client.send_bytes(raw[at : at + size])
            await asyncio.sleep(0)
        assert [(await client.response())[2] for _ in range(3)] == [b"/0\n", b"/1\n", b"/2\n"]
        assert slow.asked == ["GET /0", "POST /1", "DELETE /2"]
        client.hang_up()


@pytest.mark.parametrize(
    "raw",
    [
        request("/x", "Connection: close"),
        request("/x", version="1.0"),
        request("/x", "Connection: close") + b"\r\n\r\n",
    ],
)
async def test_the_last_request_is_answered_and_the_socket_closed(program, raw):
    async with testing.node(program) as node:
        client = node.client()
        client.send_bytes(raw)
        status, headers, _ = await client.response()
        assert (status, dict(headers)["connection"]) == (404, "close")
        await client.closed()


async def test_requests_behind_an_answer_that_closes_are_not_answered(program):
    async def answer(request):
        asked.append(request.path)
        return HttpResponse(200, close=True)

    asked = []
    async with testing.node(program) as node:
        node.running.gateway.answer = answer
        client = node.client()
        client.send_bytes(request("/1") + request("/2"))
        assert (await client.response())[0] == 200
        await client.closed()
        assert asked == ["/1"]


async def test_a_head_is_answered_without_a_body(program):
    async with testing.node(program) as node:
        client = node.client()
        client.send_bytes(request("/socket"))
        size = len((await client.response())[2])
        client.send_bytes(request("/socket", method="HEAD") + request("/x", "Connection: close"))
        await client.closed()
        raw = bytes(client._raw)
    head, _, rest = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 426 ")
    assert head.endswith(b"\r\ncontent-length: %d" % size)
    assert rest.startswith(b"HTTP/1.1 404 ")


async def test_a_body_is_read_and_thrown_away(program):
    async with testing.node(program) as node:
        node.running.gateway.answer = slow = Slow(0)
        client = node.client()
        client.send_bytes(request("/1", "Content-Length: 100000", method="POST") + b"x" * 100_000)
        client.send_bytes(request("/2", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n0\r\n\r\n")
        client.send_bytes(request("/3"))
        assert [(await client.response())[2] for _ in range(3)] == [b"/1\n", b"/2\n", b"/3\n"]
        assert slow.asked == ["POST /1", "POST /2", "GET /3"]
        client.hang_up()


@pytest.mark.parametrize("size", [1, 1000, 200_000])
async def test_an_answer_is_given_the_body_and_where_it_came_from(program, size):
    async def answer(request):
        asked.append((request.body, request.peer))
        return HttpResponse(200)

    asked = []
    raw = (
        request("/1", "Content-Length: 5", method="POST") + b"\r\n\r\n\0"
        + request("/2", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        + request("/3", "Content-Length: 0", method="POST") + request("/4")
        + request("/5", f"Content-Length: {limits.MESSAGE_BYTES}", method="POST") + b"x" * limits.MESSAGE_BYTES
    )  # fmt: skip
    async with testing.node(program) as node:
        node.running.gateway.answer = answer
        client = node.client(source_ip="203.0.113.7")
        for at in range(0, 2000, size):
            client.send_bytes(raw[at : min(at + size, 2000)])
            await asyncio.sleep(0)
        client.send_bytes(raw[2000:])
        assert [(await client.response())[0] for _ in range(5)] == [200] * 5
        client.hang_up()
    bodies = [b"\r\n\r\n\0", b"abcde", b"", b"", b"x" * limits.MESSAGE_BYTES]
    assert asked == [(body, "203.0.113.7") for body in bodies]


async def test_while_an_answer_is_awaited_no_more_than_one_read_is_taken(program):
    async with testing.node(program) as node:
        node.running.gateway.answer = slow = Slow(1)
        client = node.client()
        sent = request("/x", "Content-Length: 100000", method="POST") + b"x" * 100_000
        client.send_bytes(request("/first") + sent * 4)
        await asyncio.sleep(0.5)
        assert slow.asked == ["GET /first"]
        assert len(client._transport._inbound) > 4 * 100_000 - limits.READ_BYTES
        assert [(await client.response())[0] for _ in range(5)] == [200] * 5
        assert len(client._transport._inbound) == 0
        client.hang_up()


EXPECTING = request("/x", "Content-Length: 5", "Expect: 100-Continue", method="POST")


async def test_who_waits_with_a_body_is_told_to_go_on(program):
    async with testing.node(program) as node:
        client = node.client()
        for _ in range(2):
            client.send_bytes(EXPECTING)
            assert (await client.response())[0] == 100
            client.send_bytes(b"hello")
            assert (await client.response())[0] == 404
        client.send_bytes(request("/x", "Content-Length: 131073", "Expect: 100-continue", method="POST"))
        assert (await client.response())[0] == 413
        await client.closed()


async def test_behind_an_answer_that_is_due_nobody_is_told_to_go_on(program):
    async with testing.node(program) as node:
        node.running.gateway.answer = slow = Slow(1)
        client = node.client()
        client.send_bytes(request("/1") + EXPECTING)
        assert (await client.response())[0] == 200
        client.send_bytes(b"hello" + request("/3", "Expect: a miracle"))
        assert [(await client.response())[0] for _ in range(2)] == [200, 200]
        assert slow.asked == ["GET /1", "POST /x", "GET /3"]
        client.hang_up()


# Calls to @connections: what has not to be waited for is answered at once.


CALL = request("/socket/@connections/x", "Content-Length: 0", method="POST")


async def test_a_call_is_answered_at_once_without_a_task(program):
    async with testing.node(program) as node:
        gateway = node.running.gateway
        gateway.answer = slow = Slow()
        gateway.manage = lambda request: HttpResponse.text(200, request.path)
        client = node.client()
        (door,) = gateway.doors
        client.send_bytes(CALL)
        client._transport._read()
        assert door._task is None
        assert (await client.response())[2] == b"/socket/@connections/x\n"
        assert slow.asked == []
        client.hang_up()


async def test_of_one_read_16_are_answered_at_once_and_the_others_in_their_turn(program):
    async with testing.node(program) as node:
        gateway = node.running.gateway
        gateway.answer = slow = Slow(0)
        gateway.manage = lambda request: HttpResponse(204)
        client = node.client()
        client.send_bytes(CALL * 20)
        client._transport._read()
        assert client._raw.count(b"HTTP/1.1 204 ") == 16
        assert [(await client.response())[0] for _ in range(20)] == [204] * 16 + [200] * 4
        assert slow.asked == ["POST /socket/@connections/x"] * 4
        client.hang_up()


async def test_what_a_call_has_to_wait_for_is_found_out_once(program):
    async def later():
        await asyncio.sleep(1)
        return HttpResponse(204)

    def manage(request):
        asked.append(request.path)
        return later

    asked = []
    async with testing.node(program) as node:
        node.running.gateway.manage = manage
        client = node.client()
        client.send_bytes(CALL)
        assert (await client.response())[0] == 204
        assert asked == ["/socket/@connections/x"]
        client.hang_up()


async def test_a_call_that_fails_is_500_and_the_socket_stays(program, caplog):
    def manage(request):
        raise ZeroDivisionError

    async with testing.node(program) as node:
        node.running.gateway.manage = manage
        client = node.client()
        for _ in range(2):
            client.send_bytes(CALL)
            assert (await client.response())[0] == 500
        client.hang_up()
    assert [record.getMessage() for record in caplog.records] == ["POST /socket/@connections/x failed"] * 2


async def test_a_client_that_does_not_read_is_not_answered_at_once(program):
    async with testing.node(program) as node:
        gateway = node.running.gateway
        gateway.answer = slow = Slow(0)
        gateway.manage = lambda request: HttpResponse(200, b"x" * 100_000)
        client = node.client()
        client.stop_reading()
        client.send_bytes(CALL * 3)
        await asyncio.sleep(1)
        assert client._transport.get_write_buffer_size() < 200_000
        assert slow.asked == []
        client.go_on_reading()
        assert [len((await client.response())[2]) for _ in range(3)] == [100_000, 23, 23]
        client.hang_up()


async def test_an_answer_that_fails_is_500_and_the_socket_stays(program, caplog):
    async def answer(request):
        raise ZeroDivisionError("a secret")

    async with testing.node(program) as node:
        node.running.gateway.answer = answer
        client = node.client()
        for target in ("/1", "/2"):
            client.send_bytes(request(target))
            status, _, body = await client.response()
            assert (status, body) == (500, b"internal server error\n")
        client.hang_up()
    assert [record.getMessage() for record in caplog.records] == ["GET /1 failed", "GET /2 failed"]
    assert "a secret" in caplog.text


async def test_a_client_that_leaves_is_answered_no_more(program):
    async with testing.node(program) as node:
        node.running.gateway.answer = slow = Slow(5)
        client = node.client()
        client.send_bytes(request("/1") + request("/2"))
        await asyncio.sleep(1)
        client.vanish()
        await asyncio.sleep(20)
        assert (slow.asked, slow.cancelled) == (["GET /1"], ["/1"])
        assert not node.running.gateway.doors


async def test_a_client_that_only_sends_no_more_is_still_answered(program):
    async with testing.node(program) as node:
        node.running.gateway.answer = Slow(5)
        client = node.client(timeout=20)
        client.send_bytes(request("/1") + request("/2"))
        await asyncio.sleep(0.1)
        client.hang_up()
        assert [(await client.response())[2] for _ in range(2)] == [b"/1\n", b"/2\n"]
        await client.closed()


def test_the_last_value_of_a_header_counts():
    about = HttpRequest("GET", "/", "a=1", [("Host", "a"), ("ETag", "1"), ("host", "b")])
    assert about.header("host") == "b"
    assert about.header("etag") == "1"
    assert about.header("origin") is None


async def test_a_request_is_as_it_stood_on_the_wire(program):
    seen = []

    async def answer(request):
        seen.append((request.method, request.path, request.query, request.headers))
        return HttpResponse(200)

    async with testing.node(program) as node:
        node.running.gateway.answer = answer
        client = node.client()
        client.send_bytes(b"DELETE /a%2Fb/../c?x=%20&y?z HTTP/1.1\r\nHost: h\r\nX-A:  1 \r\nx-a: \xe9\r\n\r\n")
        await client.response()
        client.hang_up()
    assert seen == [("DELETE", "/a%2Fb/../c", "x=%20&y?z", [("Host", "h"), ("X-A", "1"), ("x-a", "é")])]


# Limits.


async def refused(program, *chunks):
    async with testing.node(program) as node:
        client = node.client()
        for chunk in chunks:
            client.send_bytes(chunk)
            await asyncio.sleep(0)
        status, headers, body = await client.response()
        assert dict(headers)["connection"] == "close"
        await client.closed()
        assert bytes(client._raw) == b"", "one answer, and then the end"
        assert not node.running.gateway.doors
        return status, body.decode()


async def accepted(program, *chunks):
    async with testing.node(program) as node:
        client = node.client()
        for chunk in chunks:
            client.send_bytes(chunk)
        status, _, _ = await client.response()
        client.hang_up()
        return status


async def test_a_url_of_4096_bytes_is_taken_and_a_longer_one_is_414(program):
    assert await accepted(program, request("/" + "x" * 4095)) == 404
    assert await refused(program, request("/" + "x" * 4096)) == (414, "the URL is longer than 4096 bytes\n")


async def test_a_url_without_an_end_is_refused_at_its_4097th_byte(program):
    assert (await refused(program, b"GET /", *[b"x" * 1000] * 5))[0] == 414


async def test_100_headers_are_taken_and_more_are_431(program):
    headers = [f"x-{n}: 1" for n in range(99)]
    assert await accepted(program, request("/x", *headers)) == 404
    assert await refused(program, request("/x", *headers, "x-99: 1")) == (
        431, "more than 100 headers, or 32768 bytes of them\n",
    )  # fmt: skip


async def test_32_kib_of_headers_are_taken_and_more_are_431(program):
    rest = limits.HEADER_BYTES - len("host: localhost\r\n") - len("x: \r\n")
    assert await accepted(program, request("/x", "x: " + "y" * rest)) == 404
    assert (await refused(program, request("/x", "x: " + "y" * (rest + 1))))[0] == 431
    assert (await refused(program, request("/x", *["x: " + "y" * 1000] * 40)))[0] == 431


async def test_a_body_over_the_message_limit_is_413(program):
    post = request("/x", "Content-Length: 1000000", method="POST")
    assert await refused(program, post, *[b"x" * 60_000] * 3) == (413, "the body is longer than 131072 bytes\n")
    chunked = request("/x", "Transfer-Encoding: chunked", method="POST")
    assert (await refused(program, chunked, *[b"ffff\r\n" + b"x" * 65535 + b"\r\n"] * 3))[0] == 413


async def test_16_waiting_requests_are_taken_and_more_are_429(program):
    async with testing.node(program) as node:
        client = node.client()
        client.send_bytes(request("/x") * 16)
        assert [(await client.response())[0] for _ in range(16)] == [404] * 16
        client.send_bytes(request("/x") * 17)
        assert [(await client.response())[0] for _ in range(17)] == [404] * 16 + [429]
        await client.closed()


BAD = [
    b"\r\n\r\n\0", b"rubbish\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\0\r\n\r\n", b"get / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"G\0T / HTTP/1.1\r\nhost: a\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost : a\r\n\r\n", b"GET / HTTP/1.1\r\n: a\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    b"GET / HTTP/1.1\r\nx\0y: a\r\n\r\n", b"GET / HTTP/1.1\r\nx: a\0b\r\n\r\n", b"GET / HTTP/1.1\r\nx: a\rb\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\nx: b\r\n\r\n", b"GET / HTTP/1.1\r\n x: folded first\r\n\r\n",
    b"GET / HTTP/1.1\r\nx: a\r\n folded\r\n\r\n\0",
    b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", b"POST / HTTP/1.1\r\ncontent-length: 1x\r\n\r\n",
    b"POST / HTTP/1.1\r\ncontent-length: +1\r\n\r\n", b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n",
    b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
    upgrade("/socket", "Content-Length: 3", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("raw", BAD)
async def test_what_is_no_http_is_400_and_closed(program, raw):
    assert await refused(program, raw) == (400, "the request is not valid HTTP/1.1\n")


@pytest.mark.parametrize("raw", BAD)
async def test_what_is_no_http_is_no_error_of_ours_byte_by_byte(program, raw, caplog):
    caplog.set_level(logging.DEBUG, "trunkline")
    assert (await refused(program, *(raw[at : at + 1] for at in range(len(raw)))))[0] == 400
    assert caplog.records == []


# What one reader takes and another does not.


CORPUS = runpy.run_path(str(Path(__file__).parents[1] / "end_to_end" / "raw_requests.py"))["REQUESTS"]


@pytest.mark.parametrize("raw", [pytest.param(raw, id=raw.name) for raw in CORPUS if len(raw.data) < 2000])
async def test_a_hostile_request_has_its_answer_byte_by_byte_too(program, raw, caplog):
    assert (await refused(program, *(raw.data[at : at + 1] for at in range(len(raw.data)))))[0] == raw.status
    assert caplog.records == []


LINES = [
    "GET  /x HTTP/1.1", "GET /x  HTTP/1.1", "SOURCE /x ICE/1.0", "OPTIONS /x RTSP/1.0", "GET /x", "GET /x HTTP/2",
]  # fmt: skip
BEFORE = {
    "nothing": b"",
    "an empty line": b"\r\n",
    "a request": request("/x"),
    "a body": request("/x", "Content-Length: 7", method="POST") + b"\r\n\r\nabc",
    "an empty body": request("/x", "Content-Length: 0", method="POST"),
    "a chunked body": request("/x", "Transfer-Encoding: chunked", method="POST") + b"2\r\n\n\r\r\n0\r\nx: y\r\n\r\n",
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("line", LINES)
async def test_a_first_line_that_only_the_parser_takes_is_400_wherever_it_stands(program, line, before, size):
    raw = BEFORE[before] + f"{line}\r\nHost: localhost\r\n\r\n".encode()
    async with testing.node(program) as node:
        client = node.client()
        for at in range(0, len(raw), size):
            client.send_bytes(raw[at : at + size])
            await asyncio.sleep(0)
        await client.closed()
        # An answer that is still due when the refusal comes is not given any more.
        answers = bytes(client._raw).split(b"HTTP/1.1 ")[1:]
        assert answers[-1].startswith(b"400 ")
        assert [answer[:3] for answer in answers[:-1]] in ([], [b"404"])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
async def test_requests_behind_bodies_of_every_kind_are_answered(program, size):
    raw = b"".join(BEFORE.values()) + request("/last", "Connection: close")
    async with testing.node(program) as node:
        node.running.gateway.answer = slow = Slow(0)
        client = node.client()
        for at in range(0, len(raw), size):
            client.send_bytes(raw[at : at + size])
            await asyncio.sleep(0)
        await client.closed()
        assert slow.asked == ["GET /x", "POST /x", "POST /x", "POST /x", "GET /last"]


async def test_a_body_may_look_like_a_request(program):
    body = b"GET  /x HTTP/1.1\r\n\r\n"
    raw = request("/1", f"Content-Length: {len(body)}", method="POST") + body + request("/2")
    async with testing.node(program) as node:
        node.running.gateway.answer = slow = Slow(0)
        client = node.client()
        client.send_bytes(raw)
        assert [(await client.response())[2] for _ in range(2)] == [b"/1\n", b"/2\n"]
        client.hang_up()
    assert slow.asked == ["POST /1", "GET /2"]


@pytest.mark.parametrize("target", ["/x#a", "/x?a#b", "/x?#"])
async def test_a_fragment_in_a_target_is_refused(program, target):
    assert (await refused(program, request(target)))[0] == 400
    assert (await refused(program, upgrade(target)))[0] == 400


async def test_a_body_is_refused_at_its_declared_length(program):
    post = request("/x", "Content-Length: 131073", method="POST")
    assert await refused(program, post) == (413, "the body is longer than 131072 bytes\n")
    post = request("/x", f"Content-Length: {2**63}", method="POST")
    assert (await refused(program, post))[0] == 413
    post = request("/x", "Content-Length: 131072", method="POST")
    assert await accepted(program, post + b"x" * limits.MESSAGE_BYTES) == 404


async def test_what_stands_behind_a_chunked_body_is_no_header(program):
    seen = []

    async def answer(request):
        seen.extend(name for name, _ in request.headers)
        return HttpResponse(200)

    async with testing.node(program) as node:
        node.running.gateway.answer = answer
        client = node.client()
        client.send_bytes(request("/x", "Transfer-Encoding: chunked", method="POST"))
        client.send_bytes(b"0\r\nHost: evil.example\r\nOrigin: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")
        assert (await client.response())[0] == 200
        client.hang_up()
    assert seen == ["Host", "Transfer-Encoding"]


async def test_what_stands_behind_a_chunked_body_is_bounded(program):
    post = request("/x", "Transfer-Encoding: chunked", method="POST") + b"0\r\n"
    assert (await refused(program, post, *[b"x: " + b"y" * 1000 + b"\r\n"] * 40))[0] == 431


@pytest.mark.parametrize("raw", [b"\r\n" * 30_000, b"\r\n\r\n" * 30_000 + request()])
async def test_empty_lines_before_a_request_are_bounded(program, raw):
    assert (await refused(program, raw))[0] == 431


@pytest.mark.parametrize(
    ("extensions", "status"),
    [
        ("permessage-deflate; client_max_window_bits", 101), (" " * 32_000, 101), ("," * 32_000, 101), (",".join("a" * 5000), 101),
        ("a;b" * 8000, 101), ("\x80\xff", 400), ('a; b="' + "c" * 30_000, 400), ("a" + " " * 30_000 + "b", 400), ("a;" * 15_000, 400),
        ("a;b=" * 7000, 400), ("a; b" * 8000 + "\x80", 400),
    ],
)  # fmt: skip
async def test_extensions_are_ignored_unless_they_are_none_and_cost_little(program, extensions, status):
    raw = upgrade("/socket", f"Sec-WebSocket-Extensions: {extensions}")
    async with testing.node(program) as node:
        client = node.client()
        client.send_bytes(raw)
        began = time.process_time()
        answered, headers, _ = await client.response()
        assert time.process_time() - began < 0.05
        assert answered == status
        assert "sec-websocket-extensions" not in dict(headers)
        client.vanish()


# Time.


@pytest.mark.parametrize(
    "sent", [b"", b"G", request()[:-2], upgrade()[:-1], request("/x", "Content-Length: 5") + b"abc"]
)
async def test_half_a_request_is_cut_within_10_seconds_and_not_much_earlier(program, sent):
    async with testing.node(program) as node:
        client = node.client()
        began = asyncio.get_running_loop().time()
        client.send_bytes(sent)
        await client.closed(timeout=20)
        assert 8.75 <= asyncio.get_running_loop().time() - began <= 9.75
        assert bytes(client._raw) == b""
        assert not node.running.gateway.doors


async def test_bytes_that_trickle_do_not_make_it_longer(program):
    async with testing.node(program) as node:
        client = node.client()
        began = asyncio.get_running_loop().time()
        for byte in upgrade():
            client.send_bytes(bytes([byte]))
            await asyncio.sleep(0.5)
            if client._ended:
                break
        assert 8.75 <= asyncio.get_running_loop().time() - began <= 9.75


async def test_a_socket_may_be_idle_for_10_seconds_between_requests(program):
    async with testing.node(program) as node:
        client = node.client()
        for _ in range(3):
            client.send_bytes(request())
            assert (await client.response())[0] == 404
            await asyncio.sleep(8)
        await client.closed(timeout=5)


async def test_an_answer_may_take_longer_than_a_request(program):
    async with testing.node(program) as node:
        node.running.gateway.answer = Slow(25)
        client = node.client(timeout=30)
        client.send_bytes(request())
        assert (await client.response())[0] == 200
        client.hang_up()


async def test_a_gateway_that_closes_cuts_what_is_at_its_door(program):
    async with testing.node(program) as node:
        client = node.client()
        client.send_bytes(request()[:-2])
        await asyncio.sleep(0.1)
        assert len(node.running.gateway.doors) == 1
    await client.closed()
    assert not node.running.gateway.doors


async def test_a_gateway_that_closes_answers_what_was_asked_and_nothing_more():
    socket = websocket("socket")

    @socket.on("disconnect")
    async def disconnect(ctx):
        await asyncio.sleep(5)

    async with testing.node([socket]) as node:
        node.running.gateway.answer = slow = Slow(1)
        await node.connect("socket")  # that the gateway has something to wait for
        client, idle = node.client(), node.client()
        client.send_bytes(request("/1"))
        await asyncio.sleep(0.5)
        closing = asyncio.create_task(node.running.gateway.close())
        status, headers, body = await client.response()
        assert (status, body, dict(headers)["connection"]) == (200, b"/1\n", "close")
        await client.closed()
        await idle.closed()
        assert not closing.done()
        await closing
    assert slow.asked == ["GET /1"]


async def test_a_socket_that_is_cut_while_its_answer_is_made_gets_none(program):
    async with testing.node(program) as node:
        gateway = node.running.gateway

        async def answer(request):
            (door,) = gateway.doors
            door.abort()
            return HttpResponse.text(200, "too late")

        gateway.answer = answer
        client = node.client()
        client.send_bytes(request("/1"))
        await client.closed()
        assert bytes(client._raw) == b""


async def test_a_hundred_requests_in_one_read_are_refused_once(program):
    async with testing.node(program) as node:
        client = node.client()
        client.send_bytes(request("/x") * 100)
        statuses = [(await client.response())[0] for _ in range(17)]
        assert statuses == [404] * 16 + [429]
        await client.closed()
        assert bytes(client._raw) == b""


async def test_a_client_that_is_turned_away_is_told_once_whatever_else_it_asks(program):
    async with testing.node(program, settings=Settings(max_connections=1)) as node:
        await node.connect("socket")
        client = node.client()
        client.send_bytes(request("/1") + request("/2") + request("/3"))
        assert (await client.response())[0] == 503
        await asyncio.sleep(0.1)
        assert bytes(client._raw) == b""
        client.hang_up()


async def test_what_stands_behind_the_last_answer_is_thrown_away(program):
    async with testing.node(program) as node:
        client = node.client()
        client.send_bytes(request("/socket/@connections/x", "Connection: close") + b"rubbish\r\n\r\n")
        assert 400 <= (await client.response())[0] < 500
        await client.closed()
        assert bytes(client._raw) == b""


async def test_a_transport_that_cannot_half_close_is_closed_behind_a_refusal(program):
    class WholeOnly(MemoryTransport):  # as TLS is
        def can_write_eof(self):
            return False

    async with testing.node(program) as node:
        gateway = node.running.gateway
        got, ended = [], []
        transport = WholeOnly(gateway.loop, Acceptor(gateway, gateway.answer), got.append, lambda: ended.append(True))
        transport.arrive(b"rubbish\r\n\r\n")
        await asyncio.sleep(0.1)
        assert b"".join(got).startswith(b"HTTP/1.1 400 ")
        assert ended == [True]


# The handshake.


async def test_a_handshake_becomes_a_connection(program, events):
    async with testing.node(program) as node:
        client = node.client(source_ip="127.0.0.9")
        client.send_bytes(
            upgrade("/socket?room=1", "User-Agent: test", "Sec-WebSocket-Protocol: v0, v1", host="example.org:81")
        )
        status, headers, _ = await client.response()
        named = dict(headers)
        assert (status, named["upgrade"], named["sec-websocket-protocol"]) == (101, "websocket", "v1")
        assert not node.running.gateway.doors, "the door has done its part"
        (event,) = events
        identity = event.identity
        assert (identity.domain_name, identity.source_ip, identity.user_agent) == ("example.org", "127.0.0.9", "test")
        assert (identity.stage, event.query["room"], len(identity.connection_id)) == ("socket", "1", 20)
        client.vanish()


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("example.org", "example.org"),
        ("example.org:", "example.org:"),
        ("[::1]:8000", "[::1]"),
        ("localhost:8000", "localhost"),
    ],
)
async def test_the_domain_of_a_connection_is_its_host_without_the_port(program, events, host, domain):
    async with testing.node(program) as node:
        client = node.client()
        client.send_bytes(upgrade(host=host))
        assert (await client.response())[0] == 101
        client.vanish()
    assert events[0].identity.domain_name == domain
    assert events[0].identity.user_agent is None


async def test_a_stage_may_have_a_domain_of_its_own_whatever_host_is_asked_for(program, events):
    async with testing.node(program) as node:
        stage = node.running.gateway.stages["socket"]
        stage.api = replace(stage.api, domain_name="a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com")
        client = node.client()
        client.send_bytes(upgrade(host="localhost:8000"))
        assert (await client.response())[0] == 101
        client.vanish()
    assert events[0].identity.domain_name == "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"


@pytest.mark.parametrize("size", [1, 50, 10_000])
async def test_messages_behind_the_handshake_are_the_connections(program, size):
    async with testing.node(program) as node:
        client = node.client()
        raw = upgrade() + encode_client_message("a") + encode_client_message("b")
        for at in range(0, len(raw), size):
            client.send_bytes(raw[at : at + size])
            await asyncio.sleep(0)
        assert (await client.response())[0] == 101
        await asyncio.sleep(0.1)
        assert bytes(client._raw) == b"\x81\x01a\x81\x01b"
        client.vanish()


async def test_a_handshake_may_follow_a_plain_request(program):
    async with testing.node(program) as node:
        client = node.client()
        client.send_bytes(request())
        assert (await client.response())[0] == 404
        client.send_bytes(upgrade("/socket/"))
        assert (await client.response())[0] == 101
        client.vanish()


@pytest.mark.parametrize("target", ["/", "/x", "/socket/x", "/Socket", "/socket//", "//socket", "/sock%65t"])
async def test_a_stage_that_is_not_there_is_forbidden_in_the_words_of_api_gateway(program, target):
    async with testing.node(program) as node:
        client = node.client()
        client.send_bytes(upgrade(target))
        status, headers, body = await client.response()
        assert (status, json.loads(body)) == (403, {"message": "Forbidden"})
        assert dict(headers)["x-amzn-errortype"] == "ForbiddenException"
        assert dict(headers)["connection"] == "close"
        await client.closed()


@pytest.mark.parametrize(
    ("raw", "status", "header"),
    [
        (upgrade(method="POST"), 405, ("allow", "GET")),
        (upgrade(version="1.0"), 400, None),
        (upgrade("/socket", "Sec-WebSocket-Version: 8"), 426, ("sec-websocket-version", "13")),
        (upgrade("/socket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"), 400, None),
        (upgrade("/socket", "Sec-WebSocket-Key: short"), 400, None),
        (upgrade("/socket", f"Sec-WebSocket-Key: {KEY}", f"Sec-WebSocket-Key: {KEY}"), 400, None),
        (upgrade("/socket", "Sec-WebSocket-Key:"), 400, None),
        (upgrade("/socket", "Sec-WebSocket-Protocol: a b"), 400, None),
        (upgrade("/socket", "Sec-WebSocket-Protocol: \xff"), 400, None),
        (upgrade("/socket", "Sec-WebSocket-Protocol: a, a"), 400, None),
        (upgrade("/socket", "Sec-WebSocket-Protocol:" + " " * 30_000), 400, None),
        (upgrade("/socket", "Sec-WebSocket-Protocol: " + ",".join("a" * 5000)), 400, None),
        (upgrade("/socket", "Upgrade: h2c"), 426, ("upgrade", "websocket")),
        (request("/socket", method="CONNECT"), 400, None),
    ],
)
async def test_a_handshake_that_cannot_be_is_refused_and_no_handler_runs(program, events, raw, status, header):
    async with testing.node(program) as node:
        client = node.client()
        client.send_bytes(raw)
        answered, headers, _ = await client.response()
        assert answered == status
        assert header is None or dict(headers)[header[0]] == header[1]
        await client.closed()
        assert not node.running.gateway.alive
    assert events == []


async def test_an_upgrade_without_its_connection_header_is_a_plain_request(program):
    assert await accepted(program, upgrade("/socket", "Connection: keep-alive")) == 426


async def test_where_nothing_is_upgraded_a_handshake_is_400(program):
    async with testing.node(program) as node:
        gateway = node.running.gateway
        got, ended = [], []
        door = Acceptor(gateway, gateway.answer_admin, upgrades=False)
        transport = MemoryTransport(gateway.loop, door, got.append, lambda: ended.append(True))
        transport.arrive(upgrade())
        await asyncio.sleep(3)
        assert b"".join(got).startswith(b"HTTP/1.1 400 ")
        assert ended == [True]


# Real sockets.


async def echo(client, text):
    client.send(encode_client_message(text))
    head = await client.reader.readexactly(2)
    return (await client.reader.readexactly(head[1])).decode()


def test_a_socket_is_kept_pipelined_and_upgraded(program, on_loop, dial):
    async def run():
        async with trunkline.open(program) as node:
            await node.listen(Settings(port=0, admin="off"))
            async with await dial(node.address) as client:
                assert (await client.get("/x"))[0] == 404
                client.send(request("/socket") + request("/y") + request("/socket"))
                assert [(await client.answer())[0] for _ in range(3)] == [426, 404, 426]
                assert (await client.get("/socket", method="HEAD"))[:1] == (426,)
                client.send(upgrade() + encode_client_message("early"))
                assert (await client.answer())[0] == 101
                assert await client.reader.readexactly(7) == b"\x81\x05early"
                assert await echo(client, "hello") == "hello"

    on_loop(run)


def test_a_half_closed_socket_is_answered(program, on_loop, dial):
    async def run():
        async with trunkline.open(program) as node:
            node.gateway.answer = Slow(0.05)
            await node.listen(Settings(port=0, admin="off"))
            async with await dial(node.address) as client:
                client.send(request("/1") + request("/2", "Connection: close"))
                client.writer.write_eof()
                assert [(await client.answer())[2] for _ in range(2)] == [b"/1\n", b"/2\n"]
                assert await client.ended() == b""
            async with await dial(node.address) as client:
                client.send(request()[:-2])
                client.writer.write_eof()
                assert await client.ended() == b"", "half a request ends with its socket"

    on_loop(run)


def test_a_refusal_reaches_its_client_before_the_end(program, on_loop, dial):
    async def run():
        async with trunkline.open(program) as node:
            await node.listen(Settings(port=0, admin="off"))
            for raw, status in (
                (b"rubbish\r\n\r\n", 400),
                (upgrade("/nothing"), 403),
                (request("/" + "x" * 5000), 414),
            ):
                async with await dial(node.address) as client:
                    client.send(raw)
                    assert (await client.answer())[0] == status
                    assert await client.ended() == b""

    on_loop(run)


def test_a_refusal_is_the_last_word_also_when_the_client_reads_late(program, on_loop, dial, tmp_path):
    (tmp_path / "large").write_bytes(b"x" * 4_000_000)
    (tmp_path / "index.html").write_bytes(b"")

    async def run():
        async with trunkline.open(program, settings=Settings(web=str(tmp_path))) as node:
            await node.listen(Settings(port=0, admin="off"))
            async with await dial(node.address) as client:
                client.writer.transport.pause_reading()
                client.send(request("/large") * 16)
                await asyncio.sleep(0.2)
                client.send(b"rubbish\r\n\r\n")
                await asyncio.sleep(0.2)
                client.writer.transport.resume_reading()
                raw = await client.ended()
                assert raw.endswith(b"\r\nconnection: close\r\n\r\nthe request is not valid HTTP/1.1\n")
                assert raw.count(b"HTTP/1.1 200 ") == raw.count(b"x" * 4_000_000) > 0
                (door,) = node.gateway.doors
                await asyncio.sleep(0)
                assert door._task is None
                while node.gateway.doors:
                    await asyncio.sleep(0.05)

    on_loop(run)


@pytest.mark.parametrize(
    "raw", [request("/x", "Connection: close"), request("/x", version="1.0"), upgrade("/socket", "Upgrade: h2c")]
)
def test_a_last_answer_reaches_its_client_whatever_it_still_sends(program, on_loop, dial, raw):
    async def run():
        async with trunkline.open(program) as node:
            await node.listen(Settings(port=0, admin="off"))
            async with await dial(node.address) as client:
                client.send(raw + b"x" * 300_000)
                assert (await client.answer())[1]["connection"] == "close"
                assert await client.ended() == b""
            async with asyncio.timeout(1):  # nothing is left of it when the client has gone, too
                while node.gateway.doors:
                    await asyncio.sleep(0.01)

    on_loop(run)


def test_a_half_closed_socket_ends_behind_its_last_answer(program, on_loop, dial):
    async def run():
        async with trunkline.open(program) as node:
            node.gateway.answer = Slow(0.05)
            await node.listen(Settings(port=0, admin="off"))
            async with await dial(node.address) as client:
                client.send(request("/1", "Connection: close"))
                client.writer.write_eof()
                assert (await client.answer())[0] == 200
                assert await client.ended() == b""
                async with asyncio.timeout(1):
                    while node.gateway.doors:
                        await asyncio.sleep(0.01)

    on_loop(run)


def test_a_client_without_an_address_has_an_empty_one(program, events, on_loop, dial, tmp_path):
    async def run():
        async with trunkline.open(program) as node:
            door = tmp_path / "door"
            loop = asyncio.get_running_loop()
            async with await loop.create_unix_server(lambda: Acceptor(node.gateway, node.gateway.answer), door):
                reader, writer = await asyncio.open_unix_connection(door)
                writer.write(upgrade())
                assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
                writer.close()
                await writer.wait_closed()

    on_loop(run)
    assert events[0].identity.source_ip == ""


# One answer after another.


PLAIN = b"GET /%s HTTP/1.1\r\nhost: localhost\r\n\r\n"


async def test_an_upgrade_behind_a_request_does_not_mix_their_answers():
    async with testing.node([websocket("socket")]) as node:
        client = node.client()
        client.send_bytes(PLAIN % b"x" + upgrade())
        status, _, _ = await client.response()
        assert status == 404


async def test_a_bad_request_behind_a_good_one_does_not_take_its_answer():
    async with testing.node([websocket("socket")]) as node:
        client = node.client()
        client.send_bytes(PLAIN % b"x" + b"rubbish\r\n\r\n")
        statuses = [(await client.response())[0] for _ in range(2)]
        assert statuses == [404, 400]


async def test_what_comes_behind_the_last_request_does_not_take_its_answer():
    async with testing.node([websocket("socket")]) as node:
        client = node.client()
        client.send_bytes(b"GET /x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\nrubbish")
        assert (await client.response())[0] == 404


async def test_a_client_that_offers_http2_is_answered_over_http1():
    async with testing.node([websocket("socket")]) as node:
        client = node.client()
        client.send_bytes(
            b"GET /x HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
            b"http2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
        )
        assert (await client.response())[0] == 404


async def test_a_client_that_reads_no_answers_gets_no_more_of_them(tmp_path):
    (tmp_path / "big").write_bytes(b"x" * 1_000_000)
    async with testing.node([websocket("socket")], settings=Settings(web=str(tmp_path))) as node:
        client = node.client()
        client.stop_reading()
        for _ in range(50):
            client.send_bytes(PLAIN % b"big")
            await asyncio.sleep(0.1)
        held = client._transport.get_write_buffer_size()
        client.vanish()
        await asyncio.sleep(1)
    assert held < 3 * 64 * 1024


@pytest.mark.parametrize("end", ["", "Connection: close"])
async def test_a_large_file_is_sent_in_pieces_and_what_was_asked_behind_it_is_answered(tmp_path, end):
    whole = bytes(range(256)) * 1000
    (tmp_path / "big").write_bytes(whole)
    async with testing.node([websocket("socket")], settings=Settings(web=str(tmp_path))) as node:
        client = node.client()
        client.send_bytes(request("/big", method="HEAD"))
        client.send_bytes(request("/big", *filter(None, [end])) + request("/none"))
        await asyncio.sleep(1)
        raw = bytes(client._raw)
        if end:
            await client.closed()
        client.hang_up()
    head, _, rest = raw.partition(b"\r\n\r\n")
    assert b"\r\ncontent-length: 256000" in head
    head, _, rest = rest.partition(b"\r\n\r\n")
    assert (b"connection: close" in head, rest[:256_000]) == (bool(end), whole)
    assert rest[256_000:].startswith(b"" if end else b"HTTP/1.1 404 ")
    assert bool(rest[256_000:]) is not bool(end)


async def test_a_file_that_vanishes_before_it_is_sent_is_not_there(tmp_path):
    async with testing.node([websocket("socket")], settings=Settings(web=str(tmp_path))) as node:

        async def answer(request):
            return FileResponse(tmp_path / "gone", 100_000, {})

        node.running.gateway.answer = answer
        client = node.client()
        client.send_bytes(request("/gone"))
        assert (await client.response())[::2] == (404, b"no such file\n")


async def test_a_file_that_becomes_shorter_ends_the_socket_and_one_that_grows_is_sent_as_it_was(tmp_path):
    file = tmp_path / "big"
    file.write_bytes(b"x" * 100_000)

    async def answer(request):
        return FileResponse(file, 150_000 if request.path == "/shorter" else 70_000, {})

    async with testing.node([websocket("socket")]) as node:
        node.running.gateway.answer = answer
        client = node.client()
        client.send_bytes(request("/grown"))
        assert (await client.response())[2] == b"x" * 70_000
        client.send_bytes(request("/shorter"))
        await client.closed()


async def test_a_gateway_that_leaves_sends_a_file_to_its_end(tmp_path):
    (tmp_path / "big").write_bytes(b"x" * 300_000)
    async with testing.node([websocket("socket")], settings=Settings(web=str(tmp_path))) as node:
        client = node.client()
        client.stop_reading()
        client.send_bytes(request("/big"))
        await asyncio.sleep(0.1)
        closing = asyncio.create_task(node.running.gateway.close())
        await asyncio.sleep(0.1)
        client.go_on_reading()
        _, headers, body = await client.response()
        assert ("connection" in dict(headers), len(body)) == (False, 300_000)
        await client.closed()
        await closing


async def test_a_download_that_takes_longer_than_a_handshake_may_is_not_cut(tmp_path):
    (tmp_path / "big").write_bytes(b"x" * 1_000_000)
    async with testing.node([websocket("socket")], settings=Settings(web=str(tmp_path))) as node:
        client = node.client(timeout=60)
        client.stop_reading()
        client.send_bytes(PLAIN % b"big")
        await asyncio.sleep(12)
        client.go_on_reading()
        _, _, body = await client.response()
        assert len(body) == 1_000_000


async def test_a_gateway_that_closes_answers_what_was_asked_though_nobody_is_connected():
    from trunkline.gateway.http import HttpResponse

    async def answer(request):
        await asyncio.sleep(0.5)
        return HttpResponse.text(200, "answered")

    async with testing.node([websocket("socket")]) as node:
        node.running.gateway.answer = answer
        client = node.client()
        client.send_bytes(PLAIN % b"x")
        await asyncio.sleep(0.1)
        closing = asyncio.create_task(node.running.gateway.close())
        assert (await client.response())[0] == 200
        await closing
