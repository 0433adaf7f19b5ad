"""The packages that a function brings to Lambda: what its project needs, and what our part of it does."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path

from trunkline.aws.archive import Entry
from trunkline.aws.installer import find_installer
from trunkline.aws.lambda_platform import INSTALLED, SDK, Platform
from trunkline.aws.requirements import Requirements, normal
from trunkline.errors import ConfigurationError

__all__ = ["dependencies", "package_cache"]

_FORMAT = "1"  # another one when what is cached is laid out otherwise
_OURS = "msgspec"
_KEPT = 30 * 24 * 3600.0  # seconds
# What differs from machine to machine, or from one installer to another.
_OF_THE_INSTALLER = {"RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def package_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of this user that packages for Lambda are kept in; it need not exist yet."""
    cache = environment.get("XDG_CACHE_HOME") or ""
    # The rule of these folders: a path that is not absolute is none.
    root = Path(cache) if cache.startswith("/") else Path.home() / ".cache"
    return root / "trunkline" / "packages"


def dependencies(needed: Requirements, platform: Platform, cache: Path) -> list[Entry]:
    """The files of every package that a function brings, for its platform.

    What Lambda has is left out: its SDK, unless the project pins one package of it; and what only that needs.

    Raises:
        ConfigurationError: a package cannot be had, or has no wheel for the platform.
    """
    ours = Requirements(lines=(_our_pin(),))
    found = _distributions(needed, platform, cache) if needed.lines else []
    theirs = next((one for one in found if one.name == _OURS), None)
    if theirs is None:
        found += _distributions(ours, platform, cache)
    else:
        _check_ours(theirs, needed)
    taken = [one for one in found if one.name not in _left_out(found, needed)]
    for one in taken:
        _check_platform(one, platform)
    return [entry for one in taken for entry in one.entries]


def _our_pin() -> str:
    """Our requirement at its least version, so that a zip does not change with the day on which it is made."""
    return next(one.replace(">=", "==") for one in requires("trunkline") or () if one.startswith(_OURS))


@dataclass(frozen=True, slots=True)
class _Distribution:
    """An installed package: its normal name, version, normal names of what it requires, tags and files."""

    name: str
    version: str
    requires: frozenset[str]
    tags: tuple[str, ...]
    entries: tuple[Entry, ...]


