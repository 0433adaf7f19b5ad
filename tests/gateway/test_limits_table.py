"""Every number of API Gateway's quotas at its boundary: what is just taken, and what becomes of one more."""

import asyncio
import json

import pytest

from trunkline import DeclarationError, limits, testing, websocket
from trunkline.config import Settings
from trunkline.model.api import Authorization, CompiledAuthorizer, Rate
from trunkline.model.authorization import read_authorizer_output
from trunkline.resources.application import Application
from trunkline.wire.frames import OP_CONTINUATION, OP_TEXT, encode_frame

MASK = b"\1\2\3\4"
KIB = 1024


@pytest.fixture
def socket():
    """It says how long what came was, on any route."""
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        return str(len(ctx.req.data))

    return socket


def identity(client):
    return client._transport.get_protocol()._identity


async def call(node, client, method, body=b""):
    """Call @connections about a client; the status."""
    caller = node.client()
    head = f"{method} /socket/@connections/{identity(client).connection_id} HTTP/1.1"
    caller.send_bytes(f"{head}\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    status, headers, answer = await caller.response()
    return status, answer


async def is_open(client):
    await client.send("hello")
    return await client.receive() == "5"


# Sizes.


@pytest.mark.parametrize(("size", "taken"), [(32_768, True), (32_769, False)])
async def test_a_frame_has_32768_bytes_at_most_and_a_larger_one_closes_with_1009(socket, size, taken):
    async with testing.node([socket]) as node:
        client = await node.connect("socket")
        client.send_bytes(encode_frame(OP_TEXT, b"x" * size, mask=MASK))
        if taken:
            assert await client.receive() == str(size)
            assert await is_open(client)
        else:
            assert (await client.closed()).code == 1009


@pytest.mark.parametrize(("more", "taken"), [(b"", True), (b"x", False)])
async def test_a_message_in_fragments_has_131072_bytes_at_most_and_a_larger_one_closes_with_1009(socket, more, taken):
    async with testing.node([socket]) as node:
        client = await node.connect("socket")
        pieces = [b"x" * 32 * KIB] * 4 + [more]
        for n, piece in enumerate(pieces):
            opcode = OP_CONTINUATION if n else OP_TEXT
            client.send_bytes(encode_frame(opcode, piece, fin=n == len(pieces) - 1, mask=MASK))
        if taken:
            assert await client.receive() == "131072"
            assert await is_open(client)
        else:
            assert (await client.closed()).code == 1009


async def test_the_disconnect_handler_is_told_of_1009(socket):
    told = []

    @socket.on("disconnect")
    async def disconnect(ctx):
        told.append((ctx.req.close_code, ctx.req.close_reason))

    async with testing.node([socket]) as node:
        client = await node.connect("socket")
        client.send_bytes(encode_frame(OP_TEXT, b"x" * 32_769, mask=MASK))
        await client.closed()
    assert told == [(1009, "Message too long")]


@pytest.mark.parametrize(("size", "status"), [(131_072, 200), (131_073, 413)])
async def test_a_post_has_131072_bytes_at_most_and_a_larger_one_is_413_and_its_connection_stays(socket, size, status):
    async with testing.node([socket]) as node:
        client = await node.connect("socket")
        assert await call(node, client, "POST", b"x" * size) == (status, b"")
        if status == 200:
            assert await client.receive() == "x" * size
        assert await is_open(client)


# Times.


@pytest.mark.parametrize(
    ("what", "resets"), [("message", True), ("ping", True), ("POST", True), ("GET", False), ("nothing", False)]
)
async def test_a_connection_idle_for_600_seconds_closes_with_1001_and_all_but_get_begin_the_time_anew(
    socket, what, resets
):
    async with testing.node([socket]) as node:
        loop = asyncio.get_running_loop()
        client, began = await node.connect("socket"), loop.time()
        await asyncio.sleep(500)
        if what == "message":
            assert await is_open(client)
        elif what == "ping":
            await client.ping()
        elif what != "nothing":
            assert (await call(node, client, what))[0] == 200
        closed = await client.closed(timeout=2000)
        assert (closed.code, closed.reason) == (1001, "Going away")
        assert loop.time() - began == pytest.approx(1100 if resets else 600, abs=1.1)


async def test_a_connection_lives_7200_seconds_and_closes_with_1001_whatever_happens_on_it(socket):
    async with testing.node([socket]) as node:
        loop = asyncio.get_running_loop()
        client, began = await node.connect("socket"), loop.time()
        for _ in range(14):
            await asyncio.sleep(500)
            assert await is_open(client)
        closed = await client.closed(timeout=600)
        assert (closed.code, closed.reason) == (1001, "Going away")
        assert loop.time() - began == pytest.approx(7200, abs=1.1)


@pytest.mark.parametrize(("seconds", "taken"), [(28.9, True), (31, False)])
async def test_a_handler_has_29_seconds_and_then_its_client_is_told(seconds, taken):
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        if ctx.req.data == "slow":
            await asyncio.sleep(seconds)
        return str(len(ctx.req.data))

    async with testing.node([socket]) as node:
        client = await node.connect("socket", timeout=40)
        await client.send("slow")
        answer = await client.receive()
        if taken:
            assert answer == "4"
        else:
            assert json.loads(answer)["message"] == "Endpoint request timed out"
        assert await is_open(client)


@pytest.mark.parametrize(("seconds", "status"), [(28.9, 101), (31, 504)])
async def test_a_connect_handler_has_29_seconds_and_then_the_handshake_is_504(seconds, status):
    socket = websocket("socket")

    @socket.on("connect")
    async def connect(ctx):
        await asyncio.sleep(seconds)

    async with testing.node([socket]) as node:
        if status == 101:
            await node.connect("socket", timeout=40)
            return
        with pytest.raises(testing.Refused) as caught:
            await node.connect("socket", timeout=40)
        assert caught.value.status == status
        assert json.loads(caught.value.body)["message"] == "Endpoint request timed out"


# The request.


@pytest.mark.parametrize(("size", "status"), [(4096, 101), (4097, 414)])
async def test_a_url_has_4096_characters_at_most_and_a_longer_one_is_414(socket, size, status):
    async with testing.node([socket]) as node:
        query = "x" * (size - len("/socket?q="))
        try:
            await node.connect("socket", query={"q": query})
            got = 101
        except testing.Refused as refused:
            got = refused.status
        assert got == status


@pytest.mark.parametrize(
    ("like", "size", "status"), [("aws", 10_240, 101), ("aws", 10_241, 431), ("none", 10_241, 101)]
)
async def test_the_headers_of_a_handshake_have_10240_bytes_at_most_like_aws(socket, like, size, status):
    async with testing.node([socket], settings=Settings(like=like)) as node:
        client = node.client()
        lines = [
            "host: localhost", "upgrade: websocket", "connection: upgrade", "sec-websocket-version: 13",
            "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==", "cookie: ",
        ]  # fmt: skip
        lines[-1] += "x" * (size - sum(len(line) + 2 for line in lines))
        client.send_bytes("\r\n".join(["GET /socket HTTP/1.1", *lines, "", ""]).encode())
        assert (await client.response())[0] == status


# What is declared.


@pytest.mark.parametrize("name", ["a", "Z_-9", "x" * 128])
def test_a_stage_has_1_to_128_letters_digits_underscores_and_hyphens(name):
    assert websocket(name).name == name


@pytest.mark.parametrize("name", ["", "x" * 129, "a.b", "a b", "$default", "é", "a/b"])
def test_another_name_of_a_stage_is_refused(name):
    with pytest.raises(DeclarationError, match=r"a name is 1 to 128 letters, digits, '_' and '-'"):
        websocket(name)


@pytest.mark.parametrize(("count", "taken"), [(300, True), (301, False)])
def test_an_api_has_300_routes_at_most(count, taken):
    socket = websocket("socket")
    for n in range(count):

        @socket.on("message", route=f"route{n}")
        async def message(ctx): ...

    if taken:
        assert len(Application.of([socket]).handlers["socket"]) == 300
    else:
        with pytest.raises(DeclarationError, match="has 301 routes; the limit is 300"):
            Application.of([socket])


# An authorizer's answer.


@pytest.mark.parametrize(("size", "status"), [(8192, 101), (8193, 500)])
async def test_an_authorizer_answers_8192_bytes_at_most_and_more_is_500(size, status):
    async def decide(event) -> Authorization:
        statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*"}
        answer = {
            "principalId": "ann",
            "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
            "context": {"pad": ""},
        }
        answer["context"]["pad"] = "x" * (size - len(json.dumps(answer)))
        return read_authorizer_output(json.dumps(answer).encode(), event)

    async with testing.lambda_node({}, stage="socket", authorizer=CompiledAuthorizer(decide)) as node:
        try:
            await node.connect("socket")
            got = 101
        except testing.Refused as refused:
            got = refused.status
        assert got == status


# Rates. How they count is in test_throttling.py; these are the three reactions, at AWS's own numbers.


async def test_of_501_handshakes_at_once_the_last_is_429(socket):
    async with testing.node([socket], settings=Settings(quotas="aws")) as node:
        for _ in range(500):
            await node.connect("socket")
        with pytest.raises(testing.Refused) as caught:
            await node.connect("socket")
        assert caught.value.status == 429
        assert json.loads(caught.value.body).keys() == {"message", "connectionId", "requestId"}
        assert json.loads(caught.value.body)["message"] == "Too Many Requests"
        await asyncio.sleep(0.002)  # a five hundredth of a second
        await node.connect("socket")


async def test_of_5001_requests_at_once_the_last_is_told_too_many_requests_and_a_call_is_429(socket):
    async with testing.node([socket], settings=Settings(quotas="aws")) as node:
        client = await node.connect("socket")  # the first
        for _ in range(4999):
            await client.send("x")
        assert [await client.receive() for _ in range(4999)] == ["1"] * 4999
        await client.send("x")
        assert json.loads(await client.receive())["message"] == "Too Many Requests"
        status, body = await call(node, client, "POST")
        assert (status, json.loads(body)) == (429, {"message": "Too Many Requests"})
        await asyncio.sleep(1)  # 10,000 a second, and the bucket holds 5,000
        for _ in range(5001):
            await client.send("x")
        answers = [await client.receive() for _ in range(5001)]
        assert answers[:5000] == ["1"] * 5000
        assert json.loads(answers[5000])["message"] == "Too Many Requests"


async def test_a_stage_and_a_route_may_have_rates_of_their_own(socket):
    @socket.on("message", route="bid")
    async def bid(ctx):
        return "bid"

    rates = {"socket.socket": Rate(1, 4), "socket.socket.bid": Rate(1, 1)}
    async with testing.node([socket], settings=Settings(rate=rates)) as node:
        client = await node.connect("socket")
        for text in ('{"action":"bid"}', '{"action":"bid"}', "x"):
            await client.send(text)
        answers = [await client.receive() for _ in range(3)]
        assert answers[0::2] == ["bid", "1"]
        assert json.loads(answers[1])["message"] == "Too Many Requests"
        assert (await call(node, client, "POST"))[0] == 200
        assert (await call(node, client, "POST"))[0] == 429


# The numbers themselves.


def test_the_numbers_are_those_of_the_quotas():
    assert (limits.FRAME_BYTES, limits.MESSAGE_BYTES) == (32 * KIB, 128 * KIB)
    assert (limits.IDLE_SECONDS, limits.LIFETIME_SECONDS, limits.HANDLER_SECONDS) == (600, 7200, 29)
    assert (limits.URL_BYTES, limits.AWS_HEADER_BYTES, limits.AUTHORIZER_BYTES) == (4096, 10_240, 8 * KIB)
    assert (limits.CONNECTS_PER_SECOND, limits.REQUESTS_PER_SECOND, limits.REQUESTS_BURST) == (500, 10_000, 5_000)
    assert limits.ROUTES == 300
