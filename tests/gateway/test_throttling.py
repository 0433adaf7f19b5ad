"""Rates: what is refused beyond them, how it is told, and to the one how many are taken; all in virtual time."""

import asyncio
import json
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import ConfigurationError, testing, websocket
from trunkline.config import Settings
from trunkline.gateway.throttling import _MANY, AWS_RATES, Bucket, _Addresses
from trunkline.model.api import Rate

IDS = r'"connectionId":"([\w-]{18}==)", "requestId":"([\w-]{15}=)"'


def settings(**rates):
    """Rates by name, with `_` for a dot, as "PER_SECOND/BURST"."""
    return Settings(rate={name.replace("_", "."): rate(text) for name, text in rates.items()})


def rate(text):
    per_second, _, burst = text.partition("/")
    return Rate(float(per_second), int(burst))


def echoing(name="socket"):
    socket = websocket(name)

    @socket.on("message")
    async def message(ctx):
        return ctx.req.data

    return socket


def is_throttled(text):
    return re.fullmatch(r'\{"message": "Too Many Requests", ' + IDS + r"\}", text)


async def outcomes(client, texts):
    """What became of messages that were sent at once: the answer of each, None for one that was throttled."""
    for text in texts:
        await client.send(text)
    answers = [await client.receive() for _ in texts]
    return [None if is_throttled(answer) else answer for answer in answers]


async def echoed(client, count):
    """How many of so many messages sent at once come back."""
    return count - (await outcomes(client, ["x"] * count)).count(None)


async def accepted(node, count, socket="socket", **how):
    """How many of so many handshakes at once are accepted."""
    taken = 0
    for _ in range(count):
        try:
            await node.connect(socket, **how)
            taken += 1
        except testing.Refused as refused:
            assert refused.status == 429
    return taken


async def call(node, client, method, *headers, socket="socket"):
    """Call @connections about a client: status, kind of error, body."""
    connection = client._transport.get_protocol()._identity.connection_id
    caller = node.client()
    first = f"{method} /{socket}/@connections/{connection} HTTP/1.1"
    caller.send_bytes("\r\n".join([first, "host: localhost", "content-length: 0", *headers, "", ""]).encode())
    status, headers, body = await caller.response()
    return status, dict(headers).get("x-amzn-errortype"), json.loads(body) if body else None


# Buckets.


def test_a_bucket_has_its_burst_at_once_and_then_its_rate():
    bucket, now, taken = Bucket(Rate(10, 5)), 1000.0, []
    for _ in range(1000):
        if bucket.has_one(now):
            bucket.take(now)
            taken.append(now)
        now += 0.01
    assert taken[:5] == pytest.approx([1000, 1000.01, 1000.02, 1000.03, 1000.04])
    # In ten seconds a rate of ten gives a hundred, the last of which comes when they are over.
    assert len(taken) == 5 + 99


def test_a_bucket_that_rests_is_full_and_no_fuller():
    bucket = Bucket(Rate(10, 5))
    for now in (0.0, 1000.0):
        assert bucket.is_full(now)
        for _ in range(5):
            assert bucket.has_one(now)
            bucket.take(now)
        assert not bucket.has_one(now)
        assert not bucket.is_full(now + 0.49)


@pytest.mark.parametrize("rate", [Rate(0, 5), Rate(5, 0), Rate(0, 0)])
def test_a_rate_or_a_burst_of_zero_takes_nothing(rate):
    bucket = Bucket(rate)
    assert not any(bucket.has_one(now) for now in (0.0, 1.0, 1e9))


@given(
    per_second=st.integers(1, 10_000),
    burst=st.integers(1, 20),
    waits=st.lists(st.integers(0, 50), min_size=1, max_size=200),
)
def test_a_bucket_takes_what_an_exact_one_takes(per_second, burst, waits):
    # Time goes in tenths of what one token needs, so that floating seconds are never exact.
    bucket, now, tokens = Bucket(Rate(per_second, burst)), 1000.0, Fraction(burst)
    for wait in waits:
        now += wait / 10 / per_second
        tokens = min(tokens + Fraction(wait, 10), Fraction(burst))
        assert bucket.has_one(now) == (tokens >= 1)
        if tokens >= 1:
            bucket.take(now)
            tokens -= 1


def test_aws_numbers_are_500_connects_and_10000_requests_with_a_bucket_of_5000():
    assert AWS_RATES == {"connects": Rate(500, 500), "requests": Rate(10_000, 5_000)}


# Messages.


