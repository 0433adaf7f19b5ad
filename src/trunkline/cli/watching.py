"""What AWS does to a stack, as it happens: lines that stay, and at a terminal one below that says what goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.status import Status
from rich.text import Text

from trunkline.aws.following import Tell
from trunkline.aws.progress import Event, Operation
from trunkline.aws.reading import comment_of
from trunkline.log import escape

__all__ = ["busy", "tell_failure", "telling"]

_WORDS = {"CREATE": "made", "UPDATE": "changed", "DELETE": "deleted", "IMPORT": "taken over"}
_SHOWN = 3  # of what goes on at a time


def busy(out: Console, what: str) -> AbstractContextManager[Any]:
    """While something is waited for, a terminal says for what."""
    return out.status(f"{what} ...") if out.is_terminal else nullcontext()


@contextmanager
def telling(out: Console, total: int = 0) -> Iterator[Tell]:
    """What `follow` may tell.

    Args:
        total: how many resources there are to do, if that is known.
    """
    began = time.monotonic()
    status = Status("AWS is asked ...", console=out) if out.is_terminal else None

    def tell(operation: Operation, news: Sequence[Event]) -> None:
        for event in news:
            out.print(_line(event))
        if status is not None:
            status.update(_going_on(operation, total, time.monotonic() - began, out.width))

    with status or nullcontext():
        yield tell


def _line(event: Event) -> Text:
    if event.is_stack:
        return Text("taking back what was done", "yellow")
    verb, _, outcome = event.status.partition("_")
    if event.is_failure:
        return Text.assemble(("  failed   ", "red"), event.logical_id)
    if outcome == "SKIPPED":
        return Text.assemble(("  kept     ", "yellow"), event.logical_id)
    return Text.assemble((f"  {_WORDS.get(verb, verb.lower()):<9}", "green"), event.logical_id)


def _going_on(operation: Operation, total: int, seconds: float, width: int) -> str:
    """One line, whatever goes on."""
    names = list(operation.moving)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    count = f"{len(operation.done)} of {total}, " if total and not operation.is_rolling_back else ""
    minutes, rest = divmod(int(seconds), 60)
    behind = f"{more}  ({count}{minutes}:{rest:02})"
    shown = ", ".join(names[:_SHOWN]) or "waiting for AWS"
    room = width - len(behind) - 4  # the spinner, and a column that stays empty
    return (shown if len(shown) <= room else f"{shown[: room - 3]}...") + behind


def tell_failure(out: Console, operation: Operation, template: Mapping[str, Any], reason: str) -> None:
    """Print why it failed: the reason of what failed first, in AWS's own words.

    Args:
        reason: CloudFormation's for the whole stack, for want of a better one.
    """
    first = operation.failed
    if first is None:
        _print_reason(out, Text("failed", "bold red"), operation.reason or reason or "AWS does not say why")
        return
    comment = comment_of(template, first.logical_id)
    what = Text.assemble(("failed: ", "bold red"), (f"{first.logical_id} ({first.type.removeprefix('AWS::')})", "bold"))
    _print_reason(out, what.append(f", {comment}" if comment else ""), first.reason)


def _print_reason(out: Console, what: Text, reason: str) -> None:
    """At a terminal each line of it is indented; elsewhere it is one line."""
    out.print(what)
    out.print(Padding(Text(escape(reason)), (0, 0, 0, 2)) if out.is_terminal else Text(f"  {escape(reason)}"))
