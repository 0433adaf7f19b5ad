"""Puts a node under stress, and judges it by what everybody wrote down.

    python -m stress.run [--seed N] [--seconds S] [--loop asyncio] [--keep FOLDER]

One round of every scenario and every attack, at once, takes about twelve seconds; there are as many as fit into two
thirds of the time, and at least one. Before and after them the process must have the same number of tasks,
descriptors and documents, and as much memory but for 5 % or 2 MiB. In the rest of the time the node is ended and
started again under load. After each part `stress.check` judges the records; those of a part without a violation are
thrown away. Exits with 1 if anything is not as it should be; then the folder with records and log is kept and named.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import shutil
import sys
import time
from pathlib import Path

import uvloop

from stress.attacks import attacks
from stress.check import check, report
from stress.churn import churn
from stress.crowd import crowd
from stress.field import Field, together
from stress.findings import Findings
from stress.node import ROOT, Node, Sample, complaints
from stress.posts import posts
from stress.records import Recorder, read
from stress.restarts import restarts
from stress.scenarios import SCENARIOS

__all__ = ["Run", "main"]

MIB = 1024 * 1024
SECONDS = 7.0  # of a round; two clients of it must not read for ten
WARM_UP_SECONDS = 2.0
SHORT_SECONDS = 60.0  # below that less is done in a round
SETTLE_SECONDS = 15.0  # handlers of clients that left go on; a busy machine takes its time


class Run:
    """One run in a folder of its own.

    Attributes:
        findings: of all parts, by the invariants' names.
        problems: whatever else is not as it should be.
    """

    def __init__(self, folder: Path, seed: int, seconds: float, loop: str = "uvloop") -> None:
        self.folder = folder
        self.seconds = seconds
        self.findings: dict[str, Findings] = {}
        self.problems: list[str] = []
        self.rounds = 0
        self._runner = Recorder(folder / "runner.jsonl", "runner", durable=True)
        self._clients = Recorder(folder / "clients.jsonl", "clients")
        self.node = Node(folder, self._runner, loop)
        self.field = Field(self.node, self._clients, seed)
        self.field.scale = 1.0 if seconds >= SHORT_SECONDS else 0.4
        self._peak = 0
        self._left: set[str] = set()

    async def all(self) -> None:
        """Everything, and the end of the node whatever happens."""
        try:
            await self._all()
        finally:
            await self.node.end()
            self.close()

    def close(self) -> None:
        """Let go of its files."""
        self.node.close()
        self._clients.close()
        self._runner.close()

    async def _all(self) -> None:
        began = time.monotonic()
        await self.node.start()
        await self._rounds(began + self.seconds * 2 / 3)
        while not self.failed:
            await self._restarts()
            if time.monotonic() - began >= self.seconds:
                break
        status = await self.node.term()
        self._expect(status == 0, f"the last exit status is {status}")
        self._judge()
        left = (self.folder / ".trunkline" / "journal").stat().st_size
        self._expect(left == 0, f"the journal holds {left} bytes at the end")
        self.problems += [f"in the log: {line}" for line in complaints(self.folder)]
        self.problems += [problem for tally in self.field.tallies.values() for problem in tally.problems]

    @property
    def failed(self) -> bool:
        """Whether anything is not as it should be so far."""
        violated = any(found.violations for found in self.findings.values())
        return violated or bool(self.problems) or any(tally.problems for tally in self.field.tallies.values())

    # Rounds against one life of the node.

    async def _rounds(self, until: float) -> None:
        began = time.monotonic()
        first = await self.node.sample()
        samples = [await self._round(first, WARM_UP_SECONDS, whole=False)]
        print(f"at the start: {first}\nafter the warm-up: {samples[0]}", flush=True)
        while not self.failed and self._has_time_for_more(time.monotonic() - began, until):
            samples.append(await self._round(first, SECONDS, whole=True))
            self.rounds += 1
            print(f"after round {self.rounds}: {samples[-1]}; {self._peak / MIB:.1f} MiB at most", flush=True)
        if len(samples) == 2 and _grown(*samples) > _allowed(samples[0]):
            # A leak grows each time; what only had not been at its peak in the warm-up does not.
            samples.append(await self._round(first, WARM_UP_SECONDS, whole=False))
            print(f"after one more, a short one: {samples[-1]}", flush=True)
        # A whole round is a better warm-up than the warm-up, if something comes after it.
        self.compare(first, samples[len(samples) > 2], samples[-1])

    def _has_time_for_more(self, took: float, until: float) -> bool:
        """At least one."""
        each = took / (self.rounds + WARM_UP_SECONDS / SECONDS)
        return self.rounds == 0 or time.monotonic() + each <= until

    async def _round(self, before: Sample, seconds: float, *, whole: bool) -> Sample:
        self.field.seconds, self.field.whole = seconds, whole
        watching = asyncio.create_task(self._watch())
        try:
            await together(scenario(self.field) for scenario in (*SCENARIOS, crowd, posts, churn, attacks))
        finally:
            watching.cancel()
        after = await self._settled(before)
        self._judge()
        return after

    async def _watch(self) -> None:
        while True:
            self._peak = max(self._peak, self.node.resident())
            await asyncio.sleep(0.1)

    async def _settled(self, before: Sample) -> Sample:
        """What the node has when it has as many tasks and descriptors as before, or takes too long for that."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            now = await self.node.sample()
            if _counts(now) == _counts(before) or time.monotonic() > deadline:
                return now
            await asyncio.sleep(0.1)

    def compare(self, first: Sample, warm: Sample, now: Sample) -> None:
        """Note what is not as it was at the start; memory, as it was after the warm-up."""
        self._expect(_counts(first) == _counts(now), f"not as much as before: {now}; before: {first}")
        self._expect(not now.documents, f"documents are left: {now.documents[:5]}")
        grown, allowed = _grown(warm, now), _allowed(warm)
        self._expect(grown <= allowed, f"memory has grown by {grown / MIB:.1f} MiB; {allowed / MIB:.1f} are allowed")

    # Lives of the node.

    async def _restarts(self) -> None:
        """End it and start it again under load; what is left then are documents that nobody owes a DISCONNECT."""
        before = await self.node.sample()
        await restarts(self.field)
        after = await self._settled(before)
        self._expect(_counts(before) == _counts(after), f"not as much as before: {after}; before: {before}")
        for connection in set(after.documents) - self._left:
            self._clients.note("document-left", connection=connection)  # to be forgotten with the rest
        self._left.update(after.documents)
        print(f"after {self.node.lives} lives: {after}", flush=True)
        self._judge()

    # Judging.

    def _expect(self, holds: bool, problem: str) -> None:
        if not holds:
            self.problems.append(problem)

    def _judge(self) -> None:
        """Check the records of a part; if there is nothing wrong with them, forget them but for the ids."""
        self._clients.flush()
        files = sorted(self.folder.glob("*.jsonl"))
        records = read(files)
        for name, found in check(records).items():
            total = self.findings.setdefault(name, Findings())
            total.checked += found.checked
            total.violations += found.violations
        if self.failed:
            return
        for record in records:
            if record.kind == "connect-begin":
                self._runner.note("id-used", connection=record.connection)
        for file in files:
            if file.name != "runner.jsonl":
                os.truncate(file, 0)


