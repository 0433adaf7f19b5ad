"""Clients that leave while nothing is read from them, on real sockets and both event loops."""

import asyncio
import contextlib
import socket as sockets
import struct

import pytest
import uvloop

import trunkline
from trunkline import Limits, limits, websocket
from trunkline.gateway.hangups import _has_unread, find_dead_peers, has_hung_up
from trunkline.wire.frames import encode_client_message
from trunkline.wire.handshake import client_request

LOOPS = {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request):
    def run(main):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(asyncio.wait_for(main, 30))

    return run


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """The sweep comes every 0.3 s, since handlers have 3, and asks after 0.2."""
    monkeypatch.setattr(limits, "PAUSED_SECONDS", 0.2)


class Slow:
    """A socket whose handler takes its time, and what became of its connections."""

    def __init__(self):
        self.socket = websocket("socket", limits=Limits(handler_seconds=3)).allow("inspecting")
        self.ids, self.handled, self.gone = [], [], []

        @self.socket.on("connect")
        async def connect(ctx):
            self.ids.append(ctx.req.connection_id)

        @self.socket.on("message")
        async def message(ctx):
            self.handled.append(ctx.req.data)
            await asyncio.sleep(1.5 if len(self.handled) == 1 else 0)

        @self.socket.on("disconnect")
        async def disconnect(ctx):
            self.gone.append(ctx.req.close_code)


async def connected(port):
    """A client's plain socket, behind its handshake."""
    client = sockets.create_connection(("127.0.0.1", port))
    client.sendall(client_request("localhost", "/socket", "dGhlIHNhbXBsZSBub25jZQ=="))
    loop = asyncio.get_running_loop()
    head = await loop.run_in_executor(None, client.recv, 4096)
    assert head.startswith(b"HTTP/1.1 101 ")
    return client


async def until(condition, seconds):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", ["reset", "closed"])
def test_a_client_that_leaves_while_reading_is_paused_is_noticed(run, how):
    async def main():
        slow = Slow()
        async with trunkline.open([slow.socket]) as node:
            client = await connected(await node.gateway.listen("127.0.0.1", 0))
            client.sendall(encode_client_message("x") * 17)
            await until(lambda: slow.handled, 2)
            (connection,) = node.gateway.alive
            assert connection._reading_paused
            if how == "reset":
                client.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            await until(lambda: connection._state.name == "GONE", 1)
            assert slow.gone == [], "its disconnect handler waits for the handler that runs"
            assert await slow.socket.info(slow.ids[0]) is None
            await until(lambda: slow.gone, 5)
            assert slow.handled == ["x"] * 17, "what came before the end is handled"
            assert slow.gone == [1006]

    run(main())


def test_a_client_that_stays_is_left_alone(run):
    async def main():
        slow = Slow()
        async with trunkline.open([slow.socket]) as node:
            with contextlib.closing(await connected(await node.gateway.listen("127.0.0.1", 0))) as client:
                client.sendall(encode_client_message("x") * 40)
                await until(lambda: len(slow.handled) == 40, 10)
                assert slow.gone == []

    run(main())


def test_a_client_that_closed_behind_unread_messages_has_not_hung_up_yet():
    ours, theirs = sockets.socketpair()
    with ours:
        assert not has_hung_up(ours.fileno())
        theirs.sendall(b"unread")
        theirs.shutdown(sockets.SHUT_WR)
        assert not has_hung_up(ours.fileno())
        ours.recv(100)
        assert has_hung_up(ours.fileno())
        theirs.close()
        assert has_hung_up(ours.fileno())


def test_every_accepted_socket_is_probed_by_tcp(run):
    async def main():
        async with trunkline.open([Slow().socket]) as node:
            with contextlib.closing(await connected(await node.gateway.listen("127.0.0.1", 0))):
                (connection,) = node.gateway.alive
                options = connection._transport.get_extra_info("socket")
                tcp = [sockets.TCP_KEEPIDLE, sockets.TCP_KEEPINTVL, sockets.TCP_KEEPCNT, sockets.TCP_USER_TIMEOUT]
                assert options.getsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE) == 1
                assert [options.getsockopt(sockets.IPPROTO_TCP, option) for option in tcp] == [30, 10, 3, 60_000]

    run(main())


def test_a_socket_that_is_not_tcp_is_left_alone(tmp_path):
    with sockets.socket(sockets.AF_UNIX) as local:
        find_dead_peers([local])
        assert local.getsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE) == 0


def test_a_system_without_poll_is_not_asked(monkeypatch):
    ours, theirs = sockets.socketpair()
    with ours:
        theirs.close()
        assert has_hung_up(ours.fileno())
        monkeypatch.delattr("select.poll")
        assert not has_hung_up(ours.fileno())


def test_a_socket_from_which_nothing_can_be_read_has_nothing_unread():
    ours, theirs = sockets.socketpair()
    with ours, theirs:
        assert not _has_unread(ours.fileno())
        theirs.sendall(b"x")
        assert _has_unread(ours.fileno())
        assert ours.recv(1) == b"x", "it only looked"


def test_a_system_that_lacks_one_of_the_probes_gets_the_others(monkeypatch):
    option = sockets.TCP_KEEPIDLE
    monkeypatch.delattr("socket.TCP_USER_TIMEOUT")
    with sockets.create_server(("127.0.0.1", 0)) as server:
        find_dead_peers([server])
        assert server.getsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE) == 1
        assert server.getsockopt(sockets.IPPROTO_TCP, option) == limits.KEEPALIVE_IDLE_SECONDS
