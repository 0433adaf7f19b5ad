"""The zip of a function: the program, Trunkline's part of it, and the packages that it needs on Lambda."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trunkline.aws.archive import Entry, write_archive
from trunkline.aws.carried import carried, statements_of
from trunkline.aws.contents import contents
from trunkline.aws.dependencies import dependencies, package_cache
from trunkline.aws.lambda_platform import MODULES, Platform
from trunkline.aws.program import AwsProgram, Function
from trunkline.aws.requirements import requirements_of
from trunkline.errors import ConfigurationError

__all__ = ["MOST_BYTES", "Package", "PackageOptions", "build"]

MOST_BYTES = 262_144_000  # Lambda's quota for a function's code and layers, unzipped: 250 MB
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class PackageOptions:
    """How functions are packaged.

    Attributes:
        requirements: the file that says what the project needs; None for that of the project.
        include: patterns of further files of the program's folder.
        cache: where packages are kept for the next time.
    """

    platform: Platform = field(default_factory=Platform)
    requirements: Path | None = None
    include: tuple[str, ...] = ()
    cache: Path = field(default_factory=package_cache)


@dataclass(frozen=True, slots=True)
class Package:
    """A function's zip.

    Attributes:
        sha256: of the zip, in hexadecimal.
        size: of the zip, in bytes.
        unzipped: bytes of all of its files.
        largest: packages and their bytes, unzipped, the largest first.
        requirements: the file that said what the project needs; "" without any.
        missing: imports that nothing in the zip has, nor Lambda: what and where.
    """

    path: Path
    sha256: str
    size: int
    unzipped: int
    largest: tuple[tuple[str, int], ...]
    requirements: str
    missing: tuple[str, ...]


def build(function: Function, program: AwsProgram, options: PackageOptions, folder: Path) -> Package:
    """Write a function's zip into a folder. The same files and packages give the same bytes.

    Raises:
        ConfigurationError: what it needs cannot be had, hides other modules, or is too large.
    """
    own = contents(function, program, options.include)
    needed = requirements_of(program.folder, options.requirements)
    brought = [*carried(), *dependencies(needed, options.platform, options.cache)]
    _check_hiding(own, brought)
    entries = [*own, *brought]
    _check_machine(entries, options.platform)
    largest = _sizes(entries)
    unzipped = sum(size for _, size in largest)
    _check_size(function, unzipped, largest)
    path, sha256 = write_archive(entries, folder, _stem(function))
    missing = tuple(_missing(function, program.folder, entries))
    return Package(path, sha256, path.stat().st_size, unzipped, largest[:_SHOWN], needed.source, missing)


def _stem(function: Function) -> str:
    """The program's short name, as it can stand in a key of S3."""
    short = Path(function.program).stem if function.program.endswith(".py") else function.program.rpartition(".")[2]
    return re.sub(r"[^A-Za-z0-9_-]", "-", short)


def _check_hiding(own: Sequence[Entry], brought: Sequence[Entry]) -> None:
    names = {entry.name for entry in brought}
    theirs = {_module(entry.name): entry.owner for entry in brought}
    elsewhere = dict.fromkeys(MODULES, "Lambda") | dict.fromkeys(sys.stdlib_module_names, "Python itself")
    for entry in own:
        name = _module(entry.name)
        whose = theirs.get(name) if entry.name in names or name != entry.name else None
        if entry.name in {f"{name}.py", f"{name}/__init__.py"}:  # a folder alone hides nothing that is elsewhere
            whose = whose or elsewhere.get(name)
        if whose is not None:
            raise ConfigurationError(
                f"{entry.name} would hide the {name!r} of {whose} from the function; expected another name"
            )


def _module(name: str) -> str:
    """The name that a file's top is imported by; that of the file itself, if it is no module."""
    top, slash, _ = name.partition("/")
    return top if slash else re.sub(r"\.(py|so|[a-z0-9_-]+\.so)$", "", top)


def _check_machine(entries: Iterable[Entry], platform: Platform) -> None:
    for entry in entries:
        if entry.path.suffix == ".so" or ".so." in entry.path.name:
            with entry.path.open("rb") as opened:
                header = opened.read(20)
            if header[:4] == b"\x7fELF" and int.from_bytes(header[18:20], "little") != platform.elf:
                raise ConfigurationError(
                    f"{entry.name} ({entry.owner}) is compiled for another machine than {platform.architecture}"
                )


def _sizes(entries: Iterable[Entry]) -> tuple[tuple[str, int], ...]:
    sizes: Counter[str] = Counter()
    for entry in entries:
        sizes[entry.owner] += entry.path.stat().st_size
    return tuple(sorted(sizes.items(), key=lambda one: (-one[1], one[0])))


def _check_size(function: Function, unzipped: int, largest: Sequence[tuple[str, int]]) -> None:
    if unzipped > MOST_BYTES:
        told = ", ".join(f"{name} {size / 1e6:,.1f} MB" for name, size in largest[:_SHOWN])
        raise ConfigurationError(
            f"{function.program} has {unzipped:,} bytes with all that it needs, and Lambda takes {MOST_BYTES:,}; the "
            f"largest are {told}; leave something out"
        )


def _missing(function: Function, folder: Path, entries: Iterable[Entry]) -> Iterator[str]:
    """What the program imports at once, outside of any `try`, and will not find."""
    known = {_module(entry.name) for entry in entries} | MODULES | sys.stdlib_module_names
    for source in function.sources:
        for name, line in _imported(source):
            if name not in known:
                yield f"{source.relative_to(folder).as_posix()}:{line} imports {name}"


def _imported(source: Path) -> Iterator[tuple[str, int]]:
    tree = ast.parse(source.read_bytes(), str(source))
    tried = {id(one) for node in ast.walk(tree) if isinstance(node, ast.Try) for one in ast.walk(node)}
    for node, _ in statements_of(tree):
        if id(node) in tried:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0], node.lineno
