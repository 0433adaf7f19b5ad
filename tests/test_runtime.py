"""A node as a whole: what it is opened with, what it keeps, and in which order it begins and ends."""

import asyncio
import os
import stat
import sys
import textwrap
import types
from pathlib import Path

import pytest

import trunkline
from trunkline import (
    ConfigurationError,
    DeclarationError,
    InvalidConnectionId,
    Limits,
    NotRunning,
    PermissionDenied,
    collection,
    runtime,
    testing,
    websocket,
)
from trunkline.config import Settings
from trunkline.gateway.journal import Journal
from trunkline.gateway.server import Gateway
from trunkline.model.events import Identity
from trunkline.model.ids import api_id
from trunkline.resources.application import Application, collecting
from trunkline.resources.loading import ProgramFailed
from trunkline.runtime import compile_apis, connection_ids

CHAT = """
    import trunkline
    from trunkline import collection, websocket

    log = []
    notes = collection("notes").allow("reading", "writing")
    socket = websocket("socket")

    @trunkline.lifespan
    async def life():
        log.append("begin")
        yield
        log.append("end")

    @socket.on("connect")
    async def connect(ctx):
        log.append("connect")

    @socket.on("message")
    async def message(ctx):
        await notes.doc("last").set(ctx.req.data)
        return "noted"

    @socket.on("disconnect")
    async def disconnect(ctx):
        log.append("disconnect")
"""
ORDER = ["begin", "connect", "disconnect", "end"]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file of the program in the working directory; what it imports is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)

    def write(name, text=CHAT):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    yield write
    sys.path[:] = path
    for name, module in list(sys.modules.items()):  # also one that took the place of another test's
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


async def talk(node):
    async with await node.connect("socket") as client:
        await client.send("hello")
        assert await client.receive() == "noted"


# What can be opened.


@pytest.mark.parametrize("form", ["path", "text", "list", "module name", "list of a module name"])
async def test_a_program_is_a_file_or_a_module_by_name(write, form):
    file = write("chat.py")
    program = {
        "path": file, "text": str(file), "list": [file], "module name": "chat", "list of a module name": ["chat"],
    }[form]  # fmt: skip
    async with testing.node(program) as node:
        await talk(node)
        chat = sys.modules["chat"]
        assert await chat.notes.doc("last").get() == "hello"
    assert chat.log == ORDER


async def test_a_program_is_a_module_with_its_lifespan(write):
    sys.path.insert(0, str(write("chat.py").parent))
    import chat

    async with testing.node(chat) as node:
        await talk(node)
    assert chat.log == ORDER


async def test_a_program_may_be_a_module_without_a_file():
    # As a notebook's __main__ is.
    module = types.ModuleType("notebook")
    module.socket = websocket("socket")
    async with testing.node(module) as node:
        assert list(node.running.application.sockets) == ["socket"]


async def test_a_program_is_what_it_declared_and_an_application():
    socket, notes = websocket("socket"), collection("notes").allow("reading")
    for program in ([socket, notes], (socket, notes), Application.of([socket, notes])):
        async with testing.node(program) as node:
            assert node.running.application.sockets == {"socket": socket}
            assert await notes.doc("1").get() is None


async def test_files_and_declarations_are_not_mixed(write):
    with pytest.raises(ConfigurationError, match="a program is files and modules, or declarations; got both"):
        async with trunkline.open([write("chat.py"), websocket("socket")]):
            raise AssertionError


@pytest.mark.parametrize(
    ("text", "error"), [("1 / 0", ProgramFailed), ("x = 1", DeclarationError), (None, ConfigurationError)]
)
async def test_what_cannot_be_loaded_is_not_opened(write, text, error):
    program = "missing.py" if text is None else write("bad.py", text)
    with pytest.raises(error):
        async with trunkline.open(program):
            raise AssertionError
    with pytest.raises(DeclarationError):
        async with trunkline.open([]):
            raise AssertionError


def test_open_is_the_public_name():
    assert trunkline.open is runtime.open


# Its life.


async def test_on_leaving_every_connection_is_closed_and_disconnected(write):
    write("chat.py")
    async with testing.node("chat.py") as node:
        clients = [await node.connect("socket") for _ in range(3)]
    for client in clients:
        assert (await client.closed()).code == 1001
    assert sys.modules["chat"].log == ["begin", *["connect"] * 3, *["disconnect"] * 3, "end"]


