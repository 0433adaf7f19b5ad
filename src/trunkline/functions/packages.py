"""Packages of npm that a template needs and that are not here: dynalite, and what Lambda has installed for Node."""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from trunkline.functions import requirements
from trunkline.functions.npm import DYNALITE, find_package, node_cache
from trunkline.model.functions import FunctionDefinition

__all__ = ["hint_of", "missing_packages"]

_IMPORTED = re.compile(
    rb"""(?:\brequire\s*\(|\bfrom\b|\bimport\b\s*\(?)\s*["'](aws-sdk|@aws-sdk/[a-z0-9][a-z0-9-]{0,80})["'/]"""
)
_NOT_FOUND = re.compile(r"Cannot find (?:module|package) '(aws-sdk|@aws-sdk/[a-z0-9-]+)['/]")
_RUNTIME = re.compile(r"nodejs([0-9]+)")
_OLD = 16  # the last Node for which Lambda has version 2 of the SDK; the later ones have version 3
_SUFFIXES = (".js", ".mjs", ".cjs")
_UNREADABLE = (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError)
_MOST_FILES = 500
_MOST_BYTES = 1_000_000  # of a file; a longer one is a bundle, and has with it what it needs


def missing_packages(
    functions: Sequence[FunctionDefinition], folders: Sequence[Path], *, tables: bool
) -> dict[str, tuple[str, ...]]:
    """What is needed for each package that is missing, by the package as npm names it, with its version.

    Args:
        functions: of the template. What they import of AWS's SDK and Lambda has installed for their runtime is looked
            for among their own packages, in their layers and in the folders.
        folders: each a `node_modules`.
        tables: there are tables that need a DynamoDB.
    """
    found: dict[str, tuple[str, ...]] = {}
    if tables and find_package("dynalite", folders) is None:
        found[DYNALITE] = ("the tables",)
    for function in functions:
        for package in _imported(function):
            name, _, _ = package.rpartition("@")
            if not _has(function, name) and find_package(name, folders) is None:
                found[package] = (*found.get(package, ()), function.logical_id)
    return found


def hint_of(line: str, function: FunctionDefinition) -> str | None:
    """What to do about a line of a function's output that says that a package is not there; None for any other."""
    runtime = function.runtime
    if runtime.startswith("python"):
        return requirements.hint_of(line, function)
    found, version = _NOT_FOUND.search(line), _RUNTIME.match(runtime)
    if found is None or version is None:
        return None
    name, is_old = found[1], int(version[1]) <= _OLD
    if is_old != (name == "aws-sdk"):
        has = "aws-sdk" if is_old else "@aws-sdk/*"
        return f"Lambda has {has} for {runtime}, and no {name}: the function has to bring it"
    package = f"{name}@{2 if is_old else 3}"
    return (
        f"Lambda has {name} for {runtime}; here, install it with `npm install --prefix {node_cache()} {package}`, or "
        "`trunkline run ... --install`, and start anew"
    )


def _imported(function: FunctionDefinition) -> list[str]:
    """The packages of AWS's SDK that a function imports, of those that Lambda has for its runtime."""
    runtime = _RUNTIME.match(function.runtime)
    if runtime is None:
        return []
    names = set()
    with contextlib.suppress(*_UNREADABLE):  # whoever runs it says what is wrong with it
        for text in _texts(function):
            names |= {name.decode() for name in _IMPORTED.findall(text)}
    if int(runtime[1]) <= _OLD:
        return ["aws-sdk@2"] if "aws-sdk" in names else []
    return sorted(f"{name}@3" for name in names if name != "aws-sdk")


def _texts(function: FunctionDefinition) -> Iterator[bytes]:
    if function.inline is not None:
        yield function.inline.encode()
    elif function.code is not None and function.code.is_dir():
        yield from _in_folder(function.code)
    elif function.code is not None and function.code.is_file():
        yield from _in_zip(function.code)


def _in_folder(folder: Path) -> Iterator[bytes]:
    left = _MOST_FILES
    pending = [folder]
    while pending and left:
        for path in sorted(pending.pop().iterdir()):
            if path.is_dir() and not path.is_symlink() and path.name not in {"node_modules", ".git", ".aws-sam"}:
                pending.append(path)
            elif path.suffix in _SUFFIXES and path.is_file() and path.stat().st_size <= _MOST_BYTES and left:
                left -= 1
                yield path.read_bytes()


def _in_zip(file: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(file) as opened:
        sources = [
            one
            for one in opened.infolist()
            if one.filename.endswith(_SUFFIXES) and "node_modules/" not in one.filename and one.file_size <= _MOST_BYTES
        ]
        for source in sources[:_MOST_FILES]:
            yield opened.read(source)


def _has(function: FunctionDefinition, name: str) -> bool:
    """Whether a package is among the function's own, as Node looks for them, or in a layer."""
    for place in (function.code, *(function.layers)):
        if place is None:
            continue
        if place.is_file():
            if _is_in_zip(place, name):
                return True
        elif any((folder / "node_modules" / name).is_dir() for folder in (place, *place.parents, place / "nodejs")):
            return True
    return False


def _is_in_zip(file: Path, name: str) -> bool:
    with contextlib.suppress(*_UNREADABLE), zipfile.ZipFile(file) as opened:
        return any(f"node_modules/{name}/" in one for one in opened.namelist())
    return False
