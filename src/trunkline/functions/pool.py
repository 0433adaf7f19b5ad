"""A function that runs here: workers are started when they are needed, and end when they are not."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trunkline.functions.code import layers_of, task_root_of
from trunkline.functions.environment import reserved_of, worker_environment
from trunkline.functions.runtimes import Runtime, runtime_of
from trunkline.functions.workers import Worker
from trunkline.model.functions import FunctionDefinition, Invocation, InvocationRefused

if TYPE_CHECKING:
    from trunkline.functions.environment import Surroundings

__all__ = ["LocalFunction"]

_MOST_WORKERS = 10  # at a time; further invocations wait for one of them
_AT_ONCE = 2  # workers that are started whenever one is wanted, so that events are handled side by side as in Lambda
_OF_LAST = 0.2  # the part that the last invocation has in how long one is expected to take
_RETURN_SECONDS = 0.05  # a worker that has answered, and does not ask again for so long, is not waited for
_DIGITS = re.compile(r"[0-9]+")
_TRIES = 3
_IDLE_SECONDS = 60.0
_REAP_SECONDS = 10.0
_END_SECONDS = 1.0  # what is being unpacked is not waited for
_ENDING = "it is being ended"
_folders = itertools.count(1)


class _Prepared(NamedTuple):
    """What a function's workers have in common."""

    root: Path
    layers: Path | None
    runtime: Runtime


