"""The methods of the values of mapping templates, by their names in Java.

No attribute of a Python object is ever looked up by a name that a template gives: a method is in one of the tables
below, or there is none. It imports nothing of trunkline but its like: the worker of templates runs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from trunkline.integrations.vtl_values import Entry, Literal, Refused, Service, bounded, text

__all__ = ["call"]

_GROUP = re.compile(r"\\(.)|\$(\d)", re.DOTALL)


def call(value: Any, name: str, arguments: list[Any]) -> Any:
    """What `$value.name(arguments)` gives.

    Raises:
        Refused: there is no such method, or it does not take these.
    """
    table = _methods(value)
    method = table.get(name)
    if method is None:
        known = ", ".join(sorted(table))
        raise Refused(f"{_kind(value)} has no method {name}(); known are {known}")
    try:
        made = method(*arguments) if isinstance(value, Service) else method(value, *arguments)
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError, re.error) as error:
        raise Refused(f"{name}() of {_kind(value)} failed: {error}") from None
    return bounded(made) if isinstance(made, str) else made


def _methods(value: Any) -> Mapping[str, Callable[..., Any]]:
    if isinstance(value, Service):
        return value.methods
    return next((table for kind, _, table in _TABLES if isinstance(value, kind)), {})


def _kind(value: Any) -> str:
    if isinstance(value, Service):
        return value.name
    return next((name for kind, name, _ in _TABLES if isinstance(value, kind)), "null")


def _replace_all(value: str, pattern: str, by: str, count: int = 0) -> str:
    def filled(match: re.Match[str]) -> str:
        return _GROUP.sub(lambda part: part[1] or match[int(part[2])] or "", by)

    return re.sub(pattern, filled, value, count=count)


def _split(value: str, pattern: str, limit: int = 0) -> Literal:
    parts = [part or "" for part in re.split(pattern, value, maxsplit=max(0, limit - 1))] if limit != 1 else [value]
    while limit == 0 and len(parts) > 1 and not parts[-1]:
        parts.pop()
    return Literal(parts)


def _substring(value: str, begin: int, end: int | None = None) -> str:
    last = len(value) if end is None else end
    if not 0 <= begin <= last <= len(value):
        raise IndexError(f"{begin} to {last} is not within {len(value)} characters")
    return value[begin:last]


def _at(value: Any, index: int) -> Any:
    if not 0 <= index < len(value):
        raise IndexError(f"there is no {index} among {len(value)}")
    return value[index]


def _add(value: list[Any], *given: Any) -> bool:
    at, new = given if len(given) == 2 else (len(value), *given)
    value.insert(at, new)
    return True


def _add_all(value: list[Any], more: list[Any]) -> bool:
    if not isinstance(more, list | range):  # a tuple of ours is none
        raise TypeError("it takes a list")
    value.extend(list(more))
    return bool(more)


def _set(value: list[Any], index: int, new: Any) -> Any:
    before, value[index] = _at(value, index), new
    return before


def _remove(value: list[Any], index: int) -> Any:
    before = _at(value, index)
    del value[index]
    return before


def _put(value: dict[Any, Any], key: Any, new: Any) -> Any:
    before, value[key] = value.get(key), new
    return before


def _put_all(value: dict[Any, Any], more: dict[Any, Any]) -> None:
    if not isinstance(more, dict):
        raise TypeError("it takes an object")
    value.update(more)


def _index(value: list[Any], wanted: Any) -> int:
    return next((at for at, each in enumerate(value) if _equals(each, wanted)), -1)


def _equals(value: Any, other: Any) -> bool:
    return isinstance(value, bool) is isinstance(other, bool) and bool(value == other)


_ANY: dict[str, Callable[..., Any]] = {"equals": _equals, "toString": text}
_STRING = _ANY | {
    "charAt": _at,
    "concat": lambda value, more: value + more,
    "contains": lambda value, part: part in value,
    "endsWith": lambda value, part: value.endswith("" + part),
    "equalsIgnoreCase": lambda value, other: value.lower() == other.lower(),
    "indexOf": lambda value, part, begin=0: value.find(part, begin),
    "isEmpty": lambda value: not value,
    "lastIndexOf": lambda value, part: value.rfind(part),
    "length": len,
    "matches": lambda value, pattern: re.fullmatch(pattern, value) is not None,
    "replace": lambda value, part, by: value.replace(part, by),
    "replaceAll": _replace_all,
    "replaceFirst": lambda value, pattern, by: _replace_all(value, pattern, by, 1),
    "split": _split,
    "startsWith": lambda value, part: value.startswith("" + part),
    "substring": _substring,
    "toLowerCase": lambda value: value.lower(),
    "toUpperCase": lambda value: value.upper(),
    "trim": lambda value: value.strip(),
}
_READ = _ANY | {
    "contains": lambda value, wanted: _index(value, wanted) >= 0,
    "get": _at,
    "indexOf": _index,
    "isEmpty": lambda value: not value,
    "size": len,
}
_LIST = _READ | {"add": _add, "addAll": _add_all, "remove": _remove, "set": _set}
_MAP = _ANY | {
    "containsKey": lambda value, key: key in value,
    "containsValue": lambda value, wanted: _index(list(value.values()), wanted) >= 0,
    "entrySet": lambda value: Literal(map(Entry._make, value.items())),
    "get": lambda value, key: value.get(key),
    "getOrDefault": lambda value, key, other: value.get(key, other),
    "isEmpty": lambda value: not value,
    "keySet": Literal,
    "put": _put,
    "putAll": _put_all,
    "remove": lambda value, key: value.pop(key, None),
    "size": len,
    "values": lambda value: Literal(value.values()),
}
_ENTRY = _ANY | {"getKey": lambda value: value.key, "getValue": lambda value: value.value}
_NUMBER = _ANY | {
    "doubleValue": float,
    "intValue": int,
    "longValue": int,
    "parseInt": lambda value, digits: int(digits),
}
_TABLES: tuple[tuple[Any, str, Mapping[str, Callable[..., Any]]], ...] = (
    (str, "a string", _STRING),
    (Entry, "an entry", _ENTRY),
    (dict, "an object", _MAP),
    (list, "a list", _LIST),
    (range, "a range", _READ),
    (bool, "a boolean", _ANY),
    (int | float, "a number", _NUMBER),
)
