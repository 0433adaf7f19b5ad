"""Calls to @connections: what they do to a connection, who may make them, and what is answered."""

import asyncio
import contextlib
import json
from dataclasses import replace
from datetime import datetime, timedelta

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from trunkline import ConfigurationError, limits, testing, websocket
from trunkline.config import Settings
from trunkline.connections.base import ConnectionInfo
from trunkline.connections.local import LocalConnections
from trunkline.errors import MessageTooLarge, SlowConsumer, Throttled, Unreachable
from trunkline.gateway.acceptor import Acceptor
from trunkline.gateway.admission import Admission
from trunkline.gateway.keys import Key
from trunkline.gateway.management import Management, is_management
from trunkline.gateway.server import Gateway
from trunkline.gateway.signatures import Verifier
from trunkline.gateway.stages import Stage, by_host
from trunkline.model.api import CompiledApi
from trunkline.model.ids import ConnectionIds
from trunkline.testing.client import Client

ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ARN = "arn:aws:execute-api:us-east-1:123456789012"
FORBIDDEN = (403, "ForbiddenException", {"message": "Forbidden"})
UNSIGNED = (403, "MissingAuthenticationTokenException", {"message": "Missing Authentication Token"})


class Answered:
    """An answer, in the parts that a test looks at."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = dict(headers)
        self.body = body

    @property
    def error(self):
        return self.status, self.headers.get("x-amzn-errortype"), json.loads(self.body) if self.body else None


class Caller:
    """Calls @connections of a node, on one socket that stays open."""

    def __init__(self, client):
        self.client = client

    async def call(self, method, id, body=b"", *headers, stage="socket", host="localhost", path=None):
        target = path or f"/{stage}/@connections/{id}"
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        self.client.send_bytes("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return await self.answer()

    async def answer(self):
        return Answered(*await self.client.response())

    async def post(self, id, body=b"hello", *headers, **how):
        return await self.call("POST", id, body, *headers, **how)

    async def get(self, id, *headers, **how):
        return await self.call("GET", id, b"", *headers, **how)

    async def delete(self, id, *headers, **how):
        return await self.call("DELETE", id, b"", *headers, **how)

    async def last_active(self, id):
        return datetime.fromisoformat(json.loads((await self.get(id)).body)["lastActiveAt"])


def program(ends=None, connecting=None):
    socket, other = websocket("socket"), websocket("other")

    @socket.on("connect")
    async def connect(ctx):
        if connecting is not None:
            connecting.append(ctx.req.connection_id)
            await asyncio.sleep(1)

    @socket.on("message")
    async def message(ctx):
        return ctx.req.connection_id

    @socket.on("disconnect")
    async def disconnect(ctx):
        if ends is not None:
            about = ctx.req.event["requestContext"]
            ends.append((about["disconnectStatusCode"], about["disconnectReason"]))

    return [socket, other]


async def connected(node, stage="socket", **how):
    """A client, and its id."""
    client = await node.connect(stage, **how)
    (id,) = [id for id in node.running.connections._sinks if id not in getattr(node, "known", set())]
    node.known = {*getattr(node, "known", set()), id}
    return client, id


# Sending.


async def test_a_message_is_sent_whatever_its_content_type_says():
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        for number, kind in enumerate(
            ("application/octet-stream", "text/plain", "application/json; charset=utf-16", "")
        ):
            answer = await caller.post(id, b"message %d" % number, f"Content-Type: {kind}")
            assert (answer.status, answer.body) == (200, b"")
            assert answer.headers["content-type"] == "application/json"
            assert await client.receive() == f"message {number}"
        await client.nothing()
        caller.client.hang_up()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("native ☃".encode(), "native ☃"),
        (b"\x00\xff\xfe\x80native", "\x00\ufffd\ufffd\ufffdnative"),
        (b"", ""),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"cut \xf0\x9f\x98", "cut \ufffd"),
        (b"\r\n\r\n", "\r\n\r\n"),
    ],
)
async def test_a_message_is_always_a_text(body, text):
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        assert (await caller.post(id, body)).status == 200
        assert await client.receive() == text
        caller.client.hang_up()


def frames(raw):
    """Opcode, end and size of each."""
    while raw:
        size, head = raw[1], 2
        if size > 125:
            head = 4 if size == 126 else 10
            size = int.from_bytes(raw[2:head], "big")
        yield raw[0] & 15, raw[0] >> 7, size
        raw = raw[head + size :]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, [(1, 1, 0)]),
        (32_768, [(1, 1, 32_768)]),
        (32_769, [(1, 0, 32_768), (0, 1, 1)]),
        (131_072, [(1, 0, 32_768), (0, 0, 32_768), (0, 0, 32_768), (0, 1, 32_768)]),
    ],
)
async def test_a_long_message_is_sent_in_frames_of_32_kib(size, expected):
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        raw, transport = bytearray(), client._transport
        deliver, transport._deliver = transport._deliver, lambda data: (raw.extend(data), deliver(data))
        assert (await caller.post(id, b"x" * size)).status == 200
        assert await client.receive() == "x" * size
        assert list(frames(bytes(raw))) == expected
        caller.client.hang_up()


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_128_kib_is_413_and_the_connection_survives(chunked):
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        before = await caller.last_active(id)
        await asyncio.sleep(1)
        if chunked:
            caller.client.send_bytes(
                f"POST /socket/@connections/{id} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
                + b"10000\r\n" + b"x" * 65536 + b"\r\n" + b"10001\r\n" + b"x" * 65537 + b"\r\n0\r\n\r\n"
            )  # fmt: skip
            answer = await caller.answer()
        else:
            answer = await caller.post(id, b"x" * 131_073)
        assert (answer.status, answer.body) == (413, b"")
        assert set(answer.headers) == {"date", "content-length", "connection"}
        await caller.client.closed()
        caller = Caller(node.client())
        assert await caller.last_active(id) == before
        assert (await caller.post(id, b"x" * 131_072)).status == 200
        assert len(await client.receive()) == 131_072
        caller.client.hang_up()


async def test_a_body_may_come_in_chunks_and_in_pieces():
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        raw = (
            f"POST /socket/@connections/{id} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
        )
        for byte in raw.encode():
            caller.client.send_bytes(bytes([byte]))
            await asyncio.sleep(0)
        assert (await caller.answer()).status == 200
        assert await client.receive() == "hello"
        caller.client.hang_up()


async def test_a_socket_with_a_smaller_limit_of_its_own_takes_no_more():
    async with testing.node(program(), settings=Settings(limit={"message_bytes": 10})) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        answer = await caller.post(id, b"x" * 11)
        assert (answer.status, answer.body, answer.headers.get("x-amzn-errortype")) == (413, b"", None)
        assert (await caller.post(id, b"x" * 10)).status == 200
        assert await client.receive() == "x" * 10
        caller.client.hang_up()


async def test_a_client_that_does_not_read_is_429_and_survives():
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        client.stop_reading()
        answers = [await caller.post(id, b"x" * 131_072) for _ in range(12)]
        assert [answer.status for answer in answers[:8]] == [200] * 8
        assert answers[-1].error == (
            429,
            "LimitExceededException",
            {"message": "The WebSocket client side buffer is full"},
        )
        client.go_on_reading()
        for answer in answers:
            if answer.status == 200:
                assert len(await client.receive()) == 131_072
        assert (await caller.post(id, b"on")).status == 200
        assert await client.receive() == "on"
        caller.client.hang_up()


async def test_messages_of_one_caller_arrive_in_their_order():
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        raw = [
            f"POST /socket/@connections/{id} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{number:02}"
            for number in range(16)
        ]
        caller.client.send_bytes("".join(raw).encode())
        assert [(await caller.answer()).status for _ in range(16)] == [200] * 16
        assert [await client.receive() for _ in range(16)] == [f"{number:02}" for number in range(16)]
        caller.client.hang_up()


# Asking.


async def test_a_connection_is_described():
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        _, id = await connected(node, headers={"User-Agent": "my-client/1.0"}, source_ip="203.0.113.50")
        answer = await caller.get(id)
        found = json.loads(answer.body)
        assert found["identity"] == {"sourceIp": "203.0.113.50", "userAgent": "my-client/1.0"}
        assert answer.body.decode() == (
            '{\n  "identity" : {\n    "sourceIp" : "203.0.113.50",\n    "userAgent" : "my-client/1.0"\n  },\n'
            f'  "connectedAt" : "{found["connectedAt"]}",\n  "lastActiveAt" : "{found["lastActiveAt"]}"\n}}'
        )
        caller.client.hang_up()


async def test_messages_either_way_are_activity_and_asking_is_none():
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        at = [await caller.last_active(id)]

        async def seconds_later(do):
            await asyncio.sleep(5)
            await do
            at.append(await caller.last_active(id))
            return round((at[-1] - at[-2]).total_seconds())

        assert await seconds_later(caller.get(id)) == 0
        assert await seconds_later(caller.post(id)) == 10
        assert await seconds_later(client.send("x")) == 5
        caller.client.hang_up()


async def test_asking_does_not_keep_a_connection_alive_and_sending_does():
    async with testing.node(program()) as node:
        (asked, asked_id), (told, told_id) = await connected(node), await connected(node)
        for _ in range(13):
            await asyncio.sleep(50)
            caller = Caller(node.client())
            await caller.get(asked_id)
            await caller.post(told_id)
            caller.client.hang_up()
        assert (await asked.closed()).code == 1001
        assert await told.receive() == "hello"
        caller = Caller(node.client())
        assert (await caller.get(asked_id)).status == 410
        assert (await caller.get(told_id)).status == 200
        caller.client.hang_up()


# Closing.


async def test_closing_is_in_order_and_the_program_is_told():
    ends = []
    async with testing.node(program(ends)) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        answer = await caller.delete(id)
        assert (answer.status, answer.body) == (204, b"")
        assert "content-length" not in answer.headers
        closed = await client.closed()
        assert (closed.code, closed.reason) == (1000, "Connection Closed Normally")
        for gone in (await caller.delete(id), await caller.post(id), await caller.get(id)):
            assert (gone.status, gone.headers["x-amzn-errortype"], gone.body) == (410, "GoneException", b"")
            assert gone.headers["content-type"] == "application/json"
        await asyncio.sleep(0.1)
        assert ends == [(1000, "Connection Closed Normally")]
        caller.client.hang_up()


async def test_what_was_sent_before_closing_arrives_before_it():
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        await caller.post(id, b"last")
        await caller.delete(id)
        assert await client.receive() == "last"
        assert (await client.closed()).code == 1000
        caller.client.hang_up()


async def test_a_connection_is_closed_that_does_not_read():
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        client.stop_reading()
        for _ in range(12):
            await caller.post(id, b"x" * 131_072)
        assert (await caller.delete(id)).status == 204
        assert (await caller.delete(id)).status == 410
        await asyncio.sleep(10)
        assert not node.running.gateway.alive
        caller.client.hang_up()


# Which connection.


async def test_it_is_gone_until_its_client_was_accepted_and_there_from_the_101_on():
    connecting = []
    async with testing.node(program(connecting=connecting)) as node:
        caller = Caller(node.client())
        waiting = asyncio.create_task(node.connect("socket"))
        await asyncio.sleep(0.5)
        (id,) = connecting
        for answer in (await caller.post(id), await caller.get(id), await caller.delete(id)):
            assert answer.error == (410, "GoneException", None)
        client = await waiting
        assert (await caller.post(id)).status == 200
        assert await client.receive() == "hello"
        caller.client.hang_up()


async def test_the_path_may_be_encoded():
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        encoded = id.replace("=", "%3D")
        everything = "".join(f"%{ord(char):02x}" for char in id)
        for path in (
            f"@connections/{encoded}",
            f"%40connections/{encoded}",
            f"%40connections/{id}",
            f"@connections/{everything}",
        ):
            assert (await caller.post(id, path=f"/socket/{path}")).status == 200
            assert await client.receive() == "hello"
        assert (await caller.post(id, path=f"/socket/@connections/{id}?a=b")).status == 200
        caller.client.hang_up()


@pytest.mark.parametrize("name", ["@connections", "%40connections"])
async def test_an_endpoint_may_end_with_a_slash(name):
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        assert (await caller.post(id, path=f"/socket//{name}/{id}")).status == 200
        assert await client.receive() == "hello"
        for path in (f"//socket/{name}/{id}", f"/socket/{name}//{id}", f"/socket///{name}/{id}"):
            assert (await caller.post(id, path=path)).status == 403
        caller.client.hang_up()


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_what_is_no_id_is_400(method):
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        _, id = await connected(node)
        altered = id[:3] + ("A" if id[3] != "A" else "B") + id[4:]
        for junk in ("junk", altered, id[:-1], id + "=", "a%22%0A%C3%A9", "%FF", "%253D", "x" * 500):
            answer = await caller.call(method, junk)
            kind, message = answer.headers["x-amzn-errortype"], json.loads(answer.body)["message"]
            assert (answer.status, kind) == (400, "BadRequestException")
            assert message.startswith("Invalid connectionId: ")
        assert json.loads((await caller.call(method, "a%22%3D")).body) == {"message": 'Invalid connectionId: a"='}
        caller.client.hang_up()


async def test_a_connection_of_another_api_is_gone():
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        for answer in (
            await caller.post(id, stage="other"),
            await caller.get(id, stage="other"),
            await caller.delete(id, stage="other"),
        ):
            assert answer.error == (410, "GoneException", None)
        await client.nothing()
        caller.client.hang_up()


@pytest.mark.parametrize("stage", ["nothing", "Socket", "socket%20", "%73ocket", ".."])
async def test_a_stage_that_is_not_there_is_forbidden(stage):
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        _, id = await connected(node)
        assert (await caller.post(id, stage=stage)).error == FORBIDDEN
        caller.client.hang_up()


@pytest.mark.parametrize(
    "path",
    [
        "/socket/@connections", "/socket/@connections/", "/socket/@connections/{id}/", "/socket/@connections/{id}/x", "//@connections/{id}",
        "/@connections/{id}", "/socket/x/@connections/{id}", "/socket/@connections//{id}", "/socket/@connectionsx/{id}",
        "/socket/%40connections", "/socket/@connections?{id}",
    ],
)  # fmt: skip
async def test_any_other_path_lacks_its_token(path):
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        _, id = await connected(node)
        assert (await caller.post(id, path=path.format(id=id))).error == UNSIGNED
        caller.client.hang_up()


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "HEAD"])
async def test_any_other_method_lacks_its_token(method):
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        if method == "HEAD":
            caller.client.send_bytes(
                f"HEAD /socket/@connections/{id} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            )
            await caller.client.closed()
            assert caller.client._raw.startswith(b"HTTP/1.1 403 Forbidden\r\n")
            assert caller.client._raw.endswith(b"\r\n\r\n")
        else:
            assert (await caller.call(method, id)).error == UNSIGNED
            caller.client.hang_up()
        await client.nothing()


def stages_of_one_api(connections, ids, management=None, admission=None):
    apis = [CompiledApi("chat", "34jmzjm04l", stage, None, {}, execute_arn=ARN) for stage in ("dev", "prod")]
    return Gateway(apis, ids, connections, management=management, admission=admission)


def managed(admission=None, verifier=None, connections=None, **how):
    """A gateway of one Api with two stages, and its connections."""
    ids = ConnectionIds(b"k" * 32)
    local = LocalConnections(ids.origin)
    admission = admission or Admission()
    management = Management(
        connections or local, local, ids.origin, verifier or Verifier(None, "us-east-1"), admission, **how
    )
    return stages_of_one_api(local, ids, management, admission), local


async def test_a_connection_is_reached_through_any_stage_of_its_api():
    gateway, local = managed()
    client = Client(gateway)
    await client.handshake("/dev")
    (id,) = local._sinks
    caller = Caller(Client(gateway))
    assert (await caller.post(id, b"cross-stage", stage="prod")).status == 200
    assert await client.receive() == "cross-stage"
    assert (await caller.delete(id, stage="prod")).status == 204
    assert (await client.closed()).reason == "Connection Closed Normally"
    assert (await caller.delete(id, stage="dev")).status == 410
    caller.client.hang_up()
    await gateway.close()


# Not for web pages, and not under any name.


@pytest.mark.parametrize(
    "header",
    [
        "Origin: http://localhost:8000",
        "Origin: null",
        "Origin: ",
        "Sec-Fetch-Site: same-origin",
        "SEC-FETCH-SITE: none",
    ],
)
async def test_a_web_page_is_refused_whoever_it_says_it_is(header):
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        for method in ("POST", "GET", "DELETE", "OPTIONS"):
            assert (await caller.call(method, id, b"", header)).error == FORBIDDEN
        await client.nothing()
        caller.client.hang_up()


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8000",
        "127.0.0.1:8000",
        "127.9.8.7",
        "[::1]",
        "[::1]:8000",
        "api.localhost",
        "34jmzjm04l.execute-api.x",
    ],
)
async def test_this_machine_and_the_apis_own_name_are_answered(host):
    gateway, _ = managed()
    caller = Caller(Client(gateway))
    assert (await caller.get("junk", stage="dev", host=host)).status == 400
    caller.client.hang_up()
    await gateway.close()


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "localhost.evil.example", "192.168.1.1", "10.0.0.1:8000", "execute-api.us-east-1.amazonaws.com", "128.0.0.1",
        "0.0.0.0", "[::2]", "34jmzjm04l.execute-apis.x", "other.example",
    ],
)  # fmt: skip
async def test_any_other_name_is_forbidden(host):
    gateway, _ = managed(hosts=["API.example"])
    caller = Caller(Client(gateway))
    assert (await caller.get("junk", stage="dev", host=host)).error == FORBIDDEN
    caller.client.hang_up()
    await gateway.close()


async def test_the_name_of_another_api_is_forbidden():
    gateway, _ = managed()
    caller = Caller(Client(gateway))
    for host in ("0000000000.execute-api.us-east-1.amazonaws.com", "0000000000.execute-api.us-east-1.localhost:8000"):
        assert (await caller.get("junk", stage="dev", host=host)).error == FORBIDDEN
    caller.client.hang_up()
    await gateway.close()


ELSEWHERE = "0000000000.execute-api.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("stage", "source_ip", "header", "status"),
    [("dev", "127.0.0.1", "X: 1", 400), ("other", "127.0.0.1", "X: 1", 403), ("dev", "203.0.113.7", "X: 1", 403)]
    + [("dev", "127.0.0.1", "Via: 1.1 a-proxy", 403), ("dev", "127.0.0.1", "Origin: http://localhost", 403)],
)
async def test_an_api_that_is_nowhere_here_may_be_taken_for_that_of_the_path_by_programs_of_this_machine(
    stage, source_ip, header, status
):
    gateway, _ = managed(foreign=True)
    caller = Caller(Client(gateway, source_ip=source_ip))
    assert (await caller.get("junk", header, stage=stage, host=ELSEWHERE)).status == status
    caller.client.hang_up()
    await gateway.close()


async def test_an_api_that_is_here_is_never_taken_for_another():
    gateway, _ = managed(foreign=True)
    second = replace(gateway.stages["prod"].api, api_id="bbbbbbbbbb", stage="second")
    gateway.stages["second"] = Stage(second)
    caller = Caller(Client(gateway))
    assert (await caller.get("junk", stage="dev", host=ELSEWHERE.replace("0", "b"))).status == 403
    caller.client.hang_up()
    await gateway.close()


async def test_of_two_apis_with_a_stage_of_one_name_the_host_says_which_is_meant():
    async with testing.node(program()) as node:
        stages = node.running.gateway.stages
        second = replace(stages["other"].api, api_id="bbbbbbbbbb", stage="socket")
        stages[by_host("bbbbbbbbbb", "socket")] = Stage(second)
        _, id = await connected(node, "other")
        caller = Caller(node.client())
        assert (await caller.post(id, b"x", host="bbbbbbbbbb.execute-api.us-east-1.amazonaws.com")).status == 200
        assert (await caller.post(id, b"x")).status == 410
        caller.client.hang_up()


# Who has to sign.


async def test_in_development_callers_of_this_machine_need_no_signature_and_any_is_taken():
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        client, id = await connected(node)
        for header in (
            "Authorization: AWS4-HMAC-SHA256 Credential=test/1/2/3/4, SignedHeaders=x, Signature=y",
            "Authorization: x",
        ):
            assert (await caller.post(id, b"x", header)).status == 200
            assert await client.receive() == "x"
        caller.client.hang_up()


@pytest.mark.parametrize("source_ip", ["203.0.113.7", "10.0.0.1", "::2", ""])
async def test_others_always_do(source_ip):
    async with testing.node(program()) as node:
        caller = Caller(node.client(source_ip=source_ip))
        _, id = await connected(node)
        assert (await caller.post(id)).error == UNSIGNED
        caller.client.hang_up()


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-For: 127.0.0.1",
        "Forwarded: for=127.0.0.1",
        "Via: 1.1 x",
        "X-Real-IP: ::1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: a",
    ],
)
async def test_so_do_those_for_whom_a_proxy_of_this_machine_calls(header):
    async with testing.node(program()) as node:
        caller = Caller(node.client())
        _, id = await connected(node)
        assert (await caller.post(id, b"x", header)).error == UNSIGNED
        caller.client.hang_up()


async def test_so_do_those_who_call_by_a_name_of_ours():
    gateway, _ = managed(hosts=["API.example"])
    caller = Caller(Client(gateway))
    assert (await caller.get("junk", stage="dev", host="api.EXAMPLE:8000")).error == UNSIGNED
    caller.client.hang_up()
    await gateway.close()


async def test_so_do_all_once_others_can_reach_the_door():
    admission = Admission()
    gateway, _ = managed(admission)
    admission.loopback = False
    caller = Caller(Client(gateway))
    assert (await caller.get("junk", stage="dev")).error == UNSIGNED
    caller.client.hang_up()
    await gateway.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
async def test_a_door_that_others_can_reach_is_not_opened_without_keys(host):
    gateway, _ = managed()
    with pytest.raises(ConfigurationError, match="calls to @connections must be signed; pass --keys FILE"):
        await gateway.listen(host, 0)
    assert not gateway._servers
    await gateway.close()
    gateway, _ = managed(verifier=Verifier([], "us-east-1"))
    gateway.management.check_public(host)
    await gateway.close()


# Signed calls.


def signed(method, id, body=b"", *, stage="dev", key_id=ID, secret=SECRET, region="us-east-1", service="execute-api", headers=None, host="127.0.0.1:8000"):  # fmt: skip
    """The headers of a call, as botocore signs it."""
    request = AWSRequest(method, f"http://{host}/{stage}/@connections/{id.replace('=', '%3D')}", headers or {}, body)
    botocore.auth.SigV4Auth(Credentials(key_id, secret), service, region).add_auth(request)
    return [f"{name}: {value}" for name, value in request.headers.items()]


class Signing(Caller):
    """Calls with a signature, after which something may be changed."""

    async def call(
        self, method, id, body=b"", *headers, stage="dev", host="127.0.0.1:8000", change=None, sent=None, **how
    ):
        lines = signed(method, id, body, stage=stage, host=host, **how)
        path = f"/{stage}/@connections/{id.replace('=', '%3D')}"
        call = {"method": method, "path": path, "body": body, "host": host, "lines": [*lines, *headers]} | (sent or {})
        if change is not None:
            call["lines"] = [changed for line in call["lines"] for changed in change(line)]
        return await super().call(
            call["method"], id, call["body"], *call["lines"], host=call["host"], path=call["path"]
        )


def lets(policy, **more):
    return Key(ID, SECRET, arn="arn:aws:iam::123456789012:user/me", policy=policy, **more)


def allow(resource, effect="Allow", action="execute-api:ManageConnections", **more):
    return {"Effect": effect, "Action": action, "Resource": resource} | more


def policy(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


async def verifying(*keys, **how):
    """A gateway where everybody signs, one client's id, and a caller."""
    verifier = Verifier(keys or [Key(ID, SECRET)], "us-east-1")
    gateway, local = managed(verifier=verifier, verifying=True, **how)
    client = Client(gateway)
    await client.handshake("/dev")
    (id,) = local._sinks
    return gateway, client, id, Signing(Client(gateway))


