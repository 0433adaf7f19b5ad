"""A DynamoDB of this machine, for one run: dynalite under Node, or moto's server."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from trunkline.errors import ConfigurationError
from trunkline.functions.npm import find_node, find_package, node_cache

__all__ = ["DynamoServer", "choose_server"]

_START_SECONDS = 30.0
_ADDRESS = "127.0.0.1"

# Each says which port it has, and ends with its standard input: when we are gone, however we went.
_DYNALITE = """
const options = {createTableMs: 0, deleteTableMs: 0, updateTableMs: 0}
const server = require(process.argv[1])(options)
server.listen(0, process.argv[2], () => console.log(server.address().port))
process.stdin.resume().on("close", () => process.exit())
"""
_MOTO = """
import logging, os, sys
from moto.server import ThreadedMotoServer
logging.disable(logging.WARNING)
output, sys.stdout = sys.stdout, sys.stderr  # it has things of its own to say
server = ThreadedMotoServer(ip_address=sys.argv[1], port=0)
server.start()
print(server.get_host_and_port()[1], file=output, flush=True)
sys.stdin.read()
os._exit(0)
"""
_NONE = (
    "the tables need a DynamoDB, and there is {missing}; expected one of: `npm install dynalite`, and "
    "`--node-modules DIR` if it is not installed in {cache}; `--dynamodb URL` for one that runs already; "
    "`pip install 'moto[server]'`"
)


class DynamoServer:
    """A server that runs from its making on.

    Attributes:
        name: dynalite or moto.
    """

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        # Of its own group: an interrupt at the terminal ends us, and we end it, behind the last handler.
        self._process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True
        )

    def url(self) -> str:
        """Where it answers; it blocks until it does.

        Raises:
            ConfigurationError: it did not start.
        """
        line = self._first_line()
        if not line.endswith(b"\n"):
            self._process.kill()
            self._process.wait()
            raise ConfigurationError(f"{self.name} did not start: {self._last_words() or 'it said nothing'}")
        return f"http://{_ADDRESS}:{int(line)}"

    def close(self) -> None:
        """End it, and everything that it started. Its tables are gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            assert stream is not None
            stream.close()

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

    def _last_words(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-2000:].decode("utf-8", "replace").strip()


def choose_server(node: Path | None, node_modules: Path | None) -> tuple[str, list[str]]:
    """Name and command of what there is; the quicker one first.

    Args:
        node: the program; None for what is found.
        node_modules: where dynalite is looked for first.

    Raises:
        ConfigurationError: there is neither.
    """
    node = node or find_node()
    folders = [folder for folder in (node_modules, node_cache() / "node_modules") if folder is not None]
    package = find_package("dynalite", folders)
    if node is not None and package is not None:
        return "dynalite", [str(node), "-e", _DYNALITE, str(package.resolve()), _ADDRESS]
    if find_spec("moto") is not None and find_spec("flask") is not None:  # with its extra
        return "moto", [sys.executable, "-c", _MOTO, _ADDRESS]
    missing = "no Node" if node is None else "no dynalite"
    raise ConfigurationError(_NONE.format(missing=missing, cache=node_cache()))
