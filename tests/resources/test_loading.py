"""Loading a program: files and modules."""

import sys
import textwrap
from pathlib import Path

import pytest

from trunkline import ConfigurationError, DeclarationError, testing
from trunkline.resources.loading import ProgramFailed, declared_in, folder_of, load

CHAT = """
    from trunkline import collection, websocket

    connections = collection("connections").allow("reading", "writing")
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        return "chat"
"""
EMPTY = "x = 1\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file of the program in the working directory; what it imports is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    before, path = set(sys.modules), list(sys.path)

    def write(name, text):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    yield write
    sys.path[:] = path
    for name in set(sys.modules) - before:
        module = sys.modules[name]
        if str(getattr(module, "__file__", None) or tmp_path).startswith(str(tmp_path)):
            del sys.modules[name]


def line_of(file, text):
    return next(n for n, line in enumerate(Path(file).read_text().splitlines(), 1) if text in line)


@pytest.mark.parametrize("absolute", [True, False])
def test_a_file_is_run_and_its_declarations_are_the_program(write, absolute):
    file = write("chat.py", CHAT)
    application = load([str(file) if absolute else "chat.py"])
    assert list(application.sockets) == ["socket"]
    assert list(application.handlers["socket"]) == ["$default"]
    assert {handle.granted for handle in application.collections["connections"]} == {
        frozenset(), frozenset({"reading", "writing"}),
    }  # fmt: skip
    assert sys.modules["chat"].socket is application.sockets["socket"]


def test_places_are_those_in_the_programs_file(write):
    file = write("chat.py", CHAT)
    application = load([str(file)])
    (handle,) = [handle for handle in application.collections["connections"] if handle.granted]
    assert str(handle.where) == f"{file}:{line_of(file, 'allow')}"
    assert str(application.sockets["socket"].where) == f"{file}:{line_of(file, 'websocket(')}"
    assert str(application.handlers["socket"]["$default"].where) == f"{file}:{line_of(file, 'socket.on')}"


@pytest.mark.parametrize("name", ["chat", "package.chat", "package"])
def test_a_module_of_the_working_directory_is_a_program_too(write, name):
    file = write("package/__init__.py", CHAT if name == "package" else EMPTY)
    if name != "package":
        file = write(name.replace(".", "/") + ".py", CHAT)
    assert str(load([name]).sockets["socket"].where) == f"{file}:{line_of(file, 'websocket(')}"


def test_a_module_that_was_imported_already_is_run_again(write):
    write("chat.py", CHAT)
    first = load(["chat"])
    second = load(["chat"])
    assert first.sockets["socket"] is not second.sockets["socket"]
    assert list(second.handlers["socket"]) == ["$default"]


def test_two_files_are_one_program(write):
    one = write("one.py", CHAT)
    two = write(
        "two.py",
        """
        from trunkline import collection, websocket
        socket = websocket("socket").allow("closing")
        other = websocket("other")
        connections = collection("connections").allow("deleting")

        @socket.on("connect")
        async def connect(ctx):
            pass
        """,
    )
    application = load([str(one), str(two)])
    assert set(application.sockets) == {"socket", "other"}
    assert set(application.handlers["socket"]) == {"$default", "$connect"}
    assert {Path(h.where.file) for h in application.handlers["socket"].values()} == {one, two}
    assert [sorted(h.granted) for h in application.collections["connections"] if h.granted] == [
        ["reading", "writing"], ["deleting"],
    ]  # fmt: skip


def test_a_route_in_two_files_is_refused_with_both_places(write):
    one, two = write("one.py", CHAT), write("two.py", "\n\n" + CHAT)
    with pytest.raises(DeclarationError) as refused:
        load([str(one), str(two)])
    assert str(refused.value) == (
        f"{two}:{line_of(two, 'socket.on')}: route '$default' of websocket('socket') is declared twice; "
        f"the first is at {one}:{line_of(one, 'socket.on')}"
    )


def test_files_of_a_program_import_each_other(write):
    write("shared.py", CHAT)
    main = write("main.py", "from shared import socket, connections\n@socket.on('connect')\nasync def f(ctx): pass\n")
    application = load([str(main)])
    assert set(application.handlers["socket"]) == {"$default", "$connect"}
    assert len(application.collections["connections"]) == 2