async def test_a_path_with_two_slashes_is_signed_with_one():
    gateway, client, id, caller = await verifying()
    path = f"/dev//@connections/{id.replace('=', '%3D')}"
    assert (await caller.post(id, sent={"path": path})).status == 200
    assert await client.receive() == "hello"
    await ended(gateway, caller)


async def ended(gateway, *callers):
    for caller in callers:
        caller.client.hang_up()
    await gateway.close()


def upper_case(line):
    name, _, value = line.partition(": ")
    if name != "Authorization":
        return [line]
    head, signature = value.rsplit("=", 1)
    return [f"{name}: {head}={signature.upper()}"]


@contextlib.contextmanager
def at(minutes):
    """What is signed meanwhile is signed so many minutes from now."""
    now = botocore.auth.get_current_datetime
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(botocore.auth, "get_current_datetime", lambda: now() + timedelta(minutes=minutes))
        yield


# The seventeen of a verifier: the first is taken, the others are refused.
MATRIX = {
    "a valid one": {},
    "a flipped byte of the body": {"sent": {"body": b"Hello"}},
    "a flipped letter of the path": {"flip": True},
    "a decoded path": {"decode": True},
    "another verb": {"sent": {"method": "GET"}},
    "six minutes old": {"minutes": -6},
    "six minutes early": {"minutes": 6},
    "another region": {"region": "eu-west-1"},
    "another service": {"service": "s3"},
    "an unsigned session token": {"more": ["X-Amz-Security-Token: x"]},
    "another host": {"sent": {"host": "localhost:8000"}},
    "an upper-case signature": {"change": upper_case},
    "no signed headers": {"change": lambda line: [line.replace("SignedHeaders=host;x-amz-date", "SignedHeaders=")]},
    "two Authorization headers": {"change": lambda line: [line] * (1 + line.startswith("Authorization"))},
    "a key of another api": {"key_id": "AKIDOTHER"},
    "an unsigned payload": {"headers": {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}},
    "a signature in the query too": {"query": True},
}


