"""Documents as items of DynamoDB's tables: keys and attributes.

| attribute | holds |
|---|---|
| `pk` | the partition: `d3` for a collection's documents, `s3/NAME` for the subcollections NAME; 3 is one of 8 shards |
| `sk` | the UTF-8 bytes of the id, in a subcollection those of the parent's id, NUL and those of the id |
| `id`, `parent` | the same, to be read |
| `version` | see `stores.base` |
| `value` | the document, as DynamoDB's own types |
| `json` | instead of `value`: the document's text, where it is large, deep, or has names that DynamoDB does not take |
| `expires` | when it expires, in seconds; only if it does |
| `expires_at` | the same in whole seconds, for DynamoDB's time to live, which ignores what it does not read as a time |
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias
from zlib import crc32

from trunkline import limits
from trunkline.stores.base import Json, Path, Record, decode

__all__ = [
    "PREFIX_BYTES",
    "SHARDS",
    "TABLE",
    "Item",
    "Parameters",
    "bounds",
    "is_live",
    "item_of",
    "key_of",
    "partitions_of",
    "plain",
    "scalar",
    "version_of",
]

Item: TypeAlias = dict[str, Any]
Parameters: TypeAlias = dict[str, Any]
"""Of an operation, as boto3 takes them."""

SHARDS = 8
PREFIX_BYTES = 992  # of a sort key that is cut; behind it stands the hash of all of it
_KEY_BYTES = 1024  # DynamoDB: a sort key
_HASH_BYTES = _KEY_BYTES - PREFIX_BYTES
# DynamoDB counts an item's types, and JSON's text its quotes and commas: up to here the one is never over the limit.
_NATIVE_CHARS = limits.DOCUMENT_BYTES // 4
_NATIVE_DEPTH = 24  # DynamoDB: 32, and it is said nowhere what counts
_NAME_CHARS = 1024
_FOREVER = 1e11  # seconds: in some 3,000 years

TABLE: Parameters = {
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "B"},
    ],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "BillingMode": "PAY_PER_REQUEST",
}
"""What every table is made with."""

# Keys.


def key_of(path: Path, id: str) -> Item:  # noqa: A002
    """The primary key of a document."""
    if len(path) == 1:
        return _key(f"d{_shard(id)}", id.encode())
    whole = _below(path[1]) + id.encode()
    # Shorter than any that is cut, or a text could be found whose own bytes are the cut key of another.
    return _key(f"s{_shard(path[1])}/{path[2]}", whole if len(whole) < _KEY_BYTES else _cut(whole))


def partitions_of(path: Path, group: str | None = None) -> list[str]:
    """Where the documents of a path are, or those of a group of subcollections."""
    if group is not None:
        return [f"s{shard}/{group}" for shard in range(SHARDS)]
    if len(path) == 3:
        return [f"s{_shard(path[1])}/{path[2]}"]
    return [f"d{shard}" for shard in range(SHARDS)]


def bounds(path: Path, after: tuple[str, str] | None) -> tuple[bytes | None, bytes | None]:
    """Lowest and highest sort key of a query; None for any. What is cut needs a second look.

    Args:
        after: parent's id and id of the document before; "" for a parent where there is none.
    """
    if len(path) == 3:
        below = _below(path[1])
        return _behind(below + (after[1].encode() if after else b"")), _last(below)
    if after is None:
        return None, None
    return _behind(_below(after[0]) + after[1].encode() if after[0] else after[1].encode()), None


def _key(pk: str, sk: bytes) -> Item:
    return {"pk": {"S": pk}, "sk": {"B": sk}}


def _shard(id: str) -> int:  # noqa: A002
    return crc32(id.encode()) % SHARDS


def _below(parent: str) -> bytes:
    return parent.encode() + b"\0"


def _cut(whole: bytes) -> bytes:
    return whole[:PREFIX_BYTES] + hashlib.sha256(whole).digest()


def _behind(whole: bytes) -> bytes:
    return whole + b"\0" if len(whole) < PREFIX_BYTES else whole[:PREFIX_BYTES]


def _last(below: bytes) -> bytes:
    if len(below) <= PREFIX_BYTES:
        return below[:-1] + b"\1"
    return below[:PREFIX_BYTES] + b"\xff" * _HASH_BYTES


# Items.


def item_of(path: Path, id: str, text: str, version: int, expires_at: float | None) -> Item:  # noqa: A002
    """The item of a document whose value `encode` made this text of."""
    item = key_of(path, id) | {"id": {"S": id}, "version": {"N": str(version)}} | _content(text)
    if len(path) == 3:
        item["parent"] = {"S": path[1]}
    if expires_at is not None and expires_at < _FOREVER:
        item |= {"expires": {"N": repr(expires_at)}, "expires_at": {"N": str(math.ceil(expires_at))}}
    return item


def plain(path: Path, item: Mapping[str, Any]) -> Record:
    """The document of an item, which was found under this path; that of a group is `(root, "", name)`.

    Raises:
        KeyError, ValueError, TypeError: it is no document's.
    """
    value = decode(item["json"]["S"]) if "json" in item else _value(item["value"])
    place = (path[0], item["parent"]["S"], path[2]) if len(path) == 3 else path
    return Record(place, item["id"]["S"], value, version_of(item))


def version_of(item: Mapping[str, Any]) -> int:
    """The document's version."""
    return int(item["version"]["N"])


def is_live(item: Mapping[str, Any], now: float) -> bool:
    """Whether the document has not expired."""
    return "expires" not in item or float(item["expires"]["N"]) > now


def _content(text: str) -> Item:
    if len(text) <= _NATIVE_CHARS:
        native = _attribute(decode(text), _NATIVE_DEPTH)
        if native is not None:
            return {"value": native}
    return {"json": {"S": text}}


def _attribute(value: Json, depth: int) -> Item | None:
    """The value in DynamoDB's types; None where it cannot be."""
    if isinstance(value, dict | list):
        return _container(value, depth) if depth else None
    return scalar(value)


def _container(value: dict[str, Json] | list[Json], depth: int) -> Item | None:
    if isinstance(value, list):
        items = [_attribute(item, depth - 1) for item in value]
        return None if None in items else {"L": items}
    if not all(0 < len(name) <= _NAME_CHARS for name in value):
        return None
    members = {name: _attribute(member, depth - 1) for name, member in value.items()}
    return None if None in members.values() else {"M": members}


def scalar(value: Json) -> Item:
    """A text, number, true, false or null in DynamoDB's types."""
    if isinstance(value, str):
        return {"S": value}
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"N": repr(value)}


def _value(attribute: Mapping[str, Any]) -> Json:
    ((kind, value),) = attribute.items()
    if kind == "M":
        return {name: _value(member) for name, member in value.items()}
    if kind == "L":
        return [_value(item) for item in value]
    return _READ[kind](value)


def _number(text: str) -> int | float:
    number = Decimal(text)
    # As `encode` has it: what has no fraction is an integer up to 38 digits.
    if number.adjusted() < limits.INT_DIGITS and number == number.to_integral_value():
        return int(number)
    return float(text)


_READ: Mapping[str, Callable[[Any], Json]] = {"S": str, "N": _number, "BOOL": bool, "NULL": lambda _: None}
