"""A zip whose bytes depend on nothing but its files: not on their order, times or owners, nor on who may read them."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Entry", "write_archive"]

_TIME = (1980, 1, 1, 0, 0, 0)  # the first that a zip can tell
_UNIX = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a zip.

    Attributes:
        name: within the zip, with slashes.
        path: where its bytes are.
        owner: whose it is, for people: a package, or the program.
    """

    name: str
    path: Path
    owner: str


def write_archive(entries: Iterable[Entry], folder: Path, stem: str) -> tuple[Path, str]:
    """Write the files as `STEM-<first 16 of the SHA-256>.zip`, all of it or nothing.

    Returns:
        The zip, and its SHA-256 in hexadecimal.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{stem}.{os.getpid()}.unfinished"
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry in sorted(entries, key=lambda one: one.name):
                archive.writestr(_header(entry), entry.path.read_bytes(), zipfile.ZIP_DEFLATED)
        with unfinished.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        path = folder / f"{stem}-{sha256[:16]}.zip"
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path, sha256


def _header(entry: Entry) -> zipfile.ZipInfo:
    found = zipfile.ZipInfo(entry.name, _TIME)
    found.create_system = _UNIX  # on Windows, too
    is_executable = entry.path.stat().st_mode & stat.S_IXUSR
    found.external_attr = (stat.S_IFREG | (0o755 if is_executable else 0o644)) << 16
    return found
