"""Starts the servers that are measured, each as a process of its own on the first CPU, and ends them by their pid."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = HERE / "build"
START_SECONDS = 15.0
STOP_SECONDS = 20.0

HANDSHAKE = (
    b"GET /socket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class BenchmarkError(Exception):
    """Something that is measured, or measures, does not work; the text says what."""


@dataclass(frozen=True)
class Server:
    """Something to measure.

    Attributes:
        name: what the table calls it.
        command: from a port and an empty folder to the command line.
    """

    name: str
    command: Callable[[int, Path], list[str]]


@dataclass(frozen=True)
class Running:
    """A server that accepts connections; `began` is the time of its exec, on the monotonic clock."""

    name: str
    port: int
    pid: int
    began: float


def trunkline(program: str, *, durable: bool = False) -> Server:
    """A program of `programs/`, run as a user runs it; `durable` keeps its documents in SQLite."""

    def command(port: int, folder: Path) -> list[str]:
        store = f"sqlite:///{folder / 'documents.db'}" if durable else "memory:"
        file = str(HERE / "programs" / f"{program}.py")
        arguments = ["--port", str(port), "--admin", "127.0.0.1:0", "--store", store]
        return [str(Path(sys.executable).with_name("trunkline")), "run", file, *arguments]

    return Server("trunkline", command)


def template() -> Server:
    """The template of `programs/template/`, run as a user runs it."""

    def command(port: int, folder: Path) -> list[str]:
        file = str(HERE / "programs" / "template" / "template.yaml")
        return [
            str(Path(sys.executable).with_name("trunkline")),
            "run",
            file,
            "--port",
            str(port),
            "--admin",
            "127.0.0.1:0",
        ]

    return Server("trunkline", command)


def peer(name: str, mode: str, called: str | None = None) -> Server:
    """A server of `peers/`, in the peers' own environment; `called` is another name for the table."""
    python = os.environ.get("BENCH_PYTHON", str(ROOT / ".venv-bench" / "bin" / "python"))
    file = str(HERE / "peers" / f"{name}_server.py")
    return Server(called or name, lambda port, folder: [python, file, str(port), mode])


def c_epoll(mode: str) -> Server:
    """The reference in C."""
    return Server("C epoll", lambda port, folder: [str(BUILD / "epoll_server"), str(port), mode])


@contextlib.contextmanager
def running(server: Server) -> Iterator[Running]:
    """Run a server until the block ends.

    Raises:
        BenchmarkError: it does not accept connections.
    """
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="run-") as folder:
        port = free_port()
        log = BUILD / f"{server.name.replace(' ', '-').lower()}.log"
        began = time.monotonic()
        process = start(server.command(port, Path(folder)), log)
        try:
            wait_for_port(process, port, server.name, log)
            yield Running(server.name, port, process.pid, began)
        finally:
            stop(process)


def start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process on the first CPU; what it prints goes to a file."""
    with log.open("wb") as output:
        return subprocess.Popen(
            on_cpu(0, command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that we started, and what it leaves behind."""
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for_port(process: subprocess.Popen[bytes], port: int, name: str, log: Path) -> None:
    """Wait until the server takes connections."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    text = log.read_text(errors="replace")
    raise BenchmarkError(f"{name} does not accept connections:\n{text[-2000:]}")


def seconds_to_first_handshake(server: Server) -> float:
    """From the exec of a server to the first 101 that it answers."""
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="run-") as folder:
        port = free_port()
        command = server.command(port, Path(folder))
        began = time.monotonic()
        process = start(command, BUILD / "start-up.log")
        try:
            while time.monotonic() < began + START_SECONDS:
                if answers(port):
                    return time.monotonic() - began
                time.sleep(0.001)
        finally:
            stop(process)
    raise BenchmarkError(f"{server.name} accepted no connection in {START_SECONDS:g} s")


def seconds_to_first_answer(port: int, text: str) -> float:
    """From a message of less than 126 bytes to its echo, on a new connection."""
    masked = b"\x81" + bytes([0x80 | len(text)]) + bytes(4) + text.encode()
    wanted = b"\x81" + bytes([len(text)]) + text.encode()
    with socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS) as client:
        client.sendall(HANDSHAKE)
        received = _some(client)
        while not received.endswith(b"\r\n\r\n"):
            received += _some(client)
        if not received.startswith(b"HTTP/1.1 101"):
            raise BenchmarkError(f"the handshake was refused: {received[:40]!r}")
        began, received = time.monotonic(), b""
        client.sendall(masked)
        while len(received) < len(wanted):
            received += _some(client)
        ended = time.monotonic()
    if received != wanted:
        raise BenchmarkError(f"a wrong echo: {received!r}")
    return ended - began


def _some(client: socket.socket) -> bytes:
    try:
        received = client.recv(1024)
    except OSError as error:
        raise BenchmarkError(f"no answer: {error}") from None
    if not received:
        raise BenchmarkError("the server closed the connection")
    return received


def answers(port: int) -> bool:
    """Whether a handshake is answered with 101."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
            client.sendall(HANDSHAKE)
            return client.recv(1024).startswith(b"HTTP/1.1 101")
    except OSError:
        return False


def free_port() -> int:
    """A port of the loopback address that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def on_cpu(number: int, command: Sequence[str]) -> list[str]:
    """The command, kept on the first (0) or second (1) CPU that we may use."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise BenchmarkError("this needs two CPUs: one for the server, one for the load generator")
    return ["taskset", "-c", str(cpus[number]), *command]


def resident_bytes(pid: int) -> int:
    """The resident set of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise BenchmarkError(f"process {pid} has no resident set")
