"""`trunkline run` as a person meets it: a process of its own, at real ports."""

import http.client
import json
import socket
from dataclasses import fields

import pytest
import websockets
from websockets.sync.client import connect

from trunkline.config import Settings
from trunkline.model.api import Limits

NOTES = """
    from trunkline import collection, websocket

    notes = collection("notes").allow("reading", "writing")
    socket = websocket("socket")

    @socket.on("message")
    async def note(ctx):
        before = await notes.doc("last").get()
        await notes.doc("last").set(ctx.req.data)
        return f"before: {before}"
"""

BAD = """
    from trunkline import websocket

    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        raise ValueError("my secret")
"""


def answer(url, text):
    with connect(url) as client:
        client.send(text)
        return client.recv(timeout=5)


def get(address, path):
    """Status and body of a GET at HOST:PORT or at a URL."""
    client = http.client.HTTPConnection(address.removeprefix("http://").split("/")[0], timeout=5)
    try:
        client.request("GET", path)
        response = client.getresponse()
        return response.status, response.read().decode().strip()
    finally:
        client.close()


# What it serves, and what it says of it.


def test_the_socket_answers_at_the_printed_url(run_trunkline, write):
    assert answer(run_trunkline(write()).url("socket"), "hello") == "hello"


def test_routes_are_printed_with_handler_file_and_line(run_trunkline, write, tmp_path):
    write()
    banner = run_trunkline("echo.py", cwd=tmp_path).banner
    assert [line.split() for line in banner if "$default" in line] == [["$default", "echo", "echo.py:5"]]


def test_collections_are_printed_with_their_grants(run_trunkline, write, tmp_path):
    write("notes.py", NOTES)
    banner = run_trunkline("notes.py", cwd=tmp_path).banner
    assert "collection  notes  reading, writing  notes.py:3" in banner


def test_a_module_runs_by_its_name(run_trunkline, write, tmp_path):
    write("chats/echo.py")
    assert answer(run_trunkline("chats.echo", cwd=tmp_path).url("socket"), "hello") == "hello"


def test_several_sockets_have_an_address_each(run_trunkline, write):
    file = write(
        "two.py",
        """
        from trunkline import websocket

        chat = websocket("chat")
        news = websocket("news")

        @chat.on("message")
        async def in_chat(ctx):
            return "chat"

        @news.on("message")
        async def in_news(ctx):
            return "news"
        """,
    )
    urls = [url for url in run_trunkline(file).urls if url.startswith("ws:")]
    assert [answer(url, "which?") for url in urls] == ["chat", "news"]


def test_errors_of_handlers_go_to_the_log_and_not_to_the_client(run_trunkline, write):
    running = run_trunkline(write("bad.py", BAD))
    assert "secret" not in answer(running.url("socket"), "hello")
    code, _, err = running.stop()
    assert code == 0
    assert "the handler of $default at" in err
    assert "ValueError: my secret" in err


# Several files, each with its own grants.


def shop(write):
    """One file that may write orders, one that only reads them and tries to write."""
    write("orders.py", 'from trunkline import collection\n\nreadable = collection("orders").allow("reading")\n')
    taking = """
        from trunkline import collection, websocket

        orders = collection("orders").allow("writing")
        socket = websocket("socket")

        @socket.on("message", route="order")
        async def order(ctx):
            await orders.doc("last").set(ctx.req.json()["what"])
            return "ordered"
    """
    showing = """
        from trunkline import websocket
        from orders import readable

        socket = websocket("socket")

        @socket.on("message", route="show")
        async def show(ctx):
            return await readable.doc("last").get()

        @socket.on("message", route="cancel")
        async def cancel(ctx):
            await readable.doc("last").delete()
    """
    return write("taking.py", taking), write("showing.py", showing)


def test_files_given_together_are_one_program(run_trunkline, write):
    url = run_trunkline(*shop(write)).url("socket")
    assert answer(url, '{"action": "order", "what": "tea"}') == "ordered"
    assert answer(url, '{"action": "show"}') == "tea"


def test_each_file_has_its_own_grants_on_a_collection(run_trunkline, write, tmp_path):
    shop(write)
    banner = run_trunkline("taking.py", "showing.py", cwd=tmp_path).banner
    assert [line.split("  ")[2:] for line in banner if line.startswith("collection  orders")] == [
        ["writing", "taking.py:3"],
        ["reading", "orders.py:3"],
    ]


def test_what_a_file_was_not_allowed_is_logged_with_word_file_and_line(run_trunkline, write, tmp_path):
    running = run_trunkline(*shop(write))
    assert "Internal server error" in answer(running.url("socket"), '{"action": "cancel"}')
    _, _, err = running.stop()
    assert "PermissionDenied: " in err
    assert "delete needs 'deleting'" in err
    assert f"the declaration at {tmp_path / 'orders.py'}:3 allows 'reading'" in err


# Mistakes: one line that says what happened, what was expected and where; exit code 2.


