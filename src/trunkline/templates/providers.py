"""Functions behind custom resources: CloudFormation invokes them while it makes a stack, and nobody does here."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from trunkline.errors import ConfigurationError
from trunkline.templates.intrinsics import Resolver
from trunkline.templates.resource import Resource
from trunkline.templates.sections import as_text
from trunkline.templates.uris import function_name

__all__ = ["only_providers"]

_CUSTOM = ("Custom::", "AWS::CloudFormation::CustomResource")


def only_providers(
    resources: Mapping[str, Any], functions: Mapping[str, Resource], used: set[str], resolver: Resolver
) -> set[str]:
    """The names of functions that nothing invokes but custom resources.

    Args:
        resources: all of the template, by logical id.
        functions: by name.
        used: names of those behind routes and authorizers.
    """
    found = _tokens(resources, resolver) & functions.keys() - used
    if any("$" in name for name in used):  # a stage may mean any of them
        return set()
    told = [text for function in functions.values() for text in _variables(function)]
    return {name for name in found if not any(name in text for text in told)}


def _tokens(resources: Mapping[str, Any], resolver: Resolver) -> set[str]:
    names = set()
    for logical_id, resource in resources.items():
        properties = resource.get("Properties")
        if not resource["Type"].startswith(_CUSTOM) or not isinstance(properties, dict):
            continue
        with contextlib.suppress(ConfigurationError):  # of what is not run here, nothing need be right
            token = as_text(resolver.resolve(properties.get("ServiceToken"), "Resources", logical_id))
            names.add(function_name(token or ""))
    return {name for name in names if name is not None}


def _variables(function: Resource) -> list[str]:
    """A function that is told of another may invoke it."""
    variables = function.mapping("Environment").get("Variables")
    return [as_text(value) or "" for value in variables.values()] if isinstance(variables, dict) else []
