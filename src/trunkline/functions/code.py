"""A function's code as a folder: its own, one that its zip or its text was put into, and its layers laid together."""

from __future__ import annotations

import hashlib
import shutil
import stat
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

from trunkline.model.functions import FunctionDefinition, InvocationRefused

__all__ = ["layers_of", "task_root_of"]

_unpacking = threading.Lock()
_MOST_FILES = 50_000
_MOST_BYTES = 250 * 1024 * 1024  # Lambda's quota for code and layers, unzipped


def task_root_of(definition: FunctionDefinition, folder: Path, archives: Path) -> Path:
    """The folder that a function runs in.

    Args:
        folder: an empty one, for its text.
        archives: where zip files are unpacked, each once for all functions that have it, and anew when it has changed.

    Raises:
        InvocationRefused: its code cannot be had.
    """
    if definition.inline is not None:
        suffix = "py" if definition.runtime.startswith("python") else "js"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"index.{suffix}").write_text(definition.inline, "utf-8")
        return folder
    code = definition.code
    if code is None or not code.exists():
        raise InvocationRefused(f"its code is not there: {code} ({definition.where})")
    if code.is_dir():
        return code
    return _unpacked(code, archives)


def layers_of(definition: FunctionDefinition, archives: Path) -> Path | None:
    """What is in /opt in Lambda: its only layer as it stands, or all laid together, later ones over earlier ones.

    Args:
        archives: where zip files are unpacked and layers are laid together, each once for all functions that have them,
            and anew when they have changed.

    Returns:
        None without any.

    Raises:
        InvocationRefused: one of them cannot be had.
    """
    found = [_layer(layer, archives, definition) for layer in definition.layers]
    if len(found) > 1:
        return _laid_together(found, archives)
    return found[0].absolute() if found else None


def _layer(layer: Path, archives: Path, definition: FunctionDefinition) -> Path:
    if not layer.exists():
        raise InvocationRefused(f"its layer is not there: {layer} ({definition.where})")
    return layer if layer.is_dir() else _unpacked(layer, archives)


def _laid_together(layers: list[Path], archives: Path) -> Path:
    def lay(folder: Path) -> None:
        for layer in layers:
            shutil.copytree(layer, folder, dirs_exist_ok=True)

    files = [path for layer in layers for path in (layer.resolve(), *sorted(layer.rglob("*")))]
    return _made_once("\0".join(map(_state_of, files)), archives, lay)


def _unpacked(archive: Path, archives: Path) -> Path:
    return _made_once(_state_of(archive.resolve()), archives, lambda folder: _unpack(archive, folder))


def _state_of(path: Path) -> str:
    found = path.lstat()
    return f"{path}\0{found.st_size}\0{found.st_mtime_ns}\0{found.st_ino}"


def _made_once(told: str, archives: Path, make: Callable[[Path], None]) -> Path:
    folder = archives / hashlib.sha256(told.encode(errors="surrogateescape")).hexdigest()[:16]
    with _unpacking:
        if not folder.is_dir():
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(folder)
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            if len(members) > _MOST_FILES or sum(member.file_size for member in members) > _MOST_BYTES:
                raise InvocationRefused(f"{archive} has more than {_MOST_FILES:,} files or {_MOST_BYTES:,} bytes")
            for member in members:
                _check(archive, member)
            opened.extractall(folder)
            for member in members:
                _set_mode(folder / member.filename, member)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise InvocationRefused(f"{archive} cannot be unpacked: {error}") from None


def _set_mode(path: Path, member: zipfile.ZipInfo) -> None:
    """What may be executed: `zipfile` forgets it. Archives that were made on Windows do not know."""
    if (mode := member.external_attr >> 16 & 0o777) and path.is_file():
        path.chmod(mode | stat.S_IRUSR | stat.S_IWUSR)


def _check(archive: Path, member: zipfile.ZipInfo) -> None:
    path = Path(member.filename)
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or is_link:
        raise InvocationRefused(f"{archive} has {member.filename!r}, which would be outside of its folder, or a link")