def mistakes():
    """Files of a folder, arguments, and the line that is said."""
    echo = {"echo.py": None}
    twice = """
        from trunkline import websocket
        socket = websocket("socket")
        @socket.on("message")
        async def one(ctx): ...
        @socket.on("message")
        async def two(ctx): ...
    """
    plain = """
        from trunkline import websocket
        socket = websocket("socket")
        @socket.on("connect")
        def connect(ctx): ...
    """
    yield "no such file", {}, "chat.py", "chat.py does not exist; expected a Python file such as chat.py"
    yield "no such module", {}, "chat", "there is no file or module 'chat'; expected a path such as chat.py"
    yield (
        "a folder",
        {"folder.py/x": ""},
        "folder.py",
        "folder.py is a folder; expected a Python file such as chat.py",
    )
    yield (
        "a folder of no package",
        {"chat/x": ""},
        "chat",
        "chat is a folder and no Python file; expected one such as chat.py",
    )
    yield "another file", {"chat.txt": ""}, "chat.txt", "chat.txt is no Python file; expected one such as chat.py"
    yield "a file twice", echo, "echo.py echo.py", "echo.py is given more than once"
    yield (
        "no websocket", {"chat.py": "x = 1\n"}, "chat.py",
        'chat.py declares no websocket; expected at least one: socket = websocket("socket")',
    )  # fmt: skip
    yield (
        "a route twice", {"chat.py": twice}, "chat.py",
        "{folder}/chat.py:5: route '$default' of websocket('socket') is declared twice; the first is at {folder}/chat.py:3",
    )  # fmt: skip
    yield (
        "a route twice in two files", {"a.py": None, "b.py": None}, "a.py b.py",
        "{folder}/b.py:5: route '$default' of websocket('socket') is declared twice; the first is at {folder}/a.py:5",
    )  # fmt: skip
    yield (
        "a plain def", {"chat.py": plain}, "chat.py",
        "{folder}/chat.py:3: the connect handler connect of websocket('socket') is not `async def`; write async def; wrap blocking calls in asyncio.to_thread",
    )  # fmt: skip
    yield "port", echo, "echo.py --port http", "the command line sets port to 'http'; expected 0 to 65535"
    yield (
        "limit without number", echo, "echo.py --limit frame_bytes",
        "the command line has limit 'frame_bytes'; expected NAME=NUMBER, such as frame_bytes=65536",
    )  # fmt: skip
    yield (
        "unknown limit", echo, "echo.py --limit frames=1",
        f"the command line limits 'frames'; known are {', '.join(field.name for field in fields(Limits))}",
    )  # fmt: skip
    yield (
        "limit below 0", echo, "echo.py --limit frame_bytes=-1",
        "the command line sets limit frame_bytes to '-1'; expected a whole number above 0",
    )  # fmt: skip
    yield (
        "store", echo, "echo.py --store redis://127.0.0.1",
        "--store is 'redis://127.0.0.1'; expected memory:, sqlite:, sqlite:///FILE or dynamodb://REGION/PREFIX",
    )  # fmt: skip
    yield (
        "store that is none", {**echo, "notes.txt": "these are notes, no documents\n" * 9},
        "echo.py --store sqlite:///notes.txt",
        "cannot open the documents in notes.txt: file is not a database; put a backup in its place, or pass another file with --store",
    )  # fmt: skip
    yield "no web", echo, "echo.py --web page", "--web page does not exist; expected a folder of static files"
    yield "web file", echo, "echo.py --web echo.py", "--web echo.py is a file; expected a folder of static files"
    yield "admin", echo, "echo.py --admin 8001", "--admin is '8001'; expected HOST:PORT, such as 127.0.0.1:8001"
    yield (
        "log format", echo, "echo.py --log-format xml",
        "the command line sets log_format to 'xml'; expected text or json",
    )  # fmt: skip
    yield (
        "log level", echo, "echo.py --log-level loud",
        "the command line sets log_level to 'loud'; expected debug or info or warning or error",
    )  # fmt: skip
    yield (
        "busy port", echo, "echo.py --port {taken}",
        "port {taken} of 127.0.0.1 is in use by another program; pass another with --port",
    )  # fmt: skip
    yield (
        "busy admin port", echo, "echo.py --port 0 --admin 127.0.0.1:{taken}",
        "port {taken} of 127.0.0.1 is in use by another program; pass another with --admin",
    )  # fmt: skip
    yield (
        "pyproject", {**echo, "pyproject.toml": "[tool.trunkline]\nprot = 1\n"}, "echo.py",
        f"[tool.trunkline] of pyproject.toml sets 'prot'; known are {', '.join(sorted(f.name for f in fields(Settings)))}",
    )  # fmt: skip


@pytest.mark.parametrize(("files", "arguments", "line"), [pytest.param(*rest, id=name) for name, *rest in mistakes()])
def test_a_mistake_is_one_line_and_exit_code_2(trunkline, write, tmp_path, taken_port, files, arguments, line):
    for name, text in files.items():
        write(name, *[] if text is None else [text])
    known = {"folder": tmp_path, "taken": taken_port}
    code, out, err = trunkline("run", *arguments.format(**known).split(), cwd=tmp_path)
    assert (code, out, err) == (2, "", f"trunkline: {line.format(**known)}\n")


