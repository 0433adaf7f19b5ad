"""An event loop whose time jumps: a test that sleeps two hours takes milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from trunkline import clock

__all__ = ["Deadlock", "JumpingLoop"]

_START = 1000.0  # so that a zero in a test is a bug and not the beginning
_REAL_GRACE = 0.05  # how long real sockets may take, in real seconds, before virtual time goes on


_LOOK_AGAIN = 0.001  # real seconds


class Deadlock(RuntimeError):  # noqa: N818
    """Every Task waits, and nothing is scheduled that could wake one."""


class _JumpingSelector(selectors.DefaultSelector):
    """Advances the loop's time instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = _START
        self.jobs = 0  # of threads; time stands still while there are any
        self.own_files = 0  # registered by the loop for itself

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if self.jobs:
            return super().select(None)  # the job wakes the loop
        if _anyio_works():
            return super().select(_LOOK_AGAIN)  # it may have woken the loop already
        ready = super().select(_REAL_GRACE if len(self.get_map()) > self.own_files else 0)
        if ready:
            return ready
        if timeout is None:
            if len(self.get_map()) > self.own_files:
                return super().select(None)
            raise Deadlock("every Task waits, and nothing is scheduled that could wake one")
        self.now += timeout
        return []


def _anyio_works() -> bool:
    """Whether a thread of anyio's has something to do: they are its own, not those of the loop's executor."""
    return any(
        thread.queue.unfinished_tasks  # type: ignore[attr-defined]
        for thread in threading.enumerate()
        if thread.name == "AnyIO worker thread"
    )


class JumpingLoop(asyncio.SelectorEventLoop):
    """Virtual time: when nothing is ready, the clock jumps to the next timer.

    While functions run in threads (`asyncio.to_thread`, `run_in_executor`, a document being written), time stands
    still and the loop waits for them. `trunkline.clock` follows the loop's time while it runs. Real sockets work,
    but slowly; tests should use `trunkline.testing.node`.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        self._began = time.time()
        super().__init__(self._jumping)
        # asyncio adds it to the time, and after months a float of seconds does not see the nanosecond of its own.
        self._clock_resolution = 1e-6
        self._jumping.own_files = len(self._jumping.get_map())

    def time(self) -> float:
        """Virtual seconds."""
        return self._jumping.now

    @contextlib.contextmanager
    def stand_still(self) -> Iterator[None]:
        """While something works in a thread that will wake the loop, time does not pass."""
        self._jumping.jobs += 1
        try:
            yield
        finally:
            self._jumping.jobs -= 1

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """As every loop's; time stands still until the function has returned."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.jobs += 1
        future.add_done_callback(self._job_done)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """As every loop's; it waits for a thread."""
        with self.stand_still():
            await super().shutdown_default_executor(*args)

    def _job_done(self, _: object) -> None:
        self._jumping.jobs -= 1

    def run_forever(self) -> None:
        """As every loop's; meanwhile wall time is this loop's."""
        previous = clock.set_source(lambda: self._began + self._jumping.now - _START)
        try:
            super().run_forever()
        finally:
            clock.set_source(previous)