@pytest.mark.parametrize("name", MATRIX)
async def test_the_matrix_of_signatures(name):
    how = dict(MATRIX[name])
    other = Key("AKIDOTHER", SECRET, policy=policy(allow("arn:aws:execute-api:us-east-1:123456789012:0000000000/*")))
    gateway, client, id, caller = await verifying(Key(ID, SECRET), other)
    path, decoded = f"/dev/@connections/{id.replace('=', '%3D')}", f"/dev/@connections/{id}"
    if how.pop("flip", False):
        how["sent"] = {"path": path.replace("/dev/", "/prod/")}
    if how.pop("decode", False):
        how["sent"] = {"path": decoded}
    if how.pop("query", False):
        how["sent"] = {"path": f"{path}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=x"}
    more = how.pop("more", [])
    with at(how.pop("minutes", 0)):
        answer = await caller.post(id, b"hello", *more, **how)
    if name == "a valid one":
        assert answer.status == 200
        assert await client.receive() == "hello"
    else:
        # What two readers could take otherwise is refused before anybody looks at signatures.
        assert answer.status == (400 if name == "two Authorization headers" else 403)
        await client.nothing()
    await ended(gateway, caller)


async def test_every_call_is_verified_also_those_of_one_socket():
    gateway, client, id, caller = await verifying()
    assert (await caller.post(id)).status == 200
    assert (await caller.get(id)).status == 200
    assert (await caller.post(id, secret="wrong")).error[:2] == (403, "InvalidSignatureException")
    assert (await Caller.call(caller, "POST", id, b"x", stage="dev")).error == UNSIGNED
    assert (await caller.delete(id)).status == 204
    assert await client.receive() == "hello"
    await ended(gateway, caller)


