"""A handler that holds the loop: everyone else's messages wait for it, so the log says which one and where.

A thread looks whether the loop still takes turns. When it has not for too long, the thread reads the stack of
the loop's own thread, while the culprit is still on it.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline import limits
from trunkline.gateway.runner import Runner

if TYPE_CHECKING:
    import asyncio
    from types import CodeType, FrameType

    from trunkline.model.api import CompiledRoute

__all__ = ["LoopWatch"]

logger = logging.getLogger("trunkline.handlers")
_CALLING: tuple[CodeType, ...] = (Runner._handle.__code__, Runner._invoke.__code__)


class LoopWatch:
    """Watches the running loop until `stop`. Each route is told of once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread_id = threading.get_ident()
        self._native_id = threading.get_native_id()
        self._told: set[str] = set()
        self._over = threading.Event()
        self._beat()
        self._thread = threading.Thread(target=self._watch, name="trunkline-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._over.set()
        self._timer.cancel()

    def _beat(self) -> None:
        self._turn = time.monotonic()
        self._worked = time.thread_time()
        self._timer = self._loop.call_later(limits.SLOW_STEP_SECONDS / 2, self._beat)

    def _watch(self) -> None:
        # A beat is due every half step; without one for one and a half, a step has taken at least one.
        while not self._over.wait(limits.SLOW_STEP_SECONDS / 4):
            if time.monotonic() - self._turn > limits.SLOW_STEP_SECONDS * 1.5:
                frame = sys._current_frames().get(self._thread_id)
                if frame is not None and not self._is_starved():
                    self._tell(frame)

    def _is_starved(self) -> bool:
        """Whether the loop's thread would go on, and the machine does not let it."""
        if not hasattr(time, "pthread_getcpuclockid"):
            return False
        worked = time.clock_gettime(time.pthread_getcpuclockid(self._thread_id)) - self._worked
        return worked < limits.SLOW_STEP_SECONDS / 2 and _is_runnable(self._native_id)

    def _tell(self, frame: FrameType) -> None:
        route = _route_of(frame)
        if route is None or route.where in self._told:
            return
        self._told.add(route.where)
        logger.warning(
            "the handler of %s at %s holds the loop for over %g ms; it is at %s. Everyone else waits for it: "
            "await, or hand blocking calls to asyncio.to_thread",
            route.key, route.where, limits.SLOW_STEP_SECONDS * 1000, _position(frame, route),
        )  # fmt: skip


def _is_runnable(native_id: int) -> bool:
    """Whether a thread of this process waits for nothing but a processor; only Linux tells."""
    try:
        stat = Path(f"/proc/self/task/{native_id}/stat").read_text("ascii", "replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "R"


def _route_of(frame: FrameType) -> CompiledRoute | None:
    """Whose handler is on this stack."""
    step: FrameType | None = frame
    while step is not None:
        if step.f_code in _CALLING:
            route: CompiledRoute | None = step.f_locals.get("route")
            return route
        step = step.f_back
    return None


def _position(frame: FrameType, route: CompiledRoute) -> str:
    """Where it stands: in the handler's own file if that is on the stack, else wherever."""
    file = route.where.rpartition(":")[0]
    step: FrameType | None = frame
    while step is not None:
        if step.f_code.co_filename == file:
            return f"{file}:{step.f_lineno}"
        step = step.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
