"""The values of mapping templates: plain data, how they print, what they are equal to, and what is in them.

It imports nothing of trunkline: the worker of templates runs it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = [
    "OUTPUT_BYTES", "Entry", "Literal", "Output", "Refused", "Service", "bounded", "is_number", "is_same", "is_true",
    "item", "member", "read_json", "text", "to_json",
]  # fmt: skip

OUTPUT_BYTES = 1024 * 1024
"""The longest text that a template makes, also on its way."""
_LONE = re.compile("[\ud800-\udfff]")
_LEAST, _MOST = 1e-3, 1e7  # between them a Double of Java prints without an exponent


class Refused(Exception):  # noqa: N818
    """What a template may not do, or cannot; the text says what."""


class Literal(list[Any]):
    """A list that the template made: it prints as Java's, while one of JSON prints as JSON."""


class Entry(NamedTuple):
    """One of an object's members, of `entrySet()`."""

    key: Any
    value: Any


class Service(NamedTuple):
    """`$input` or `$util`.

    Attributes:
        name: how the template writes it.
        properties, methods: what it has.
    """

    name: str
    properties: Mapping[str, Any]
    methods: Mapping[str, Callable[..., Any]]


class Output:
    """A text that grows no longer than it may."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._left = OUTPUT_BYTES

    def write(self, part: str) -> None:
        """Append.

        Raises:
            Refused: it is too long.
        """
        self._left -= len(part)
        if self._left < 0:
            raise Refused(f"the text is longer than {OUTPUT_BYTES:,} bytes")
        self._parts.append(part)

    def getvalue(self) -> str:
        """All of it."""
        return "".join(self._parts)


def bounded(value: str) -> str:
    """The text.

    Raises:
        Refused: it is too long.
    """
    if len(value) > OUTPUT_BYTES:
        raise Refused(f"the text is longer than {OUTPUT_BYTES:,} bytes")
    return value


# Printing.


def text(value: Any) -> str:
    """As a template prints it; null is empty."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    output = Output()
    _print(value, output.write)
    return output.getvalue()


def _print(value: Any, write: Callable[[str], None]) -> None:
    if isinstance(value, str):
        write(value)
    elif isinstance(value, Service):
        raise Refused(f"{value.name} cannot be printed; name a member of it")
    elif isinstance(value, Entry):
        _print_entry(value, write)
    elif isinstance(value, dict):
        _print_all(map(Entry._make, value.items()), "{}", write)
    elif isinstance(value, Literal | range):
        _print_all(value, "[]", write)
    elif isinstance(value, list):
        write(to_json(value))
    elif isinstance(value, float):
        write(_double(value))
    elif isinstance(value, int | None):
        write("null" if value is None else str(value).lower())
    else:
        raise Refused(f"{type(value).__name__} is no value")


def _print_all(values: Any, brackets: str, write: Callable[[str], None]) -> None:
    write(brackets[0])
    for number, value in enumerate(values):
        if number:
            write(", ")
        _print(value, write)
    write(brackets[1])


def _print_entry(entry: Entry, write: Callable[[str], None]) -> None:
    _print(entry.key, write)
    write("=")
    _print(entry.value, write)


def _double(value: float) -> str:
    """As Java prints a Double: `1.0E10`."""
    if value == 0 or _LEAST <= abs(value) < _MOST:
        return repr(value)
    digits, _, power = f"{value!r}".partition("e")
    whole, _, rest = digits.lstrip("-").partition(".")
    exponent = int(power or 0) + len(whole) - 1
    figures = (whole + rest).rstrip("0")
    shift = len(figures) - len(figures.lstrip("0"))
    figures = figures.lstrip("0")
    sign = "-" if value < 0 else ""
    return f"{sign}{figures[0]}.{figures[1:] or '0'}E{exponent - shift}"


def to_json(value: Any) -> str:
    """The value as JSON, without blanks.

    Raises:
        Refused: it is none.
    """
    try:
        made = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise Refused(f"it has no JSON: {error}") from None
    return _LONE.sub(lambda half: f"\\u{ord(half[0]):04x}", made)


def _plain(value: Any) -> Any:
    if isinstance(value, range):
        return list(value)
    raise TypeError(f"{type(value).__name__.lower()} is no JSON value")


def read_json(document: str) -> Any:
    """The value of a JSON text.

    Raises:
        Refused: it is none.
    """
    try:
        return json.loads(document, parse_constant=_no_constant)
    except RecursionError:
        raise Refused("it is JSON of too many levels") from None
    except ValueError as error:
        raise Refused(f"it is not JSON: {error}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


# Meaning.


def is_true(value: Any) -> bool:
    """Whether a condition holds: false alone is false; null is not, as in API Gateway."""
    return value is not False


def is_same(left: Any, right: Any) -> bool:
    """Whether `==` holds: by number, by value, or by what is printed if the kinds differ; null is an empty text."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, dict | list) and isinstance(right, dict | list):
        return left == right
    return text(left) == text(right)


def is_number(value: Any) -> bool:
    """Whether it is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def member(value: Any, name: str) -> Any:
    """What `$value.name` is; None for what is not there."""
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, Entry):
        return {"key": value.key, "value": value.value}.get(name)
    if isinstance(value, Service):
        return value.properties.get(name)
    return None


def item(value: Any, index: Any) -> Any:
    """What `$value[index]` is; None for what is not there."""
    if isinstance(value, dict):
        return value.get(index) if isinstance(index, str | int) else None
    if isinstance(value, list | range) and isinstance(index, int) and 0 <= index < len(value):
        return value[index]
    return None
