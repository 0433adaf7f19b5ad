"""What a project says that it needs: its requirements.txt, or the dependencies of its pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from trunkline.aws.lambda_platform import SDK
from trunkline.errors import ConfigurationError

__all__ = ["Requirements", "normal", "requirements_of"]

_NAMED = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(\[[^\]]*\])?\s*(?=$|[<>=!~;@(])(.*)")
_OPTION = re.compile(r"--?([A-Za-z][A-Za-z-]*)[\s=]*(.*)")
# Options without their dashes.
_FILES = {"r": True, "requirement": True, "c": False, "constraint": False}  # whether what it says is needed
_ABOUT_THE_INDEX = {"i": "-i", "index-url": "-i"} | {
    name: f"--{name}" for name in ("extra-index-url", "no-index", "pre", "trusted-host")
}
_WHEELS = {"f", "find-links"}
_ABOUT_BUILDING = {"no-binary", "only-binary", "prefer-binary", "no-build-isolation", "config-settings"}
_BUILT = re.compile(r"(?:git|hg|svn|bzr)\+")
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a project needs besides Trunkline.

    Attributes:
        source: the file, for people; "" where the project says nothing.
        folder: the folder of that file.
        lines: each a requirement, without the SDK that Lambda has unless it is pinned.
        options: lines that say where packages are.
        constraints: files of constraints.
        named: the packages' normal names.
        pinned: of those, what is for one version.
        wheels: files that are named themselves.
        are_hashed: each line has hashes, so all that is needed is named.
    """

    source: str = ""
    folder: Path = Path()
    lines: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    constraints: tuple[Path, ...] = ()
    named: frozenset[str] = frozenset()
    pinned: frozenset[str] = frozenset()
    wheels: tuple[Path, ...] = ()
    are_hashed: bool = False


