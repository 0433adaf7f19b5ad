"""What a worker finds around it: Lambda's variables, the function's own, and nothing of ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from trunkline.model.functions import FunctionDefinition

__all__ = ["CREDENTIALS", "Say", "Surroundings", "worker_environment"]

Say: TypeAlias = Callable[[str, str], None]
"""Takes who says something, and a line of it."""
CREDENTIALS: Mapping[str, str] = {
    "aws_access_key_id": "AKIALOCALFUNCTION000",
    "aws_secret_access_key": "local-function-no-secret",
    "aws_session_token": "local-function-no-session",
}
"""Nobody's, as boto3 names them: functions have no others."""

_KEPT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT")
_JOINED = {"PYTHONPATH": os.pathsep, "NODE_PATH": os.pathsep, "NODE_OPTIONS": " "}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all functions of a run have in common.

    Attributes:
        region, account: where they believe to be.
        environment: further variables for every worker; those of paths and options are joined with what there is.
        folder: where code is unpacked, and workers have their own folders.
        say: takes each line that a worker writes: the function's name, and the line.
        node_modules: folder of npm packages that functions in Node find; None for none.
    """

    region: str
    account: str
    folder: Path
    say: Say
    environment: Mapping[str, str] = field(default_factory=dict)
    node_modules: Path | None = None


def worker_environment(
    definition: FunctionDefinition, surroundings: Surroundings, *, task_root: Path, layers: Path | None, own: Path
) -> dict[str, str]:
    """All variables of a worker but the address of its Runtime API.

    Args:
        task_root: the folder of the function's code.
        layers: the folder that its layers were laid into; None without any.
        own: the worker's own folder, for its temporary files.
    """
    found = {name: os.environ[name] for name in _KEPT if name in os.environ}
    found |= {"HOME": str(own), "TMPDIR": str(own), "TZ": ":UTC"}
    found |= _lambdas(definition, surroundings, task_root)
    found |= definition.environment
    found.pop("AWS_LAMBDA_MAX_CONCURRENCY", None)  # it makes runtime clients handle events side by side, in processes
    for more in (_paths(definition, surroundings, layers), surroundings.environment):
        for name, value in more.items():
            parting, before = _JOINED.get(name), found.get(name)
            if parting is None or not before:
                found[name] = value
            elif name == "PYTHONPATH":  # the first sitecustomize is the one that Python runs; ours runs the next
                found[name] = f"{value}{parting}{before}"
            else:
                found[name] = f"{before}{parting}{value}"
    return found


def _lambdas(definition: FunctionDefinition, surroundings: Surroundings, task_root: Path) -> dict[str, str]:
    return {
        "_HANDLER": definition.handler,
        "LAMBDA_TASK_ROOT": str(task_root),
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{definition.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": definition.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(definition.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{definition.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local/[$LATEST]",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": surroundings.region,
        "AWS_DEFAULT_REGION": surroundings.region,
    } | {name.upper(): value for name, value in CREDENTIALS.items()}


def _paths(definition: FunctionDefinition, surroundings: Surroundings, layers: Path | None) -> dict[str, str]:
    """Where packages are, those of the layers first; as on Lambda, a function's own come before all of them."""
    if definition.runtime.startswith("python"):
        folders = (
            [] if layers is None else [layers / "python", *sorted(layers.glob("python/lib/python3*/site-packages"))]
        )
        return {"PYTHONPATH": os.pathsep.join(map(str, folders))} if folders else {}
    modules = [] if layers is None else [layers / "nodejs" / "node_modules"]
    if surroundings.node_modules is not None:
        modules.append(surroundings.node_modules.absolute())
    return {"NODE_PATH": os.pathsep.join(map(str, modules))} if modules else {}
