"""Who is let in: counts by address, proxies and what they say, and the origins of pages."""

import asyncio

import pytest

from trunkline import ConfigurationError, limits, testing, websocket
from trunkline.config import Settings
from trunkline.gateway.admission import Admission

# Counting.


def test_an_address_has_as_many_sockets_as_it_may_and_another_one_too():
    rules = Admission(most_per_address=2)
    keys = [rules.enter("10.0.0.1") for _ in range(3)]
    assert keys == ["10.0.0.1", "10.0.0.1", None]
    assert rules.enter("10.0.0.2") == "10.0.0.2"
    rules.leave("10.0.0.1")
    assert rules.enter("10.0.0.1") == "10.0.0.1"
    assert rules.enter("10.0.0.1") is None


def test_the_addresses_of_an_ipv6_network_of_64_bits_are_one_subscriber():
    rules = Admission(most_per_address=2)
    assert [rules.enter(f"2001:db8:1:2::{n}") for n in range(3)] == ["2001:db8:1:2::/64"] * 2 + [None]
    assert rules.enter("2001:db8:1:3::") == "2001:db8:1:3::/64"


def test_an_ipv4_address_is_the_same_over_ipv6():
    rules = Admission(most_per_address=1)
    assert rules.enter("::ffff:10.0.0.1") == "10.0.0.1"
    assert rules.enter("10.0.0.1") is None


def test_nothing_is_kept_of_an_address_that_left():
    rules = Admission(most_per_address=5)
    for n in range(100):
        rules.leave(rules.enter(f"10.0.0.{n}"))
    assert not rules._by_address


def test_without_a_cap_nothing_is_counted():
    rules = Admission()
    assert [rules.enter("10.0.0.1") for _ in range(3)] == [""] * 3
    rules.leave("")
    assert not rules._by_address


# Proxies.