def _check_ours(theirs: _Distribution, needed: Requirements) -> None:
    least = _our_pin().partition("==")[2]
    if _numbers(theirs.version) < _numbers(least):
        raise ConfigurationError(
            f"{needed.source} asks for {_OURS} {theirs.version}; Trunkline needs at least {least} on Lambda, too"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _left_out(found: Sequence[_Distribution], needed: Requirements) -> frozenset[str]:
    out = frozenset() if needed.pinned & SDK else SDK
    maybe = INSTALLED - SDK - needed.named
    while True:
        wanted = {name for one in found if one.name not in out for name in one.requires if one.name != name}
        more = out | (maybe - wanted)
        if more == out:
            return out
        out = more


def _check_platform(one: _Distribution, platform: Platform) -> None:
    if not any(platform.runs(tag) for tag in one.tags):
        raise ConfigurationError(
            f"{one.name} {one.version} is a wheel for {', '.join(one.tags) or 'an unknown machine'}, and not for "
            f"{platform}; expected one that was made for manylinux"
        )


def _distributions(needed: Requirements, platform: Platform, cache: Path) -> list[_Distribution]:
    return list(_read(_installed(needed, platform, cache)))


def _installed(needed: Requirements, platform: Platform, cache: Path) -> Path:
    """The folder that holds exactly what is needed: one for each set of versions, and installed once."""
    with tempfile.TemporaryDirectory(prefix="trunkline-") as name:
        scratch = Path(name) / "requirements.txt"
        exact = _exact(needed, platform, cache, scratch)
        folder = cache / _key(exact, needed, platform)
        if folder.is_dir():
            with contextlib.suppress(OSError):
                os.utime(folder)
            return folder
        scratch.write_text("\n".join([*needed.options, *exact]), "utf-8")
        return _install(scratch, needed, platform, cache, folder)


def _exact(needed: Requirements, platform: Platform, cache: Path, scratch: Path) -> tuple[str, ...]:
    if needed.are_hashed or needed.lines == (_our_pin(),):  # ours needs nothing else
        return needed.lines
    constraints = [f"-c {file}" for file in needed.constraints]
    scratch.write_text("\n".join([*needed.options, *constraints, *needed.lines]), "utf-8")
    return find_installer(cache / "uv").resolve(scratch, platform, _place(needed))


def _key(exact: Sequence[str], needed: Requirements, platform: Platform) -> str:
    wheels = [hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in needed.wheels]
    told = json.dumps([_FORMAT, platform.python, platform.architecture, sorted(exact), wheels, needed.options])
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _install(scratch: Path, needed: Requirements, platform: Platform, cache: Path, folder: Path) -> Path:
    with _unfinished(cache) as target:
        find_installer(cache / "uv").install(scratch, platform, _place(needed), target)
        try:
            target.rename(folder)
        except OSError as error:
            if not folder.is_dir():  # else another process was as quick, and has the same
                raise ConfigurationError(f"{folder} cannot be written: {error.strerror}") from None
    return folder


@contextlib.contextmanager
def _unfinished(cache: Path) -> Iterator[Path]:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="unfinished-", dir=cache))
    except OSError as error:
        raise ConfigurationError(f"{cache} cannot be written: {error.strerror}") from None
    try:
        _forget_old(cache)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _forget_old(cache: Path) -> None:
    """Remove what was not used for long; `_installed` touches what it uses."""
    for one in cache.iterdir():
        if one.name != "uv" and one.stat().st_mtime < time.time() - _KEPT:
            shutil.rmtree(one, ignore_errors=True)


def _place(needed: Requirements) -> Path:
    return needed.folder.resolve()


def _read(folder: Path) -> Iterator[_Distribution]:
    for place in sorted(folder.glob("*.dist-info")):
        metadata = _fields(place / "METADATA")
        entries = tuple(_entries(folder, place, metadata["Name"][0]))
        yield _Distribution(
            normal(metadata["Name"][0]), metadata["Version"][0],
            frozenset(normal(found[0]) for one in metadata.get("Requires-Dist", ()) if (found := _NAME.match(one))),
            tuple(_fields(place / "WHEEL").get("Tag", ())), entries,
        )  # fmt: skip


def _fields(file: Path) -> dict[str, list[str]]:
    """The header of a file of a package's metadata."""
    found: dict[str, list[str]] = {}
    for line in file.read_text("utf-8").split("\n\n", 1)[0].splitlines():
        name, colon, value = line.partition(": ")
        if colon and not name.startswith((" ", "\t")):
            found.setdefault(name, []).append(value.strip())
    return found


def _entries(folder: Path, info: Path, owner: str) -> Iterator[Entry]:
    with (info / "RECORD").open(encoding="utf-8", newline="") as opened:
        names = sorted({row[0] for row in csv.reader(opened) if row})
    for name in names:
        # pip tells of its scripts from another folder than the one that it puts them into.
        path = folder / re.sub(r"^(\.\./)+", "", name.replace("\\", "/"))
        if path.is_file() and not _is_of_this_machine(path, info):
            yield Entry(path.relative_to(folder).as_posix(), path, owner)


def _is_of_this_machine(path: Path, info: Path) -> bool:
    if path.parent == info:
        return path.name in _OF_THE_INSTALLER
    if path.suffix == ".pyc":
        return True
    if path.parent == info.parent / "bin":
        with path.open("rb") as opened:
            return opened.read(2) == b"#!"  # a command, which begins with the path of the Python here
    return False
