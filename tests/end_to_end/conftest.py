"""Real processes for the tests in this folder."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest


class Running:
    """A `trunkline run` of its own, up and listening."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.banner: list[str] = []
        for line in process.stdout:
            self.banner.append(line.rstrip())
            if "listening" in line:
                break

    @property
    def urls(self) -> list[str]:
        return [url for line in self.banner for url in re.findall(r"(?:ws|http)://\S+", line)]

    def url(self, kind: str) -> str:
        """The first URL behind this word of the banner."""
        return next(line.split()[-1] for line in self.banner if line.startswith(kind))

    def stop(self) -> tuple[int, str, str]:
        """Exit code, rest of the output, errors."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


@pytest.fixture
def run_trunkline():
    """Start `trunkline run ARGUMENTS --port 0`; whatever still runs at the end must stop cleanly and silently."""
    with contextlib.ExitStack() as stack:

        def run(*arguments: object, cwd: Path | None = None, clean: bool = True) -> Running:
            command = [Path(sys.executable).with_name("trunkline"), "run", *map(str, arguments), "--port", "0"]
            environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
            process = stack.enter_context(
                subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env=environment
                )
            )
            running = Running(process)

            def end() -> None:
                code, _, err = running.stop()
                if clean:
                    assert (code, err) == (0, "")

            if process.poll() is None:
                stack.callback(end)
            return running

        yield run
