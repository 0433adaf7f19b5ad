"""A real process, byte for byte against what API Gateway was seen to send: docs/reference/compatibility.md has the list.

Sockets are raw and frames are made here, so that nothing of ours reads what ours has written.
"""

import http.client
import json
import re
import socket
import time

import pytest

KEY, ACCEPT = b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 section 1.3
DATE = rb"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"
ID, REQUEST_ID = r"[\w-]{18}==", r"[\w-]{15}="
TEXT, BINARY, CONTINUED, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
PROGRAM = r"""
import asyncio
import http.client
from collections import defaultdict

from trunkline import Allow, websocket

events = defaultdict(list)
ended = defaultdict(asyncio.Event)
posted = {}


def post(host, id):
    caller = http.client.HTTPConnection(host, timeout=5)
    caller.request("POST", f"/socket/@connections/{id}", b"too early")
    return caller.getresponse().status


def record(socket):
    @socket.on("connect")
    async def connect(ctx):
        id = ctx.req.connection_id
        events[id].append(ctx.req.event)
        ctx.res.subprotocol = ctx.req.query.get("speak")
        if "refuse" in ctx.req.query:
            ctx.res.reject(403, '{"why": "no"}')
        if "post" in ctx.req.query:
            posted[id] = await asyncio.to_thread(post, ctx.req.headers["host"], id)

    @socket.on("message", route="who")
    async def who(ctx):
        events[ctx.req.connection_id].append(ctx.req.event)
        return ctx.req.connection_id

    @socket.on("message", route="posted")
    async def was_posted(ctx):
        return posted[ctx.req.connection_id]

    @socket.on("message", route="events")
    async def events_of(ctx):
        id = ctx.req.json()["id"]
        await ended[id].wait()
        return events.pop(id)

    @socket.on("disconnect")
    async def disconnect(ctx):
        events[ctx.req.connection_id].append(ctx.req.event)
        ended[ctx.req.connection_id].set()


socket, known = websocket("socket"), websocket("known")
record(socket)
record(known)


@socket.on("message")
async def default(ctx):
    return ctx.req.data if len(ctx.req.data) < 100 else len(ctx.req.data)


@known.authorizer()
async def authorize(ctx):
    return Allow("ann", {"level": 7})


def selecting(name, select, *routes):
    declared = websocket(name, select=select)

    async def route(ctx):
        return ctx.req.route

    for key in routes:
        declared.on("message", route=key)(route)
    declared.on("message")(route)


selecting("nested", "$request.body.header.kind", "bid")
selecting("braces", "${request.body.service}/${request.body.action}", "chat/join")
selecting("mixed", "${request.body.version}-beta", "2-beta")
selecting("constant", r"\$default", "other")
selecting("array", "$request.body.action", "[a, b]")
"""


