"""TLS at the port of plain connections, with real sockets."""

import asyncio
import contextlib
import ssl

import pytest
import trustme
import websockets

import trunkline
from trunkline import limits, websocket
from trunkline.config import Settings

NAME = "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def server_context(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("*.execute-api.us-east-1.amazonaws.com", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def client_context(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def serving(on_loop, server_context):
    """Run `use(node)` on a node with one echo that takes TLS."""

    def serving(use, **settings):
        socket = websocket("socket")

        @socket.on("message")
        async def message(ctx):
            return ctx.req.connection_id if ctx.req.data == "id" else ctx.req.data

        async def run():
            async with trunkline.open([socket], settings=Settings(**settings)) as node:
                node.gateway.tls = server_context
                await node.listen(Settings(port=0))
                return await use(node)

        return on_loop(run)

    return serving


async def until(condition):
    """Wait for what must come soon."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def ask(reader, writer, target="/nothing", method="GET", body=b""):
    writer.write(f"{method} {target} HTTP/1.1\r\nhost: {NAME}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return int(head.split(b" ")[1]), await reader.readexactly(length)


async def leave(writer):
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


class Raw:
    """A TLS client whose bytes are sent when a test says so."""

    def __init__(self, context):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=NAME)

    def hello(self):
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    async def finish(self, reader):
        """What remains to be sent when the server's part has come."""
        while True:
            self.incoming.write(await reader.read(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
                return


def test_requests_come_over_tls_and_plain_at_one_port(serving, client_context, dial):
    async def use(node):
        reader, writer = await asyncio.open_connection(*node.address, ssl=client_context, server_hostname=NAME)
        assert [(await ask(reader, writer))[0] for _ in range(3)] == [404] * 3
        async with await dial(node.address) as client:
            assert (await client.get("/nothing"))[0] == 404
        await leave(writer)
        await until(lambda: not node.gateway.doors)

    serving(use)


def test_a_websocket_over_tls_echoes_large_messages_and_closes_as_agreed(serving, client_context):
    async def use(node):
        host, port = node.address
        url = f"wss://{host}:{port}/socket"
        async with websockets.connect(url, ssl=client_context, server_hostname=NAME, compression=None) as client:
            for size in (1, 30_000):
                await client.send("x" * size)
                assert await client.recv() == "x" * size
            for number in range(100):
                await client.send(f"{number}")
            assert [await client.recv() for _ in range(100)] == [f"{number}" for number in range(100)]
        assert client.close_code == 1000
        await until(lambda: not node.gateway.alive)

    serving(use)


def test_a_post_over_tls_reaches_a_connection(serving, client_context):
    async def use(node):
        host, port = node.address
        url = f"wss://{host}:{port}/socket"
        async with websockets.connect(url, ssl=client_context, compression=None) as client:
            await client.send("id")
            target = f"/socket/@connections/{await client.recv()}"
            reader, writer = await asyncio.open_connection(host, port, ssl=client_context)
            writer.write(f"POST {target} HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-length: 5\r\n\r\nhello".encode())
            assert (await reader.readline()).split(b" ")[1] == b"200"
            assert await client.recv() == "hello"
            await leave(writer)

    serving(use)


def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(serving, client_context):
    async def use(node):
        raw = Raw(client_context)
        reader, writer = await asyncio.open_connection(*node.address)
        writer.write(raw.hello())
        await raw.finish(reader)
        raw.tls.write(b"GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n")
        writer.write(raw.outgoing.read())
        answer = b""
        while not answer:
            raw.incoming.write(await reader.read(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                answer = raw.tls.read(100)
        assert answer.startswith(b"HTTP/1.1 404 ")
        await leave(writer)

    serving(use)


def test_a_handshake_may_come_in_pieces(serving, client_context):
    async def use(node):
        raw = Raw(client_context)
        reader, writer = await asyncio.open_connection(*node.address)
        hello = raw.hello()
        for piece in (hello[:1], hello[1:7], hello[7:]):
            writer.write(piece)
            await asyncio.sleep(0.02)
        await raw.finish(reader)
        assert raw.tls.version() == "TLSv1.3"
        await leave(writer)

    serving(use)


@pytest.mark.parametrize(
    "sent", [b"\x16no handshake at all, and long enough to be one", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"]
)
def test_what_only_begins_like_tls_is_closed_and_not_counted_any_more(serving, sent):
    async def use(node):
        reader, writer = await asyncio.open_connection(*node.address)
        writer.write(sent)
        await reader.read()  # an alert, perhaps
        await leave(writer)
        await until(lambda: not node.gateway.doors)
        assert not node.gateway.admission._by_address

    serving(use, max_per_address=5)


def test_a_client_that_leaves_in_the_middle_of_its_handshake_is_not_counted_any_more(serving, client_context):
    async def use(node):
        reader, writer = await asyncio.open_connection(*node.address)
        writer.write(Raw(client_context).hello()[:20])
        await until(lambda: node.gateway.doors)
        await asyncio.sleep(0.02)
        writer.transport.abort()
        await until(lambda: not node.gateway.doors)
        assert not node.gateway.admission._by_address

    serving(use, max_per_address=5)


def test_a_handshake_that_is_not_ended_is_cut_when_the_door_cuts_a_request(serving, client_context, monkeypatch):
    monkeypatch.setattr(limits, "HANDSHAKE_SECONDS", 0.3)

    async def use(node):
        began = node.gateway.time()
        reader, writer = await asyncio.open_connection(*node.address)
        writer.write(b"\x16")
        with contextlib.suppress(OSError):
            assert await reader.read() == b""
        assert node.gateway.time() - began < 1.5
        await leave(writer)
        await until(lambda: not node.gateway.doors)

    serving(use)


def test_a_gateway_that_closes_does_not_wait_for_a_handshake(serving, client_context):
    async def use(node):
        reader, writer = await asyncio.open_connection(*node.address)
        writer.write(Raw(client_context).hello()[:20])
        await until(lambda: node.gateway.doors)
        await asyncio.sleep(0.02)
        await asyncio.wait_for(node.gateway.close(), 2)
        await leave(writer)
        assert not node.gateway.doors

    serving(use)


def test_a_socket_that_is_gone_before_its_handshake_began_is_nothing_to_secure(serving):
    async def use(node):
        reader, writer = await asyncio.open_connection(*node.address)
        await until(lambda: node.gateway.doors)
        (door,) = node.gateway.doors
        door._gateway.buffer[0] = 0x16
        door.buffer_updated(1)
        door.abort()
        await leave(writer)
        await until(lambda: not node.gateway.doors and door._securing.done())

    serving(use)


def test_one_too_many_is_told_so_over_tls(serving, client_context):
    async def use(node):
        first = await asyncio.open_connection(*node.address, ssl=client_context)
        second = await asyncio.open_connection(*node.address, ssl=client_context)
        assert (await ask(*second))[0] == 429
        assert await second[0].read() == b""
        await leave(first[1])
        await leave(second[1])
        await until(lambda: not node.gateway.doors)
        assert not node.gateway.admission._by_address

    serving(use, max_per_address=1)


def test_without_a_certificate_tls_is_no_request(on_loop, client_context):
    async def run():
        async with trunkline.open([websocket("socket")]) as node:
            await node.listen(Settings(port=0))
            with pytest.raises(ssl.SSLError):
                await asyncio.open_connection(*node.address, ssl=client_context)

    on_loop(run)
