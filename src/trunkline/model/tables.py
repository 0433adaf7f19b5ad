"""What a DynamoDB table is, as somebody declared it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["TableDefinition"]


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """A table of a template.

    Attributes:
        name: its physical name.
        logical_id: what its template calls it.
        create: the parameters of DynamoDB's CreateTable: keys, indexes, billing, stream; without what only AWS does.
        ttl_attribute: the attribute that says when an item ends, if there is one.
        where: file and line of its declaration, for messages to people.
    """

    name: str
    logical_id: str
    create: Mapping[str, Any]
    ttl_attribute: str | None = None
    where: str = ""
