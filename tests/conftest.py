"""Real processes, for the tests that need them."""

import contextlib
import functools
import os
import random
import re
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
from hypothesis import settings

from trunkline.functions.dynamodb_server import DynamoServer, choose_server

# How long an example takes depends on what else the machine does; what has to be quick is measured by tests of its own.
settings.register_profile("shared-machine", deadline=None)
if settings.get_current_profile_name() == "default":
    settings.load_profile("shared-machine")

NODE_MODULES = Path(__file__).parents[1] / ".venv/node/node_modules"
COMMAND = Path(sys.executable).with_name("trunkline")


@pytest.fixture(scope="session", autouse=True)
def services():
    """What boto3 knows of AWS's services is read once, and not for each of many hundred sessions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(botocore.session.create_loader))
        yield


def environment(more=None):
    """This one's, without what would change what is tested."""
    changing = ("TRUNKLINE_", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(changing)}
    return kept | {"NO_COLOR": "1"} | (more or {})


class Running:
    """A `trunkline run` of its own, up and listening."""

    def __init__(self, process: subprocess.Popen[bytes], until: str) -> None:
        self.process = process
        self.over = False
        self.banner: list[str] = []
        for line in self._lines():
            self.banner.append(line)
            if line.startswith(until):
                return
        raise AssertionError(f"it ended before it said {until!r}: {process.stderr.read().decode()}")

    def _lines(self) -> Iterator[str]:
        # The pipe has no buffer here: what is not taken yet is still there for `communicate`.
        for line in iter(self.process.stdout.readline, b""):
            yield line.decode().removesuffix("\n")

    @property
    def urls(self) -> list[str]:
        return [url for line in self.banner for url in re.findall(r"(?:ws|http)://\S+", line)]

    @property
    def port(self) -> int:
        """The one that clients connect to."""
        return int(re.search(r":(\d+);", self.banner[-1])[1])

    def url(self, kind: str) -> str:
        """The first URL behind this word of the banner."""
        return next(line.split()[-1] for line in self.banner if line.startswith(kind))

    def says(self, text: str) -> None:
        """Wait until the program has printed this line."""
        assert text in self._lines(), f"it never said {text!r}"

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Exit code, rest of the output, errors."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.ended()

    def ended(self, seconds: float = 20) -> tuple[int, str, str]:
        """The same, of a process that ends by itself."""
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.over = True
        return self.process.returncode, out.decode(), err.decode()


@contextlib.contextmanager
def running_commands():
    """Gives what starts `trunkline run ARGUMENTS` at any free port, or another command that does.

    What still runs at the end must stop cleanly and silently.
    """
    with contextlib.ExitStack() as stack:

        def run(
            *arguments: object,
            cwd: Path | None = None,
            clean: bool = True,
            env=None,
            until: str = "listening",
            command=None,
        ) -> Running:
            if command is None:
                command = [COMMAND, "run", *map(str, arguments)]
                if "--port" not in arguments and "TRUNKLINE_PORT" not in (env or {}):
                    command += ["--port", "0"]
            process = stack.enter_context(
                subprocess.Popen(
                    command,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    cwd=cwd,
                    env=environment(env),
                )
            )
            running = Running(process, until)

            def end() -> None:
                if not running.over:
                    code, _, err = running.stop()
                    assert not clean or (code, err) == (0, "")

            stack.callback(end)
            return running

        yield run


@pytest.fixture
def run_trunkline():
    """Start `trunkline run ARGUMENTS` for a test."""
    with running_commands() as run:
        yield run


@pytest.fixture(scope="module")
def run_for_all():
    """The same for all tests of a module, which leave it as it is."""
    with running_commands() as run:
        yield run


@pytest.fixture(scope="session")
def trunkline():
    """Run `trunkline ARGUMENTS` to its end: (exit code, output, errors)."""

    def run(*arguments: object, cwd: Path | None = None, env=None) -> tuple[int, str, str]:
        done = subprocess.run(
            [COMMAND, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            cwd=cwd,
            env=environment(env),
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def taken_port():
    """A port of 127.0.0.1 that something listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free_port():
    """A port of 127.0.0.1 that nothing listens at; the system gives it to nobody by itself."""
    while True:
        port = random.randrange(20_000, 30_000)  # below those that outgoing connections get
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@pytest.fixture(scope="session")
def dynamodb():
    """URL of a DynamoDB of this machine, for all tests that take it: each has tables with names of its own."""
    server = DynamoServer(*choose_server(None, [NODE_MODULES], "dynalite"))
    try:
        yield server.url()
    finally:
        server.close()


@pytest.fixture
def dynamodb_store(dynamodb):
    """A `--store` of it with a prefix that no other test has."""
    return f"dynamodb://us-east-1/{secrets.token_hex(6)}-?endpoint={dynamodb}"