class LocalFunction:
    """An `Invoker` over workers of one function.

    Args:
        definition: the function.
        surroundings: what it has in common with the others of its run.
    """

    def __init__(self, definition: FunctionDefinition, surroundings: Surroundings) -> None:
        self.definition = definition
        self._surroundings = surroundings
        self._arn = definition.arn(surroundings.region, surroundings.account)
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._waiting: deque[asyncio.Future[Worker | Invocation]] = deque()
        self._starting: set[asyncio.Task[None]] = set()
        self._running = 0
        self._usual: float | None = None  # how many seconds an invocation takes, of late
        self._calls: set[asyncio.Task[Invocation]] = set()
        self._generation = 0
        self._code: asyncio.Task[_Prepared] | None = None
        self._reaper: asyncio.TimerHandle | None = None
        self._has_told_of_reserved = False
        self._last_failure: list[str] = []
        self._closed = False

    @property
    def name(self) -> str:
        """Its physical name."""
        return self.definition.name

    @property
    def is_running(self) -> bool:
        """Whether an invocation has not ended."""
        return self._running > 0

    async def invoke(self, payload: bytes) -> Invocation:
        """See `Invoker.invoke`. A caller that no longer waits ends nothing: the function goes on to its timeout."""
        call = asyncio.ensure_future(self._invoke(payload))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return await asyncio.shield(call)

    async def _invoke(self, payload: bytes) -> Invocation:
        most = self.definition.concurrency
        if most is not None and self._running >= most:
            raise InvocationRefused("Rate Exceeded.")
        self._running += 1
        try:
            for _ in range(_TRIES):
                parked = self._parked_one()
                if parked is not None:
                    return await self._run(parked, payload)
                worker = await self._take()
                if isinstance(worker, Invocation):
                    return worker
                if worker.can_take and worker.generation == self._generation:
                    return await self._run(worker, payload)
                worker.kill()  # it has ended since, or began with code that has changed since
            raise InvocationRefused(f"its workers end as soon as they have begun, {_TRIES} of them")
        finally:
            self._running -= 1

    async def _run(self, worker: Worker, payload: bytes) -> Invocation:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            return await worker.run(payload)
        finally:
            took = loop.time() - began
            self._usual = took if self._usual is None else self._usual + _OF_LAST * (took - self._usual)

    def replace(self) -> None:
        """Its code has changed: what runs goes on to its end, the next invocations run the new code."""
        self._generation += 1
        self._code = None
        self._last_failure = []
        for worker in self._idle:
            worker.kill()
        self._idle.clear()

    async def close(self) -> None:
        """End every worker."""
        self._closed = True
        if self._reaper is not None:
            self._reaper.cancel()
        for task in self._starting:
            task.cancel()
        while self._waiting:
            self._refuse(self._waiting.popleft())
        workers = list(self._workers)
        for worker in workers:
            worker.kill()
        await asyncio.gather(*(worker.ended() for worker in workers))
        if pending := {*self._calls, *self._starting}:
            await asyncio.wait(pending, timeout=_END_SECONDS)

    def _refuse(self, waiter: asyncio.Future[Worker | Invocation]) -> None:
        if not waiter.done():
            waiter.set_exception(InvocationRefused(_ENDING))

    # Workers.

    def _parked_one(self) -> Worker | None:
        """One that waits for an event and lives; to be run at once."""
        while self._idle:
            worker = self._idle.pop()
            if worker.can_take:
                return worker
            worker.kill()
        return None

    async def _take(self) -> Worker | Invocation:
        """One that has just come to wait, or what is wrong with the function."""
        if self._closed:
            raise InvocationRefused(_ENDING)
        if len(self._workers) < _MOST_WORKERS and not self._is_one_about_to_ask() and not self._is_one_soon_free():
            return await self._start()
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Worker | Invocation] = loop.create_future()
        self._waiting.append(waiter)
        if len(self._workers) < _MOST_WORKERS:
            loop.call_later(_RETURN_SECONDS, self._grow, waiter)
        return await waiter

    def _is_one_about_to_ask(self) -> bool:
        """Whether a worker that has answered is on its way back: nearly always sooner here than a new one."""
        returning = sum(not worker.starting and not worker.is_busy for worker in self._workers) - len(self._idle)
        return returning > len(self._waiting)

    def _is_one_soon_free(self) -> bool:
        """Whether a busy worker should be free before a new one could begin, though others wait for one too."""
        if self._usual is None or len(self._workers) < _AT_ONCE:
            return False
        ready = sum(not worker.starting for worker in self._workers)
        return self._usual * (len(self._waiting) + 1) < _RETURN_SECONDS * ready

    def _grow(self, waiter: asyncio.Future[Worker | Invocation]) -> None:
        if not waiter.done() and self._waiting and len(self._workers) < _MOST_WORKERS:
            self._start_for_somebody()

    async def _start(self) -> Worker | Invocation:
        """A new worker, or what is wrong with the function."""
        if self._closed:
            raise InvocationRefused(_ENDING)
        surroundings = self._surroundings
        worker = Worker(self.definition, self._arn, self._generation, surroundings.say, self._parked, self._lost)
        self._workers.add(worker)
        try:
            root, layers, runtime = await self._prepared()
            self._tell(runtime.note)
            self._tell_of_reserved()
            own = self._folder()
            environment = worker_environment(self.definition, surroundings, task_root=root, layers=layers, own=own)
            failure = await worker.start(runtime.command, environment, root)
        except OSError as error:
            self._workers.discard(worker)
            worker.kill()
            raise InvocationRefused(f"it cannot be started: {error}") from None
        except BaseException:
            self._workers.discard(worker)
            worker.kill()
            raise
        self._say_beginning(worker, failed=failure is not None)
        worker.starting = False
        if failure is not None:
            worker.kill()
            return failure
        return worker

    async def _prepared(self) -> _Prepared:
        if self._code is None:
            self._code = asyncio.ensure_future(asyncio.to_thread(self._prepare))
        try:
            return await asyncio.shield(self._code)
        except (InvocationRefused, OSError):
            self._code = None  # what is missing may be there the next time
            raise

    def _prepare(self) -> _Prepared:
        folder = self._folder()
        archives = self._surroundings.folder / "archives"
        root = task_root_of(self.definition, folder / "code", archives).absolute()
        layers = layers_of(self.definition, archives)
        within = [root] if layers is None else [root, layers]
        return _Prepared(root, layers, runtime_of(self.definition, self._surroundings.node_modules, within))

    def _folder(self) -> Path:
        folder = self._surroundings.folder / f"{self.definition.logical_id}-{next(_folders)}"
        folder.mkdir(parents=True)
        return folder

    def _tell(self, note: str) -> None:
        """Say it once in a run: what is true of a runtime is true of all functions that have it."""
        if note and note not in self._surroundings.told:
            self._surroundings.told.add(note)
            self._surroundings.say(self.definition.name, note)

    def _tell_of_reserved(self) -> None:
        names = reserved_of(self.definition)
        if names and not self._has_told_of_reserved:
            text = f"its variables {', '.join(names)} are left out: AWS refuses names of Lambda's own"
            self._surroundings.say(self.definition.name, text)
        self._has_told_of_reserved = True

    def _say_beginning(self, worker: Worker, *, failed: bool) -> None:
        """What it wrote while it began; the same failure again is not said again."""
        lines, worker.lines = worker.lines or [], None
        alike = [_DIGITS.sub("", line) for line in lines]  # they have times in them
        if not failed or alike != self._last_failure:
            for line in lines:
                self._surroundings.say(self.definition.name, line)
        self._last_failure = alike if failed else []

    def _parked(self, worker: Worker) -> None:
        if worker.generation != self._generation:
            worker.kill()
            return
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(worker)
                return
        self._idle.append(worker)
        if self._reaper is None:
            self._reaper = asyncio.get_running_loop().call_later(_REAP_SECONDS, self._reap)

    def _lost(self, worker: Worker) -> None:
        self._workers.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        if self._waiting and not self._closed:
            self._start_for_somebody()

    def _start_for_somebody(self) -> None:
        task = asyncio.ensure_future(self._start_for_a_waiter())
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start_for_a_waiter(self) -> None:
        waiter = self._waiting.popleft()
        try:
            worker = await self._start()
        except InvocationRefused as refused:
            if not waiter.done():
                waiter.set_exception(refused)
            return
        if not waiter.done():
            waiter.set_result(worker)
        elif isinstance(worker, Worker):
            self._parked(worker)

    def _reap(self) -> None:
        self._reaper = None
        loop = asyncio.get_running_loop()
        for worker in [one for one in self._idle if loop.time() - one.idle_since >= _IDLE_SECONDS]:
            self._idle.remove(worker)
            worker.kill()
        if self._idle:
            self._reaper = loop.call_later(_REAP_SECONDS, self._reap)
