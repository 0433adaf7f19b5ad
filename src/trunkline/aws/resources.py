"""The words of CloudFormation: a resource, and how one names another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

__all__ = ["LogicalIds", "Resources", "get_att", "literal", "ref", "resource", "sub"]

Resources: TypeAlias = dict[str, dict[str, Any]]


def ref(logical_id: str) -> dict[str, str]:
    """`!Ref`."""
    return {"Ref": logical_id}


def get_att(logical_id: str, attribute: str) -> dict[str, list[str]]:
    """`!GetAtt`."""
    return {"Fn::GetAtt": [logical_id, attribute]}


def sub(text: str) -> dict[str, str]:
    """`!Sub`: a text with `${...}` in it."""
    return {"Fn::Sub": text}


def literal(text: str) -> str:
    """A text within that of a `!Sub`, as it is."""
    return text.replace("${", "${!")


def resource(kind: str, properties: dict[str, Any], metadata: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    """A resource, in the order in which a person would write it; what is None is left out."""
    kept = {name: value for name, value in properties.items() if value is not None}
    return {"Type": f"AWS::{kind}", "Metadata": metadata, **attributes, "Properties": kept}


class LogicalIds:
    """The logical ids of a template, which are all different."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, stem: str, *suffixes: str) -> str:
        """The stem, or if one of the ids that it makes is taken already, the stem with a number behind it."""
        found = next(one for one in _numbered(stem) if not self._taken & {one + suffix for suffix in suffixes})
        self._taken.update(found + suffix for suffix in suffixes)
        return found


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    number = 2
    while True:
        yield f"{stem}{number}"
        number += 1
