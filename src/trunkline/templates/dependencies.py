"""Resources that wait for each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

from trunkline.errors import ConfigurationError
from trunkline.templates.document import Document
from trunkline.templates.intrinsics import Resolver
from trunkline.templates.sections import section

__all__ = ["check_dependencies"]

_PLACEHOLDER = re.compile(r"\$\{([^!.${}][^.${}]*)")


def check_dependencies(document: Document, data: dict[str, Any], resolver: Resolver) -> None:
    """Look that every DependsOn names a resource, and that no resource waits for itself by way of others.

    Raises:
        ConfigurationError: one does.
    """
    resources = section(document, data, "Resources")
    written = section(document, document.data, "Resources")
    graph: dict[str, set[str]] = {}
    for name, resource in resources.items():
        if resolver.exists(name):
            named = set(_depends_on(document, name, resource, resources.keys() | written.keys()))
            graph[name] = (named | set(_names(resource.get("Properties"), resolver))) & resources.keys()
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = error.args[1][::-1]
        raise document.error(
            f"circular reference: {' -> '.join(circle)}; expected one that ends", "Resources", circle[0]
        ) from None


def _depends_on(document: Document, name: str, resource: dict[str, Any], known: set[str]) -> Iterator[str]:
    given = resource.get("DependsOn")
    for other in given if isinstance(given, list) else [given] if given else []:
        if not isinstance(other, str) or other not in known:
            raise document.error(
                f"{name} depends on {other!r}, which is no resource; expected one", "Resources", name, "DependsOn"
            )
        yield other


def _names(value: Any, resolver: Resolver) -> Iterator[str]:
    """Every resource that a value names, of branches that are taken."""
    if isinstance(value, list):
        for each in value:
            yield from _names(each, resolver)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key == "Fn::If" and isinstance(each, list) and len(each) == 3:
                yield from _names(_taken(each, resolver), resolver)
            else:
                yield from _named_by(key, each)
                yield from _names(each, resolver)


def _taken(branches: list[Any], resolver: Resolver) -> Any:
    try:
        return branches[1 if resolver.condition(branches[0]) else 2]
    except ConfigurationError:
        return None  # what is run here says so itself, and the rest need not be right


def _named_by(key: str, argument: Any) -> Iterator[str]:
    first = argument[0] if isinstance(argument, list) and argument else argument
    if not isinstance(first, str):
        return
    if key == "Ref":
        yield first
    elif key == "Fn::GetAtt":
        yield first.split(".")[0]
    elif key == "Fn::Sub":
        given = argument[1] if isinstance(argument, list) and len(argument) == 2 else None
        own = given if isinstance(given, dict) else {}
        yield from (name for name in _PLACEHOLDER.findall(first) if name not in own)