def frame(opcode, payload=b"", *, fin=True):
    """A client's frame; under a mask of zeros it is its payload."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    if size >= 1 << 16:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([(0x80 if fin else 0) | opcode]) + length + bytes(4) + payload


def text(payload):
    return frame(TEXT, (payload if isinstance(payload, str) else json.dumps(payload)).encode())


def close(code, reason=""):
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode())


class Raw:
    """A client of bytes, past its handshake."""

    def __init__(self, port, target="/socket", *headers):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        lines = [
            f"GET {target} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
            f"Sec-WebSocket-Key: {KEY.decode()}", "Sec-WebSocket-Version: 13", "User-Agent: my-client/1.0", *headers,
        ]  # fmt: skip
        self.send("\r\n".join([*lines, "", ""]).encode())
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            self.head += self.read(1)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def send(self, *frames):
        self.socket.sendall(b"".join(frames))

    def read(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            assert part, f"it ended behind {data!r}"
            data += part
        return data

    def frame(self):
        """First byte and payload of a frame of the server."""
        first, size = self.read(2)
        if size > 125:
            size = int.from_bytes(self.read(2 if size == 126 else 8), "big")
        return first, self.read(size)

    def text(self):
        first, payload = self.frame()
        assert first == 0x80 | TEXT, (first, payload)
        return payload.decode()

    def ask(self, message):
        self.send(text(message))
        return self.text()

    def who(self):
        return self.ask({"action": "who"})

    def end(self):
        """All that still comes."""
        data = b""
        while part := self.socket.recv(65536):
            data += part
        return data


@pytest.fixture
def serve(run_trunkline, tmp_path):
    """Serve the program; the port."""
    (tmp_path / "program.py").write_text(PROGRAM)

    def serve(*flags):
        return run_trunkline(tmp_path / "program.py", "--store", "memory:", *flags).port

    return serve


@pytest.fixture
def port(serve):
    return serve()


def events_of(port, id, name="socket"):
    """Of a connection that ends."""
    with Raw(port, f"/{name}") as watcher:
        return json.loads(watcher.ask({"action": "events", "id": id}))


def ended(port, id):
    """Code and reason, as the disconnect handler is told."""
    about = events_of(port, id)[-1]["requestContext"]
    return about["disconnectStatusCode"], about["disconnectReason"]


def call(port, method, id, body=b"", path="/socket/@connections/{id}"):
    """The bytes of an answer of @connections, behind which the server closes."""
    with socket.create_connection(("127.0.0.1", port), 10) as caller:
        head = f"{method} {path.format(id=id)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        caller.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        data = b""
        while part := caller.recv(65536):
            data += part
    return data


def answer(status, length, kind="", *, body=b""):
    """What an answer of @connections matches, header by header."""
    ids = [rb"x-amzn-RequestId: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"]
    ids += [rb"x-amzn-ErrorType: %s" % kind.encode()] if kind else []
    ids += [rb"x-amz-apigw-id: [\w-]{15}="]
    ids += [] if kind else [rb"X-Amzn-Trace-Id: Root=1-[0-9a-f]{8}-[0-9a-f]{24}"]
    sized = [] if length is None else [rb"Content-Length: %d" % length]
    lines = [
        rb"HTTP/1\.1 %s" % status, rb"Date: %s" % DATE, rb"Content-Type: application/json", *sized,
        rb"Connection: close", *ids,
    ]  # fmt: skip
    return re.compile(rb"\r\n".join([*lines, b"", b""]) + body)


# 1: the handshake.


@pytest.mark.parametrize(
    ("target", "offered", "chosen"),
    [
        ("/socket", [], b""),
        ("/socket", ["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"], b""),
        ("/socket", ["Sec-WebSocket-Protocol: a, b"], b""),
        ("/socket?speak=b", ["Sec-WebSocket-Protocol: a, b"], rb"sec-websocket-protocol: b\r\n"),
        ("/known", [], b""),
    ],
    ids=["plain", "with an extension", "with subprotocols", "with one that is chosen", "with an authorizer"],
)
def test_a_101_has_api_gateways_headers_and_no_other(port, target, offered, chosen):
    with Raw(port, target, *offered) as client:
        assert re.fullmatch(
            rb"HTTP/1\.1 101 Switching Protocols\r\n"
            rb"date: " + DATE + rb"\r\n"
            rb"connection: upgrade\r\n"
            rb"upgrade: websocket\r\n"
            rb"sec-websocket-accept: " + re.escape(ACCEPT) + rb"\r\n" + chosen + rb"\r\n",
            client.head,
        ), client.head


def test_a_refusal_has_api_gateways_headers_but_ends_its_socket(port):
    with Raw(port, "/socket?refuse=1") as client:
        assert re.fullmatch(
            rb"HTTP/1\.1 403 Forbidden\r\n"
            rb"date: " + DATE + rb"\r\n"
            rb"content-type: application/json; charset=UTF-8\r\n"
            rb"content-length: 13\r\n"
            rb"connection: close\r\n"
            rb"x-amz-apigw-id: [\w-]{15}=\r\n\r\n",
            client.head,
        ), client.head
        assert client.end() == b'{"why": "no"}'


# 2: events. Their members and the order of these are what API Gateway was seen to send.

COMMON = [
    "eventType", "extendedRequestId", "requestTime", "messageDirection", "stage", "connectedAt", "requestTimeEpoch",
    "identity", "requestId", "domainName", "connectionId", "apiId",
]  # fmt: skip
HEADERS = [
    "Host", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "User-Agent", "X-Amzn-Trace-Id", "X-Forwarded-For",
    "X-Forwarded-Port", "X-Forwarded-Proto",
]  # fmt: skip
QUERY = ["queryStringParameters", "multiValueQueryStringParameters"]
MAPS = ["headers", "multiValueHeaders"]


@pytest.mark.parametrize("name", ["socket", "known"])
@pytest.mark.parametrize("query", ["", "?a=1&a=2"])
def test_events_have_the_recorded_members_in_their_order(port, name, query):
    with Raw(port, f"/{name}{query}") as client:
        id = client.who()
        client.send(close(1000, "bye"))
        client.end()
    connect, message, disconnect = events_of(port, id, name)
    who = ["authorizer"] if name == "known" else []
    asked = QUERY if query else []
    assert list(connect) == [*MAPS, *asked, "requestContext", "isBase64Encoded"]
    assert list(message) == ["requestContext", "body", "isBase64Encoded"]
    assert list(disconnect) == [*MAPS, "requestContext", "isBase64Encoded"]
    assert list(connect["headers"]) == list(connect["multiValueHeaders"]) == HEADERS
    assert disconnect["headers"] == {"Host": "127.0.0.1", "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
    assert list(connect["requestContext"]) == ["routeKey", *who, *COMMON]
    assert list(message["requestContext"]) == ["routeKey", *who, "messageId", *COMMON]
    at = COMMON.index("stage")
    ends = [*COMMON[:at], "disconnectReason", *COMMON[at:]]
    assert list(disconnect["requestContext"]) == ["routeKey", "disconnectStatusCode", *who, *ends]
    for event in (connect, message, disconnect):
        about = event["requestContext"]
        assert list(about["identity"].items()) == [("userAgent", "my-client/1.0"), ("sourceIp", "127.0.0.1")]
        known = {"level": "7", "principalId": "ann"} if who else {}
        assert {key: value for key, value in about.get("authorizer", {}).items() if isinstance(value, str)} == known
    latency = connect["requestContext"].get("authorizer", {}).get("integrationLatency")
    assert type(latency) is (int if who else type(None))
    assert connect.get("queryStringParameters") == ({"a": "2"} if query else None)
    assert connect.get("multiValueQueryStringParameters") == ({"a": ["1", "2"]} if query else None)


# 4: when a connection is there.


def test_a_connection_is_gone_inside_connect_and_there_right_behind_its_101(port):
    with Raw(port, "/socket?post=1") as client:
        assert client.ask({"action": "posted"}) == "410"
    with Raw(port) as client:
        id = client.who()
        assert answer(b"200 OK", 0).fullmatch(call(port, "POST", id, b"hello"))
        assert client.text() == "hello"


# 5 and 6: routes.


def test_what_names_no_route_is_the_defaults_or_forbidden(port):
    unknown = [
        '{"action":"nothing"}',
        '{"other":1}',
        '{"action":"$connect"}',
        '{"action":"$default"}',
        "no json",
        "7",
        "[]",
    ]
    with Raw(port) as client:
        assert re.fullmatch(ID, client.who())
        for message in unknown:
            assert client.ask(message) == message
    with Raw(port, "/known") as client:  # it has no default
        id = client.who()
        forbidden = rf'\{{"message": "Forbidden", "connectionId":"{id}", "requestId":"{REQUEST_ID}"\}}'
        answers = [client.ask(message) for message in unknown]
        assert all(re.fullmatch(forbidden, said) for said in answers), answers
        assert len(set(answers)) == len(answers)
        assert client.who() == id


SELECTED = [
    ("nested", {"header": {"kind": "bid"}}, "bid"),
    ("nested", {"header": "bid"}, "$default"),
    ("braces", {"service": "chat", "action": "join"}, "chat/join"),
    ("braces", {"action": "join"}, "$default"),
    ("mixed", {"version": 2}, "2-beta"),
    ("mixed", {"version": 3}, "$default"),
    ("constant", {"action": "other"}, "$default"),
    ("array", {"action": ["a", "b"]}, "[a, b]"),
    ("array", {"action": ["a"]}, "$default"),
]


def test_every_form_of_a_selection_expression_selects(port):
    for name, message, route in SELECTED:
        with Raw(port, f"/{name}") as client:
            assert client.ask(message) == route, (name, message)


# 9, 10 and 11: how connections end.


def test_a_binary_frame_is_1003(port):
    with Raw(port) as client:
        id = client.who()
        client.send(frame(BINARY, b"\0"))
        assert client.end() == b"\x88\x19\x03\xebBinary is not supported"
    assert ended(port, id) == (1003, "Binary is not supported")


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [([32_768], True), ([32_769], False), ([32_768] * 4, True), ([*[32_768] * 4, 1], False)],
    ids=["a frame of 32 KiB", "and a byte", "four of them", "and a byte more"],
)
def test_a_frame_of_32_kib_and_a_message_of_128_kib_are_taken_and_more_is_1009(port, sizes, taken):
    with Raw(port) as client:
        id = client.who()
        for number, size in enumerate(sizes):
            last = number == len(sizes) - 1
            client.send(frame(CONTINUED if number else TEXT, b"x" * size, fin=last))
        if taken:
            assert client.text() == str(sum(sizes))
            assert client.who() == id
            return
        assert client.end() == b"\x88\x12\x03\xf1Message too long"
    assert ended(port, id) == (1009, "Message too long")


@pytest.mark.parametrize(
    ("sent", "answered", "told"),
    [
        (close(1000, "bye"), b"\x88\x05\x03\xe8bye", (1000, "bye")),
        (close(4321), b"\x88\x02\x10\xe1", (4321, "")),
        (frame(CLOSE), b"\x88\x00", (1005, "Client-side close frame status not set")),
    ],
    ids=["a code and a reason", "a code", "nothing"],
)
def test_a_close_is_answered_with_its_own_code_and_reason(port, sent, answered, told):
    with Raw(port) as client:
        id = client.who()
        client.send(sent)
        assert client.end() == answered
    assert ended(port, id) == told


def test_a_socket_that_is_lost_is_1006(port):
    with Raw(port) as client:
        id = client.who()
    assert ended(port, id) == (1006, "Connection closed abnormally")


# 12 and 13: time.

GOING_AWAY = b"\x88\x0c\x03\xe9Going away"


def test_an_idle_connection_is_1001_and_all_but_get_keeps_it(serve):
    port = serve("--limit", "idle_seconds=2")
    with Raw(port) as asked, Raw(port) as pinging, Raw(port) as talking, Raw(port) as told:
        id, *others = [client.who() for client in (asked, pinging, talking, told)]
        asked.socket.setblocking(False)
        until = time.monotonic() + 20
        closed = None
        while closed is None and time.monotonic() < until:
            call(port, "GET", id)
            pinging.send(frame(PING, b"p"))
            assert pinging.frame() == (0x80 | PONG, b"p")
            assert talking.ask("hello") == "hello"
            call(port, "POST", others[-1], b"hello")
            assert told.text() == "hello"
            time.sleep(0.2)
            try:
                closed = asked.socket.recv(100)
            except BlockingIOError:
                continue
        assert closed == GOING_AWAY
        assert [client.who() for client in (pinging, talking, told)] == others
        asked.socket.setblocking(True)
        asked.send(close(1001, "Going away"))
        assert asked.end() == b""
    assert ended(port, id) == (1001, "Going away")


def test_an_active_connection_is_1001_at_the_end_of_its_life(serve):
    port = serve("--limit", "lifetime_seconds=2")
    with Raw(port) as client:
        began = time.monotonic()
        id, came = client.who(), (0x80 | TEXT, b"hello")
        while came == (0x80 | TEXT, b"hello"):
            client.send(text("hello"))
            came = client.frame()
        assert came == (0x80 | CLOSE, b"\x03\xe9Going away")
        assert time.monotonic() - began >= 1.9
        client.send(close(1001))
        client.end()
    assert ended(port, id) == (1001, "Going away")


# 15 and 18: @connections.

ABOUT = (
    rb'\{\n  "identity" : \{\n    "sourceIp" : "127\.0\.0\.1",\n    "userAgent" : "my-client/1\.0"\n  \},\n'
    rb'  "connectedAt" : "%s",\n  "lastActiveAt" : "%s"\n\}'
) % ((rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",) * 2)


def test_connections_answers_with_api_gateways_bytes(port):
    with Raw(port) as client:
        id = client.who()
        about = call(port, "GET", id)
        length = len(about.partition(b"\r\n\r\n")[2])
        assert answer(b"200 OK", length, body=ABOUT).fullmatch(about), about
        assert answer(b"200 OK", 0).fullmatch(call(port, "POST", id, b"\xff\0"))
        assert client.text() == "\ufffd\0"
        junk = call(port, "GET", "junk")
        said = b'{"message":"Invalid connectionId: junk"}'
        assert answer(b"400 Bad Request", len(said), "BadRequestException", body=re.escape(said)).fullmatch(junk)
        large = call(port, "POST", id, bytes(131_073))
        assert re.fullmatch(
            rb"HTTP/1\.1 413 Request Entity Too Large\r\nDate: " + DATE + rb"\r\nContent-Length: 0\r\n"
            rb"Connection: close\r\n\r\n",
            large,
        ), large
        assert answer(b"204 No Content", None).fullmatch(call(port, "DELETE", id))
        assert client.frame() == (0x80 | CLOSE, b"\x03\xe8Connection Closed Normally")
        client.send(close(1000))
        client.end()
    for method in ("POST", "GET", "DELETE"):
        assert answer(b"410 Gone", 0, "GoneException").fullmatch(call(port, method, id))
    assert ended(port, id) == (1000, "Connection Closed Normally")


def test_a_post_of_more_than_32_kib_is_one_message_of_several_frames(port):
    with Raw(port) as client:
        id = client.who()
        assert answer(b"200 OK", 0).fullmatch(call(port, "POST", id, b"x" * 131_072))
        assert [(first, len(payload)) for first, payload in (client.frame() for _ in range(4))] == [
            (TEXT, 32_768), (CONTINUED, 32_768), (CONTINUED, 32_768), (0x80 | CONTINUED, 32_768),
        ]  # fmt: skip


def test_a_path_may_be_written_as_any_client_does(port):
    with Raw(port) as client:
        id = client.who()
        for at in ("@", "%40"):
            for equals in ("=", "%3D", "%3d"):
                path = f"/socket/{at}connections/{id.replace('=', equals)}"
                assert answer(b"200 OK", 0).fullmatch(call(port, "POST", id, b"hello", path)), path
                assert client.text() == "hello"


def test_a_client_that_keeps_its_socket_is_answered_on_it(port):
    with Raw(port) as client:
        id = client.who()
        caller = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for number in range(3):
            caller.request("POST", f"/socket/@connections/{id}", b"%d" % number)
            got = caller.getresponse()
            assert (got.status, got.read(), got.headers["connection"]) == (200, b"", "keep-alive")
            assert client.text() == str(number)
        caller.close()
