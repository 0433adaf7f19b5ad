"""Watching CloudFormation at work on a stack until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from trunkline.aws.progress import Event, Operation, since
from trunkline.aws.stack import Stack, Standing
from trunkline.errors import ConfigurationError

__all__ = ["Tell", "follow", "last_event"]

_FIRST_SECONDS, _LONGEST_SECONDS = 0.3, 3.0
_BEGINNING_SECONDS = 120.0  # it takes one or two
Tell = Callable[[Operation, list[Event]], None]


@dataclass(slots=True)
class _Pace:
    """How long to wait: shortly while things happen."""

    seconds: float = _FIRST_SECONDS

    def wait(self, *, news: bool) -> None:
        self.seconds = _FIRST_SECONDS if news else min(self.seconds * 1.5, _LONGEST_SECONDS)
        time.sleep(self.seconds)


def last_event(stack: Stack, stack_id: str) -> str | None:
    """What to follow from, before something is begun."""
    return next((event.id for event in stack.events(stack_id)), None)


def follow(stack: Stack, stack_id: str, known: str | None, tell: Tell) -> tuple[Standing, Operation]:
    """Watch until the stack is at rest.

    Args:
        known: the last event before it; None for what is going on already.
        tell: told after each look of what is new.

    Raises:
        ConfigurationError: it has not begun for long.
    """
    operation = Operation(is_begun=known is None)
    pace, until = _Pace(), time.monotonic() + _BEGINNING_SECONDS
    while True:
        standing = stack.standing(stack_id)  # before the events, so that none is missed
        news = operation.take(since(stack.events(stack_id), known))
        tell(operation, news)
        if standing is not None and operation.is_begun and not standing.is_moving:
            return standing, operation
        if not operation.is_begun and time.monotonic() > until:
            raise ConfigurationError(f"CloudFormation has not begun in {_BEGINNING_SECONDS:.0f} s; look at its console")
        pace.wait(news=bool(news))
