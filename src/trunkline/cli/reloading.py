"""`trunkline run --reload`: a node in a process of its own, started anew when its program changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import watchfiles
from rich.console import Console
from rich.markup import escape

from trunkline.cli.stopping import RELOADING, ignore_signals
from trunkline.resources.loading import folder_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["names_of", "supervise"]

_STOP_SECONDS = 5.0  # a node that is told to stop at once has ended long before
_LOOK_MS = 300  # how often is looked whether the node still runs


class _Sources(watchfiles.DefaultFilter):
    """Python files, and the settings in pyproject.toml; nothing in folders of tools, or in ours."""

    ignore_dirs = (*watchfiles.DefaultFilter.ignore_dirs, ".trunkline")

    def __call__(self, change: watchfiles.Change, path: str) -> bool:
        is_source = path.endswith(".py") or Path(path).name == "pyproject.toml"
        return is_source and super().__call__(change, path)


class _Node:
    """The node's process: this very command, told not to supervise."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "trunkline", *sys.argv[1:]]
        self._process = subprocess.Popen(command, env=os.environ | {RELOADING: "1"})  # noqa: S603 - our own
        self._told = False

    def has_just_ended(self) -> bool:
        """Whether it ended by itself since this was last asked."""
        if self._told or self._process.poll() is None:
            return False
        self._told = True
        return True

    def stop(self, number: signal.Signals) -> None:
        """End it with this signal."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def supervise(programs: list[str]) -> None:
    """Run this very command without us, again after each change, until a signal comes.

    A program that cannot be loaded tells why itself; then the next change is waited for.
    """
    terminal = Console(stderr=True, highlight=False)
    folders = sorted({str(folder_of(program)) for program in programs})
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    node = _Node()
    for changes in watchfiles.watch(
        *folders, watch_filter=_Sources(), yield_on_timeout=True, rust_timeout=_LOOK_MS, stop_event=over
    ):
        if changes:
            terminal.print(f"[dim]{escape(names_of(changes))} changed[/]")
            node.stop(signal.SIGHUP)
            node = _Node()
        elif node.has_just_ended():
            terminal.print("[dim]waiting for a change[/]")
    node.stop(signal.SIGINT)
    ignore_signals()


def names_of(changes: Iterable[tuple[watchfiles.Change, str]]) -> str:
    """What has changed, for people."""
    names = sorted({Path(path).name for _, path in changes})
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
