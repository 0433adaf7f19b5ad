"""The server: one life of `trunkline run stress.program` after the other, in one folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import IO

import msgspec

from stress.client import PATIENCE, Client
from stress.records import Recorder

__all__ = ["Node", "Sample", "complaints"]

ROOT = Path(__file__).resolve().parents[1]
COMMAND = Path(sys.executable).with_name("trunkline")
_LISTENING = re.compile(rb"listening at 127\.0\.0\.1:(\d+)")
_STOP_SECONDS = 40.0  # the node itself takes 30 at most


class Sample(msgspec.Struct):
    """What the process has of everything.

    Attributes:
        documents: the connections that have one.
        blocks: pieces of memory that Python's objects have.
        resident: bytes.
    """

    tasks: int
    descriptors: int
    documents: list[str]
    blocks: int
    resident: int

    def __str__(self) -> str:
        memory = f"{self.blocks:,} blocks, {self.resident / (1024 * 1024):.1f} MiB"
        return f"{self.tasks} tasks, {self.descriptors} descriptors, {len(self.documents)} documents, {memory}"


class Node:
    """A process, from `start` to `term` or `kill`.

    Args:
        folder: for its state, its records and what it says on standard error.
        recorder: the runner's.
        loop: its event loop, uvloop or asyncio.
    """

    def __init__(self, folder: Path, recorder: Recorder, loop: str = "uvloop") -> None:
        self.folder = folder
        self.loop = loop
        self.port = 0
        self.name = ""
        self.lives = 0
        self._recorder = recorder
        self._process: asyncio.subprocess.Process | None = None
        self._errors: IO[bytes] = (folder / "stderr").open("ab")

    @property
    def records(self) -> Path:
        """Where its handlers write."""
        return self.folder / f"{self.name}.jsonl"

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    def _note(self, kind: str, **fields: int | None) -> None:
        self._recorder.note(f"node-{kind}", node=self.name, **fields)

    async def start(self) -> None:
        """Begin a life, up to the open door."""
        await self.begin()
        await self.listening()

    async def begin(self) -> None:
        """Begin a life."""
        self.lives += 1
        self.name = f"node-{self.lives}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
        path = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH")]))
        environment = kept | {"PYTHONPATH": path, "STRESS_NODE": self.name, "STRESS_RECORDS": str(self.records)}
        environment |= {"TRUNKLINE_LOOP": self.loop, "PYTHONWARNINGS": "always"}
        self._note("started")
        self._process = await asyncio.create_subprocess_exec(
            COMMAND, "run", "stress.program", "--port", "0", "--admin", "off", "--log-format", "json",
            cwd=self.folder, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=self._errors,
        )  # fmt: skip

    async def listening(self) -> None:
        """Wait until its door is open."""
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE * 2):
            async for line in self._process.stdout:
                if found := _LISTENING.match(line):
                    self.port = int(found[1])
                    self._note("listening")
                    return
        raise RuntimeError(f"{self.name} ended before it listened; see {self.folder / 'stderr'}")

    async def term(self) -> int:
        """SIGTERM, and its exit status; if it does not end, it is killed."""
        assert self._process is not None
        self._note("term")
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                status = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            status = await self._process.wait()
        self._note("exited", status=status)
        return status

    async def kill(self) -> None:
        """`kill -9`."""
        assert self._process is not None
        at = time.monotonic_ns()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._recorder.note("node-killed", at=at, node=self.name, until=time.monotonic_ns())

    async def end(self) -> None:
        """No process is left, however that was."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def close(self) -> None:
        """Let go of its files."""
        self._errors.close()

    def resident(self) -> int:
        """Bytes of memory, seen from outside."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def sample(self) -> Sample:
        """What it has, by its own word."""
        with contextlib.closing(Recorder(Path(os.devnull), "stats")) as nowhere:
            client = Client(nowhere, "stats", "stats")
            if await client.open(self.port):
                client.send()
            if not await client.gets(1, "unknown"):
                raise RuntimeError(f"{self.name} does not tell what it has")
            await client.close(1000)
        return msgspec.json.decode(client.last, type=Sample)


# What it says on standard error.

_EXPECTED = (
    re.compile(r"the handler of \S+ at .+:[0-9]+ raised; connection \S+, request \S+"),
    re.compile(r"the handler of \S+ at .+:[0-9]+ was cancelled after 10 s \(limit handler_seconds\); .*"),
    re.compile(r"connections that were open when the last run ended: \d+; they get their DISCONNECT now"),
    re.compile(r".+: the last record was not finished \(\d+ bytes\), as a crash leaves it; it is left out"),
    re.compile(r"the handler of \S+ at .+:[0-9]+ holds the loop for over .*"),  # the machine has other things to do too
)


def complaints(folder: Path) -> list[str]:
    """The lines of the nodes' log that have no place in it."""
    lines = (folder / "stderr").read_text().splitlines()
    return [line for line in lines if not _is_expected(line)]


def _is_expected(line: str) -> bool:
    try:
        said = msgspec.json.decode(line, type=dict[str, str])
    except msgspec.DecodeError:
        return False
    raised = "traceback" not in said or said["traceback"].endswith("stress.program.OnPurposeError")
    return raised and any(expected.fullmatch(said["message"]) for expected in _EXPECTED)