async def test_operations_work_in_the_block_and_not_behind_it():
    notes = collection("notes").allow("reading", "writing")
    async with trunkline.open([websocket("socket"), notes]):
        await notes.doc("1").set(1)
        assert await asyncio.create_task(notes.doc("1").get()) == 1
    with pytest.raises(NotRunning):
        await notes.doc("1").get()


async def test_an_error_in_the_block_is_the_callers_and_the_end_is_the_same(write):
    write("chat.py")
    with pytest.raises(ZeroDivisionError):
        async with testing.node("chat.py") as node:
            await node.connect("socket")
            raise ZeroDivisionError
    assert sys.modules["chat"].log == ORDER


@pytest.mark.parametrize("fails", ["before", "behind"])
async def test_a_lifespan_that_fails_ends_the_others_and_the_node(fails):
    log = []
    notes = collection("notes").allow("writing")

    async def good():
        log.append("good begins")
        try:
            yield
        finally:
            await notes.doc("1").set("still open")
            log.append("good ends")

    async def bad():
        if fails == "before":
            raise ZeroDivisionError
        yield
        raise ZeroDivisionError

    with collecting() as declared:
        for function in (good, bad):
            trunkline.lifespan(function)
    timers = len(asyncio.get_running_loop()._scheduled)
    with pytest.raises(ZeroDivisionError):
        async with trunkline.open(Application.of([websocket("socket"), notes, *declared])):
            log.append("inside")
    assert log == ["good begins", *(["inside"] if fails == "behind" else []), "good ends"]
    await asyncio.sleep(100)
    assert len(asyncio.get_running_loop()._scheduled) == timers, "nothing of the node goes on"


async def test_context_variables_of_the_opener_are_seen_by_handlers():
    import contextvars

    variable = contextvars.ContextVar("variable")
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        before = variable.get()
        variable.set("of the handler")
        return before

    variable.set("of the opener")
    async with testing.node([socket]) as node:
        async with await node.connect("socket") as client:
            await client.send("x")
            assert await client.receive() == "of the opener"
        assert variable.get() == "of the opener"


# Several sockets, files and grants.


async def test_several_sockets_are_served_each_at_its_name():
    sockets = [websocket(name, binary=name == "b") for name in ("a", "b")]
    for socket in sockets:

        @socket.on("message")
        async def message(ctx, name=socket.name):
            return f"{name} of {ctx.req.event['requestContext']['stage']}"

    async with testing.node(sockets) as node:
        for name in ("a", "b"):
            async with await node.connect(name) as client:
                await client.send("x")
                assert await client.receive() == f"{name} of {name}"
        with pytest.raises(testing.Refused) as refused:
            await node.connect("c")
        assert refused.value.status == 403
        apis = {stage.api.api_id for stage in node.running.gateway.stages.values()}
        assert len(apis) == 2


async def test_two_files_with_different_grants_on_one_collection_keep_to_their_own(write):
    write(
        "readers.py",
        """
        from trunkline import collection, websocket
        notes = collection("notes").allow("reading")
        socket = websocket("socket")

        @socket.on("message", route="read")
        async def read(ctx):
            return await notes.doc("1").get()

        @socket.on("message", route="forge")
        async def forge(ctx):
            await notes.doc("1").set("forged")
        """,
    )
    write(
        "writers.py",
        """
        from trunkline import collection, websocket
        notes = collection("notes").allow("writing")
        socket = websocket("socket")

        @socket.on("message", route="write")
        async def write(ctx):
            await notes.doc("1").set(ctx.req.json()["text"])
            return "written"
        """,
    )
    async with testing.node(["readers.py", "writers.py"]) as node, await node.connect("socket") as client:
        await client.send_json({"action": "write", "text": "hello"})
        assert await client.receive() == "written"
        await client.send_json({"action": "forge"})
        assert (await client.receive_json())["message"] == "Internal server error"
        await client.send_json({"action": "read"})
        assert await client.receive() == "hello"
        with pytest.raises(PermissionDenied, match=r"needs 'reading', .*writers\.py:3 allows 'writing'"):
            await sys.modules["writers"].notes.doc("1").get()


def test_only_a_socket_with_custom_routes_reads_its_messages():
    plain, routed = websocket("plain"), websocket("routed")

    async def handler(ctx):
        pass

    plain.on("message")(handler)
    routed.on("message", route="bid")(handler)
    selects = {api.name: api.select for api in compile_apis(Application.of([plain, routed]), {})}
    assert selects["plain"] is None
    assert selects["routed"]('{"action":"bid"}') == "bid"


