"""One worker: a process that runs one function, one invocation at a time, as long as it lives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from trunkline import clock
from trunkline.functions.environment import Say
from trunkline.functions.runtime_api import RuntimeConnection
from trunkline.model.functions import FunctionDefinition, Invocation

__all__ = ["Worker"]

_LAUNCHER = Path(__file__).with_name("launcher.py")
_INIT_SECONDS = 30.0  # Lambda gives 10, on a machine that does nothing else
_LINE_BYTES = 64 * 1024  # a longer line is said in pieces
_READ_BYTES = 64 * 1024
_TAB = 4  # columns: runtime clients put tabs between time, request and level
_STOP_SECONDS = 1.0
_LAST_WORDS_SECONDS = 0.5
_DEATH_SECONDS = 0.05  # from the end of its connection until its exit is known
_LOOK_SECONDS = 0.1  # between two looks at the memory of one that is at work
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_MIB = 1024 * 1024
_MOST_PROCESSES = 64  # that are looked at, of one worker
_BEYOND_MB = 4096  # of memory that may be asked for: versions of Node ask for a gigabyte that they never touch


class Worker:
    """A process of its own, with a Runtime API of its own.

    Args:
        definition: the function.
        arn: its ARN.
        parked: is told each time that it waits for an event.
        lost: is told once that it has ended.

    Attributes:
        generation: which state of the code it runs.
        starting: it has not been handed to anybody yet.
        idle_since: when it began to wait, by the loop's time.
        lines: what it has written while it starts; None afterwards.
    """

    def __init__(
        self,
        definition: FunctionDefinition,
        arn: str,
        generation: int,
        say: Say,
        parked: Callable[[Worker], None],
        lost: Callable[[Worker], None],
    ) -> None:
        self._definition = definition
        self._arn = arn
        self.generation = generation
        self._say = say
        self._on_parked = parked
        self._on_lost = lost
        self.starting = True
        self.idle_since = 0.0
        self.lines: list[str] | None = []
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[Invocation | None] = self._loop.create_future()
        self._answer: asyncio.Future[Invocation] | None = None
        self._request_id = ""
        self._connection: RuntimeConnection | None = None  # on which it waits
        self._process: asyncio.subprocess.Process | None = None
        self._server: asyncio.Server | None = None
        self._living: asyncio.Task[None] | None = None
        self._is_killed = False
        self._is_out_of_memory = False
        self._look: asyncio.TimerHandle | None = None

    async def start(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Invocation | None:
        """Start it in a folder. None once it waits for an event, or what is wrong with it."""
        self._server = await self._loop.create_server(lambda: RuntimeConnection(self), "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        memory = self._definition.memory_mb + _BEYOND_MB
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(_LAUNCHER), str(os.getpid()), str(memory), *command,
            cwd=folder,
            env={**environment, "AWS_LAMBDA_RUNTIME_API": f"{host}:{port}"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        self._living = self._loop.create_task(self._live(self._process))
        if self._is_killed:  # while it was being started
            self.kill()
        self._look = self._loop.call_later(_LOOK_SECONDS, self._look_at_memory)
        try:
            async with asyncio.timeout(_INIT_SECONDS):
                failure: Invocation | None = await asyncio.shield(self._ready)
            if failure is not None:  # it ends by itself, and may have something to say before
                await asyncio.wait([self._living], timeout=_LAST_WORDS_SECONDS)
            return failure  # noqa: TRY300 - all of it is what may take too long
        except TimeoutError:
            self.kill()
            message = f"RequestId: {uuid.uuid4()} Error: Task timed out after {_INIT_SECONDS:.2f} seconds"
            return _failure("Sandbox.Timedout", message)

    @property
    def is_busy(self) -> bool:
        """Whether it has an event that it has not answered."""
        return self._answer is not None

    @property
    def can_take(self) -> bool:
        """Whether it waits for an event, and is alive."""
        return self._connection is not None and self._connection.is_alive

    async def run(self, payload: bytes) -> Invocation:
        """Hand it an event and wait for what comes of it; it must be able to take one."""
        connection = cast("RuntimeConnection", self._connection)
        self._connection = None
        self._answer = answer = self._loop.create_future()
        seconds = self._definition.seconds
        connection.give(self._headers(seconds), payload)
        if self._look is None:
            self._look = self._loop.call_later(_LOOK_SECONDS, self._look_at_memory)
        timer = self._loop.call_later(seconds, self._time_out)
        try:
            invocation: Invocation = await answer
            return invocation
        finally:
            timer.cancel()
            self._answer = None

    def kill(self) -> None:
        """End it now, with all that it has started."""
        self._is_killed = True
        if self._process is None:
            self._close_server()
        elif self._living is None or not self._living.done():
            self._kill_group(self._process)

    def _kill_group(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    def _close_server(self) -> None:
        if self._server is not None:
            self._server.close()

    async def ended(self) -> None:
        """Until its process is gone, or a second."""
        if self._living is not None:
            await asyncio.wait([self._living], timeout=_STOP_SECONDS)

    def _headers(self, seconds: float) -> dict[str, str]:
        now, random = clock.now(), os.urandom(28)
        self._request_id = str(uuid.UUID(bytes=random[:16], version=4))
        return {
            "Lambda-Runtime-Aws-Request-Id": self._request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((now + seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self._arn,
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(now):08x}-{random[16:].hex()};Sampled=0",
        }

    def _time_out(self) -> None:
        seconds = self._definition.seconds
        self._end_call("Sandbox.Timedout", f"Error: Task timed out after {seconds:.2f} seconds")
        self.kill()

    def _look_at_memory(self) -> None:
        """End it if it has more of its own than its function may have."""
        self._look = None
        if self._process is None or self._process.returncode is not None:
            return
        if _own_bytes(self._process.pid) > self._definition.memory_mb * _MIB:
            self._is_out_of_memory = True
            self.kill()
        elif self.is_busy or not self._ready.done():
            self._look = self._loop.call_later(_LOOK_SECONDS, self._look_at_memory)

    def _end_call(self, kind: str, message: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(_failure(kind, f"RequestId: {self._request_id} {message}"))

    # What its process does.

    async def _live(self, process: asyncio.subprocess.Process) -> None:
        listening = self._loop.create_task(self._listen_to(cast("asyncio.StreamReader", process.stdout)))
        code = await process.wait()
        self._kill_group(process)  # what it has started holds its output open, and would outlive it
        await asyncio.wait([listening], timeout=_LAST_WORDS_SECONDS)
        listening.cancel()  # unless somebody left the group with its output
        self._connection = None
        self._close_server()
        if self._look is not None:
            self._look.cancel()
        kind = "Runtime.OutOfMemory" if self._is_out_of_memory else "Runtime.ExitError"
        message = f"Error: {_how_it_ended(code)}"
        self._end_call(kind, message)
        if not self._ready.done():
            self._ready.set_result(_failure(kind, f"RequestId: {uuid.uuid4()} {message}"))
        self._on_lost(self)

    async def _listen_to(self, output: asyncio.StreamReader) -> None:
        rest = b""
        while piece := await output.read(_READ_BYTES):
            *lines, rest = (rest + piece.replace(b"\r", b"\n")).split(b"\n")
            for line in lines:
                self._write(line)
            while len(rest) > _LINE_BYTES:
                self._write(rest[:_LINE_BYTES])
                rest = rest[_LINE_BYTES:]
        if rest:
            self._write(rest)

    def _write(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip().expandtabs(_TAB)
        if not text:
            return
        if self.lines is None:
            self._say(self._definition.name, text)
        else:
            self.lines.append(text)

    # What it says over its Runtime API.

    def asked(self, connection: RuntimeConnection) -> None:
        """See `Listener`."""
        self._connection = connection
        self.idle_since = self._loop.time()
        if not self._ready.done():
            self._ready.set_result(None)
        if not self.starting:
            self._on_parked(self)

    def answered(self, request_id: str, payload: bytes, *, failed: bool) -> None:
        """See `Listener`."""
        if self._answer is not None and request_id == self._request_id and not self._answer.done():
            self._answer.set_result(Invocation(payload, "Unhandled" if failed else None))

    def failed_to_start(self, payload: bytes) -> None:
        """See `Listener`."""
        if not self._ready.done():
            self._ready.set_result(Invocation(payload, "Unhandled"))

    def hung_up(self, connection: RuntimeConnection) -> None:
        """See `Listener`."""
        if connection is self._connection:
            self._connection = None
            self.kill()  # who no longer asks is of no use
        elif self.is_busy:
            self._loop.call_later(_DEATH_SECONDS, self._look_after_the_dead)

    def _look_after_the_dead(self) -> None:
        # asyncio's own wait lasts until nobody holds the output open, such as what it has started.
        if self._process is not None and self._process.returncode is not None:
            self.kill()


def _failure(kind: str, message: str) -> Invocation:
    told = json.dumps({"errorType": kind, "errorMessage": message}, separators=(",", ":"))  # as Lambda spells it
    return Invocation(told.encode(), "Unhandled")


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"Runtime exited with error: signal: {(signal.strsignal(-code) or str(-code)).lower()}"
    return f"Runtime exited with error: exit status {code}" if code else "Runtime exited without providing a reason"


def _own_bytes(pid: int) -> int:
    """The memory that a process, and those that it has started, share with nobody; 0 where the system does not say."""
    total, left = 0, [pid]
    for _ in range(_MOST_PROCESSES):
        if not left:
            break
        found = left.pop()
        _, resident, shared, *_ = [*_numbers(f"/proc/{found}/statm"), 0, 0, 0]
        total += (resident - shared) * _PAGE
        left += _numbers(f"/proc/{found}/task/{found}/children")
    return total


def _numbers(path: str) -> list[int]:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - ten times a second
            return [int(number) for number in file.read().split()]
    except (OSError, ValueError):
        return []
