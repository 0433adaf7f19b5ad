"""JSON paths of mapping templates: `$`, `.name`, `['name']`, `[0]`, `[-1]`, `[*]`, `.*` and `..name`.

It imports nothing of trunkline: the worker of templates runs it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

__all__ = ["MISSING", "PathError", "find"]

MISSING: Any = object()
"""What a path that leads nowhere finds; null is a value."""

_Step: TypeAlias = Callable[[Any], Iterator[Any]]
_NAME = r"[^\s.\[\]()*?@,'\"]+"
_STEP = re.compile(
    rf"""
      \.\.(?P<deep>{_NAME})
    | \.(?P<name>{_NAME})
    | (?P<all>\.\*|\[\s*\*\s*\])
    | \[\s*(?P<index>-?\d{{1,9}})\s*\]
    | \[\s*'(?P<single>(?:[^'\\]|\\.)*)'\s*\]
    | \[\s*"(?P<double>(?:[^"\\]|\\.)*)"\s*\]
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class PathError(ValueError):
    """A path that cannot be read; the text says which, and where."""


def find(value: Any, path: str) -> Any:
    """What a path leads to; a list of all, if it has `*` or `..`, or MISSING.

    Raises:
        PathError: it is no path, or one with filters, slices or functions.
    """
    steps, is_one = _read(path)
    found = [value]
    for step in steps:
        found = [further for each in found for further in step(each)]
    if not is_one:
        return found
    return found[0] if found else MISSING


@functools.lru_cache(maxsize=256)
def _read(path: str) -> tuple[tuple[_Step, ...], bool]:
    text = path.strip()
    if not text.startswith("$"):
        text = f"${text}" if text.startswith("[") else f"$.{text}"
    at, steps, is_one = 1, [], True
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            raise PathError(
                f"the JSON path {path!r} cannot be read from {text[at : at + 20]!r} on; known are .name, ['name'], "
                "[0], [*], .* and ..name"
            )
        steps.append(_step(match))
        is_one = is_one and match.lastgroup not in {"all", "deep"}
        at = match.end()
    return tuple(steps), is_one


def _step(match: re.Match[str]) -> _Step:
    kind = match.lastgroup or ""
    text = match[kind]
    if kind == "all":
        return _children
    if kind == "deep":
        return functools.partial(_below, text)
    if kind == "index":
        return functools.partial(_item, int(text))
    return functools.partial(_member, _ESCAPE.sub(r"\1", text) if kind in {"single", "double"} else text)


def _member(name: str, value: Any) -> Iterator[Any]:
    if isinstance(value, dict) and name in value:
        yield value[name]


def _item(index: int, value: Any) -> Iterator[Any]:
    if isinstance(value, list) and -len(value) <= index < len(value):
        yield value[index]


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _below(name: str, value: Any) -> Iterator[Any]:
    yield from _member(name, value)
    for child in _children(value):
        yield from _below(name, child)
