"""What happens to a stack, read from CloudFormation's events: pure, no call of AWS."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["Event", "Operation", "since"]

# What is only broken off because something else failed.
_CASCADE = re.compile(r"Resource (?:creation|update|deletion|operation) cancell?ed", re.IGNORECASE)
_BEGINNINGS = {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"}


@dataclass(frozen=True, slots=True)
class Event:
    """A line of a stack's history.

    Attributes:
        is_stack: it is about the stack itself, not about a resource of it.
    """

    id: str
    time: datetime
    logical_id: str
    type: str
    status: str
    reason: str = ""
    is_stack: bool = False

    @property
    def begins(self) -> bool:
        """Whether somebody asked for something with it."""
        return self.is_stack and self.status in _BEGINNINGS

    @property
    def is_failure(self) -> bool:
        """Whether a resource could not be made, changed or deleted."""
        return not self.is_stack and self.status.endswith("_FAILED")

    @property
    def is_cascade(self) -> bool:
        """Whether it only failed because another did."""
        return bool(_CASCADE.search(self.reason))


def since(newest_first: Iterable[Event], known: str | None = None) -> list[Event]:
    """The events of the operation that is going on, the oldest first.

    Args:
        known: the id of the last event before it; without one, it begins with what somebody asked for last.
    """
    found: list[Event] = []
    for event in newest_first:
        if event.id == known:
            break
        found.append(event)
        if known is None and event.begins:
            break
    return found[::-1]


@dataclass(slots=True)
class Operation:
    """One operation on a stack, as far as it has got.

    Attributes:
        is_begun: CloudFormation has taken it up.
        moving: what is being worked at, in the order in which it was begun.
        done: how many resources have been made, changed or deleted.
        failed: the failure that the others come from.
        is_rolling_back: what was done is being taken back.
        reason: why, in CloudFormation's words for the whole stack.
    """

    is_begun: bool = False
    moving: dict[str, Event] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    failed: Event | None = None
    is_rolling_back: bool = False
    reason: str = ""
    _seen: set[str] = field(default_factory=set)

    def take(self, events: Iterable[Event]) -> list[Event]:
        """Note what has happened, the oldest first; what of it is new and worth a line."""
        return [event for event in events if event.id not in self._seen and self._take(event)]

    def _take(self, event: Event) -> bool:
        self._seen.add(event.id)
        if event.is_stack:
            return self._take_stack(event)
        if event.status.endswith("_IN_PROGRESS"):
            self.moving.setdefault(event.logical_id, event)
            return False
        self.moving.pop(event.logical_id, None)
        if event.is_failure:
            self._take_failure(event)
            return not event.is_cascade
        if not self.is_rolling_back:
            self.done.add(event.logical_id)
        return True

    def _take_failure(self, event: Event) -> None:
        if not self.is_rolling_back and (self.failed is None or (self.failed.is_cascade and not event.is_cascade)):
            self.failed = event

    def _take_stack(self, event: Event) -> bool:
        self.is_begun = self.is_begun or event.begins
        begins_rollback = "ROLLBACK_IN_PROGRESS" in event.status and not self.is_rolling_back
        if begins_rollback:
            self.is_rolling_back = True
            self.reason = event.reason
            self.moving.clear()
        return begins_rollback