def test_settings_change_the_limits_that_a_program_declares():
    socket = websocket("socket", limits=Limits(idle_seconds=1, frame_bytes=1))
    (api,) = compile_apis(Application.of([socket]), {"idle_seconds": 5})
    assert api.limits == Limits(idle_seconds=5, frame_bytes=1)


async def test_limits_of_the_settings_are_in_force():
    async with testing.node([websocket("socket")], settings=Settings(limit={"message_bytes": 3})) as node:
        client = await node.connect("socket")
        await client.send("1234")
        assert (await client.closed()).code == 1009


async def test_web_serves_a_folder(tmp_path):
    (tmp_path / "index.html").write_text("<p>hello")
    async with testing.node([websocket("socket")], settings=Settings(web=str(tmp_path))) as node:
        client = node.client()
        client.send_bytes(b"GET /index.html HTTP/1.1\r\nhost: localhost\r\n\r\n")
        status, _, body = await client.response()
        assert (status, body) == (200, b"<p>hello")
        client.hang_up()


# Listening.


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("", "127.0.0.1"), ("::1", "[::1]")]
)
def test_a_url_is_one_that_a_client_on_this_machine_can_open(host, shown):
    node = runtime.RunningNode(Application(), None, None, None)
    node.address = (host, 9000)
    assert node.url("socket") == f"ws://{shown}:9000/socket"


async def request(address, text):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(text.encode())
    status = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(status.split()[1])


@pytest.mark.parametrize("admin", [None, "off", "127.0.0.1:0"])
async def test_a_node_listens_for_clients_and_beside_them_for_its_admin(admin):
    socket = websocket("socket")
    async with trunkline.open([socket]) as node:
        await node.listen(Settings(port=0, admin=admin))
        assert socket.url() == f"ws://127.0.0.1:{node.address[1]}/socket"
        assert node.address[1] > 0
        assert await request(node.address, "GET /socket HTTP/1.1\r\nhost: localhost\r\n\r\n") == 426
        if admin == "off":
            assert node.admin_address is None
        else:
            assert node.admin_address[1] not in {0, node.address[1]}
            assert await request(node.admin_address, "GET /live HTTP/1.1\r\nhost: localhost\r\n\r\n") == 200


async def test_the_admin_is_one_port_above_unless_there_is_none():
    listened = []

    class Doors:
        async def listen(self, host, port):
            return port

        async def listen_admin(self, host, port):
            listened.append((host, port))
            return port or 40_000

    node = runtime.RunningNode(Application(), Doors(), None, None)
    await node.listen(Settings(host="0.0.0.0", port=8000))
    await node.listen(Settings(port=65535))
    await node.listen(Settings(port=8000, admin="[::1]:9"))
    assert listened == [("127.0.0.1", 8001), ("127.0.0.1", 0), ("::1", 9)]
    assert node.admin_address == ("::1", 9)


async def test_an_admin_address_that_is_none_is_refused():
    async with trunkline.open([websocket("socket")]) as node:
        with pytest.raises(ConfigurationError, match="--admin is 'here'; expected HOST:PORT"):
            await node.listen(Settings(port=0, admin="here"))


# Documents and state.


async def test_documents_in_sqlite_beside_the_program_outlive_the_node(write):
    write("below/chat.py")
    for _ in range(2):
        async with testing.node("below/chat.py", store="sqlite:") as node:
            if _:
                assert await sys.modules["chat"].notes.doc("last").get() == "hello"
            else:
                await talk(node)
    assert sorted(f.name for f in Path("below/.trunkline").iterdir() if "sqlite" not in f.name) == [
        "epoch",
        "id.key",
        "lock",
    ]
    assert not Path(".trunkline").exists()


async def test_memory_keeps_nothing(write):
    write("chat.py")
    async with testing.node("chat.py") as node:
        await talk(node)
    async with testing.node("chat.py"):
        assert await sys.modules["chat"].notes.doc("last").get() is None
    assert not Path(".trunkline").exists()


@pytest.mark.parametrize("program", ["chat", "module", "declarations"])
async def test_the_state_of_what_has_no_file_is_in_the_working_directory(write, program):
    write("chat.py")
    if program == "declarations":
        program = [websocket("socket")]
    elif program == "module":
        program = types.ModuleType("notebook")
    async with trunkline.open(program, store="sqlite:"):
        assert Path(".trunkline/data.sqlite3").exists()