def test_a_program_whose_socket_is_of_an_imported_module_is_loaded_as_often_as_one_likes(write):
    write(
        "shared.py",
        "from trunkline import lifespan, websocket\nsocket = websocket('socket')\n@lifespan\nasync def life():\n    yield\n",
    )
    main = write("main.py", "from shared import life, socket\n@socket.on('connect')\nasync def f(ctx): pass\n")
    first, second = load([str(main)]), load([str(main)])
    assert first.sockets["socket"] is second.sockets["socket"]
    assert list(second.handlers["socket"]) == ["$connect"]
    assert first.handlers["socket"]["$connect"].function is not second.handlers["socket"]["$connect"].function
    assert [len(application.lifespans) for application in (first, second)] == [1, 1]


async def test_a_loaded_program_runs(write):
    async with testing.node(str(write("chat.py", CHAT))) as node, await node.connect("socket") as client:
        await client.send("x")
        assert await client.receive() == "chat"


# What cannot be loaded.


def test_a_program_without_a_socket_is_refused(write):
    one, two = write("one.py", EMPTY), write("two.py", "from trunkline import collection\nx = collection('x')\n")
    with pytest.raises(DeclarationError) as refused:
        load([str(one), str(two)])
    assert str(refused.value) == (
        f'{one}, {two} declares no websocket; expected at least one: socket = websocket("socket")'
    )


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("missing.py", "missing.py does not exist; expected a Python file such as chat.py"),
        ("./folder", "folder is a folder; expected a Python file such as chat.py"),
        ("folder.py", "folder.py is a folder; expected a Python file such as chat.py"),
        ("folder/notes.txt", "folder/notes.txt is not a Python file; expected a name that ends in .py"),
        ("folder\\notes.py", "folder\\notes.py does not exist"),
        ("missing", "there is no file or module 'missing'; expected a path such as chat.py"),
        ("missing.below", "there is no file or module 'missing.below'"),
        ("chat.below", "there is no file or module 'chat.below'"),
        (".chat", "there is no file or module '.chat'"),
        ("", "there is no file or module ''"),
        ("a b", "there is no file or module 'a b'"),
    ],
)
def test_what_is_no_file_and_no_module_is_refused(write, program, message):
    write("chat.py", CHAT)
    write("folder/notes.txt", "")
    Path("folder.py").mkdir()
    with pytest.raises(ConfigurationError) as refused:
        load([program])
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("text", ["1 / 0\n", "raise SystemExit(3)\n", "def :\n", "import no_such_thing_anywhere\n"])
@pytest.mark.parametrize("program", ["bad.py", "bad", "bad.below"])
def test_a_program_that_fails_keeps_its_own_error(write, text, program):
    if program == "bad.below":
        write("bad/__init__.py", text)
        write("bad/below.py", CHAT)
    else:
        write("bad.py", text)
    with pytest.raises(ProgramFailed) as failed:
        load([program])
    expected = {"1": ZeroDivisionError, "r": SystemExit, "d": SyntaxError, "i": ModuleNotFoundError}
    assert type(failed.value.__cause__) is expected[text[0]]


def test_a_declaration_that_cannot_be_is_told_as_it_is(write):
    file = write("chat.py", "from trunkline import websocket\nsocket = websocket('a b')\n")
    with pytest.raises(DeclarationError) as refused:
        load([str(file)])
    assert str(refused.value).startswith(f"{file}:2: websocket('a b'): a name is")


def test_a_configuration_error_of_the_program_is_told_as_it_is(write):
    file = write("chat.py", "from trunkline import ConfigurationError\nraise ConfigurationError('set TOKEN')\n")
    with pytest.raises(ConfigurationError, match="^set TOKEN$"):
        load([str(file)])


def test_ctrl_c_while_a_program_is_loaded_is_nobodys_error(write):
    with pytest.raises(KeyboardInterrupt):
        load([str(write("chat.py", "raise KeyboardInterrupt\n"))])


# Where state goes, and what a module declares.


def test_the_state_of_a_file_is_beside_it_and_that_of_a_module_in_the_working_directory(write):
    file = write("below/chat.py", CHAT)
    assert folder_of("below/chat.py") == folder_of(str(file)) == file.parent
    assert folder_of("package.chat") == file.parent.parent


def test_declared_in_a_module_is_what_its_names_mean(write):
    file = write(
        "chat.py", CHAT + "\n    import trunkline\n\n    @trunkline.lifespan\n    async def life():\n        yield\n"
    )
    load([str(file)])
    chat = sys.modules["chat"]
    found = declared_in(chat)
    assert [type(value).__name__ for value in found] == ["Collection", "Websocket", "Lifespan"]
    assert found[:2] == [chat.connections, chat.socket]
    assert found[2].function is chat.life
