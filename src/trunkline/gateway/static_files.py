"""Static files of one folder, for the page that belongs to a program."""

from __future__ import annotations

import mimetypes
import os
import stat
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from urllib.parse import unquote

from trunkline import limits
from trunkline.gateway.http import FileResponse, HttpResponse

__all__ = ["StaticFiles"]

_TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".webmanifest": "application/manifest+json"}


class StaticFiles:
    """Serves the regular files below a folder; `index.html` for a folder. Nothing outside it, nothing hidden."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def respond(self, path: str, if_none_match: str | None, if_modified_since: str | None) -> HttpResponse | None:
        """The answer for a raw URL path; None if there is no such file."""
        file = self._find(path)
        if file is None:
            return None
        try:
            status = file.stat()
            if not stat.S_ISREG(status.st_mode):
                return None
            body = file.read_bytes() if status.st_size <= limits.HELD_FILE_BYTES else None
        except OSError:
            return None
        headers = {
            "content-type": _content_type(file),
            "cache-control": "no-cache",
            "etag": f'"{status.st_mtime_ns:x}-{status.st_size:x}"',
            "last-modified": formatdate(status.st_mtime, usegmt=True),
            "x-content-type-options": "nosniff",
        }
        if _unchanged(headers["etag"], status, if_none_match, if_modified_since):
            return HttpResponse(304, b"", headers)
        return FileResponse(file, status.st_size, headers) if body is None else HttpResponse(200, body, headers)

    def _find(self, path: str) -> Path | None:
        names = [name for name in unquote(path).split("/") if name]
        if any(name.startswith(".") or "\\" in name or "\0" in name or os.sep in name for name in names):
            return None
        try:
            file = self.folder.joinpath(*names).resolve()
            if file.is_dir():
                file = (file / "index.html").resolve()
            return file if file.is_relative_to(self.folder) else None
        except (OSError, RuntimeError):  # RuntimeError: a link that leads to itself
            return None


def _content_type(file: Path) -> str:
    guessed = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return guessed + "; charset=utf-8" if guessed.startswith("text/") or guessed.endswith("json") else guessed


def _unchanged(etag: str, status: os.stat_result, if_none_match: str | None, if_modified_since: str | None) -> bool:
    if if_none_match is not None:
        return etag in if_none_match or if_none_match.strip() == "*"
    if if_modified_since is None:
        return False
    try:
        return int(status.st_mtime) <= parsedate_to_datetime(if_modified_since).timestamp()
    except (TypeError, ValueError, OverflowError):
        return False
