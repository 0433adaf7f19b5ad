"""Parts of a template, and where what a transform made of them was written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.templates.document import Document

__all__ = ["as_text", "resource_path", "section"]


def as_text(value: Any) -> str | None:
    """A scalar as CloudFormation writes it; None for what is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def section(document: Document, data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A part of a template that maps names to mappings; empty where it is not there."""
    found = data.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise document.error(f"{name} is {type(found).__name__}; expected a mapping of names", name)
    return found


def resource_path(document: Document, logical_id: str) -> tuple[Any, ...]:
    """Where a resource, or what SAM made it of, stands in the document.

    What is made is called like its maker with something behind, so the longest such name is its maker.
    """
    written = section(document, document.data, "Resources")
    if logical_id in written:
        return ("Resources", logical_id)
    makers = [name for name in written if logical_id.startswith(name)]
    if not makers:
        return ("Resources",)
    maker = max(makers, key=len)
    properties = written[maker].get("Properties") if isinstance(written[maker], dict) else None
    routes = properties.get("Routes") if isinstance(properties, dict) else None
    for key in routes if isinstance(routes, dict) else ():
        if logical_id.startswith(f"{maker}{key.lstrip('$').capitalize()}"):
            return ("Resources", maker, "Properties", "Routes", key)
    return ("Resources", maker)
