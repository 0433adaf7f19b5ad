"""`trunkline new`: a folder with a program that runs, its page and its test."""

from __future__ import annotations

import keyword
import os
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.errors import ConfigurationError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["new"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the folder, the program and its socket.")],
) -> None:
    """Write a small program with its page and its test into a new folder."""
    module = _module(name)
    folder = Path(name)
    _check_free(folder)
    try:
        _write(folder, module)
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be written: {error.strerror}") from None
    print(f"{name} is there: a program, its page and its test. Now type:\n")
    for command in (f"cd {name}", f"trunkline run {module}.py --web web", "pytest"):
        print(f"  {command}")


def _module(name: str) -> str:
    """The program's name without `.py`, which is its socket's too."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is no name for a program; expected a letter, then letters, digits, '-' and '_', such as my-chat"
        )
    module = name.replace("-", "_")
    if keyword.iskeyword(module):
        raise ConfigurationError(f"{name!r} is a word of Python itself; expected another name, such as my-{name}")
    if module.startswith("test_") or module == "conftest":
        raise ConfigurationError(f"pytest would take {module}.py for its own; expected another name, such as my-{name}")
    if _is_module(module):
        raise ConfigurationError(
            f"{module}.py would hide the module {module!r} from Python; expected another name, such as my-{name}"
        )
    return module


def _is_module(name: str) -> bool:
    if name in sys.stdlib_module_names:
        return True
    elsewhere = [path for path in sys.path if path not in {"", str(Path.cwd())}]
    spec = PathFinder.find_spec(name, elsewhere)
    return spec is not None and spec.origin is not None  # a folder alone hides nothing


def _check_free(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigurationError(f"{folder} is there already and is not empty; expected a new name")
    if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir()):
        raise ConfigurationError(f"{folder} is there already; expected a new name")


def _write(folder: Path, module: str) -> None:
    """All of it or nothing: it is written beside the folder, and then takes its name."""
    from importlib.resources import files

    beside = Path(f".{folder}.{os.getpid()}")
    beside.mkdir()
    try:
        for path, text in _files(files("trunkline.cli") / "skeleton"):
            file = beside / path.replace("program", module)
            file.parent.mkdir(exist_ok=True)
            file.write_text(text.replace("@NAME@", module).replace("@FOLDER@", folder.name), "utf-8")
        if folder.exists():
            folder.rmdir()  # it is empty
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _files(folder: Traversable, above: str = "") -> Iterator[tuple[str, str]]:
    """Path and text of every file of the skeleton. Their names end in `.in`, so that no tool takes them for ours."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{above}{entry.name}/")
        else:
            name = entry.name.removesuffix(".in")
            yield above + (f".{name}" if name == "gitignore" else name), entry.read_text("utf-8")