async def test_a_message_beyond_the_rate_is_told_too_many_requests_and_its_connection_stays_open():
    async with testing.node([echoing()], settings=settings(requests="1/3")) as node:
        client = await node.connect("socket")  # a request, too
        await client.send("one")
        await client.send("two")
        await client.send("three")
        assert [await client.receive(), await client.receive()] == ["one", "two"]
        told = await client.receive()
        found = is_throttled(told)
        assert found, told
        assert found[1] == client._transport.get_protocol()._identity.connection_id
        await asyncio.sleep(1)
        await client.send("four")
        assert await client.receive() == "four"


async def test_a_message_that_is_refused_reaches_no_handler_and_the_others_stay_in_order():
    socket, handled = websocket("socket"), []

    @socket.on("message")
    async def message(ctx):
        handled.append(ctx.req.data)
        return ctx.req.data

    async with testing.node([socket], settings=settings(address_messages="1/3")) as node:
        client = await node.connect("socket")
        assert await outcomes(client, "abcde") == ["a", "b", "c", None, None]
        await asyncio.sleep(2)
        assert await outcomes(client, "fgh") == ["f", "g", None]
        assert handled == ["a", "b", "c", "f", "g"]


async def test_a_flood_gets_the_burst_and_the_rate_of_its_seconds():
    async with testing.node([echoing()], settings=settings(address_messages="10/5")) as node:
        client = await node.connect("socket")
        taken = 0
        for _ in range(100):  # ten seconds of 100 a second
            taken += await echoed(client, 10)
            await asyncio.sleep(0.1)
        assert taken == 5 + 99


async def test_the_rate_of_the_node_is_that_of_all_its_sockets_and_clients_together():
    sockets = [echoing("first"), echoing("second")]
    async with testing.node(sockets, settings=settings(requests="1/10")) as node:
        clients = [await node.connect(name) for name in ("first", "first", "second")]
        assert [await echoed(client, 3) for client in clients] == [3, 3, 1]


async def test_a_message_that_no_route_takes_counts_and_is_told_too_many_requests_beyond_the_rate():
    socket = websocket("socket")

    @socket.on("message", route="bid")
    async def bid(ctx):
        return "taken"

    async with testing.node([socket], settings=settings(requests="1/3")) as node:
        client = await node.connect("socket")
        told = []
        for text in ("what?", '{"action":"bid"}', "what?", '{"action":"bid"}'):
            await client.send(text)
            told.append(await client.receive())
        assert json.loads(told[0])["message"] == "Forbidden"
        assert told[1] == "taken"
        assert is_throttled(told[2])
        assert is_throttled(told[3])


async def test_a_socket_has_a_rate_of_its_own():
    sockets = [echoing("first"), echoing("second")]
    rates = Settings(rate={"socket.first": Rate(1, 3)})
    async with testing.node(sockets, settings=rates) as node:
        first, second = await node.connect("first"), await node.connect("second")
        assert await echoed(first, 10) == 2
        assert await echoed(second, 10) == 10


async def test_a_route_has_a_rate_of_its_own_and_the_others_have_none():
    socket = websocket("socket")

    @socket.on("message", route="bid.up=now")
    async def bid(ctx):
        return "taken"

    @socket.on("message")
    async def anything(ctx):
        return ctx.req.data

    rates = Settings(rate={"socket.socket.bid.up=now": Rate(1, 2)})
    async with testing.node([socket], settings=rates) as node:
        client = await node.connect("socket")
        assert await outcomes(client, ['{"action":"bid.up=now"}'] * 4) == ["taken", "taken", None, None]
        assert await echoed(client, 20) == 20
        api = node.running.gateway.stages["socket"].api
        assert api.routes["$default"].throttle is api.handshakes is api.messages is api.calls is None


async def test_the_stage_and_a_route_of_functions_have_rates_of_their_own():
    routes = {"bid": {"statusCode": 200, "body": "taken"}, "$default": {"statusCode": 200, "body": "x"}}
    functions = {key: lambda event, context, answer=answer: answer for key, answer in routes.items()}
    rates = {"socket.test": Rate(1, 5), "socket.test.bid": Rate(1, 1)}
    async with testing.lambda_node(functions, two_way=functions, rates=rates) as node:
        client = await node.connect("test")
        bids = await outcomes(client, ['{"action":"bid"}'] * 3)
        assert sorted(bids, key=str) == [None, None, "taken"]
        assert await echoed(client, 10) == 3  # of the stage's five, the handshake and one bid had theirs


