"""What a worker finds around it: Lambda's variables, the function's own, and nothing of ours."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from trunkline import clock
from trunkline.functions.requirements import packages_of
from trunkline.model.functions import FunctionDefinition

__all__ = ["CREDENTIALS", "Say", "Surroundings", "reserved_of", "worker_environment"]

Say: TypeAlias = Callable[[str, str], None]
"""Takes who says something, and a line of it."""
CREDENTIALS: Mapping[str, str] = {
    "aws_access_key_id": "AKIALOCALFUNCTION000",
    "aws_secret_access_key": "local-function-no-secret",
    "aws_session_token": "local-function-no-session",
}
"""Nobody's, as boto3 names them: functions have no others."""

_KEPT = ("PATH", "SYSTEMROOT")
_JOINED = {
    "LD_LIBRARY_PATH": os.pathsep,
    "NODE_OPTIONS": " ",
    "NODE_PATH": os.pathsep,
    "PATH": os.pathsep,
    "PYTHONPATH": os.pathsep,
}
_RESERVED = frozenset({
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV",
    "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT",
})  # fmt: skip
_RESERVED_PREFIX = "AWS_LAMBDA_"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all functions of a run have in common.

    Attributes:
        region, account: where they believe to be.
        environment: further variables for every worker; those of paths and options are joined with what there is.
        folder: where code is unpacked, and workers have their own folders.
        say: takes each line that a worker writes: the function's name, and the line.
        node_modules: folder of npm packages that functions in Node find; None for none.
        told: what has been said of runtimes, which is said once.
    """

    region: str
    account: str
    folder: Path
    say: Say
    environment: Mapping[str, str] = field(default_factory=dict)
    node_modules: Path | None = None
    told: set[str] = field(default_factory=set)


def worker_environment(
    definition: FunctionDefinition, surroundings: Surroundings, *, task_root: Path, layers: Path | None, own: Path
) -> dict[str, str]:
    """All variables of a worker but the address of its Runtime API.

    Args:
        task_root: the folder of the function's code.
        layers: the folder that its layers were laid into; None without any.
        own: the worker's own folder, for its temporary files.
    """
    reserved = reserved_of(definition)
    found = {name: os.environ[name] for name in _KEPT if name in os.environ}
    found |= {"HOME": str(own), "TMPDIR": str(own), "TZ": ":UTC", "LANG": "en_US.UTF-8"}
    found |= _lambdas(definition, surroundings, task_root)
    found |= {name: value for name, value in definition.environment.items() if name not in reserved}
    if layers is not None:
        found["TRUNKLINE_LAYERS"] = str(layers)  # what is in /opt in Lambda
    for more in (_paths(definition, surroundings, task_root, layers), surroundings.environment):
        for name, value in more.items():
            parting, before = _JOINED.get(name), found.get(name)
            if parting is None or not before:
                found[name] = value
            elif name == "PYTHONPATH":  # the first sitecustomize is the one that Python runs; ours runs the next
                found[name] = f"{value}{parting}{before}"
            else:
                found[name] = f"{before}{parting}{value}"
    return found | _packages(definition, found)


def reserved_of(definition: FunctionDefinition) -> list[str]:
    """Those of a function's own variables that are Lambda's, which AWS would not deploy: they are left out."""
    names = definition.environment
    return sorted(name for name in names if name in _RESERVED or name.startswith(_RESERVED_PREFIX))


def _lambdas(definition: FunctionDefinition, surroundings: Surroundings, task_root: Path) -> dict[str, str]:
    # Without AWS_LAMBDA_MAX_CONCURRENCY: it makes runtime clients handle events side by side, in processes.
    day = datetime.fromtimestamp(clock.now(), UTC)
    found = {
        "_HANDLER": definition.handler,
        "LAMBDA_TASK_ROOT": str(task_root),
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "AWS_LAMBDA_FUNCTION_NAME": definition.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(definition.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": definition.log_group or f"/aws/lambda/{definition.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{day:%Y/%m/%d}/[$LATEST]{secrets.token_hex(16)}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": surroundings.region,
        "AWS_DEFAULT_REGION": surroundings.region,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",  # where nobody listens: traces are sent and lost
    }
    if definition.log_level is not None:
        found |= {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": definition.log_level}
    if not definition.runtime.startswith("provided"):
        found["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{definition.runtime}"
    return found | {name.upper(): value for name, value in CREDENTIALS.items()}


def _paths(
    definition: FunctionDefinition, surroundings: Surroundings, task_root: Path, layers: Path | None
) -> dict[str, str]:
    """Where commands, libraries and packages are, in Lambda's order: a function's own packages come before all."""
    found = {"LD_LIBRARY_PATH": [task_root, task_root / "lib"]}
    if layers is not None:
        found["LD_LIBRARY_PATH"].append(layers / "lib")
        found["PATH"] = [layers / "bin"]
    if definition.runtime.startswith("python"):
        found["PYTHONPATH"] = [] if layers is None else _of_python(definition, layers)
    elif definition.runtime.startswith("nodejs"):
        found["NODE_PATH"] = [] if layers is None else _of_node(definition, layers)
        if surroundings.node_modules is not None:
            found["NODE_PATH"].append(surroundings.node_modules.absolute())
        found["NODE_PATH"].append(task_root)
    return {name: os.pathsep.join(map(str, folders)) for name, folders in found.items() if folders}


def _packages(definition: FunctionDefinition, found: Mapping[str, str]) -> dict[str, str]:
    """Those of its `requirements.txt` come behind all that it has of its own."""
    folder = packages_of(definition)
    before = found.get("PYTHONPATH")
    return {} if folder is None else {"PYTHONPATH": os.pathsep.join([*([before] if before else []), str(folder)])}


def _of_python(definition: FunctionDefinition, layers: Path) -> list[Path]:
    version = definition.runtime.removeprefix("python")
    others = sorted(layers.glob("python/lib/python3*/site-packages"))  # the Python at hand may be another
    return list(dict.fromkeys([layers / f"python/lib/python{version}/site-packages", layers / "python", *others]))


def _of_node(definition: FunctionDefinition, layers: Path) -> list[Path]:
    version = definition.runtime.removeprefix("nodejs").partition(".")[0]
    return [layers / "nodejs" / f"node{version}" / "node_modules", layers / "nodejs" / "node_modules"]