async def test_a_store_that_is_none_is_refused():
    with pytest.raises(
        ConfigurationError, match="expected memory:, sqlite:, sqlite:///FILE or dynamodb://REGION/PREFIX"
    ):
        async with trunkline.open([websocket("socket")], store="papyrus:"):
            raise AssertionError


# Connection ids.


def test_each_boot_has_the_same_key_and_the_next_epoch(tmp_path):
    state = tmp_path / "a" / ".trunkline"
    boots = [connection_ids(state) for _ in range(3)]
    ids = [boot.new() for boot in boots]
    assert len(set(ids)) == 3
    assert [boots[0].origin(id).epoch for id in ids] == [1, 2, 3], "every boot knows the ids of the others"
    assert (state / "epoch").read_text() == "3"
    assert len((state / "id.key").read_bytes()) == 32


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_the_key_is_for_its_owner_only(tmp_path):
    before = os.umask(0)
    try:
        connection_ids(tmp_path / ".trunkline")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / ".trunkline").stat().st_mode) == 0o700
    for file in (tmp_path / ".trunkline").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_the_epoch_is_kept_before_it_is_used(tmp_path, monkeypatch):
    connection_ids(tmp_path)
    monkeypatch.setattr(
        runtime, "ConnectionIds", lambda key, epoch: (tmp_path / "epoch").read_text() == str(epoch) == "2"
    )
    assert connection_ids(tmp_path) is True


def test_a_crash_while_the_epoch_is_written_leaves_the_old_one(tmp_path, monkeypatch):
    connection_ids(tmp_path)
    key = (tmp_path / "id.key").read_bytes()
    monkeypatch.setattr(os, "fsync", lambda descriptor: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        connection_ids(tmp_path)
    monkeypatch.undo()
    assert (tmp_path / "epoch").read_text() == "1"
    ids = connection_ids(tmp_path)
    assert ids.origin(ids.new()).epoch == 2
    assert (tmp_path / "id.key").read_bytes() == key


@pytest.mark.parametrize("damage", [b"", b"x", b"-1", b"1.5", b"16777215", "²".encode()])
def test_a_damaged_epoch_is_refused_by_name(tmp_path, damage):
    runtime.connection_ids(tmp_path)
    (tmp_path / "epoch").write_bytes(damage)
    with pytest.raises(ConfigurationError, match=r"epoch holds .*expected the number of the last start"):
        runtime.connection_ids(tmp_path)
    assert (tmp_path / "epoch").read_bytes() == damage, "nothing is lost"


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 33])
def test_a_damaged_key_is_refused_by_name(tmp_path, damage):
    (tmp_path / "id.key").write_bytes(damage)
    with pytest.raises(ConfigurationError, match=rf"id.key has {len(damage)} bytes; the key .* has 32"):
        runtime.connection_ids(tmp_path)
    assert (tmp_path / "id.key").read_bytes() == damage, "nothing is lost"


def test_boots_at_the_same_time_get_different_epochs(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        boots = list(pool.map(lambda _: connection_ids(tmp_path), range(24)))
    assert sorted(boots[0].origin(boot.new()).epoch for boot in boots) == list(range(1, 25))


def test_without_a_state_folder_every_boot_has_a_key_of_its_own():
    one, other = connection_ids(None), connection_ids(None)
    with pytest.raises(InvalidConnectionId):
        one.origin(other.new())


async def test_an_id_of_an_earlier_boot_is_gone_and_not_an_error(write):
    write("chat.py")
    ids = []
    for _ in range(2):
        async with testing.node("chat.py", store="sqlite:") as node:
            ids.append(node.running.gateway.ids.new())
            assert await sys.modules["chat"].socket.send(ids[0], "x") is False
    assert ids[0] != ids[1]


def test_a_platform_without_fcntl_goes_without_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime.os, "name", "nt")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    try:
        ids = connection_ids(tmp_path)
    finally:
        monkeypatch.undo()
    assert ids.origin(ids.new()).epoch == 1


@pytest.mark.parametrize("obstacle", ["folder", "epoch", "lock"])
def test_a_state_folder_that_cannot_be_had_is_refused_by_name(tmp_path, obstacle):
    state = tmp_path / ".trunkline"
    if obstacle == "folder":
        state.write_text("a file")
    else:
        (state / obstacle).mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=rf"cannot keep .* in {state}: (Is a|Not a|File) .*--store memory:"):
        connection_ids(state)


# After a crash. A node with a door keeps a journal of its connections; `crashed` leaves what a killed one leaves.

