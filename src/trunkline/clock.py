"""Wall time, and nothing else: every duration and deadline is the event loop's time.

The source can be replaced, so that virtual time in tests moves the wall clock with the loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["now", "now_ms", "set_source"]

_source: Callable[[], float] = time.time


def now() -> float:
    """Seconds since the epoch."""
    return _source()


def now_ms() -> int:
    """Whole milliseconds since the epoch."""
    return int(_source() * 1000)


def set_source(source: Callable[[], float] = time.time) -> Callable[[], float]:
    """Replace where wall time comes from; returns the source that was in force."""
    global _source
    previous, _source = _source, source
    return previous
