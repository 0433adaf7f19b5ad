"""The table of results, for a terminal and as Markdown."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table
from workloads import Measured, Row, Workload

BUSY = 0.90  # a generator that is busier may be what limits the rate
SATURATED = 0.95  # a server that is busier is what limits the rate, however busy the generator is
WIDTH = 150  # where there is no terminal
HEADINGS = ("workload", "ours", "reference", "ratio", "gate", "goal", "passes", "generator CPU", "server CPU")
NOTES = {
    "*": "* the generator was busy for over 90 % of the time, but so was the server for over 95 %: the rate is its own.",
    "!": "! the generator may have limited this rate, so the row proves nothing; run it again on a quiet machine.",
}


@dataclass(frozen=True)
class Result:
    """A row with its measurements, one of each a round."""

    workload: Workload
    row: Row
    ours: Sequence[Measured]
    reference: Sequence[Measured]

    @property
    def ratio(self) -> float | None:
        """Ours by the reference's, the median of the rounds; infinite against a reference that did nothing."""
        if not self.reference:
            return None
        return median(_ratio(a.value, b.value) for a, b in zip(self.ours, self.reference, strict=True))

    @property
    def judged(self) -> float:
        """What gate and goal are about."""
        return _value(self.ours) if self.ratio is None else self.ratio

    @property
    def mark(self) -> str:
        """Which note belongs to the row."""
        marks = {_mark(measured) for measured in (self.ours, self.reference) if measured}
        return "!" if "!" in marks else "*" if "*" in marks else ""

    @property
    def passes(self) -> str:
        """The highest of gate and goal that is reached, or "no"."""
        if self.mark == "!":
            return "?"
        if self.row.gate is None and self.row.goal is None:
            return ""
        if self.reaches(self.row.goal):
            return "goal"
        if self.row.gate is None:
            return "below goal"
        return "gate" if self.reaches(self.row.gate) else "no"

    def reaches(self, bound: float | None) -> bool:
        """Whether the figure is on the right side of a bound."""
        if bound is None:
            return False
        return self.judged <= bound if self.workload.lower_is_better else self.judged >= bound


def _ratio(ours: float, reference: float) -> float:
    return ours / reference if reference else math.inf


def show(results: Sequence[Result], rounds: int) -> None:
    """Print the table in a terminal."""
    table = Table(title=f"Trunkline, medians of {rounds} rounds", title_justify="left", box=box.SIMPLE_HEAD)
    for number, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if number == 0 or heading == "passes" else "right")
    for result in results:
        cells = _cells(result)
        table.add_row(*cells[:6], _coloured(cells[6]), *cells[7:])
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    console.print(table)
    for note in _notes(results):
        console.print(note, highlight=False)


def markdown(results: Sequence[Result], rounds: int) -> str:
    """The table as Markdown."""
    lines = [f"| {' | '.join(HEADINGS)} |", "|---|--:|--:|--:|--:|--:|---|--:|--:|"]
    lines += [f"| {' | '.join(_cells(result))} |" for result in results]
    return "\n".join([*lines, "", f"Medians of {rounds} rounds.", *_notes(results)])


def _cells(result: Result) -> tuple[str, ...]:
    workload, row = result.workload, result.row
    reference = "" if row.reference is None else f"{row.reference.name} {_number(_value(result.reference))}"
    return (
        f"{workload.title} ({workload.unit})",
        _number(_value(result.ours)),
        reference,
        "" if result.ratio is None else _times(result.ratio),
        _bound(result, row.gate),
        _bound(result, row.goal),
        result.passes,
        _shares(result, "generator_cpu") + result.mark,
        _shares(result, "server_cpu"),
    )


def _bound(result: Result, bound: float | None) -> str:
    if bound is None:
        return ""
    sign = "≤" if result.workload.lower_is_better else "≥"
    return f"{sign} {bound:,g}" + (" x" if result.row.reference is not None else "")


def _shares(result: Result, name: str) -> str:
    shares = [_share(measured, name) for measured in (result.ours, result.reference) if measured]
    return " / ".join(f"{share:.0%}" for share in shares if share is not None)


def _mark(measured: Sequence[Measured]) -> str:
    generator, server = _share(measured, "generator_cpu"), _share(measured, "server_cpu")
    if generator is None or server is None or generator < BUSY:
        return ""
    return "*" if server >= SATURATED else "!"


def _share(measured: Sequence[Measured], name: str) -> float | None:
    shares = [getattr(one, name) for one in measured if getattr(one, name) is not None]
    return median(shares) if shares else None


def _value(measured: Sequence[Measured]) -> float:
    return median(one.value for one in measured)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _times(ratio: float) -> str:
    return "∞" if math.isinf(ratio) else _number(ratio)


def _coloured(passes: str) -> str:
    colour = {"goal": "green", "gate": "yellow", "no": "bold red", "?": "bold red"}.get(passes)
    return f"[{colour}]{passes}[/]" if colour else passes


def _notes(results: Sequence[Result]) -> list[str]:
    marks = {result.mark for result in results}
    return [note for mark, note in NOTES.items() if mark in marks]
