"""Secrets and control characters that a client sends come out nowhere: no log, no answer, no frame of ours has them.

What a program prints itself is its own. One that logs under `trunkline.` has our handler, as this one does.
"""

import json
import re
import socket

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from trunkline.model.ids import ConnectionIds

# One for each place, so that what leaks is named; nothing but these has the word.
NAMES = (
    "authorization",
    "cookie",
    "subprotocol",
    "bearer",
    "token",
    "signature",
    "credential",
    "session",
    "message",
    "key",
)
CANARY = {name: f"CANARY-{name}" for name in NAMES}
JWT = "eyJhbGciOiJIUzI1NiJ9.CANARY-CANARY-CANARY.CANARY-jwt"
# What a terminal obeys, what ends a line, and a line that looks like ours.
HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\x85\u2028\x9b31m\u202e\x00\n2026-01-01 00:00:00,000 INFO trunkline.gateway: forged\n{\"level\": \"INFO\", \"message\": \"forged\"}"  # fmt: skip
QUERY = (
    f"room=tea&token={CANARY['token']}&access_token={CANARY['token']}&api_key={CANARY['key']}"
    f"&X-Amz-Signature={CANARY['signature']}&x-amz-credential={CANARY['credential']}&X-AMZ-SECURITY-TOKEN={CANARY['session']}"
    f"&jwt={JWT}&name=%1B%5B2J%0A2026-01-01+00:00:00,000+INFO+trunkline.gateway:+forged"
)
HEADERS = [
    ("Authorization", f"Bearer {CANARY['authorization']}"),
    ("Cookie", f'theme="dark"; session={CANARY["cookie"]}'),
    ("X-Api-Key", CANARY["key"]),
    ("User-Agent", f"curl bearer.{CANARY['bearer']}"),
]
SUBPROTOCOLS = ["access_token", CANARY["subprotocol"], f"base64url.bearer.authorization.k8s.io.{CANARY['bearer']}"]
MESSAGES = [
    json.dumps({"action": "login", "password": CANARY["message"], "token": CANARY["token"], "note": HOSTILE}),
    f"/login?token={CANARY['message']} Authorization: Bearer {CANARY['authorization']}",
    HOSTILE,
]
PROGRAM = """
import asyncio
import logging

from trunkline import websocket

logger = logging.getLogger("trunkline.program")
socket = websocket("socket")


class Denied(Exception):
    pass


@socket.on("connect")
async def connect(ctx):
    everything = (ctx.req.headers, dict(ctx.req.headers), ctx.req.query, dict(ctx.req.query), ctx.req.event)
    logger.warning("connect with %s and %r", *everything[:2])
    if "denied" in ctx.req.query:
        raise Denied(*everything, *ctx.req.headers.getlist("authorization"), *ctx.req.query.getlist("name"))


@socket.on("message")
async def message(ctx):
    logger.warning("message %s", ctx.req.data)
    asyncio.get_running_loop().create_task(fail(ctx.req.data))
    try:
        raise Denied(ctx.req.data)
    except Denied as error:
        raise ValueError(f"no: {ctx.req.data}") from error


async def fail(data):
    raise Denied(data)


@socket.on("disconnect")
async def disconnect(ctx):
    raise Denied(ctx.req.event, ctx.req.close_reason)
"""


@pytest.fixture(params=["text", "json"])
def layout(request):
    return request.param


@pytest.fixture
def running(tmp_path, run_trunkline, layout):
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "index.html").write_text("hello")
    return run_trunkline(
        "program.py", "--log-format", layout, "--web", "web", "--store", "memory:", cwd=tmp_path, clean=False
    )


def is_printable(text):
    return all(char.isprintable() for char in text)


def check(text):
    """Of what we send or write: no secret, and nothing that is not for reading."""
    assert re.findall(r"CANARY[\w-]*", text) == []
    assert is_printable(text.replace("\r\n", "").replace("\n", ""))