@pytest.mark.parametrize(
    ("forwarded", "source"),
    [
        ([], "10.0.0.1"),
        ([""], "10.0.0.1"),
        (["203.0.113.7"], "203.0.113.7"),
        (["203.0.113.7, 10.0.0.9"], "203.0.113.7"),
        (["203.0.113.7", "10.0.0.9"], "203.0.113.7"),
        (["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
        (["127.0.0.1, 203.0.113.7, 10.0.0.9"], "203.0.113.7"),
        (["198.51.100.1", "203.0.113.7, 10.1.1.1, 10.2.2.2"], "203.0.113.7"),
        (["10.9.9.9"], "10.0.0.1"),
        (["198.51.100.1, unknown"], "10.0.0.1"),
        (["198.51.100.1, unknown, 203.0.113.7"], "203.0.113.7"),
        (["198.51.100.1, unknown, 10.0.0.9"], "10.0.0.1"),
        (["198.51.100.1, 203.0.113.7:1234"], "10.0.0.1"),
        (["2001:db8::7"], "2001:db8::7"),
        (["[2001:db8::7]"], "2001:db8::7"),
        (["198.51.100.1,"], "10.0.0.1"),
        (["198.51.100.1, ' OR 1=1"], "10.0.0.1"),
    ],
)
def test_the_source_is_the_last_address_that_no_proxy_of_ours_has(forwarded, source):
    rules = Admission(proxies=["10.0.0.0/8"])
    assert rules.source("10.0.0.1", forwarded) == source


def test_nobody_else_is_believed():
    rules = Admission(proxies=["10.0.0.0/8"])
    assert rules.source("203.0.113.7", ["198.51.100.1"]) == "203.0.113.7"
    assert Admission().source("10.0.0.1", ["198.51.100.1"]) == "10.0.0.1"
    assert not Admission().is_proxy("10.0.0.1")


@pytest.mark.parametrize("peer", ["::ffff:10.0.0.1", "10.0.0.1"])
def test_a_proxy_over_ipv6_is_the_same(peer):
    rules = Admission(proxies=["10.0.0.0/8"])
    assert rules.is_proxy(peer)
    assert rules.source(peer, ["203.0.113.7"]) == "203.0.113.7"


def test_what_is_no_network_or_origin_is_told_at_once():
    with pytest.raises(ConfigurationError, match="trust_proxy 'x'"):
        Admission(proxies=["x"])
    with pytest.raises(ConfigurationError, match="origin 'x'"):
        Admission(origins=["x"])


# Origins: origin, Host, whether only this machine can reach the door, whether it may connect.

ORIGINS = {
    "no browser": (None, "app.example", False, True),
    "the same host, https": ("https://app.example", "app.example", False, True),
    "the same host, http": ("http://app.example", "app.example", False, True),
    "the default port, written": ("https://app.example", "app.example:443", False, True),
    "the default port of http, written": ("http://app.example", "app.example:80", False, True),
    "the same port": ("http://app.example:8000", "app.example:8000", False, True),
    "the same address over ipv6": ("http://[::1]:8000", "[::1]:8000", False, True),
    "another letter case": ("https://App.Example", "aPP.example", False, True),
    "another port": ("http://app.example:9000", "app.example:8000", False, False),
    "the other scheme's default port": ("https://app.example", "app.example:80", False, False),
    "another host": ("https://evil.example", "app.example", False, False),
    "a suffix": ("https://evil-app.example", "app.example", False, False),
    "a subdomain": ("https://evil.app.example", "app.example", False, False),
    "the parent": ("https://example", "app.example", False, False),
    "a longer name": ("https://app.example.evil", "app.example", False, False),
    "null": ("null", "app.example", True, False),
    "null as host": ("null", "null", True, False),
    "nothing": ("", "app.example", True, False),
    "a path": ("https://app.example/", "app.example", False, False),
    "user info": ("https://app.example@evil.example", "app.example", False, False),
    "user info of the host": ("https://evil@app.example", "app.example", False, False),
    "two": ("https://app.example https://evil.example", "app.example", False, False),
    "another scheme": ("evil://app.example:80", "app.example:80", False, False),
    "another scheme without a port": ("evil://app.example", "app.example", False, False),
    "a file": ("file://", "app.example", True, False),
    "this machine": ("http://localhost:5173", "127.0.0.1:8000", True, True),
    "this machine by number": ("http://127.0.0.1:5173", "localhost:8000", True, True),
    "this machine by number of ipv6": ("http://[::1]:5173", "localhost:8000", True, True),
    "a name of this machine": ("http://app.localhost:5173", "localhost:8000", True, True),
    "this machine, to one that all can reach": ("http://localhost:5173", "app.example:8000", False, False),
    "looks like this machine": ("http://localhost.evil.example", "localhost:8000", True, False),
    "another host to this machine": ("https://evil.example", "localhost:8000", True, False),
    "this machine, to itself": ("http://localhost:8000", "localhost:8000", False, True),
}


@pytest.mark.parametrize("case", ORIGINS)
def test_a_page_may_connect_from_the_same_host_and_from_this_machine_to_this_machine(case):
    origin, host, loopback, allowed = ORIGINS[case]
    rules = Admission()
    rules.loopback = loopback
    assert rules.allows_origin(origin, host) is allowed


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example", True), ("https://app.example:443", False), ("http://app.example", False), ("https://app.example/", False),
        ("https://APP.example", False), ("https://evil-app.example", False), ("https://app.example.evil", False), ("null", False),
        ("http://localhost:5173", False),
    ],
)  # fmt: skip
def test_a_declared_origin_is_taken_letter_by_letter_wherever_it_listens(origin, allowed):
    rules = Admission(origins=["https://app.example"])
    rules.loopback = False
    assert rules.allows_origin(origin, "api.example") is allowed


def test_a_declared_origin_is_taken_also_where_only_this_machine_comes():
    assert Admission(origins=["https://app.example"]).allows_origin("https://app.example", "localhost:8000")


# At the door.


@pytest.fixture
def program():
    return [websocket("socket")]


async def status_of(node, **how):
    try:
        await node.connect("socket", **how)
    except testing.Refused as refused:
        return refused.status
    finally:
        node.clients[-1].vanish()
        await node.clients[-1].closed()
    return 101


async def test_the_door_is_this_machines_until_it_listens_elsewhere(program, tmp_path):
    keys = tmp_path / "keys.json"
    keys.write_text("[]")
    keys.chmod(0o600)
    async with testing.node(program, settings=Settings(keys=str(keys))) as node:
        gateway = node.running.gateway
        assert gateway.admission.loopback
        await gateway.listen("127.0.0.1", 0)
        assert gateway.admission.loopback
        assert await status_of(node, headers={"origin": "http://localhost:5173"}) == 101
        await gateway.listen("0.0.0.0", 0)
        assert not gateway.admission.loopback
        await gateway.listen("127.0.0.1", 0)
        assert not gateway.admission.loopback, "once others can reach it, they can"
        assert await status_of(node, headers={"origin": "http://localhost:5173"}) == 403


