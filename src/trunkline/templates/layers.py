"""The layers of a template's functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from trunkline.model.deployment import Warned
from trunkline.templates.code import NotHere, local_code
from trunkline.templates.resource import Resource

__all__ = ["Layers"]

# What is in layers that AWS publishes, by what their ARNs have in them.
_PUBLISHED = {
    "AWSLambdaPowertoolsPython": "pip install aws-lambda-powertools",
    "AWSSDKPandas-Python": "pip install awswrangler",
    "AWSLambdaPowertoolsTypeScript": "npm install the packages of @aws-lambda-powertools that it imports",
}


class Layers:
    """The layers that are beside the template.

    Args:
        resources: those of the template, by logical id.
        arn: their ARNs, by logical id.
        warnings: a layer whose code is in S3 is added to it.
    """

    def __init__(self, resources: Mapping[str, Resource], arn: Mapping[str, str], warnings: list[Warned]) -> None:
        self._warnings = warnings
        self._code = {arn[name]: self._local(layer) for name, layer in resources.items()}
        self._missing: dict[str, list[Resource]] = {}

    def _local(self, layer: Resource) -> Path | None:
        try:
            return local_code(layer, "Content")
        except NotHere as reason:
            self._warnings.append(Warned(layer.where, f"layer {layer.logical_id} is left out: {reason}"))
            return None

    def of(self, function: Resource) -> tuple[Path, ...]:
        """Those of a function that are here, in their order."""
        found = []
        for arn in map(str, function.list("Layers")):
            code = self._code.get(arn)
            if code is not None:
                found.append(code)
            elif arn not in self._code:
                self._missing.setdefault(arn, []).append(function)
        return tuple(found)

    def warn(self) -> None:
        """Say of every layer that is nobody's here which functions are without it, and where its packages are."""
        for arn, functions in self._missing.items():
            names = ", ".join(function.logical_id for function in functions)
            whose = f"function {names}" if len(functions) == 1 else f"functions {names}"
            text = f"layer {arn} of {whose} is not here and is left out{_elsewhere(arn)}"
            self._warnings.append(Warned(functions[0].where_of("Layers"), text))


def _elsewhere(arn: str) -> str:
    name = re.search(r":layer:([A-Za-z0-9_-]+)", arn)
    for beginning, command in _PUBLISHED.items():
        if name is not None and name[1].startswith(beginning):
            return f"; its packages are had with: {command}"
    return ""
