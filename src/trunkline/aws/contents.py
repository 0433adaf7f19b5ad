"""The program's own files in a function's zip: its modules, the data of its packages, and what it includes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from trunkline.aws.archive import Entry
from trunkline.aws.program import AwsProgram, Function
from trunkline.errors import ConfigurationError

__all__ = ["contents"]

_NEVER = {"__pycache__", "node_modules", "test", "tests", "venv"}  # and whatever begins with a dot
_COMPILED = {".pyc", ".pyo", ".so", ".pyd", ".dylib"}
_WILD = set("*?[")


def contents(function: Function, program: AwsProgram, include: Sequence[str]) -> list[Entry]:
    """The program's files, each where it is in the program's folder.

    Args:
        include: patterns of further files, such as `words/*.txt`; of a folder, all below it. What begins with a dot,
            tests and installed packages are only taken by a pattern that names them before its first wildcard.

    Raises:
        ConfigurationError: a pattern fits nothing, or a file is not in the program's folder.
    """
    files = {*function.sources, *_data(function, program.folder)}
    for pattern in include:
        files.update(_included(pattern, program.folder))
    for file in files:
        _check_inside(file, program.folder)
    return [Entry(file.relative_to(program.folder).as_posix(), file, function.program) for file in sorted(files)]


def _data(function: Function, folder: Path) -> Iterator[Path]:
    """What stands beside the modules of each package, and is none itself."""
    for source in function.sources:
        if source.name == "__init__.py" and source.parent != folder:
            yield from _below(source.parent, data_only=True)


def _below(folder: Path, *, data_only: bool = False) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if _is_never(path.name) or (path.is_dir() and data_only and (path / "__init__.py").exists()):
            continue
        if path.is_dir():
            if path.is_symlink():
                raise ConfigurationError(f"{path} is a link to a folder; expected a folder, or its files")
            yield from _below(path, data_only=data_only)
        elif not data_only or path.suffix not in {".py", *_COMPILED}:
            yield path


def _is_never(name: str) -> bool:
    return name.startswith(".") or name in _NEVER or name.endswith((".pyc", ".pyo"))


def _included(pattern: str, folder: Path) -> list[Path]:
    parts = Path(pattern).parts
    if not parts or Path(pattern).is_absolute() or ".." in parts:
        raise ConfigurationError(f"include {pattern!r} is not below the program's folder; expected such as words/*.txt")
    named = _named(parts)
    found = [folder / pattern] if named == len(parts) else sorted(folder.glob(pattern))
    files = [file for one in found for file in _files(one, folder, named)]
    if not files:
        raise ConfigurationError(f"include {pattern!r} fits no file in {folder}; expected such as words/*.txt")
    return files


def _named(parts: Sequence[str]) -> int:
    """How many parts of a pattern are names."""
    return next((index for index, part in enumerate(parts) if _WILD & set(part)), len(parts))


def _files(path: Path, folder: Path, named: int) -> Iterator[Path]:
    if any(_is_never(part) for part in path.relative_to(folder).parts[named:]):
        return
    if path.is_dir():
        yield from _below(path)
    elif os.path.lexists(path):
        yield path


def _check_inside(file: Path, folder: Path) -> None:
    if not file.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError(f"{file} is a link to {file.resolve()}, outside of {folder}; expected the file itself")
    if not file.is_file():
        raise ConfigurationError(f"{file} is no file; expected one that can be read")