DOOR = Settings(port=0, admin="off")


def crashed(state, *ids, stage="socket"):
    journal = Journal(state / "journal")
    journal.open()
    for id in ids:
        journal.opened(
            Identity(
                connection_id=id, api_id=api_id(stage), stage=stage, domain_name="localhost", source_ip="127.0.0.1",
                user_agent=None, connected_at=0,
            ),
            stage,
        )  # fmt: skip
    journal._let_go()


async def test_connections_of_a_crash_have_their_disconnect_between_the_lifespans_and_the_door(write, monkeypatch):
    file = write("chat.py")
    crashed(file.parent / ".trunkline", "one", "two")
    log = []

    async def listen(gateway, host, port):
        log.extend([*sys.modules["chat"].log, "door"])
        return 1

    monkeypatch.setattr(Gateway, "listen", listen)
    async with trunkline.open(file, store="sqlite:") as node:
        assert sys.modules["chat"].log == ["begin"]
        await node.listen(DOOR)
    assert log == ["begin", "disconnect", "disconnect", "door"]
    assert (file.parent / ".trunkline" / "journal").read_bytes() == b""


async def test_a_script_beside_a_server_ends_none_of_its_connections(write):
    file = write("chat.py")
    async with testing.node(file, store="sqlite:") as node:
        await node.running.listen(DOOR)
        client = await node.connect("socket")
        async with trunkline.open([collection("notes")], store="sqlite:"):
            assert sys.modules["chat"].log == ["begin", "connect"]
        await client.send("hello")
        assert await client.receive() == "noted"
        assert len(node.running.journal.entries()) == 1


async def test_a_second_node_with_a_door_on_the_same_folder_is_refused(write):
    file = write("chat.py")
    async with trunkline.open(file, store="sqlite:") as node:
        await node.listen(DOOR)
        await node.listen(DOOR)
        with pytest.raises(ConfigurationError, match=rf"another trunkline run uses {file.parent}/.trunkline; stop it"):
            async with trunkline.open([websocket("other")], store="sqlite:///other.sqlite3") as second:
                await second.listen(DOOR)
    async with trunkline.open(file, store="sqlite:") as node:
        await node.listen(DOOR)


async def test_a_graceful_stop_leaves_an_empty_journal(write):
    file = write("chat.py")
    async with testing.node(file, store="sqlite:") as node:
        await node.running.listen(DOOR)
        await node.connect("socket")
        journal = file.parent / ".trunkline" / "journal"
        assert journal.read_bytes().count(b"opened") == 1
    assert journal.read_bytes() == b""
    assert sorted(f.name for f in journal.parent.iterdir() if "sqlite" not in f.name) == [
        "epoch", "id.key", "journal", "journal.lock", "lock",
    ]  # fmt: skip


async def test_in_memory_there_is_no_journal(write):
    file = write("chat.py")
    async with testing.node(file) as node:
        await node.running.listen(DOOR)
        await node.connect("socket")
        assert node.running.journal is None
    assert not (file.parent / ".trunkline").exists()


async def test_a_port_that_is_taken_leaves_the_journal_to_the_next(write):
    import socket as sockets

    file = write("chat.py")
    crashed(file.parent / ".trunkline", "one")
    with sockets.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(ConfigurationError, match="in use by another program"):
            async with trunkline.open(file, store="sqlite:") as node:
                await node.listen(Settings(port=taken.getsockname()[1], admin="off"))
    assert sys.modules["chat"].log == ["begin", "disconnect", "end"]
    async with trunkline.open([websocket("socket")], store="sqlite:") as node:
        await node.listen(DOOR)
        assert node.journal.entries() == []


async def test_where_a_door_will_be_no_lifespan_begins_while_another_node_has_the_folder(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import pathlib\n"
        "from trunkline import lifespan, websocket\n"
        "socket = websocket('socket')\n"
        "@lifespan\n"
        "async def life():\n"
        "    with (pathlib.Path(__file__).parent / 'begun').open('a') as file:\n"
        "        file.write('x')\n"
        "    yield\n"
    )
    async with trunkline.open(program, store="sqlite:", serving=True):
        with pytest.raises(ConfigurationError, match="another trunkline run uses"):
            async with trunkline.open(program, store="sqlite:", serving=True):
                pass
        async with trunkline.open(program, store="sqlite:"):
            pass  # a script beside it may
    assert (tmp_path / "begun").read_text() == "xx"
