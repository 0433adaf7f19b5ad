"""What scenarios share: who they are against, where they write, their randomness, and what they counted."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from random import Random

from stress.client import Client
from stress.node import Node
from stress.records import Recorder

__all__ = ["Field", "Tally", "together"]


@dataclass(slots=True)
class Tally:
    """The exact counts of one scenario, over all rounds.

    Attributes:
        seen: of what was expected, how much was there.
        problems: what was not as expected, the first of each client.
    """

    name: str
    connections: int = 0
    expected: int = 0
    seen: int = 0
    problems: list[str] = field(default_factory=list)

    def expect(self, what: str, expected: int, seen: int) -> None:
        """Count; more than expected is as wrong as less."""
        self.expected += expected
        self.seen += seen
        if expected != seen:
            self.problems.append(f"{self.name}: {what}: expected {expected:,}, seen {seen:,}")


class Field:
    """Where a run takes place.

    Attributes:
        seconds: over how many a round is spread.
        whole: with what takes ten seconds and cannot be shorter.
        scale: how much is done in it; the number of clients is the same.
    """

    def __init__(self, node: Node, recorder: Recorder, seed: int) -> None:
        self.node = node
        self.recorder = recorder
        self.seconds = 10.0
        self.whole = True
        self.scale = 1.0
        self.tallies: dict[str, Tally] = {}
        self._seed = seed
        self._numbers = itertools.count(1)

    @property
    def port(self) -> int:
        """Of the node's present life."""
        return self.node.port

    def times(self, most: int) -> int:
        """How often something is done."""
        return max(1, round(most * self.scale))

    def tally(self, name: str) -> Tally:
        """That of a scenario."""
        return self.tallies.setdefault(name, Tally(name))

    def random(self, name: str) -> Random:
        """A plan that depends on the seed and the name alone."""
        return Random(f"{self._seed} {name}")

    def client(self, tally: Tally, path: str = "stress") -> tuple[Client, Random]:
        """A client that is not connected, and its plan."""
        tally.connections += 1
        name = f"{tally.name.replace(' ', '-')}-{next(self._numbers)}"
        return Client(self.recorder, name, path), self.random(name)

    async def spread(self, random: Random, steps: int) -> None:
        """A pause such that so many steps take one round, about; one is taken at any time in it."""
        await asyncio.sleep(random.uniform(0, self.seconds * min(1, 2 / steps)))


async def together(tasks: Iterable[Awaitable[object]]) -> None:
    """Wait for all; the error of one ends all."""
    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(_run(task))


async def _run(task: Awaitable[object]) -> None:
    await task
