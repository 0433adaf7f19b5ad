"""The plan of a deployment, as it is shown before anybody is asked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trunkline.aws.bucket import Bucket, State
from trunkline.aws.grants import Grant
from trunkline.aws.plan import Change, Kind
from trunkline.aws.reading import comment_of
from trunkline.log import escape

if TYPE_CHECKING:
    from trunkline.aws.package import Package

__all__ = ["Plan", "show", "summary"]

_SIGNS = {
    Kind.MADE: ("+", "green"),
    Kind.CHANGED: ("~", "yellow"),
    Kind.REPLACED: ("!", "red"),
    Kind.DELETED: ("-", "red"),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is told before anybody is asked.

    Attributes:
        differences: what AWS does otherwise, a line each.
        template, before: what the stack is made from next, and was last.
        uploads: zips that are not in the bucket yet.
    """

    differences: Sequence[str]
    changes: Sequence[Change]
    template: Mapping[str, Any]
    before: Mapping[str, Any]
    grants: tuple[Sequence[Grant], Sequence[Grant]]
    bucket: Bucket
    bucket_state: State
    uploads: Sequence[Package]


def show(plan: Plan, out: Console) -> None:
    """Print it, the gravest last: that is what is still seen when the question comes."""
    _section(out, "on AWS it is otherwise", plan.differences)
    _show_changes(plan, out)
    _show_grants(plan, out)
    _show_code(plan, out)
    for change in plan.changes:
        if change.is_grave:
            out.print(Text.assemble(("table  ", "bold red"), (_grave(change), "red")))
    out.print(Text(summary(plan), "bold"))


def _grave(change: Change) -> str:
    """What becomes of a table's documents."""
    perhaps = "" if change.is_certain else "perhaps "
    if change.kind is Kind.REPLACED:
        left = "AWS keeps the old one, with its documents" if change.is_kept else "its documents are deleted"
        return f"{change.logical_id} is {perhaps}replaced by an empty one; {left}: {change.name}"
    left = "AWS keeps it, with its documents" if change.is_kept else "it is deleted with its documents"
    return f"{change.logical_id} is no longer the program's; {left}: {change.name}"


def _section(out: Console, title: str, lines: Iterable[str]) -> None:
    """Lines, those with a place in the program behind it."""
    grid = _grid(2)
    for line in lines:
        place, _, rest = line.partition(": ")
        has_place = re.fullmatch(r"[^\s:]+:[0-9]+", place)
        grid.add_row(Text(f"  {place if has_place else ''}"), Text(escape(rest if has_place else line), "yellow"))
    if grid.row_count:
        out.print(Text(title, "bold"))
        out.print(grid)


def _grid(columns: int) -> Table:
    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for _ in range(columns - 1):
        grid.add_column(no_wrap=True)
    grid.add_column()
    return grid


def _show_changes(plan: Plan, out: Console) -> None:
    grid = _grid(2)
    for change in plan.changes:
        sign, colour = _SIGNS[change.kind]
        grid.add_row(Text(f"  {sign} {change.logical_id}", colour), Text(escape(_why(change, plan))))
    out.print(Text("resources", "bold"))
    out.print(grid)


def _why(change: Change, plan: Plan) -> str:
    if change.kind in {Kind.CHANGED, Kind.REPLACED}:
        word = "" if change.kind is Kind.CHANGED else "replaced: " if change.is_certain else "perhaps replaced: "
        return word + "; ".join(change.reasons)
    if change.kind is Kind.MADE:
        return comment_of(plan.template, change.logical_id)
    return comment_of(plan.before, change.logical_id)


def _show_grants(plan: Plan, out: Console) -> None:
    grid = _grid(2)
    for sign, colour, grants in (("+", "red", plan.grants[0]), ("-", "green", plan.grants[1])):
        for grant in grants:
            why = f"  {', '.join(grant.because)}" if grant.because else ""
            what = Text.assemble((grant.action, "cyan"), f" on {grant.resource}", (why, "dim"))
            grid.add_row(Text(f"  {sign} {grant.function}", colour), what)
    if grid.row_count:
        out.print(Text("permissions", "bold"))
        out.print(grid)


def _show_code(plan: Plan, out: Console) -> None:
    grid = _grid(2)
    if plan.bucket_state is not State.READY:
        how = "private, encrypted, with TLS alone"
        done = "is made" if plan.bucket_state is State.MISSING else "is finished"
        grid.add_row(Text("  + bucket", "green"), Text(f"{plan.bucket.name} {done}: {how}"))
    for package in plan.uploads:
        grid.add_row(Text("  + upload", "green"), Text(f"{package.path.name}, {package.size / 1e6:.1f} MB"))
    if grid.row_count:
        out.print(Text("code", "bold"))
        out.print(grid)


def summary(plan: Plan) -> str:
    """In a line."""
    kinds = Counter(change.kind for change in plan.changes)
    told = [f"{kinds[kind]} {kind.value}" for kind in Kind if kinds[kind]]
    for grants, how in zip(plan.grants, ("more", "fewer"), strict=True):
        told += [f"{len(grants)} permission{'s' * (len(grants) > 1)} {how}"] * bool(grants)
    return ", ".join(told)
