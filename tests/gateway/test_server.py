"""The gateway: where it listens, what plain HTTP it answers, and how it ends."""

import asyncio
import socket as sockets

import pytest

import trunkline
from trunkline import ConfigurationError, Limits, limits, testing, websocket
from trunkline.config import Settings
from trunkline.connections.local import LocalConnections
from trunkline.gateway.request_reader import HttpRequest
from trunkline.gateway.server import Gateway
from trunkline.gateway.stages import Stage
from trunkline.model.api import CompiledApi
from trunkline.model.ids import ConnectionIds


def gateway(*stages, **options):
    ids = ConnectionIds(b"k" * 32)
    bounds = options.pop("limits", Limits())
    apis = [CompiledApi(stage, "id", stage, None, {}, limits=bounds) for stage in stages]
    return Gateway(apis, ids, LocalConnections(ids.origin), **options)


def asked(path, method="GET", **headers):
    return HttpRequest(method, path, "", [(name.replace("_", "-"), value) for name, value in headers.items()])


@pytest.fixture
def web(tmp_path):
    """A folder of static files, with a secret beside it and one inside."""
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "index.html").write_text("<p>hello")
    (folder / ".env").write_text("secret")
    (folder / "out").symlink_to(tmp_path / "secret")
    return folder


# Stages.


async def test_a_request_is_for_a_stage_by_its_path_and_its_host():
    door = gateway("a", "b-1")
    assert door.stage_of(asked("/b-1", host="localhost")).api.stage == "b-1"
    assert door.stage_of(asked("/b-1")).api.stage == "b-1"
    assert door.stage_of(asked("/c", host="localhost")) is None
    await door.close()


# Plain HTTP at the clients' address.


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_a_request_to_a_stage_is_told_to_upgrade(method):
    door = gateway("a")
    response = await door.answer(asked("/a", method))
    assert (response.status, response.headers["upgrade"]) == (426, "websocket")
    assert b"ws://" in response.body
    await door.close()


@pytest.mark.parametrize("path", ["/a/@connections/x", "/a/%40connections/x", "/b/@connections/"])
async def test_a_management_call_is_forbidden(path):
    door = gateway("a")
    response = await door.answer(asked(path, "POST"))
    assert (response.status, response.headers["x-amzn-errortype"]) == (403, "ForbiddenException")
    await door.close()


async def test_without_a_folder_nothing_else_is_there():
    door = gateway("a")
    response = await door.answer(asked("/index.html"))
    assert (response.status, b"--web DIR" in response.body) == (404, True)
    await door.close()


async def test_files_are_served_beside_the_stages(web):
    door = gateway("a", web=web)
    assert (await door.answer(asked("/"))).body == b"<p>hello"
    assert (await door.answer(asked("/", "HEAD"))).status == 200
    assert (await door.answer(asked("/nothing"))).status == 404
    assert (await door.answer(asked("/a"))).status == 426
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        response = await door.answer(asked("/", method))
        assert (response.status, response.headers["allow"]) == (405, "GET, HEAD")
    await door.close()


async def test_a_file_that_the_client_has_is_not_sent_again(web):
    door = gateway("a", web=web)
    headers = (await door.answer(asked("/"))).headers
    assert (await door.answer(asked("/", if_none_match=headers["etag"]))).status == 304
    assert (await door.answer(asked("/", if_modified_since=headers["last-modified"]))).status == 304
    assert (await door.answer(asked("/", if_none_match='"other"'))).status == 200
    await door.close()


# Plain HTTP at the admin address.


@pytest.mark.parametrize("host", ["localhost", "localhost:8001", "127.0.0.1:8001", "127.1.2.3", "[::1]:8001", "[::1]"])
async def test_who_asks_for_a_loopback_name_is_answered(host):
    door = gateway("a")
    for path, body in (("/live", b"live\n"), ("/ready", b"ready\n")):
        response = await door.answer_admin(asked(path, host=host))
        assert (response.status, response.body) == (200, body)
    assert (await door.answer_admin(asked("/a", host=host))).status == 404
    await door.close()


FOREIGN = [
    "evil.example",
    "evil.example:8001",
    "localhost.evil.example",
    "evil.localhost.example",
    "128.0.0.1",
    "",
    "[::2]:8001",
]


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("path", ["/live", "/ready", "/nothing"])
async def test_a_foreign_host_is_refused(host, path):
    door = gateway("a")
    response = await door.answer_admin(asked(path, host=host))
    assert (response.status, response.body) == (403, b"the Host is not a loopback name\n")
    assert (await door.answer_admin(asked(path))).status == 403, "so is none at all"
    await door.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://localhost:8001"},
        {"origin": "null"},
        {"origin": ""},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
    ],
)
async def test_a_web_page_is_refused(headers):
    door = gateway("a")
    response = await door.answer_admin(asked("/live", host="localhost", **headers))
    assert (response.status, response.body) == (403, b"not for web pages\n")
    await door.close()


