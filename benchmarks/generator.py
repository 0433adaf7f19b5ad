"""Compiles and runs the load generator."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

from servers import BUILD, HERE, BenchmarkError, Running, on_cpu

LIMIT_SECONDS = 120  # the generator ends itself after this


def compile_all() -> None:
    """Compile the C programs into `build/`.

    Raises:
        BenchmarkError: there is no compiler, or it fails.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise BenchmarkError("no C compiler `cc`; on Debian: apt-get install gcc libc6-dev")
    BUILD.mkdir(exist_ok=True)
    for name in ("load", "epoll_server"):
        command = [compiler, "-O2", "-Wall", "-Wextra", "-o", str(BUILD / name), str(HERE / f"{name}.c")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise BenchmarkError(f"{' '.join(command)} failed:\n{done.stderr}")


def load(mode: str, server: Running, **options: Any) -> dict[str, float]:
    """Run the generator against a server; returns what it prints, see load.c.

    Raises:
        BenchmarkError: it found a fault.
    """
    command = _command(mode, server, options)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS + 10)
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"{mode} against {server.name} took more than {LIMIT_SECONDS} s") from None
    if done.returncode:
        raise BenchmarkError(f"{mode} against {server.name}: {done.stderr.strip() or done.returncode}")
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


@contextlib.contextmanager
def holding(server: Running, connections: int) -> Iterator[None]:
    """Hold idle connections open while the block runs."""
    command = _command("idle", server, {"connections": connections})
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise BenchmarkError(f"{connections} connections cannot be opened at {server.name}")
        yield
        # Leaving `with` closes its standard input, which ends it.


def _command(mode: str, server: Running, options: dict[str, Any]) -> list[str]:
    every = {"port": server.port, "path": "/socket", "server": server.pid, "limit": LIMIT_SECONDS, **options}
    words = [f"{name}={value}" for name, value in every.items()]
    return on_cpu(1, [str(BUILD / "load"), mode, *words])