async def test_a_signature_may_be_in_the_query():
    gateway, client, id, caller = await verifying()
    request = AWSRequest("DELETE", f"http://localhost/dev/@connections/{id.replace('=', '%3D')}")
    botocore.auth.SigV4QueryAuth(Credentials(ID, SECRET), "execute-api", "us-east-1", 60).add_auth(request)
    assert (await Caller.call(caller, "DELETE", id, path=request.url.removeprefix("http://localhost"))).status == 204
    assert (await client.closed()).code == 1000
    await ended(gateway, caller)


async def test_who_signs_may_call_from_anywhere_and_by_any_name_that_is_ours():
    gateway, _, id, caller = await verifying(hosts=["api.example"])
    for source_ip, host, headers in (
        ("203.0.113.7", "api.example", ["X-Forwarded-For: 192.0.2.1"]), ("127.0.0.1", "34jmzjm04l.execute-api.us-east-1.amazonaws.com", []),
    ):  # fmt: skip
        other = Signing(Client(gateway, source_ip=source_ip))
        assert (await other.get(id, *headers, host=host)).status == 200
        other.client.hang_up()
    assert (await caller.get(id, host="evil.example")).error == FORBIDDEN
    assert (await caller.get(id, "Origin: https://34jmzjm04l.execute-api.us-east-1.amazonaws.com")).error == FORBIDDEN
    await ended(gateway, caller)