async def test_a_page_from_elsewhere_is_403_and_no_handler_runs():
    socket, events = websocket("socket"), []

    @socket.on("connect")
    async def connect(ctx):
        events.append("connect")

    async with testing.node([socket], settings=Settings(origin=("https://app.example",))) as node:
        for origin in ("https://evil.example", "null", "https://evil-app.example", "https://app.example/"):
            assert await status_of(node, headers={"origin": origin}) == 403
        assert events == []
        for origin in ("https://app.example", "http://localhost", "http://localhost:5173"):
            assert await status_of(node, headers={"origin": origin}) == 101
        assert events == ["connect"] * 3


async def test_past_the_cap_of_the_node_a_client_is_503_and_another_may_come_when_one_leaves(program):
    async with testing.node(program, settings=Settings(max_connections=3)) as node:
        clients = [await node.connect("socket") for _ in range(2)]
        waiting = node.client()
        assert await status_of(node) == 503, "a socket without a request counts too"
        waiting.hang_up()
        await waiting.closed()
        clients.append(await node.connect("socket"))
        assert await status_of(node) == 503
        clients[0].hang_up()
        await clients[0].closed()
        assert await status_of(node) == 101


async def test_past_its_cap_an_address_is_429_and_others_are_not(program):
    async with testing.node(program, settings=Settings(max_per_address=2)) as node:
        clients = [await node.connect("socket", source_ip="10.0.0.1") for _ in range(2)]
        assert await status_of(node, source_ip="10.0.0.1") == 429
        assert await status_of(node, source_ip="10.0.0.2") == 101
        await clients[0].close()
        assert await status_of(node, source_ip="10.0.0.1") == 101
        assert await status_of(node, source_ip="10.0.0.1") == 101, "who has left is not counted"
    assert not node.running.gateway.admission._by_address


async def test_plain_requests_and_refusals_count_while_their_socket_is_there(program):
    async with testing.node(program, settings=Settings(max_per_address=1)) as node:
        client = node.client()
        client.send_bytes(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await client.response())[0] == 404
        assert await status_of(node) == 429
        client.hang_up()
        await client.closed()
        assert await status_of(node, headers={"origin": "null"}) == 403
        for client in node.clients:
            client.vanish()
        await client.closed()
        assert await status_of(node) == 101


async def test_addresses_of_one_ipv6_network_share_their_cap(program):
    async with testing.node(program, settings=Settings(max_per_address=2)) as node:
        clients = [await node.connect("socket", source_ip=f"2001:db8::{n}") for n in range(2)]
        assert await status_of(node, source_ip="2001:db8::9") == 429
        assert await status_of(node, source_ip="2001:db8:0:1::9") == 101
        assert len(clients) == 2


async def test_behind_a_proxy_its_clients_are_counted_and_told_to_handlers():
    socket, sources = websocket("socket"), []

    @socket.on("connect")
    async def connect(ctx):
        sources.append(ctx.req.source_ip)

    settings = Settings(max_per_address=1, trust_proxy=("10.0.0.0/8",))
    async with testing.node([socket], settings=settings) as node:

        def through(chain):
            return {"source_ip": "10.0.0.1", "headers": {"x-forwarded-for": chain}}

        client = await node.connect("socket", **through("1.1.1.1, 203.0.113.7"))
        assert await status_of(node, **through("2.2.2.2, 203.0.113.7")) == 429, "what it says of itself is nothing"
        assert await status_of(node, **through("203.0.113.7, 203.0.113.8")) == 101
        assert await status_of(node, source_ip="10.0.0.1") == 101, "the proxy itself"
        await client.close()
        assert await status_of(node, **through("203.0.113.7")) == 101
        assert await status_of(node, source_ip="8.8.8.8", headers={"x-forwarded-for": "127.0.0.1"}) == 101
    assert sources == ["203.0.113.7", "203.0.113.8", "10.0.0.1", "203.0.113.7", "8.8.8.8"]
    assert not node.running.gateway.admission._by_address


async def test_who_is_turned_away_has_two_seconds_to_ask(program):
    async with testing.node(program, settings=Settings(max_connections=1)) as node:
        async with await node.connect("socket"):
            silent = node.client()
            await silent.closed(timeout=2.1)
            assert bytes(silent._raw) == b""


async def test_a_crowd_that_is_turned_away_is_cut_without_an_answer(program, monkeypatch):
    monkeypatch.setattr(limits, "REFUSED_SOCKETS", 3)
    async with testing.node(program, settings=Settings(max_connections=1)) as node:
        async with await node.connect("socket"):
            crowd = [node.client() for _ in range(5)]
            await asyncio.sleep(0.1)
            assert [client._ended for client in crowd] == [False] * 3 + [True] * 2
