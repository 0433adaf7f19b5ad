"""uv or pip, asked for the wheels of Lambda's platform; neither of them may build anything."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from trunkline.aws.lambda_platform import Platform
from trunkline.errors import ConfigurationError

__all__ = ["Installer", "Pip", "Uv", "find_installer"]

_SECONDS = 600
_LONGEST = 600
_NO_WHEEL = (
    re.compile(r"Wheels are required for `([^`]+)`"),
    re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:[<>=!~]=?\S*)? ha(?:s|ve) no (?:usable )?wheels"),
    re.compile(r"No matching distribution found for ([A-Za-z0-9][A-Za-z0-9._-]*)"),
)
_NOT_THERE = re.compile(r"there (?:is|are) no versions? of|was not found in the package registry")


class Installer(Protocol):
    """What gets packages. Both methods block, and raise ConfigurationError that names the package and what to do."""

    def resolve(self, requirements: Path, platform: Platform, folder: Path) -> tuple[str, ...]:
        """Every package that is needed, each for one version, as lines of a requirements.txt.

        Args:
            requirements: a file of requirements.
            folder: what the user's settings and relative paths are looked for from.
        """

    def install(self, requirements: Path, platform: Platform, folder: Path, target: Path) -> None:
        """Put exactly the packages of a file into a folder."""


def find_installer(cache: Path) -> Installer:
    """The uv of this Python or of this system; else pip.

    Args:
        cache: a folder for uv. The user's own may hold wheels that were built here.

    Raises:
        ConfigurationError: there is neither.
    """
    beside = shutil.which("uv", path=str(Path(sys.executable).parent))
    if (uv := beside or shutil.which("uv")) is not None:
        return Uv([uv], cache)
    if find_spec("pip") is not None:
        return Pip([sys.executable, "-m", "pip"])
    if (pip := shutil.which("pip3") or shutil.which("pip")) is not None:
        return Pip([pip])
    raise ConfigurationError("there is neither uv nor pip, which get packages for Lambda; type: pip install uv")


class Uv:
    """uv, with a cache in which nothing was ever built."""

    def __init__(self, command: Sequence[str], cache: Path) -> None:
        self._command = command
        self._cache = cache

    def resolve(self, requirements: Path, platform: Platform, folder: Path) -> tuple[str, ...]:
        """See `Installer`."""
        quiet = ["--no-header", "--no-annotate", "--no-strip-extras"]
        told = self._run("compile", [str(requirements), *quiet], platform, folder)
        return tuple(line for line in told.splitlines() if line.strip())

    def install(self, requirements: Path, platform: Platform, folder: Path, target: Path) -> None:
        """See `Installer`."""
        where = ["--requirements", str(requirements), "--no-deps", "--target", str(target), "--link-mode", "copy"]
        self._run("install", where, platform, folder)

    def _run(self, verb: str, arguments: Sequence[str], platform: Platform, folder: Path) -> str:
        how = ["--quiet", "--color", "never", "--cache-dir", str(self._cache), "--python", sys.executable]
        made_for = ["--python-platform", platform.for_uv, "--python-version", platform.python, "--only-binary", ":all:"]
        return _run([*self._command, "pip", verb, *arguments, *how, *made_for], platform, folder)


class Pip:
    """pip, of this Python or of this system."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def resolve(self, requirements: Path, platform: Platform, folder: Path) -> tuple[str, ...]:
        """See `Installer`."""
        report = requirements.with_name("report.json")
        without = [
            "--dry-run",
            "--ignore-installed",
            "--report",
            str(report),
            "--target",
            str(report.with_name("none")),
        ]
        self._run(without, requirements, platform, folder)
        return tuple(sorted(_pinned(found) for found in json.loads(report.read_bytes())["install"]))

    def install(self, requirements: Path, platform: Platform, folder: Path, target: Path) -> None:
        """See `Installer`."""
        self._run(["--no-deps", "--no-compile", "--target", str(target)], requirements, platform, folder)

    def _run(self, arguments: Sequence[str], requirements: Path, platform: Platform, folder: Path) -> None:
        how = ["--disable-pip-version-check", "--no-input", "--requirement", str(requirements)]
        made_for = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", platform.python]
        tags = [part for tag in platform.for_pip for part in ("--platform", tag)]
        _run([*self._command, "install", *arguments, *how, *made_for, *tags], platform, folder)


def _pinned(found: dict[str, object]) -> str:
    metadata, source = found["metadata"], found["download_info"]
    assert isinstance(metadata, dict)
    assert isinstance(source, dict)
    if found.get("is_direct"):
        return f"{metadata['name']} @ {source['url']}"
    return f"{metadata['name']}=={metadata['version']}"


def _run(command: Sequence[str], platform: Platform, folder: Path) -> str:
    # Where packages are is the user's to say; where they go, and for whom, is not.
    environment = {name: value for name, value in os.environ.items() if name not in {"PIP_USER", "PIP_TARGET"}}
    try:
        done = subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", timeout=_SECONDS,
            check=False, cwd=folder, env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"{_short(command)}: not done after {_SECONDS} seconds") from None
    except OSError as error:
        raise ConfigurationError(f"{_short(command)} cannot be started: {error.strerror}") from None
    if done.returncode:
        raise ConfigurationError(_what_failed(command, done.stderr + _why(done.stdout), platform))
    return done.stdout


def _why(output: str) -> str:
    """What pip says of a conflict, before it says that there is one."""
    _, found, why = output.partition("The conflict is caused by:")
    return f"\n{why.partition('To fix this')[0]}" if found else ""


def _what_failed(command: Sequence[str], errors: str, platform: Platform) -> str:
    told = "; ".join(
        line.strip().removeprefix("error: ")
        for line in errors.splitlines()
        if line.strip() and not line.startswith("WARNING")
    )
    told = told if len(told) <= _LONGEST else f"{told[:_LONGEST]} ..."
    package = next((found[1] for pattern in _NO_WHEEL if (found := pattern.search(errors)) is not None), None)
    if package is None or _NOT_THERE.search(errors):
        return f"{_short(command)}: {told}"
    return (
        f"there is no wheel of {package} for {platform}, and nothing is built on this machine, which is not Lambda's; "
        "expected a version that has one, another architecture, or the file of a wheel that was built for it, named "
        f"in the requirements ({_short(command)} says: {told})"
    )


def _short(command: Sequence[str]) -> str:
    return "uv" if Path(command[0]).stem == "uv" else "pip"
