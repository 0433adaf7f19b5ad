"""What is said of an error in a user's program: its own traceback, as if nothing of ours stood around it."""

from __future__ import annotations

from traceback import TracebackException, walk_tb
from types import FrameType, TracebackType

__all__ = ["explain", "is_programs"]

# What stands between us and a program: it is imported, and its lifespans are entered and left, by these.
_BETWEEN = {"asyncio", "click", "contextlib", "importlib", "trunkline", "typer", "uvloop"}


def is_programs(error: BaseException) -> bool:
    """Whether code of a program took part in raising it; if none did, the fault is ours."""
    if any(_kept(error.__traceback__)):
        return True
    # What is raised in an `except*` comes in a group, which early versions of Python 3.11 give no frame of its own.
    return isinstance(error, BaseExceptionGroup) and any(map(is_programs, error.exceptions))


def explain(error: BaseException) -> str:
    """The traceback without frames of ours."""
    told = TracebackException.from_exception(error)
    _leave_out(told, error)
    return "".join(told.format()).rstrip()


def _leave_out(told: TracebackException, error: BaseException) -> None:
    told.stack[:] = [frame for frame, kept in zip(told.stack, _kept(error.__traceback__), strict=True) if kept]
    for inner, cause in ((told.__cause__, error.__cause__), (told.__context__, error.__context__)):
        if inner is not None and cause is not None:
            _leave_out(inner, cause)
    if isinstance(error, BaseExceptionGroup):
        for inner, member in zip(told.exceptions or (), error.exceptions, strict=False):  # a long group is cut
            _leave_out(inner, member)


def _kept(trace: TracebackType | None) -> list[bool]:
    kept = []
    begun = False
    for frame, _ in walk_tb(trace):
        package = _package(frame)
        begun = begun or package not in _BETWEEN
        kept.append(begun and package != "trunkline")
    return kept


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
