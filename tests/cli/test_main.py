"""How the command line ends: what it says of a mistake, and with which exit code."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import trunkline as trunkline_package

BOOM = """
    import json

    def read(text):
        return json.loads(text)

    read("{")
"""


def one_line(text):
    """The line, if it is the only one."""
    assert text.count("\n") == 1, text
    assert text.endswith("\n")
    return text[:-1]


# The command line itself.


def test_without_a_verb_the_help_is_shown_and_the_exit_code_says_that_nothing_was_done(trunkline):
    code, out, err = trunkline()
    assert code == 2
    assert "run" in out
    assert err == ""


def test_the_version_is_the_installed_one(trunkline):
    assert trunkline("--version") == (0, f"trunkline {version('trunkline')}\n", "")


def test_python_m_trunkline_is_the_same(trunkline):
    done = subprocess.run([sys.executable, "-m", "trunkline", "--version"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == trunkline("--version")


def test_the_help_of_run_names_every_flag_with_its_default(trunkline):
    code, out, err = trunkline("run", "--help", env={"COLUMNS": "200"})
    assert (code, err) == (0, "")
    for flag, default in {
        "--host": "default 127.0.0.1.",
        "--port": "default 8000.",
        "--store": "default sqlite:, a file beside the program.",
        "--admin": "default 127.0.0.1, the port above.",
        "--web": "Folder of static files to serve.",
        "--limit": "such as frame_bytes=65536",
        "--log-format": "default text.",
    }.items():
        assert [line for line in out.splitlines() if flag in line and default in line], flag


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["serve"], "trunkline: No such command 'serve'; see trunkline --help"),
        (["run"], "trunkline: Missing argument 'PROGRAM'; see trunkline run --help"),
        (["run", "chat.py", "--port"], "trunkline: Option '--port' requires an argument; see trunkline --help"),
        (["run", "chat.py", "--xyz"], "trunkline: No such option: --xyz; see trunkline run --help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(trunkline, arguments, expected):
    code, out, err = trunkline(*arguments)
    assert (code, out, one_line(err)) == (2, "", expected)


def test_a_flag_that_is_almost_right_is_guessed(trunkline):
    _, _, err = trunkline("run", "chat.py", "--prot", "1")
    assert "--port" in one_line(err)


# Errors of the program that is run: her own traceback, and nothing of ours.


def test_an_error_in_a_program_is_its_own_traceback(trunkline, write, tmp_path):
    file = write("boom.py", BOOM)
    alone = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=30)
    code, out, err = trunkline("run", file)
    assert (code, out) == (2, "")
    assert err == alone.stderr


def test_a_syntax_error_is_shown_as_python_shows_it(trunkline, write):
    file = write("broken.py", "def connect(:\n    ...\n")
    alone = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=30)
    code, _, err = trunkline("run", file)
    assert code == 2
    assert err == alone.stderr


def test_a_missing_import_of_a_program_is_its_own_error(trunkline, write):
    code, _, err = trunkline("run", write("chat.py", "import no_such_library\n"))
    assert code == 2
    assert err.splitlines()[1].endswith('chat.py", line 1, in <module>')
    assert err.splitlines()[-1] == "ModuleNotFoundError: No module named 'no_such_library'"


def test_a_program_that_exits_while_it_is_loaded_is_shown_where(trunkline, write):
    code, _, err = trunkline("run", write("chat.py", 'import sys\n\nsys.exit("no key is set")\n'))
    assert code == 2
    assert 'chat.py", line 3' in err
    assert err.splitlines()[-1] == "SystemExit: no key is set"


def test_a_call_of_ours_that_raises_ends_the_traceback_at_the_programs_line(trunkline, write):
    code, _, err = trunkline(
        "run", write("early.py", 'from trunkline import websocket\n\nsocket = websocket("socket")\nsocket.url()\n')
    )
    first, frame, line, error = err.splitlines()
    assert (code, first) == (2, "Traceback (most recent call last):")
    assert frame.endswith('early.py", line 4, in <module>')
    assert line.strip() == "socket.url()"
    assert error.startswith("trunkline.errors.NotRunning: url was called outside a running node")


def test_a_lifespan_that_fails_at_its_beginning_is_the_programs_own_error(trunkline, write):
    file = write(
        "pool.py",
        """
        import trunkline

        socket = trunkline.websocket("socket")

        @trunkline.lifespan
        async def pool():
            raise OSError("the database is away")
            yield
        """,
    )
    code, out, err = trunkline("run", file, "--port", "0")
    first, frame, line, error = err.splitlines()
    assert (code, out, first) == (2, "", "Traceback (most recent call last):")
    assert frame.endswith('pool.py", line 7, in pool')
    assert line.strip() == 'raise OSError("the database is away")'
    assert error == "OSError: the database is away"


def test_a_lifespan_that_fails_at_its_end_is_the_programs_own_error(run_trunkline, write):
    file = write(
        "pool.py",
        """
        import trunkline

        socket = trunkline.websocket("socket")

        @trunkline.lifespan
        async def pool():
            yield
            raise OSError("the database is away")
        """,
    )
    code, _, err = run_trunkline(file).stop()
    assert code == 2
    assert [line.strip() for line in err.splitlines() if "File" in line] == [f'File "{file}", line 8, in pool']


def test_errors_of_tasks_and_their_causes_are_shown_without_frames_of_ours(trunkline, write):
    file = write(
        "group.py",
        """
        import asyncio
        import trunkline

        socket = trunkline.websocket("socket")

        async def read():
            await trunkline.collection("notes").doc("x").get()

        @trunkline.lifespan
        async def life():
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(read())
            except* trunkline.PermissionDenied as denied:
                raise RuntimeError("cannot begin") from denied
            yield
        """,
    )
    code, _, err = trunkline("run", file, "--port", "0")
    assert code == 2
    assert "PermissionDenied: collection('notes').get needs 'reading'" in err
    # Early versions of Python 3.11 draw a group around it.
    assert [line for line in err.splitlines() if line.strip(" |+-")][-1].strip(" |") == "RuntimeError: cannot begin"
    assert str(Path(trunkline_package.__file__).parent) not in err


def test_a_fault_of_ours_keeps_its_whole_traceback(trunkline, write, tmp_path):
    broken = tmp_path / "sitecustomize.py"
    broken.write_text("import trunkline.cli.run\ntrunkline.cli.run.settings = None\n")
    code, _, err = trunkline("run", write(), env={"PYTHONPATH": str(tmp_path)})
    assert code == 1
    assert [line for line in err.splitlines() if "File" in line and "run.py" in line]
    assert err.splitlines()[-1] == "TypeError: 'NoneType' object is not callable"