async def test_without_rates_nothing_is_counted():
    async with testing.node([echoing()]) as node:
        api = node.running.gateway.stages["socket"].api
        assert api.routes["$default"].throttle is api.handshakes is api.messages is api.calls is None
        client = await node.connect("socket")
        assert await echoed(client, 100) == 100


async def test_a_disconnect_is_never_refused():
    socket, ended = websocket("socket"), []

    @socket.on("disconnect")
    async def disconnect(ctx):
        ended.append(ctx.req.connection_id)

    async with testing.node([socket], settings=settings(requests="0.001/2", connects="0.001/2")) as node:
        clients = [await node.connect("socket") for _ in range(2)]
        for client in clients:
            await client.close()
    assert len(ended) == 2


@pytest.mark.parametrize(
    "name", ["socket.other", "socket.socket.bid", "socket.socket.$disconnect", "socket.socket.$connect"]
)
async def test_a_rate_of_nothing_that_the_program_has_is_refused_by_name(name):
    socket = echoing()

    @socket.on("disconnect")
    async def disconnect(ctx): ...

    with pytest.raises(ConfigurationError) as caught:
        async with testing.node([socket], settings=Settings(rate={name: Rate(1, 1)})):
            pass
    assert str(caught.value) == (
        f"rate {name!r} is of nothing that this program has; there are socket.socket, socket.socket.$default"
    )


# Handshakes.


async def test_a_handshake_beyond_the_rate_is_429_in_api_gateways_words_and_no_handler_runs():
    socket, came = websocket("socket"), []

    @socket.on("connect")
    async def connect(ctx):
        came.append(ctx.req.connection_id)

    async with testing.node([socket], settings=settings(connects="2/1")) as node:
        await node.connect("socket")
        with pytest.raises(testing.Refused) as caught:
            await node.connect("socket")
        refused, headers = caught.value, caught.value.headers
        found = re.fullmatch(r'\{"message": "Too Many Requests", ' + IDS + r"\}", refused.body.decode())
        assert refused.status == 429
        assert (headers["content-type"], headers["x-amz-apigw-id"]) == ("application/json; charset=UTF-8", found[2])
        node.running.gateway.ids.origin(found[1])  # one of this node's
        assert len(came) == 1
        await asyncio.sleep(0.5)
        await node.connect("socket")


async def test_connects_of_a_node_are_counted_over_all_its_sockets():
    sockets = [echoing("first"), echoing("second")]
    async with testing.node(sockets, settings=settings(connects="2/5")) as node:
        assert await accepted(node, 4, "first") + await accepted(node, 4, "second") == 5
        await asyncio.sleep(1)
        assert await accepted(node, 8, "second") == 2


async def test_a_handshake_that_cannot_be_counts_against_no_rate():
    async with testing.node([echoing()], settings=settings(connects="0.001/1")) as node:
        for socket, headers in (("nothing", {}), ("socket", {"origin": "https://elsewhere.example"})):
            with pytest.raises(testing.Refused) as caught:
                await node.connect(socket, headers=headers)
            assert caught.value.status == 403
        assert await accepted(node, 3) == 1


async def test_a_handshake_is_a_request_and_the_connect_route_may_have_its_rate():
    socket = echoing()

    @socket.on("connect")
    async def connect(ctx): ...

    async with testing.node([socket], settings=settings(requests="1/3")) as node:
        assert await accepted(node, 5) == 3
    async with testing.node([socket], settings=Settings(rate={"socket.socket.$connect": Rate(1, 2)})) as node:
        assert await accepted(node, 5) == 2
        await asyncio.sleep(1)
        client = await node.connect("socket")
        assert await echoed(client, 10) == 10


async def test_a_refused_client_may_try_again_on_a_new_socket_only():
    async with testing.node([echoing()], settings=settings(connects="1/1")) as node:
        await node.connect("socket")
        client = node.client()
        with pytest.raises(testing.Refused):
            await client.handshake("/socket")
        await asyncio.sleep(5)
        assert client._ended
        assert not node.running.gateway.doors


# Calls to @connections.


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_a_call_beyond_the_rate_is_429_and_its_connection_stays_open(method):
    async with testing.node([echoing()], settings=settings(requests="1/2")) as node:
        client = await node.connect("socket")
        assert (await call(node, client, "POST"))[0] == 200
        assert await call(node, client, method) == (429, "LimitExceededException", {"message": "Too Many Requests"})
        assert await client.receive() == ""
        await asyncio.sleep(1)
        await client.send("still here")
        assert await client.receive() == "still here"