def _grown(before: Sample, after: Sample) -> float:
    return after.resident - before.resident


def _allowed(before: Sample) -> float:
    return max(before.resident * 0.05, 2 * MIB)


def _counts(sample: Sample) -> tuple[int, int]:
    return sample.tasks, sample.descriptors


def scoreboard(run: Run) -> str:
    """What each scenario had to see, and saw."""
    lines = [f"{'scenario':24}{'connections':>13}{'expected':>12}{'seen':>12}"]
    tallies = run.field.tallies.values()
    lines += [f"{tally.name:24}{tally.connections:13,}{tally.expected:12,}{tally.seen:12,}" for tally in tallies]
    return "\n".join(lines)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="stress", description="Puts a node under stress and judges it.")
    parser.add_argument("--seed", type=int, help="the plan; another one each time unless given")
    seconds = float(os.environ.get("SECONDS") or 600)
    parser.add_argument("--seconds", type=float, default=seconds, help="about how long it takes [SECONDS, or 600]")
    parser.add_argument(
        "--loop", choices=["uvloop", "asyncio"], default="uvloop", help="the node's event loop [uvloop]"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where records and log go, and stay")
    found = parser.parse_args(arguments)
    if not 1 <= found.seconds <= 3600:
        parser.error("--seconds is 1 to 3600")
    if found.seed is None:
        found.seed = secrets.randbelow(1 << 32)
    return found


def main(arguments: list[str]) -> int:
    """The exit status."""
    found = parse(arguments)
    folder = found.keep or ROOT / "build" / "stress" / f"{found.seed}-{os.getpid()}"
    folder.mkdir(parents=True)
    began = time.monotonic()
    print(f"seed {found.seed}\n", flush=True)
    run = Run(folder, found.seed, found.seconds, found.loop)
    uvloop.run(run.all())
    print(f"{scoreboard(run)}\n\n{report(run.findings)}\n")
    for problem in run.problems[:20]:
        print(problem)
    if len(run.problems) > 20:
        print(f"and {len(run.problems) - 20:,} more")
    ends = f"{run.rounds} rounds, {run.node.lives} lives of the node, {time.monotonic() - began:.0f} seconds"
    if run.failed:
        print(f"seed {found.seed}: FAILED; {ends}; the records of the part that failed, and the log: {folder}")
        return 1
    print(f"seed {found.seed}: passed; {ends}")
    if found.keep is None:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
