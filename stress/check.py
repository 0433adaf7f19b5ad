"""Judges a run by what its processes wrote down.

    python -m stress.check FILE_OR_FOLDER...

Reads `*.jsonl` (see `stress.records` for what stands in them), and prints for each promise how many facts were checked
and how many of them are violations, then the first of these with their records. Exits with 1 if there is one, with 2 if
a file cannot be read. The numbers 7.x are those of the architecture's promises, I-x those of the reliability plan.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from stress import delivery, handling, lifecycle
from stress.findings import Findings
from stress.history import History
from stress.records import Record, RecordError, read

__all__ = ["INVARIANTS", "Invariant", "check", "main", "report"]

_SHOWN = 3  # violations of each


@dataclass(frozen=True, slots=True)
class Invariant:
    """A promise, and how it is looked at; without a check, which tests do that."""

    name: str
    how: str
    check: Callable[[History, Findings], None] | None = None


INVARIANTS = (
    Invariant(
        "7.1 I-1", "message handlers and 101s come after the connect handler accepted", lifecycle.connect_first
    ),
    Invariant(
        "7.1 I-5", "no message handler and no send that is True after the DISCONNECT began", lifecycle.nothing_after
    ),
    Invariant("I-2", "of a refused handshake comes no 101, no message and no DISCONNECT", lifecycle.refused),
    Invariant(
        "I-3", "sends from inside connect are False, to whoever saw a 101 never while it is open", lifecycle.addressable
    ),
    Invariant(
        "7.3 I-4", "one DISCONNECT each; after kill -9 one before the next door opens, two if it fell on the first",
        lifecycle.disconnected,
    ),
    Invariant(
        "7.3", "DISCONNECT after the handlers' ends and after what came before an answered close",
        lifecycle.disconnected_last,
    ),
    Invariant("I-6", "ids once, connectedAt the same, codes and reasons of whoever closed", lifecycle.identity),
    Invariant("I-7", "not from records: tests/gateway/test_connection.py, in virtual time"),
    Invariant("I-8", "not from records: tests/gateway/test_hangups.py, on real sockets"),
    Invariant("7.2 I-9", "handlers of a connection begin with message 1, 2, 3, ... of it", handling.in_order),
    Invariant("7.2 one", "and one at a time, unless the socket is ordered=False", handling.one_at_a_time),
    Invariant("7.2 others", "nobody waits 2 s while another connection's handler awaits", handling.nobody_waits),
    Invariant("I-10", "of two sends the one that ended before the other began arrives first", delivery.sends_in_order),
    Invariant(
        "7.4 order", "True arrives unless nothing behind it does, no close and no FIN; False never does",
        delivery.nothing_left_out,
    ),
    Invariant("7.4 prompt", "True is not passed by replies that are made later, for over 1 s", delivery.prompt),
    Invariant("7.4 slow", "SlowConsumer within 1 s; cut with 1006 after 10 s of it", delivery.slow_consumers),
    Invariant("I-11", "each message has one handler, in one life of the node", handling.once),
    Invariant("I-12", "size, CRC-32 and type as made, once, in frames of at most 32 KiB", delivery.whole),
    Invariant("I-13", "the name inside a message is that of its receiver", delivery.addressed),
    Invariant("I-15", "when a send to whoever saw a 101 was False, all later ones are", lifecycle.gone_for_good),
    Invariant("7.9 I-19", "after SIGTERM all is handled, clients see 1001, exit 0 in 30 s", handling.drained),
)  # fmt: skip


def check(records: Iterable[Record]) -> dict[str, Findings]:
    """What there is to say of records in order of time, by the invariants' names."""
    history = History(records)
    findings = {}
    for invariant in INVARIANTS:
        if invariant.check is not None:
            findings[invariant.name] = found = Findings()
            invariant.check(history, found)
    return findings


def report(findings: Mapping[str, Findings]) -> str:
    """The table, and below it the first violations of each with their records."""
    width = max(len(invariant.how) for invariant in INVARIANTS)
    lines = [f"{'invariant':10}  {'how':{width}}  {'checked':>11}  violations"]
    for invariant in INVARIANTS:
        found = findings.get(invariant.name)
        figures = f"{'-':>11}  {'-':>10}" if found is None else f"{found.checked:11,}  {len(found.violations):10,}"
        lines.append(f"{invariant.name:10}  {invariant.how:{width}}  {figures}")
    for name, found in findings.items():
        for violation in found.violations[:_SHOWN]:
            lines += ["", f"{name}: {violation.text}"]
            lines += [f"    {msgspec.json.encode(record).decode()}" for record in violation.records]
        if len(found.violations) > _SHOWN:
            lines += ["", f"{name}: and {len(found.violations) - _SHOWN:,} more"]
    return "\n".join(lines)


def files(names: Iterable[str]) -> list[Path]:
    """The files of records that are meant by names of files and folders."""
    paths = [Path(name) for name in names]
    return [file for path in paths for file in (sorted(path.glob("*.jsonl")) if path.is_dir() else [path])]


def main(names: list[str]) -> int:
    """The exit status."""
    try:
        records = read(files(names))
    except (OSError, RecordError) as error:
        print(f"check: {error}", file=sys.stderr)
        return 2
    if not records:
        print("usage: python -m stress.check FILE_OR_FOLDER...; there are no records", file=sys.stderr)
        return 2
    findings = check(records)
    print(report(findings))
    return int(any(found.violations for found in findings.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
