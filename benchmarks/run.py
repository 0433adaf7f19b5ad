"""Measures Trunkline and its peers side by side, and prints one table: see README.md.

`python benchmarks/run.py [WORKLOAD...] [--rounds N] [--seconds S] [--markdown] [--check]`
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
import time
from collections import defaultdict
from pathlib import Path

from generator import compile_all
from servers import BenchmarkError
from table import Result, markdown, show
from workloads import WORKLOADS, Measured, Workload


def main() -> int:
    arguments = parse()
    began = time.monotonic()
    try:
        compile_all()
        tell_of_other_load()
        results = [result for workload in arguments.chosen for result in run(workload, arguments)]
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    if arguments.markdown:
        print(markdown(results, arguments.rounds))
    else:
        show(results, arguments.rounds)
    print(f"{time.monotonic() - began:.0f} seconds", file=sys.stderr)
    return int(arguments.check and any(result.passes in {"no", "?"} for result in results))


def parse() -> argparse.Namespace:
    names = [workload.name for workload in WORKLOADS]
    parser = argparse.ArgumentParser(description="Measures Trunkline and its peers side by side.")
    parser.add_argument(
        "workload",
        nargs="*",
        metavar="WORKLOAD",
        help=f"one of {', '.join(names)}, or a pattern such as 'template-*'; all by default",
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured [3]")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each measurement takes [2]")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--check", action="store_true", help="exit with status 1 if a gate is missed")
    arguments = parser.parse_args()
    unknown = sorted(one for one in arguments.workload if not fnmatch.filter(names, one))
    if unknown:
        parser.error(f"no workload {', '.join(unknown)}; there are {', '.join(names)}")
    if not 1 <= arguments.rounds <= 100 or not 0.1 <= arguments.seconds <= 60:
        parser.error("--rounds is 1 to 100, --seconds 0.1 to 60")
    arguments.chosen = [
        w for w in WORKLOADS if any(fnmatch.fnmatchcase(w.name, one) for one in arguments.workload or ["*"])
    ]
    return arguments


def run(workload: Workload, arguments: argparse.Namespace) -> list[Result]:
    """Measure ours and every reference in turn, round after round."""
    measured: dict[int, list[Measured]] = defaultdict(list)
    for number in range(arguments.rounds):
        for place, server in enumerate(workload.servers()):
            progress(f"{workload.name}, round {number + 1} of {arguments.rounds}: {server.name}")
            measured[place].append(workload.measure(server, arguments.seconds))
    progress("")
    return results_of(workload, measured)


def results_of(workload: Workload, measured: dict[int, list[Measured]]) -> list[Result]:
    places = iter(range(1, len(measured)))
    return [
        Result(workload, row, measured[0], measured[next(places)] if row.reference is not None else ())
        for row in workload.rows
    ]


def progress(text: str) -> None:
    """One line on the terminal, which the next one overwrites."""
    if sys.stderr.isatty():
        print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)


def tell_of_other_load() -> None:
    busy = busy_cpus(0.5)
    if busy > 0.1:
        print(f"benchmarks: other programs keep {busy:.1f} CPUs busy; trust only large differences", file=sys.stderr)


def busy_cpus(seconds: float) -> float:
    """How many CPUs were busy, on the average of some time from now."""
    before, began = cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds() - before) / (time.monotonic() - began)


def cpu_seconds() -> float:
    """What all CPUs worked since the machine started."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, fields[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
