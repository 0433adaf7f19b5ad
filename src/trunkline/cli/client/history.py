"""What was typed before: a line of JSON for each entry, in a file that only its owner reads."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit.history import History

__all__ = ["Remembered", "history_file"]

_ENTRIES = 1000
_FILE_BYTES = 1024 * 1024


def history_file() -> Path:
    """Where it is kept."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "trunkline" / "connect_history"


class Remembered(History):
    """The last thousand entries; where the file cannot be read or written, those of this process alone."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def load_history_strings(self) -> Iterable[str]:
        """The newest first."""
        lines: list[bytes] = []
        with contextlib.suppress(OSError):
            lines = self._file.read_bytes().splitlines()[-_ENTRIES:]
            if self._file.stat().st_size > _FILE_BYTES:
                self._shorten(lines)
        return [entry for line in reversed(lines) for entry in _entry(line)]

    def store_string(self, string: str) -> None:
        """Keep one more."""
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with open(self._file, "ab", opener=_private) as file:
                file.write(json.dumps(string).encode() + b"\n")

    def _shorten(self, lines: list[bytes]) -> None:
        shorter = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        with open(shorter, "wb", opener=_private) as file:
            file.writelines(line + b"\n" for line in lines)
        shorter.replace(self._file)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # people type passwords


def _entry(line: bytes) -> list[str]:
    try:
        entry = json.loads(line)
    except ValueError:  # cut short, or not ours
        return []
    return [entry] if isinstance(entry, str) else []