def normal(name: str) -> str:
    """A package's name as all of its spellings are written alike."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements_of(folder: Path, given: Path | None = None) -> Requirements:
    """What the project of a program needs.

    It stands in the given file; else in the nearest folder, from the program's own up to that of its repository,
    that has a requirements.txt or a pyproject.toml with a `[project]`. In one folder the former counts.

    Raises:
        ConfigurationError: a file cannot be read, or names what would have to be built.
    """
    if given is not None:
        return _of_file(given)
    for place in (folder, *folder.parents):
        if (file := place / "requirements.txt").is_file():
            return _of_file(file)
        if (file := place / "pyproject.toml").is_file() and (project := _project(file)) is not None:
            return _of_project(file, project)
        if (place / ".git").exists() or place == Path.home():
            break
    return Requirements()


def _of_file(file: Path) -> Requirements:
    if file.name == "pyproject.toml":
        project = _project(file)
        if project is None:
            raise ConfigurationError(f"{file} has no [project]; expected one with its dependencies")
        return _of_project(file, project)
    reader = _Reader(file)
    reader.read(file)
    return reader.found()


def _of_project(file: Path, project: dict[str, Any]) -> Requirements:
    if project.get("name") == "trunkline":  # our own checkout, of which a function gets its part
        return Requirements()
    if "dependencies" in project.get("dynamic", []):
        raise ConfigurationError(
            f"{file} does not say its dependencies, they are dynamic; write them into a requirements.txt beside it"
        )
    dependencies = project.get("dependencies", [])
    if not isinstance(dependencies, list) or not all(isinstance(one, str) for one in dependencies):
        raise ConfigurationError(f"{file} has dependencies = {dependencies!r}; expected a list of texts")
    reader = _Reader(file)
    for line in dependencies:
        reader.take(" ".join(line.split()), file)
    return reader.found()


def _project(file: Path) -> dict[str, Any] | None:
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from None
    project = table.get("project")
    return project if isinstance(project, dict) else None


class _Reader:
    """Puts the lines of a file, and of those that it names, together."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lines: list[str] = []
        self._options: list[str] = []
        self._constraints: list[Path] = []
        self._named: set[str] = set()
        self._pinned: set[str] = set()
        self._wheels: list[Path] = []

    def found(self) -> Requirements:
        sdk_is_wanted = bool(self._pinned & SDK)
        lines = [line for line in self._lines if sdk_is_wanted or not _is_sdk(line)]
        return Requirements(
            str(self._file), self._file.parent, tuple(lines), tuple(self._options), tuple(self._constraints),
            frozenset(self._named), frozenset(self._pinned), tuple(self._wheels),
            are_hashed=bool(lines) and all("--hash" in line for line in lines),
        )  # fmt: skip

    def read(self, file: Path, depth: int = 0) -> None:
        if depth > _DEEPEST:
            raise ConfigurationError(f"{file}: requirements that name each other more than {_DEEPEST} deep")
        try:
            text = file.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{file} cannot be read: {error}") from None
        for line in _whole_lines(text):
            self.take(line, file, depth)

    def take(self, line: str, file: Path, depth: int = 0) -> None:
        if (option := _OPTION.fullmatch(line)) is not None:
            self._take_option(option[1], option[2].strip(), file, depth)
        elif _BUILT.search(line):
            raise _would_be_built(line, file)
        elif (named := _NAMED.fullmatch(line)) is not None:
            self._take_named(line, named, file)
        else:
            self._take_place(line, file)

    def _take_option(self, option: str, value: str, file: Path, depth: int) -> None:
        if option in _FILES:
            other = file.parent / value
            if _FILES[option]:
                self.read(other, depth + 1)
            else:
                self._constraints.append(other.resolve())
        elif option in _WHEELS:
            place = file.parent / value
            self._options.append(f"-f {place.resolve() if place.exists() else value}")
        elif option in _ABOUT_THE_INDEX:
            self._options.append(f"{_ABOUT_THE_INDEX[option]} {value}".strip())
        elif option in {"e", "editable"}:
            raise _would_be_built(value, file)
        elif option not in _ABOUT_BUILDING:  # nothing is built, whatever those say
            raise ConfigurationError(
                f"{file} has the option {option}, which cannot be known for Lambda; expected requirements"
            )

    def _take_named(self, line: str, found: re.Match[str], file: Path) -> None:
        name, version = normal(found[1]), found[3].partition(";")[0]
        if name == "trunkline":
            return
        if version.startswith("@"):
            self._take_place(found[3][1:].strip(), file, f"{found[1]}{found[2] or ''}")
        else:
            self._lines.append(line)
        self._named.add(name)
        if version.startswith(("==", "@")):
            self._pinned.add(name)

    def _take_place(self, line: str, file: Path, name: str = "") -> None:
        """A path or an address instead of a version."""
        address, _, rest = line.partition(" ")
        if not address.partition("#")[0].endswith(".whl"):
            raise _would_be_built(line, file)
        if "://" not in address or address.startswith("file://"):
            path = unquote(address.removeprefix("file://")) if "://" in address else address
            wheel = (file.parent / path).resolve()
            if not wheel.is_file():
                raise ConfigurationError(f"{file} names {address}, which is not there")
            self._wheels.append(wheel)
            address = wheel.as_uri() if name else str(wheel)
        self._lines.append(" ".join(part for part in (f"{name} @" if name else "", address, rest) if part))


def _is_sdk(line: str) -> bool:
    """Whether a line only asks for what Lambda has anyway."""
    found = _NAMED.fullmatch(line)
    return found is not None and normal(found[1]) in SDK and not found[2]


def _would_be_built(what: str, file: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{file} names {what!r}, which would be built on this machine and not for Lambda; expected a package that has "
        "a wheel, or a wheel's file; modules of your own belong beside the program"
    )


def _whole_lines(text: str) -> Iterator[str]:
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        if found := " ".join(re.sub(r"(^|\s)#.*", "", line).split()):
            yield found
