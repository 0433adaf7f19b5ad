"""Whether the tests of each room cover it whole, every branch, without help from the tests of others.

    .venv/bin/python tests/coverage_map.py [ROOM...]

The rooms are run two at a time. What is missing is listed with its lines; the exit code is 1 if anything is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The tests of each room; what takes longest first.
ROOMS = {
    "gateway": ["tests/gateway"],
    "wire": ["tests/wire"],
    "stores": ["tests/stores", "tests/contracts/test_stores.py"],
    "model": ["tests/model"],
    "resources": ["tests/resources"],
}
SECONDS = 300  # for one room; it takes 10 to 50


def main(arguments: list[str]) -> int:
    unknown = sorted(set(arguments) - set(ROOMS))
    if unknown:
        print(f"no rooms: {', '.join(unknown)}; expected some of {', '.join(ROOMS)}")
        return 2
    rooms = [room for room in ROOMS if room in arguments or not arguments]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(check, rooms))
    return 0 if all(results) else 1


def check(room: str) -> bool:
    """Run a room's tests; tell what they leave out."""
    began = time.monotonic()
    left_out = measure([ROOT / tests for tests in ROOMS[room]], f"*/trunkline/{room}/*")
    print(
        f"{room}: {'whole' if left_out is None else 'not whole'}, {time.monotonic() - began:.0f} s\n{left_out or ''}",
        end="",
    )
    return left_out is None


def measure(tests: list[Path], modules: str) -> str | None:
    """What the tests leave out of the modules, or which of them fail; None if every branch is reached."""
    # Everything of ours is traced, and the report chooses: on Python 3.11 an exception that is thrown into a
    # coroutine gets lost in frames that are not traced.
    quiet = ["-q", "--tb=line", "--show-capture=no", "-p", "no:cacheprovider"]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"COVERAGE_FILE": str(Path(folder) / "data")}
        for arguments in (
            ["run", "--branch", "-m", "pytest", *quiet, *map(str, tests)],
            ["report", "--show-missing", "--skip-covered", "--fail-under=100", f"--include={modules}"],
        ):
            command = [sys.executable, "-m", "coverage", *arguments]
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
            )
            if done.returncode:
                return done.stdout + done.stderr
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