def test_a_wrong_variable_of_the_environment_is_one_line_and_exit_code_2(trunkline, write):
    code, out, err = trunkline("run", write(), env={"TRUNKLINE_PORT": "web"})
    assert (code, out) == (2, "")
    assert err == "trunkline: the environment sets port to 'web'; expected 0 to 65535\n"


# Flags.


def test_port_is_where_it_listens(run_trunkline, write, free_port):
    running = run_trunkline(write(), "--port", free_port)
    assert running.url("socket") == f"ws://127.0.0.1:{free_port}/socket"
    assert answer(running.url("socket"), "hello") == "hello"


def test_host_is_where_it_listens(run_trunkline, write):
    running = run_trunkline(write(), "--host", "127.0.0.3")
    assert answer(running.url("socket"), "hello") == "hello"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port), timeout=5)


def test_flags_win_over_the_environment_and_that_over_pyproject(run_trunkline, write, free_port):
    write("pyproject.toml", '[tool.trunkline]\nhost = "127.0.0.3"\nport = 1\nadmin = "off"\n')
    running = run_trunkline(write(), "--port", free_port, env={"TRUNKLINE_PORT": "2", "TRUNKLINE_HOST": "127.0.0.4"})
    assert running.urls == [f"ws://127.0.0.4:{free_port}/socket"]


def test_documents_are_kept_beside_the_program(run_trunkline, write):
    file = write("notes.py", NOTES)
    first = run_trunkline(file)
    assert answer(first.url("socket"), "one") == "before: None"
    assert first.stop()[0] == 0
    assert answer(run_trunkline(file).url("socket"), "two") == "before: one"
    assert (file.parent / ".trunkline" / "data.sqlite3").is_file()


def test_store_names_another_file(run_trunkline, write, tmp_path):
    file = write("notes.py", NOTES)
    kept = tmp_path / "kept" / "notes.db"
    first = run_trunkline(file, "--store", f"sqlite:///{kept}")
    assert answer(first.url("socket"), "one") == "before: None"
    assert first.stop()[0] == 0
    assert kept.is_file()
    assert answer(run_trunkline(file, "--store", f"sqlite:///{kept}").url("socket"), "two") == "before: one"


def test_a_store_in_memory_leaves_nothing_behind(run_trunkline, write):
    file = write("notes.py", NOTES)
    first = run_trunkline(file, "--store", "memory:")
    assert answer(first.url("socket"), "one") == "before: None"
    assert first.stop()[0] == 0
    assert answer(run_trunkline(file, "--store", "memory:").url("socket"), "two") == "before: None"
    assert [entry.name for entry in file.parent.iterdir() if entry.name != "__pycache__"] == ["notes.py"]


def test_web_serves_a_folder_at_the_printed_url(run_trunkline, write, tmp_path):
    write("page/index.html", "<h1>hello</h1>")
    running = run_trunkline(write(), "--web", tmp_path / "page")
    assert get(running.url("page"), "/") == (200, "<h1>hello</h1>")


def test_limit_changes_a_limit(run_trunkline, write):
    url = run_trunkline(write(), "--limit", "frame_bytes=10", "--limit", "message_bytes=20").url("socket")
    assert answer(url, "x" * 10) == "x" * 10
    with connect(url) as client:
        client.send("x" * 11)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            client.recv(timeout=5)
    assert closed.value.rcvd.code == 1009


def test_admin_is_where_it_says_that_it_is_ready(run_trunkline, write):
    running = run_trunkline(write(), "--admin", "127.0.0.1:0")
    assert get(running.url("admin"), "/ready") == (200, "ready")
    assert get(running.url("admin"), "/live") == (200, "live")
    assert get(f"127.0.0.1:{running.port}", "/ready")[0] == 404


def test_admin_off_opens_no_second_port(run_trunkline, write):
    assert [url for url in run_trunkline(write(), "--admin", "off").urls if url.startswith("http:")] == []


def test_log_format_json_writes_one_object_a_line(run_trunkline, write):
    running = run_trunkline(write("bad.py", BAD), "--log-format", "json")
    answer(running.url("socket"), "hello")
    code, _, err = running.stop()
    entries = [json.loads(line) for line in err.splitlines()]
    assert code == 0
    assert [entry["level"] for entry in entries if "my secret" in json.dumps(entry)] == ["ERROR"]


@pytest.mark.parametrize(("level", "seen"), [("warning", True), ("error", False)])
def test_log_level_is_the_least_that_is_logged(run_trunkline, write, level, seen):
    file = write(
        "careful.py",
        """
        import logging
        from trunkline import websocket

        socket = websocket("socket")
        logging.getLogger("trunkline.careful").warning("the bridge is old")
        """,
    )
    _, _, err = run_trunkline(file, "--log-level", level).stop()
    assert ("the bridge is old" in err) == seen