# The order of errors.


async def test_an_id_is_looked_at_before_a_policy_and_after_a_signature():
    gateway, _, id, caller = await verifying(lets(policy()))
    assert (await caller.post("junk")).error == (400, "BadRequestException", {"message": "Invalid connectionId: junk"})
    assert (await caller.post(id)).error[:2] == (403, "AccessDeniedException")
    assert (await caller.post("junk", secret="wrong")).error[:2] == (403, "InvalidSignatureException")
    assert (await caller.post(id, stage="nothing")).error == FORBIDDEN
    await ended(gateway, caller)


async def test_whether_a_connection_is_gone_is_told_to_nobody_who_may_not_know():
    gateway, client, id, caller = await verifying(lets(policy()))
    await client.close()
    assert (await caller.get(id)).error[:2] == (403, "AccessDeniedException")
    await ended(gateway, caller)


# Policies.

API = f"{ARN}:34jmzjm04l"


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([allow(f"{API}/*")], {"POST", "GET", "DELETE"}),
        ([allow(f"{API}/dev/*")], {"POST", "GET", "DELETE"}),
        ([allow(f"{API}/dev/GET/@connections/*")], {"GET"}),
        ([allow(f"{API}/dev/POST/@connections/{{connectionId}}")], {"POST"}),
        ([allow([f"{API}/dev/GET/@connections", f"{API}/dev/POST/@connections"])], set()),
        ([allow(f"{API}/other/*")], set()),
        ([allow("arn:aws:execute-api:us-east-1:123456789012:0000000000/*")], set()),
        ([allow("arn:aws:execute-api:us-east-1:000000000000:34jmzjm04l/*")], set()),
        ([allow(f"{API}/*", action="execute-api:Invoke")], set()),
        ([allow(f"{API}/*"), allow(f"{API}/*/DELETE/*", "Deny")], {"POST", "GET"}),
        ([allow("*", Condition={"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}})], {"POST", "GET", "DELETE"}),
        ([allow("*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})], set()),
        ([allow("*", Condition={"StringLike": {"aws:UserAgent": "tea*"}})], set()),
        (
            [allow("*", Condition={"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}})],
            {"POST", "GET", "DELETE"},
        ),
        ([allow("*", Condition={"NumericLessThan": {"aws:EpochTime": "1600000000"}})], set()),
        ([allow("*", Condition={"Fancy": {"aws:SourceIp": "127.0.0.1"}})], set()),
    ],
)
async def test_a_policy_says_what_its_key_may_do(statements, allowed):
    gateway, _, id, caller = await verifying(lets(policy(*statements)))
    statuses = {method: (await caller.call(method, id)).status for method in ("POST", "GET", "DELETE")}
    assert {method for method, status in statuses.items() if status < 300} == allowed
    assert {status for status in statuses.values() if status >= 300} <= {403}
    await ended(gateway, caller)


async def test_a_policy_that_names_the_very_connection_does_not_allow_it():
    resources = [f"{API}/dev/GET/*"]
    gateway, client, id, caller = await verifying(lets(policy(allow(resources))))
    resources.append(f"{API}/dev/POST/@connections/{id}")
    assert (await caller.post(id)).error[:2] == (403, "AccessDeniedException")
    await client.nothing()
    await ended(gateway, caller)


async def test_a_policy_is_asked_about_the_stage_of_the_url():
    gateway, client, id, caller = await verifying(lets(policy(allow(f"{API}/prod/*"))))
    assert (await caller.post(id, stage="prod")).status == 200
    assert (await caller.post(id, stage="dev")).status == 403
    assert await client.receive() == "hello"
    await client.nothing()
    await ended(gateway, caller)


async def test_who_may_not_is_told_in_iams_words_with_the_account_masked():
    gateway, _, id, caller = await verifying(lets(policy(allow("*"), allow(f"{API}/dev/GET/*", "Deny"))))
    assert (await caller.get(id)).error == (
        403, "AccessDeniedException",
        {
            "Message": "User: arn:aws:iam::123456789012:user/me is not authorized to perform: execute-api:ManageConnections on "
            "resource: arn:aws:execute-api:us-east-1:********9012:34jmzjm04l/dev/GET/@connections/{connectionId} "
            "with an explicit deny in an identity-based policy"
        },
    )  # fmt: skip
    await ended(gateway, caller)


# Connections that are elsewhere.


class Elsewhere:
    """A seam whose connections are on another node."""

    def __init__(self, error=None, *, there=True):
        self.error = error
        self.there = there
        self.asked = []

    async def _answer(self, *asked):
        self.asked.append(asked)
        await asyncio.sleep(0.5)
        if self.error is not None:
            raise self.error
        return self.there

    async def send(self, api, connection_id, data):
        return await self._answer("send", api, connection_id, data)

    async def close(self, api, connection_id, code, reason):
        return await self._answer("close", api, connection_id, code, reason)

    async def info(self, api, connection_id):
        found = await self._answer("info", api, connection_id)
        at = datetime.fromisoformat("2026-09-25T00:22:29.887+00:00")
        return ConnectionInfo(at, at, "203.0.113.50", None) if found else None


async def test_a_connection_of_another_node_is_reached_through_the_seam():
    seam = Elsewhere()
    gateway, _ = managed(connections=seam)
    caller, id = Caller(Client(gateway)), gateway.ids.new()
    assert (await caller.post(id, b"h\xff", stage="dev")).status == 200
    assert b'"sourceIp" : "203.0.113.50"' in (await caller.get(id, stage="prod")).body
    assert (await caller.delete(id, stage="dev")).status == 204
    assert seam.asked == [
        ("send", "chat", id, "h\ufffd"), ("info", "chat", id), ("close", "chat", id, 1000, "Connection Closed Normally"),
    ]  # fmt: skip
    await ended(gateway, caller)


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (None, 410, "GoneException"), (Unreachable("x"), 503, "ServiceUnavailableException"), (SlowConsumer("x"), 429, "LimitExceededException"),
        (Throttled("x"), 429, "LimitExceededException"), (MessageTooLarge("x"), 413, None), (OSError("a secret"), 500, "InternalServerErrorException"),
    ],
)  # fmt: skip
async def test_what_another_node_says_is_answered(method, error, status, kind, caplog):
    gateway, _ = managed(connections=Elsewhere(error, there=False))
    caller = Caller(Client(gateway))
    answer = await caller.call(method, gateway.ids.new(), stage="dev")
    assert answer.error[:2] == (status, kind)
    assert b"secret" not in answer.body
    assert ("a secret" in caplog.text) == (status == 500)
    await ended(gateway, caller)


async def test_calls_of_one_socket_are_answered_in_their_order_wherever_their_connections_are():
    gateway, local = managed(connections=Elsewhere())
    client = Client(gateway)
    await client.handshake("/dev")
    (here,) = local._sinks
    caller = Caller(Client(gateway))
    raw = "".join(
        f"GET /dev/@connections/{id} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for id in (here, gateway.ids.new(), here, "junk", here)
    )
    caller.client.send_bytes(raw.encode())
    answers = [await caller.answer() for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 400, 200]
    assert ["203.0.113.50" in answer.body.decode() for answer in answers] == [False, True, False, False, False]
    await ended(gateway, caller)


async def test_a_caller_that_leaves_is_answered_no_more():
    seam = Elsewhere()
    gateway, _ = managed(connections=seam)
    caller = Caller(Client(gateway))
    caller.client.send_bytes(
        f"GET /dev/@connections/{gateway.ids.new()} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 2
    )
    await asyncio.sleep(0.1)
    caller.client.vanish()
    await asyncio.sleep(5)
    assert len(seam.asked) == 1
    assert not gateway.doors
    await gateway.close()


# What is a call at all.


@pytest.mark.parametrize("path", ["/a/@connections/b", "/a/%40connections/b", "/@connections", "/a/b/@connections/"])
def test_whatever_looks_like_one_is_one(path):
    assert is_management(path)


@pytest.mark.parametrize("path", ["/", "/a", "/a/connections/b", "/a@connections/b", "/a/%4connections/b"])
def test_other_paths_are_none(path):
    assert not is_management(path)


async def test_at_the_admin_address_there_is_no_such_thing():
    gateway, local = managed()
    client = Client(gateway)
    await client.handshake("/dev")
    (id,) = local._sinks
    caller = Caller(Client(gateway))
    caller.client._transport.set_protocol(door := Acceptor(gateway, gateway.answer_admin, upgrades=False))
    door.connection_made(caller.client._transport)
    assert (await caller.post(id, stage="dev")).status == 404
    await client.nothing()
    await ended(gateway, caller)


async def test_a_call_that_fails_in_our_own_code_is_500_and_the_socket_stays(monkeypatch, caplog):
    gateway, local = managed()
    caller = Caller(Client(gateway))
    monkeypatch.setattr(local, "find", lambda *_: 1 / 0)
    for _ in range(2):
        assert (await caller.get("x", stage="dev")).status == 500
    assert caplog.text.count("ZeroDivisionError") == 2
    await ended(gateway, caller)


def test_the_limit_of_a_message_is_that_of_a_body():
    assert limits.MESSAGE_BYTES == 131_072
