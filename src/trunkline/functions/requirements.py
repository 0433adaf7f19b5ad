"""Packages of Python that functions name in a `requirements.txt` beside their code; `sam build` would install them."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import re
import shlex
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from trunkline.errors import ConfigurationError
from trunkline.functions.npm import run_installer, user_cache
from trunkline.model.functions import FunctionDefinition

__all__ = ["Requirements", "hint_of", "install_requirements", "missing_requirements", "packages_of", "python_cache"]

_LAMBDAS = {"awslambdaric", "boto3", "botocore"}  # which Lambda has, and so has whoever runs functions here
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?=[\[<>=!~;@(,\\]|$)")
_OF_OTHERS = re.compile(r"win32|cygwin|windows|darwin|java|pypy|\bextra\b", re.IGNORECASE)
_BELOW = re.compile(r"python_(?:full_)?version\s*<(=?)\s*[\"']3\.([0-9]+)")
_NOT_FOUND = re.compile(r"(?:ImportModuleError|ModuleNotFoundError).*No module named '([A-Za-z0-9_]+)")
_MOST_BYTES = 1_000_000
_UNREADABLE = (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


class Requirements(NamedTuple):
    """A `requirements.txt` with packages that are not here.

    Attributes:
        file: the file.
        names: of the packages, as it spells them.
        functions: logical ids of those whose code it is beside.
        folder: where they are installed, and found from then on.
    """

    file: Path
    names: tuple[str, ...]
    functions: tuple[str, ...]
    folder: Path

    @property
    def command(self) -> str | None:
        """What installs them, for people; None where there is neither pip nor uv."""
        found = _installer()
        return None if found is None else shlex.join([*found, "--target", str(self.folder), "-r", str(self.file)])


def python_cache() -> Path:
    """The folder of this user that packages of Python are installed into; it need not exist yet."""
    return user_cache() / "python"


def missing_requirements(functions: Sequence[FunctionDefinition]) -> list[Requirements]:
    """What functions need and neither this environment has, nor their code, a layer or the cache.

    Versions are not looked at: what is there is taken for right.
    """
    read = [(function, _folder(function, text), text) for function in functions if (text := _text(function))]
    pending = [(function, folder, text) for function, folder, text in read if not folder.is_dir()]
    here = _LAMBDAS | (_installed() if pending else set())
    found: dict[Path, Requirements] = {}
    for function, folder, text in pending:
        own = here | _own(function)
        if names := tuple(name for name in _named(text) if _normal(name) not in own):
            of = found.get(folder) or Requirements(_file(function), names, (), folder)
            found[folder] = of._replace(functions=(*of.functions, function.logical_id))
    return list(found.values())


def packages_of(function: FunctionDefinition) -> Path | None:
    """The folder that a function's packages were installed into, if they were."""
    text = _text(function)
    folder = None if text is None else _folder(function, text)
    return folder if folder is not None and folder.is_dir() else None


def install_requirements(needed: Requirements) -> None:
    """Install them into their folder; it blocks until that is done.

    Raises:
        ConfigurationError: there is neither pip nor uv, or it failed.
    """
    installer = _installer()
    if installer is None:
        raise ConfigurationError(f"{needed.file} cannot be installed: there is neither pip nor uv")
    needed.folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=needed.folder.parent))
    try:
        command = [*installer, "--target", str(unfinished), "-r", str(needed.file)]
        unasked = ["--disable-pip-version-check"] if "-m" in installer else []
        run_installer(command, ["--quiet", *unasked], _told)
        with contextlib.suppress(OSError):  # another run was faster
            unfinished.rename(needed.folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def hint_of(line: str, function: FunctionDefinition) -> str | None:
    """What to do about a line of a function's output that says that a module is not there; None for any other."""
    found = _NOT_FOUND.search(line)
    if found is None or _has(function, found[1]):
        return None
    needed = missing_requirements([function])
    if needed:
        command = needed[0].command
        by_hand = "" if command is None else f", and so does `{command}`"
        return f"sam build would install {needed[0].file}; here, `trunkline run ... --install` does{by_hand}"
    name = ""
    if function.code is not None and function.code.is_dir():
        name = f"name it in {_file(function)} and start anew with --install, or "
    return f"nothing here has a module {found[1]}: {name}install its package into the environment of {sys.executable}"


def _installer() -> list[str] | None:
    """What installs packages for this Python."""
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install"]
    uv = shutil.which("uv")
    return None if uv is None else [uv, "pip", "install", "--python", sys.executable]


def _told(errors: str) -> str:
    """What pip or uv says of its failure, in a line."""
    lines = [line.strip(" \u00d7\u2570\u2500\u25b6\u2502") for line in errors.splitlines()]
    wrong = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return "; ".join(wrong or [line for line in lines if line])


# What is needed.


def _file(function: FunctionDefinition) -> Path:
    assert function.code is not None
    return function.code / "requirements.txt"


def _text(function: FunctionDefinition) -> str | None:
    if not function.runtime.startswith("python") or function.code is None or not function.code.is_dir():
        return None
    try:
        with _file(function).open("rb") as opened:
            data = opened.read(_MOST_BYTES)
    except OSError:
        return None
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as PowerShell writes it
    return data.decode("utf-16" if wide else "utf-8-sig", "replace")


def _folder(function: FunctionDefinition, text: str) -> Path:
    """Alike for the same text, unless it names files beside it."""
    beside = any(line.lstrip().startswith(("-", ".")) for line in text.splitlines())
    told = f"{sys.implementation.cache_tag}\0{text}\0{_file(function) if beside else ''}"
    return python_cache() / hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:16]


def _named(text: str) -> Iterator[str]:
    for line in text.splitlines():
        requirement, _, marker = line.partition("#")[0].partition(";")
        found = _REQUIREMENT.match(requirement)
        if found is not None and not _is_of_others(marker):
            yield found[1]


def _is_of_others(marker: str) -> bool:
    """Whether a marker says that a package is for other systems, or for older versions of Python."""
    below = _BELOW.search(marker)
    is_older = below is not None and int(below[2]) + (below[1] == "=") <= sys.version_info.minor
    return is_older or _OF_OTHERS.search(marker) is not None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# What is here.


def _installed() -> set[str]:
    return {_normal(one.metadata["Name"]) for one in distributions() if "Name" in one.metadata}


def _own(function: FunctionDefinition) -> set[str]:
    """The packages in a function's folder and layers, by what their folders are called."""
    names = set()
    for place in (function.code, *function.layers):
        with contextlib.suppress(*_UNREADABLE):
            names |= {_normal(name.partition("-")[0].removesuffix(".py")) for name in _entries(place)}
    return names


def _entries(place: Path | None) -> Iterator[str]:
    if place is None:
        return
    if place.is_file():
        with zipfile.ZipFile(place) as opened:
            yield from {part for name in opened.namelist() for part in name.split("/")}
        return
    for folder in (place, place / "python", *place.glob("python/lib/python3*/site-packages")):
        if folder.is_dir():
            yield from (path.name for path in folder.iterdir())


def _has(function: FunctionDefinition, module: str) -> bool:
    return _normal(module) in _own(function)