async def test_a_call_that_nobody_may_make_counts_against_no_rate():
    async with testing.node([echoing()], settings=settings(requests="0.001/2")) as node:
        client = await node.connect("socket")
        for _ in range(5):
            assert (await call(node, client, "POST", "origin: https://elsewhere.example"))[0] == 403
        assert await echoed(client, 3) == 1


async def test_calls_of_a_socket_are_not_those_of_a_client():
    async with testing.node([echoing()], settings=settings(address_messages="1/1")) as node:
        client = await node.connect("socket")
        assert [(await call(node, client, "POST"))[0] for _ in range(5)] == [200] * 5


# One address.


async def test_a_client_that_floods_uses_up_nobodys_budget_but_its_own():
    chosen = settings(address_messages="5/10", requests="100/200")
    async with testing.node([echoing()], settings=chosen) as node:
        flooder = await node.connect("socket", source_ip="10.0.0.66")
        others = [await node.connect("socket", source_ip=f"10.0.0.{n}") for n in range(1, 11)]
        taken = await echoed(flooder, 1000)
        # Nor does it use up what all have together: what its own rate refused counts against no other.
        assert [await echoed(other, 10) for other in others] == [10] * 10
        for _ in range(10):
            await asyncio.sleep(1)
            taken += await echoed(flooder, 1000)
            assert [await echoed(other, 5) for other in others] == [5] * 10
        assert taken == 10 + 5 * 10


async def test_a_client_that_connects_too_often_keeps_nobody_else_out():
    chosen = settings(address_connects="1/3", connects="100/100")
    async with testing.node([echoing()], settings=chosen) as node:
        assert await accepted(node, 50, source_ip="10.0.0.66") == 3
        assert [await accepted(node, 4, source_ip=f"10.0.0.{n}") for n in range(1, 11)] == [3] * 10
        await asyncio.sleep(2)
        assert await accepted(node, 50, source_ip="10.0.0.66") == 2


async def test_messages_of_all_connections_of_an_address_are_counted_together():
    async with testing.node([echoing()], settings=settings(address_messages="1/10")) as node:
        clients = [await node.connect("socket", source_ip="10.0.0.1") for _ in range(4)]
        assert [await echoed(client, 4) for client in clients] == [4, 4, 2, 0]


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
    ],
)
async def test_an_address_is_an_ipv4_address_or_an_ipv6_network_of_64_bits(one, other, together):
    async with testing.node([echoing()], settings=settings(address_messages="1/2", address_connects="1/2")) as node:
        first, second = [await node.connect("socket", source_ip=address) for address in (one, other)]
        assert await echoed(first, 2) == 2
        assert await echoed(second, 2) == (0 if together else 2)
        assert await accepted(node, 1, source_ip=one) == (0 if together else 1)


async def test_behind_a_proxy_the_address_is_the_clients():
    chosen = Settings(rate={"address.connects": Rate(1, 1), "address.messages": Rate(1, 2)}, trust_proxy=("10.0.0.1",))
    async with testing.node([echoing()], settings=chosen) as node:
        ann, ben = ({"x-forwarded-for": f"203.0.113.{n}"} for n in (1, 2))
        assert await accepted(node, 3, source_ip="10.0.0.1", headers=ann) == 1
        client = await node.connect("socket", source_ip="10.0.0.1", headers=ben)
        assert await echoed(client, 3) == 2


def test_addresses_that_are_quiet_are_forgotten_and_those_that_are_not_keep_their_count():
    addresses, now = _Addresses(Rate(1, 2)), 0.0
    busy = addresses.bucket("10.255.0.1", now)
    for _ in range(2):
        busy.take(now)
    for n in range(20_000):
        now += 0.00005
        addresses.bucket(f"10.0.{n // 256}.{n % 256}", now)  # looked at, and nothing taken
    assert len(addresses) <= 2048
    assert addresses.bucket("10.255.0.1", now) is busy
    assert not busy.has_one(now - 0.01)


def test_more_addresses_than_can_be_kept_cost_no_more_memory():
    addresses = _Addresses(Rate(1, 2))
    for n in range(3 * _MANY):
        addresses.bucket(f"10.{n // 65536}.{n // 256 % 256}.{n % 256}", 0.0).take(0.0)
        assert len(addresses) <= _MANY
    assert len(addresses) > _MANY / 2


async def test_a_programs_own_sends_are_no_requests_otherwise():
    socket = websocket("socket")
    async with testing.node([socket], settings=settings(requests="1/1")) as node:
        client = await node.connect("socket")
        id = client._transport.get_protocol()._identity.connection_id
        assert [await socket.send(id, "x") for _ in range(100)] == [True] * 100
