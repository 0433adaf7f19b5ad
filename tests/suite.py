"""Runs every test: what needs no quiet side by side, then, alone, what measures the node's times and memory.

What fails is run again by itself, and the output says so. Coverage is that of all of them together. Besides, every
branch of the rooms that everything stands on is taken by the room's own tests.
"""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from coverage_map import ROOMS

os.chdir(Path(__file__).parent.parent)

CONNECT = "tests/cli/test_connect.py"  # the longest of the commands, and most of it is waiting
ALONE = (
    "tests/aws/test_lambda_handler.py",
    "tests/end_to_end/test_cost.py",
    "tests/end_to_end/test_door.py",
    "tests/end_to_end/test_drain.py",
    "tests/test_imports.py",
)
LANES = 3  # for two processors: much is waited for


class Part(NamedTuple):
    """Some of the tests, in a process of their own."""

    name: str
    paths: list[str]
    without: tuple[str, ...] = ()

    def run(self, *, again: bool = False) -> bool:
        """Whether all of them passed, and took every branch of their room if they are a room's.

        Args:
            again: only those that failed before, when nothing else runs.
        """
        began = time.monotonic()
        leaving_out = [f"--ignore={path}" for path in self.without]
        which = ["--last-failed", "--last-failed-no-failures=none"] if again else []
        options = ["-q", "-o", f"cache_dir=.pytest_cache/{self.name}", *which, *leaving_out]
        passed, said = coverage(self.name, "run", *(["-a"] if again else []), "-m", "pytest", *options, *self.paths)
        if passed and self.name in ROOMS:
            passed, told = coverage(self.name, "report", "--fail-under=100", f"--include=src/trunkline/{self.name}/*")
            said += "" if passed else told
        print(
            f"== {self.name}{' again' if again else ''}, {time.monotonic() - began:.0f} s\n{said}", end="", flush=True
        )
        return passed


def coverage(name: str, *command: str) -> tuple[bool, str]:
    """Run coverage on the data of a part."""
    with tempfile.TemporaryFile("w+") as out:
        environment = os.environ | {"COVERAGE_FILE": f".coverage.{name}"}
        done = subprocess.run(
            [sys.executable, "-m", "coverage", *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environment,
            check=False,
            start_new_session=True,  # a test that signals its group reaches no other part
        )
        out.seek(0)
        return done.returncode == 0, out.read()


def rest() -> Iterator[str]:
    """The folders and files of tests that are nobody else's below."""
    named = {"cli", "docs", "end_to_end", "stress", "autobahn", "typing", *ROOMS}
    for path in sorted(Path("tests").iterdir()):
        is_tests = path.is_dir() or path.name.startswith("test_")
        if is_tests and path.name not in named and not path.name.startswith("__") and str(path) not in ALONE:
            yield str(path)


def main() -> int:
    for old in Path().glob(".coverage*"):
        old.unlink()
    # Where the environment keeps Python from writing bytecode, each of hundreds of processes would compile everything.
    compileall.compile_dir("src", quiet=1, workers=0)
    parts = [  # what takes longest first; before it what loads the machine, as the first two measure little
        Part("stress", ["tests/stress"]),
        Part("rest", list(rest()), (*ROOMS["stores"], *ALONE)),
        Part("commands", ["tests/cli"], (CONNECT,)),
        Part("processes", ["tests/end_to_end"], ALONE),
        Part("connect", [CONNECT]),
        *(Part(room, ROOMS[room]) for room in ("gateway", "stores")),
        Part("pages", ["tests/docs", "examples"]),
        *(Part(room, ROOMS[room]) for room in ("wire", "model", "resources")),
    ]
    with ThreadPoolExecutor(LANES) as lanes:
        passed = list(lanes.map(Part.run, parts))
    parts.append(Part("alone", list(ALONE)))
    passed.append(parts[-1].run())
    failed = [part for part, fine in zip(parts, passed, strict=True) if not fine]
    # Many tests measure time, and the machine may be somebody else's too: what fails by itself has failed.
    failed = [part for part in failed if not part.run(again=True)]
    subprocess.run([sys.executable, "-m", "coverage", "combine", "--quiet"], check=True)
    subprocess.run([sys.executable, "-m", "coverage", "report"], check=True)
    if failed:
        print(f"failed: {', '.join(part.name for part in failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
