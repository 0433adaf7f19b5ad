"""The conditions of reads and writes in DynamoDB's words."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.errors import InvalidDocument
from trunkline.stores.base import Filter, decode, encode
from trunkline.stores.dynamodb_items import Item, Parameters, scalar

__all__ = ["absent", "at_version", "live"]

_EXPRESSION_CHARS = 2000  # DynamoDB: 4 KB, and 300 operators
_FIELD_DEPTH = 24  # DynamoDB: 32
_TEXT_CHARS = 1024
_ORDERED = frozenset({"<", "<=", ">", ">="})
_TOLD = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
_LIVE = "(attribute_not_exists(#e) OR #e > :now)"


def absent(now: float) -> Parameters:
    """A write's condition: there is no such document, or it has expired."""
    return {
        "ConditionExpression": "attribute_not_exists(pk) OR #e <= :now",
        "ExpressionAttributeNames": {"#e": "expires"},
        "ExpressionAttributeValues": {":now": {"N": repr(now)}},
        **_TOLD,
    }


def at_version(version: object, now: float) -> Parameters:
    """A write's condition: the document is at this version. What no version is, is the version of none."""
    known = +version if isinstance(version, int | float) and 0 < version <= 1 << 53 else 0
    return {
        "ConditionExpression": f"#version = :version AND {_LIVE}",
        "ExpressionAttributeNames": {"#version": "version", "#e": "expires"},
        "ExpressionAttributeValues": {
            ":version": {"N": repr(known)},
            ":now": {"N": repr(now)},
        },
        **_TOLD,
    }


def live(filters: Sequence[Filter], now: float) -> Parameters:
    """A query's filter: what has not expired and may fulfil the filters. It may let pass what `matches` does not."""
    pushed = _Pushed(now)
    for condition in filters:
        pushed.add(condition)
    return pushed.parameters()


class _Pushed:
    """A filter expression as it grows."""

    def __init__(self, now: float) -> None:
        self._parts = [_LIVE]
        self._names = {"#e": "expires"}
        self._values: Item = {":now": {"N": repr(now)}}

    def parameters(self) -> Parameters:
        return {
            "FilterExpression": " AND ".join(self._parts),
            "ExpressionAttributeNames": self._names,
            "ExpressionAttributeValues": self._values,
        }

    def add(self, condition: Filter) -> None:
        value = _comparable(condition)
        names = condition.field.split(".")
        if value is None or len(names) > _FIELD_DEPTH or sum(map(len, self._parts)) > _EXPRESSION_CHARS:
            return
        place = ".".join(["#value", *map(self._name, names)])
        wanted = f":w{len(self._values)}"
        self._values[wanted] = value
        self._names |= {"#value": "value", "#json": "json"}
        self._parts.append(f"({_comparison(place, condition, wanted)} OR attribute_exists(#json))")

    def _name(self, name: str) -> str:
        short = f"#n{len(self._names)}"
        self._names[short] = name
        return short


def _comparison(place: str, condition: Filter, wanted: str) -> str:
    if condition.op == "==":
        return f"{place} = {wanted}"
    if condition.op == "!=":
        return f"attribute_not_exists({place}) OR {place} <> {wanted}"
    if condition.op != "startsWith":
        return f"{place} {condition.op} {wanted}"
    # Everything begins with nothing, and DynamoDB need not think so.
    return f"begins_with({place}, {wanted})" if condition.value else f"{place} >= {wanted}"


def _comparable(condition: Filter) -> Item | None:
    """What DynamoDB compares as `matches` does: numbers, texts, true, false and null. None for anything else."""
    value = condition.value
    if isinstance(value, dict | list | tuple):
        return None
    if isinstance(value, str):
        return scalar(value) if _is_plain(value, condition.op) else None
    try:
        return scalar(decode(encode(value)))
    except InvalidDocument:
        return None


def _is_plain(text: str, op: str) -> bool:
    # dynalite, for one, puts texts in the order of UTF-16, where what is beyond U+FFFF comes before U+E000.
    return len(text) <= _TEXT_CHARS and (op not in _ORDERED or not text or max(text) < "\ud800")
