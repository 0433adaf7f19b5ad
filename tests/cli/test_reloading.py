"""`run --reload`: a change of the program starts it anew, a mistake waits for the next change."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
import websockets
from websockets.sync.client import connect

PROGRAM = """
    from trunkline import collection, websocket

    socket = websocket("socket")
    visits = collection("visits").allow("reading", "writing")

    @socket.on("message")
    async def message(ctx):
        count = (await visits.doc("all").get() or 0) + 1
        await visits.doc("all").set(count)
        return f"first {count}"
"""
WITH_HELPER = """
    from helper import WORD
    from trunkline import websocket

    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        return WORD
"""
BROKEN = """
    from trunkline import websocket

    socket = websocket("socket")
    raise RuntimeError("it is broken")
"""
STUCK = """
    import time
    from trunkline import websocket

    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        print("begun", flush=True)
        time.sleep(30)
"""


class Reloading:
    """A supervised node at a port of its own."""

    def __init__(self, running, port):
        self.running = running
        self.port = port
        self.listening = f"listening at 127.0.0.1:{port}; stop with Ctrl-C"
        self.errors = []

    def ask(self, text="x"):
        with connect(f"ws://127.0.0.1:{self.port}/socket", compression=None) as client:
            client.send(text)
            return client.recv(timeout=5)

    def serves_again(self):
        """Wait until the next banner is there."""
        self.running.says(self.listening)

    def tells(self, text):
        """Wait for a line on standard error."""
        for line in iter(self.running.process.stderr.readline, b""):
            self.errors.append(line.decode())
            if text in self.errors[-1]:
                return
        raise AssertionError(f"it never told {text!r}: {self.errors}")

    def told_within(self, seconds):
        """What is written to standard error meanwhile."""
        os.set_blocking(self.running.process.stderr.fileno(), False)
        time.sleep(seconds)
        told = self.running.process.stderr.read()
        os.set_blocking(self.running.process.stderr.fileno(), True)
        return (told or b"").decode()

    def is_gone(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return True
        return False


@pytest.fixture
def reloading(run_trunkline, free_port, tmp_path):
    """Start a program with `--reload`; once its banner is there, it is watched."""

    def reloading(program, *flags, command=(), env=None, until="listening"):
        arguments = [program.name, "--port", str(free_port), "--admin", "off", "--reload", *flags]
        if command:
            running = run_trunkline(command=[*command, *arguments], cwd=tmp_path, clean=False)
        else:
            running = run_trunkline(*arguments, cwd=tmp_path, env=env, until=until, clean=False)
        time.sleep(0.2)  # the watching begins beside the node's start
        return Reloading(running, free_port)

    return reloading


def test_a_change_is_served_within_two_seconds(reloading, write):
    node = reloading(write("program.py", PROGRAM))
    assert node.ask() == "first 1"
    seconds = []
    for number in ("second", "third", "fourth"):
        write("program.py", PROGRAM.replace("first", number))
        began = time.monotonic()
        node.serves_again()
        seconds.append(time.monotonic() - began)
        assert node.ask().startswith(number)
    assert min(seconds) < 2
    code, _, err = node.running.stop(signal.SIGINT)
    assert (code, err) == (0, "program.py changed\n" * 3)


def test_documents_are_kept(reloading, write, tmp_path):
    node = reloading(write("program.py", PROGRAM))
    assert [node.ask() for _ in range(3)] == ["first 1", "first 2", "first 3"]
    write("program.py", PROGRAM.replace("first", "second"))
    node.serves_again()
    assert node.ask() == "second 4"
    assert (tmp_path / ".trunkline" / "data.sqlite3").is_file()


@pytest.mark.parametrize("env", [{}, {"TRUNKLINE_LOOP": "asyncio"}], ids=["uvloop", "asyncio"])
def test_clients_are_told_that_the_service_restarts(reloading, write, env):
    node = reloading(write("program.py", PROGRAM), env=env)
    with connect(f"ws://127.0.0.1:{node.port}/socket") as client:
        write("program.py", PROGRAM.replace("first", "second"))
        with pytest.raises(websockets.ConnectionClosed) as closed:
            client.recv(timeout=5)
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "Service restart")
    node.serves_again()


def test_a_broken_program_shows_its_traceback_and_the_next_change_serves_again(reloading, write, tmp_path):
    node = reloading(write("program.py", PROGRAM))
    write("program.py", BROKEN)
    node.tells("waiting for a change")
    told = "".join(node.errors)
    assert told.startswith("program.py changed\n")
    assert f'File "{tmp_path / "program.py"}", line 4' in told
    assert "RuntimeError: it is broken" in told
    assert told.count("File ") == 1, "none of our frames"
    assert node.is_gone()
    write("program.py", PROGRAM)
    node.serves_again()
    assert node.ask() == "first 1"
    assert node.running.stop(signal.SIGINT)[0] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def\n", "SyntaxError: "),
        ("x = 1\n", "trunkline: program.py declares no websocket; expected at least one"),
        ("import sys\n\nsys.exit(3)\n", ""),
    ],
    ids=["syntax", "no socket", "exit"],
)
def test_a_program_that_cannot_be_from_the_start_waits_for_a_change_too(reloading, write, text, message):
    write("loading.py", 'print("loading", flush=True)\n')
    write("part.py", text)
    node = reloading(write("program.py", "import loading\nimport part\n"), until="loading")
    node.tells("waiting for a change")
    assert message in "".join(node.errors)
    write("program.py", PROGRAM)
    node.serves_again()
    assert node.ask() == "first 1"


def test_a_change_of_a_module_beside_the_program_starts_it_anew(reloading, write):
    write("helper.py", 'WORD = "before"\n')
    write("parts/__init__.py", "a = 1\n")
    node = reloading(write("program.py", WITH_HELPER))
    assert node.ask() == "before"
    write("helper.py", 'WORD = "after"\n')
    node.serves_again()
    assert node.ask() == "after"
    write("parts/__init__.py", "b = 2\n")
    node.serves_again()
    assert node.running.stop(signal.SIGINT)[2] == "helper.py changed\n__init__.py changed\n"


def test_a_change_of_the_settings_starts_it_anew(reloading, write):
    node = reloading(write("program.py", PROGRAM), "--limit", "handler_seconds=5")
    write("pyproject.toml", "[tool.trunkline.limit]\nmessage_bytes = 1\n")
    node.serves_again()
    with pytest.raises(websockets.ConnectionClosed) as closed:
        node.ask("too long")
    assert closed.value.rcvd.code == 1009


OTHERS = [
    ".trunkline/data.sqlite3-x", ".trunkline/x.py", "web/index.html", "web/page.js", "notes.txt", "__pycache__/x.py", ".venv/lib/x.py",
    ".venv/pyproject.toml", "node_modules/pyproject.toml", ".git/x.py",
]  # fmt: skip


def test_a_change_of_anything_else_does_not(reloading, write):
    for name in OTHERS:
        write(name, "a = 1\n")
    node = reloading(write("program.py", PROGRAM))
    with connect(f"ws://127.0.0.1:{node.port}/socket") as client:
        for name in OTHERS:
            write(name, "b = 2\n")
        client.send("x")
        assert client.recv() == "first 1"
        assert node.told_within(2) == ""
        client.send("x")
        assert client.recv(timeout=5) == "first 2"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_both_processes_with_exit_code_0(reloading, write, number):
    node = reloading(write("program.py", PROGRAM))
    with connect(f"ws://127.0.0.1:{node.port}/socket") as client:
        began = time.monotonic()
        assert node.running.stop(number) == (0, "", "")
        assert time.monotonic() - began < 2
        with pytest.raises(websockets.ConnectionClosed) as closed:
            client.recv(timeout=5)
    assert closed.value.rcvd.code == 1001
    assert node.is_gone()


@pytest.fixture
def in_a_group(reloading, write):
    """As in a terminal, where Ctrl-C is for every process of the command."""
    command = ["setsid", str(Path(sys.executable).with_name("trunkline")), "run"]
    return lambda text: reloading(write("program.py", text), command=command)


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_in_a_terminal_ends_both(in_a_group, times):
    node = in_a_group(PROGRAM)
    for _ in range(times):
        os.killpg(node.running.process.pid, signal.SIGINT)
        time.sleep(0.05)
    assert node.running.ended(5) == (0, "", "")
    assert node.is_gone()


def test_impatience_does_no_harm(in_a_group):
    node = in_a_group(STUCK)
    with connect(f"ws://127.0.0.1:{node.port}/socket", close_timeout=0) as client:
        client.send("x")
        node.running.says("begun")
        for _ in range(4):
            os.killpg(node.running.process.pid, signal.SIGINT)
            time.sleep(0.1)
        code, out, err = node.running.ended(5)
    assert (code, out) == (0, "")
    assert err.endswith("trunkline: stopped at once; handlers and lifespans that had not ended were cut off\n")
    assert "Traceback" not in err
    assert node.is_gone()


def test_while_it_waits_for_a_change_a_signal_ends_it(reloading, write):
    node = reloading(write("program.py", PROGRAM))
    write("program.py", BROKEN)
    node.tells("waiting for a change")
    assert node.running.stop(signal.SIGINT) == (0, "", "")


def test_a_file_may_have_any_name(reloading, write):
    node = reloading(write("program.py", PROGRAM))
    write("[bold] [.py", "")
    node.serves_again()
    assert node.running.stop(signal.SIGINT) == (0, "", "[bold] [.py changed\n")


def test_a_mistake_on_the_command_line_is_told_once(trunkline, write):
    program = write("program.py", PROGRAM)
    code, out, err = trunkline("run", program, "--reload", "--port", "x")
    assert (code, out) == (2, "")
    assert err == "trunkline: the command line sets port to 'x'; expected 0 to 65535\n"