async def test_a_node_that_drains_lives_and_is_not_ready():
    door = gateway("a")
    door.draining = True
    assert (await door.answer_admin(asked("/live", host="localhost"))).status == 200
    response = await door.answer_admin(asked("/ready", host="localhost"))
    assert (response.status, response.body) == (503, b"draining\n")
    await door.close()


# Real sockets.


def serving(on_loop, dial, use, *, web=None):
    """Run `use(node)` on a node with one echo that listens."""
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        return ctx.req.data

    async def run():
        async with trunkline.open([socket], settings=Settings(web=None if web is None else str(web))) as node:
            await node.listen(Settings(port=0))
            return await use(node)

    return on_loop(run)


def test_a_page_is_loaded_once_and_asked_about_again(on_loop, dial, web):
    async def use(node):
        async with await dial(node.address) as client:
            status, headers, body = await client.get("/")
            assert (status, body, headers["content-type"]) == (200, b"<p>hello", "text/html; charset=utf-8")
            etag = headers["etag"]
            assert (await client.get("/", f"if-none-match: {etag}"))[::2] == (304, b"")
            status, headers, body = await client.get("/index.html", f"if-none-match: {etag}", method="HEAD")
            assert (status, body) == (304, b"")
            status, headers, body = await client.get("/index.html", method="HEAD")
            assert (status, headers["content-length"], body) == (200, "8", b"")
            assert (await client.get("/", method="DELETE"))[0] == 405
            assert (await client.get("/socket"))[0] == 426

    serving(on_loop, dial, use, web=web)


def test_no_path_leads_out_of_the_folder(on_loop, dial, web):
    async def use(node):
        async with await dial(node.address) as client:
            for path in (
                "/../secret", "/%2e%2e/secret", "/..%2fsecret", "/..%5csecret", "/..\\secret", "/.env", "/%2eenv", "/out",
                "/index.html%00", "/./index.html", "/nothing", "/%252e%252e/secret", "//../secret", "/out/",
            ):  # fmt: skip
                status, _, body = await client.get(path)
                assert (status, body) == (404, b"no such file\n"), path

    serving(on_loop, dial, use, web=web)


def test_the_admin_address_answers_programs_on_this_machine(on_loop, dial):
    async def use(node):
        async with await dial(node.admin_address) as client:
            assert (await client.get("/live"))[2] == b"live\n"
            assert (await client.get("/ready"))[2] == b"ready\n"
            assert (await client.get("/socket"))[0] == 404, "clients have an address of their own"
            assert (await client.get("/live", "origin: http://localhost"))[0] == 403
            client.send("GET /live HTTP/1.1\r\nhost: evil.example\r\n\r\n")
            assert (await client.answer())[0] == 403
            node.gateway.draining = True
            assert (await client.get("/ready"))[0] == 503
            assert (await client.get("/live"))[0] == 200
        async with await dial(node.address) as client:
            assert (await client.get("/live"))[0] == 404

    serving(on_loop, dial, use)


def test_a_busy_port_is_said_with_the_flag_for_another(on_loop, dial):
    async def use(node):
        host, port = node.address
        with pytest.raises(ConfigurationError, match=f"port {port} of {host} is in use by another program; .* --port"):
            await node.gateway.listen(host, port)
        with pytest.raises(ConfigurationError, match=f"port {port} of {host} is in use by another program; .* --admin"):
            await node.gateway.listen_admin(host, port)

    serving(on_loop, dial, use)


def test_an_address_that_is_not_ours_cannot_be_listened_at(on_loop):
    async def run():
        door = gateway("a")
        with pytest.raises(
            ConfigurationError, match=r"cannot listen at 192\.0\.2\.1:0: .*; pass another address with --host"
        ):
            await door.listen("192.0.2.1", 0)
        with pytest.raises(ConfigurationError, match=r"cannot listen at nothing\.invalid:0: "):
            await door.listen("nothing.invalid", 0)
        await door.close()

    on_loop(run)


@pytest.mark.parametrize("host", ["a" * 64, "a..b", "é" * 64])
def test_what_is_no_host_cannot_be_listened_at(on_loop, host):
    async def run():
        door = gateway("a")
        with pytest.raises(
            ConfigurationError, match=f"^{host!r} is no host name or address; pass another with --admin"
        ):
            await door.listen_admin(host, 0)
        await door.close()

    on_loop(run)


def test_a_closed_gateway_lets_its_port_go(on_loop, dial):
    async def use(node):
        host, port = node.address
        async with await dial(node.address) as client, await dial(node.admin_address) as admin:
            await client.get("/x")
            await node.gateway.close()
            assert await client.ended() == b""
            assert await admin.ended() == b""
            with sockets.create_server((host, port)):
                pass  # another program has it now

    serving(on_loop, dial, use)


# Writing.


class Kept:
    """An output that counts its flushes."""

    flushed = 0

    def flush(self):
        self.flushed += 1
        return True


async def test_outputs_that_were_touched_in_one_turn_are_flushed_at_its_end():
    door, one, other = gateway("a"), Kept(), Kept()
    door.touch(one)
    door.touch(other)
    assert (one.flushed, other.flushed) == (0, 0)
    await asyncio.sleep(0)
    assert (one.flushed, other.flushed) == (1, 1)
    await asyncio.sleep(0)
    door.touch(other)
    await asyncio.sleep(0)
    assert (one.flushed, other.flushed) == (1, 2)
    await door.close()