def check_log(running, layout, *said):
    """It stopped in order, and its log has everything that it should and nothing that it should not."""
    code, out, err = running.stop()
    assert code == 0
    check(out)
    check(err)
    assert all(text in err for text in said)
    for line in err.splitlines():
        if layout == "json":
            assert json.loads(line)["logger"].startswith(("trunkline.", "asyncio"))
        else:
            assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ (trunkline|asyncio)[\w.]*: |    ", line)
    assert not re.search(r"^(2026-01-01|{\"level\")", err, re.M)


def exchange(port, raw):
    """Everything that is answered to these bytes, until the server ends or has nothing more to say."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(raw)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while part := client.recv(65536):
            answer += part
        return answer


# What comes in as it should.


def test_a_program_that_raises_with_everything_it_was_given_leaks_nothing(running, layout):
    frames = []
    with connect(
        f"{running.url('socket')}?{QUERY}",
        additional_headers=HEADERS,
        subprotocols=SUBPROTOCOLS,
        user_agent_header=None,
    ) as client:
        for message in MESSAGES:
            client.send(message)
            frames.append(client.recv(timeout=5))
        client.close(1000, f"token={CANARY['message']}")
    assert all(json.loads(frame)["message"] == "Internal server error" for frame in frames)
    check("".join(frames))
    said = [
        "connect with MultiDict",
        "the handler of $default at",
        "the handler of $disconnect at",
        "Task exception was never retrieved",
    ]
    check_log(running, layout, *said, "ValueError: no: ", "[redacted]", r"\x1b[2J" if layout == "text" else r"\\x1b[2J")


def test_a_refused_handshake_leaks_nothing(running, layout):
    with pytest.raises(InvalidStatus) as refused:
        connect(
            f"{running.url('socket')}?denied&{QUERY}",
            additional_headers=HEADERS,
            subprotocols=SUBPROTOCOLS,
            user_agent_header=None,
        )
    response = refused.value.response
    assert response.status_code == 502
    check(response.body.decode() + repr(response.headers))
    check_log(running, layout, "the handler of $connect at", "Denied: ", "[redacted]")


# What does not.


def malformed():
    """By what is wrong with it: bytes of a client. What answers each is told by the tests of the door."""
    secrets = "".join(f"{name}: {value}\r\n" for name, value in HEADERS)
    secrets += f"Sec-WebSocket-Protocol: {', '.join(SUBPROTOCOLS)}\r\n"
    upgrade = "Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

    def request(line=f"GET /socket?{QUERY} HTTP/1.1", headers=upgrade + key, more=""):
        return f"{line}\r\n{headers}{secrets}{more}\r\n".encode("latin-1")

    yield "no key", request(headers=upgrade)
    yield "a secret for a key", request(headers=f"{upgrade}Sec-WebSocket-Key: {CANARY['key']}\r\n")
    yield "another version", request(headers=upgrade.replace(" 13", f" {CANARY['token']}") + key)
    yield "another method", request(f"POST /socket?{QUERY} HTTP/1.1")
    yield "no method", request(f"{CANARY['token']} /socket HTTP/1.1")
    yield (
        "another protocol",
        request(f"GET /socket?{QUERY} HTTP/1.1", upgrade.replace("websocket", CANARY["token"]) + key),
    )
    yield "an old protocol", request(f"GET /socket?{QUERY} HTTP/1.0")
    yield "a subprotocol that is none", request(more=f"Sec-WebSocket-Protocol: \xff {CANARY['subprotocol']}\r\n")
    yield "no such stage", request(f"GET /{CANARY['token']}?{QUERY} HTTP/1.1")
    yield "an escape in the path", request(f"GET /\x1b[2J{CANARY['token']} HTTP/1.1")
    yield "an escape in a header", request(more=f"X: \x1b[2J{CANARY['token']}\x00\r\n")
    yield "a bare line feed", request(more=f"X: y\n{CANARY['token']}: z\r\n")
    yield "a header without end", request(more=f"X: {CANARY['token'] * 5000}\r\n")
    yield "a path without end", request(f"GET /{CANARY['token'] * 500} HTTP/1.1")
    yield "no HTTP", f"{HOSTILE}{JWT}\r\n\r\n".encode()
    yield "TLS", b"\x16\x03\x01\x02\x00\x01\x00" + JWT.encode()
    yield "half of one", request()[:-2]
    yield "no upgrade", request(headers="Host: x\r\n")
    yield "no file", request(f"GET /{CANARY['token']}?{QUERY} HTTP/1.1", "Host: x\r\n")
    yield "a path outside", request(f"GET /..%2f{CANARY['token']}?{QUERY} HTTP/1.1", "Host: x\r\n")
    yield "a connection", request(f"POST /socket/@connections/{CANARY['token']} HTTP/1.1", "Host: x\r\n")
    gone = ConnectionIds(bytes(32)).new()
    yield "one that is gone", request(f"DELETE /socket/@connections/{gone}?{QUERY} HTTP/1.1", "Host: x\r\n")
    signed = f"POST /socket/@connections/{gone} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(JWT)}\r\n"
    signed += f"Authorization: AWS4-HMAC-SHA256 Credential={CANARY['credential']}/20260101/x/execute-api/aws4_request, "
    yield "a signature", f"{signed}SignedHeaders=host, Signature={CANARY['signature']}\r\n\r\n{JWT}".encode()


MALFORMED = dict(malformed())


def test_malformed_requests_leak_nothing(running, layout):
    for name, raw in MALFORMED.items():
        answer = exchange(running.port, raw).decode()
        assert answer.startswith("HTTP/1.1 4") or name == "half of one", f"{name}: {answer[:200]}"
        check(answer)
    check_log(running, layout)


def test_the_admin_address_leaks_nothing(running, layout):
    port = int(re.search(r":(\d+)/", running.url("admin"))[1])
    for line in ("GET /live", f"GET /{CANARY['token']}?{QUERY}", f"POST /ready?{QUERY}"):
        for host in ("127.0.0.1", CANARY["token"]):
            for origin in ("", f"Origin: https://{CANARY['token']}\r\n"):
                head = f"{line} HTTP/1.1\r\nHost: {host}\r\n{origin}" + "".join(f"{n}: {v}\r\n" for n, v in HEADERS)
                check(exchange(port, f"{head}\r\n".encode()).decode())
    check_log(running, layout)


def test_bytes_that_are_no_frames_leak_nothing(running, layout):
    raw = MALFORMED["half of one"]
    for frame in (
        b"\x81\x05" + JWT.encode(),
        b"\x81\x84\0\0\0\0\xff\xff\xff\xff",
        b"\xf1\x80\0\0\0\0",
        b"\x88\x85\0\0\0\0\x03\xe8\x1b[2",
    ):
        answer = exchange(running.port, raw + b"\r\n" + frame)
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert b"CANARY" not in answer
        assert b"\x1b" not in answer.partition(b"\x88")[0]  # a client's own close reason comes back to it
    check_log(running, layout, "connect with MultiDict")


# What is a program's own.


def test_what_a_program_prints_itself_is_its_own(tmp_path, run_trunkline):
    (tmp_path / "own.py").write_text(
        "import sys\nfrom trunkline import websocket\n\nsocket = websocket('socket')\n\n"
        "@socket.on('message')\nasync def message(ctx):\n    print(ctx.req.data, file=sys.stderr)\n    return ctx.req.data\n"
    )
    running = run_trunkline(tmp_path / "own.py", "--store", "memory:", clean=False)
    with connect(running.url("socket")) as client:
        client.send(f"token={CANARY['token']}\x1b[2J")
        assert client.recv(timeout=5) == f"token={CANARY['token']}\x1b[2J"
    assert running.stop()[2] == f"token={CANARY['token']}\x1b[2J\n"