async def test_many_outputs_are_flushed_over_several_turns_in_the_order_of_their_touch():
    door = gateway("a")
    outputs = [Kept() for _ in range(2 * limits.WRITES_PER_TURN + 1)]
    for output in outputs:
        door.touch(output)
    late = Kept()
    for turn in (1, 2, 3):
        await asyncio.sleep(0)
        flushed = sum(output.flushed for output in outputs)
        assert flushed == min(turn * limits.WRITES_PER_TURN, len(outputs))
        assert all(output.flushed for output in outputs[:flushed])
        if turn == 1:
            door.touch(late)
    assert late.flushed == 1, "behind those that were touched before"
    await asyncio.sleep(0)
    assert [output.flushed for output in (*outputs, late)] == [1] * (len(outputs) + 1)
    await door.close()


# Sweeping.


@pytest.mark.parametrize(
    ("bounds", "seconds"),
    [
        (Limits(), 1.0),
        (Limits(idle_seconds=2), 0.2),
        (Limits(lifetime_seconds=1), 0.1),
        (Limits(handler_seconds=0.5), 0.05),
        (Limits(handler_seconds=0.01), 0.01),
    ],
)
async def test_the_shortest_limit_sets_how_often_is_looked(bounds, seconds):
    loop = asyncio.get_running_loop()
    door = gateway("a", limits=bounds)
    looked = []

    class Looker:
        def sweep(self, now):
            looked.append(now)

        def leave(self):
            door.doors.clear()

    began = loop.time()
    door.doors.add(Looker())
    await asyncio.sleep(seconds * 3.5)
    assert looked == pytest.approx([began + seconds * n for n in (1, 2, 3)])
    await door.close()


async def test_a_gateway_without_stages_looks_once_a_second_and_as_often_as_the_stages_need_that_come_to_it():
    door = gateway()
    assert door.sweep_seconds == 1.0
    door.stages["a"] = Stage(CompiledApi("a", "id", "a", None, {}, limits=Limits(handler_seconds=0.5)))
    await asyncio.sleep(1.01)
    assert door.sweep_seconds == 0.05
    await door.close()


# Ending.


async def test_closing_says_so_to_every_client_and_waits_for_every_disconnect():
    socket = websocket("socket")
    ended = []

    @socket.on("disconnect")
    async def disconnect(ctx):
        await asyncio.sleep(3)
        ended.append((ctx.req.close_code, ctx.req.close_reason))

    async with testing.node([socket]) as node:
        clients = [await node.connect("socket") for _ in range(3)]
        door = node.running.gateway
        await door.close()
        assert ended == [(1001, "Going away")] * 3
        assert [(await client.closed()).code for client in clients] == [1001] * 3
        await door.close()  # once more is nothing


async def test_closing_may_have_a_code_of_its_own():
    async with testing.node([websocket("socket")]) as node:
        client = await node.connect("socket")
        await node.running.gateway.close(code=limits.CLOSE_RESTART, reason="restart")
        closed = await client.closed()
        assert (closed.code, closed.reason) == (1012, "restart")


async def test_closing_waits_for_a_handshake_under_way_and_closes_what_becomes_of_it():
    socket = websocket("socket")
    events = []

    @socket.on("connect")
    async def connect(ctx):
        await asyncio.sleep(3)
        events.append("connect")

    @socket.on("disconnect")
    async def disconnect(ctx):
        events.append(ctx.req.close_code)

    async with testing.node([socket]) as node:
        client = node.client()
        handshake = asyncio.create_task(client.handshake("/socket"))
        await asyncio.sleep(1)
        await node.running.gateway.close()
        await handshake
        assert (await client.closed()).code == 1001
    assert events == ["connect", 1001]


async def test_a_closed_gateway_looks_no_more():
    door = gateway("a")
    await door.close()
    assert door._sweeper is None
    assert door.draining


async def status_of(address, text):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(text.encode())
    status = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(status.split()[1])


def test_ready_says_503_while_the_node_drains():
    socket = websocket("socket")

    @socket.on("disconnect")
    async def disconnect(ctx):
        await asyncio.sleep(0.5)

    async def run():
        async with trunkline.open([socket]) as node:
            await node.listen(Settings(port=0))
            client = testing.TestNode(node).client()
            await client.handshake("/socket")
            closing = asyncio.create_task(node.gateway.close())
            await asyncio.sleep(0.1)
            status = await status_of(node.admin_address, "GET /ready HTTP/1.1\r\nhost: localhost\r\n\r\n")
            await closing
            return status

    assert asyncio.run(run()) == 503


def test_a_host_that_is_no_name_is_a_configuration_error():
    async def run():
        async with trunkline.open([websocket("socket")]) as node:
            await node.listen(Settings(host="a" * 64, port=0))

    with pytest.raises(trunkline.ConfigurationError):
        asyncio.run(run())
