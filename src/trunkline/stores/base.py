"""Seam 2: where documents live, and the one table of what they mean, on every store.

A document is a JSON value under an id in a collection. A collection's path is `(name,)`; a subcollection's is
`(name, parent id, name)`.

| value | meaning |
|---|---|
| null, true, false, text, list, object | as they are. Text is without lone surrogates; an object's keys are text |
| integer | up to 38 significant digits; beyond that InvalidDocument |
| float | finite, 0 or 1e-130 to 1e126 in magnitude, else InvalidDocument; 2.0 comes back as 2 |
| depth, size | at most 32 levels, at most 400 KB as compact JSON in UTF-8; DynamoDB counts the ids with it |
| id | 1 to 1,024 bytes of UTF-8 without NUL |
| version | a random whole number that no other write of the document has |
| expiry | a document past it is as if deleted, for every operation |

| operator | fulfilled when |
|---|---|
| `==` | the field is there and is the same JSON value; `1` and `1.0` are the same, `true` and `1` are not |
| `!=` | the field is missing, or is another JSON value |
| `<` `<=` `>` `>=` | field and value are both numbers, or both texts (by their UTF-8 bytes), and compare so |
| `startsWith` | both are texts, and the field begins with the value |

A field is a member's name, or `a.b` for a member of a member; what is not an object has no members. Filters are
joined by "and". Results come by the UTF-8 bytes of the id; those of a collection group by parent id, then id.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import msgspec

from trunkline import limits
from trunkline.errors import InvalidDocument, InvalidQuery

__all__ = [
    "OPERATORS",
    "Filter",
    "Json",
    "Path",
    "Record",
    "Store",
    "check_filter",
    "check_id",
    "decode",
    "encode",
    "matches",
    "new_version",
]

Json: TypeAlias = Any
Path: TypeAlias = tuple[str, ...]

OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "startsWith")
_DEPTH = 32
_ID_BYTES = 1024
_SMALLEST, _LARGEST = 1e-130, 1e126  # DynamoDB's range of numbers
_INT_LIMIT = 10**limits.INT_DIGITS
_MISSING = object()
_encode_json = msgspec.json.Encoder().encode
_decode_json = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Record:
    """A document as a store returns it."""

    path: Path
    id: str
    value: Json
    version: int


@dataclass(frozen=True, slots=True)
class Filter:
    """One comparison of a query."""

    field: str
    op: str
    value: Json


class Store(Protocol):
    """Documents by path and id. A write that returned is durable, and seen by the next read.

    Every operation raises StoreUnavailable when the database is full, broken or away; then nothing was changed. A
    write to a database elsewhere whose answer did not come is an exception, and its error says so.
    """

    async def open(self) -> None:
        """Get ready."""

    async def close(self) -> None:
        """Finish what is under way and let go."""

    async def get(self, path: Path, id: str) -> Record | None:  # noqa: A002
        """The document, or None."""

    async def put(
        self,
        path: Path,
        id: str,  # noqa: A002
        value: Json,
        *,
        create: bool = False,
        if_version: int | None = None,
        expires_at: float | None = None,
    ) -> int:
        """Write a whole document; returns its new version.

        Raises:
            InvalidDocument: the value is outside the table above.
            AlreadyExists: `create`, and there is one.
            Conflict: it is not at `if_version`.
        """

    async def delete(self, path: Path, id: str) -> None:  # noqa: A002
        """Delete the document, if it is there."""

    async def query(self, path: Path, filters: Sequence[Filter], *, after: str | None, limit: int) -> list[Record]:
        """At most `limit` documents that fulfil every filter, with ids behind `after`, in order."""

    async def query_group(
        self, root: str, name: str, filters: Sequence[Filter], *, after: tuple[str, str] | None, limit: int
    ) -> list[Record]:
        """The same over the subcollections `name` of all documents of `root`; a position is (parent id, id)."""


def check_id(id: str) -> None:  # noqa: A002
    """Raises InvalidDocument for what cannot be a document's id."""
    if not isinstance(id, str):
        raise InvalidDocument(f"a document's id is a str; got {type(id).__name__}")
    try:
        size = len(id) if id.isascii() else len(id.encode())
    except UnicodeEncodeError:
        raise InvalidDocument(f"the id {id!r} has a lone surrogate, which is not Unicode text") from None
    if not 0 < size <= _ID_BYTES or "\0" in id:
        raise InvalidDocument(f"the id {id[:64]!r} has {size} bytes; expected 1 to {_ID_BYTES}, without NUL")


def encode(value: Json) -> str:
    """The value as compact JSON.

    Raises:
        InvalidDocument: it is outside the table of meaning.
    """
    if type(value) is dict and not value:
        return "{}"
    text = _encode_json(_plain(value, _DEPTH)).decode()
    if len(text) * 4 > limits.DOCUMENT_BYTES and len(text.encode()) > limits.DOCUMENT_BYTES:
        raise InvalidDocument(
            f"the document has {len(text.encode()):,} bytes as JSON; the limit is {limits.DOCUMENT_BYTES:,}"
        )
    return text


def decode(text: str | bytes) -> Json:
    """The value of `encode`'s text."""
    return _decode_json(text)


def new_version() -> int:
    """A version that no other write has, but for a chance of 2**-53."""
    return random.getrandbits(53) or 1


def check_filter(condition: Filter) -> None:
    """Raises InvalidQuery for what cannot be compared."""
    if condition.op not in OPERATORS:
        raise InvalidQuery(f"where({condition.field!r}, {condition.op!r}, ...): expected one of {', '.join(OPERATORS)}")
    if not isinstance(condition.field, str) or not all(condition.field.split(".")):
        raise InvalidQuery(f"where({condition.field!r}, ...): a field is a name, or names joined by '.'")
    try:
        value = _plain(condition.value, _DEPTH)
    except InvalidDocument as error:
        raise InvalidQuery(f"where({condition.field!r}, {condition.op!r}, ...): {error}") from None
    ordered = condition.op not in {"==", "!="}
    if ordered and not (isinstance(value, str) or (condition.op != "startsWith" and _is_number(value))):
        expected = "text" if condition.op == "startsWith" else "a number or text"
        raise InvalidQuery(f"where({condition.field!r}, {condition.op!r}, {value!r}): expected {expected}")


def matches(value: Json, filters: Sequence[Filter]) -> bool:
    """Whether a document's value fulfils every filter."""
    for condition in filters:  # noqa: SIM110 - a generator costs more than the comparison
        if not _fulfils(_field(value, condition.field), condition):
            return False
    return True


def _plain(value: Any, depth: int) -> Json:
    """The value as stored: tuples as lists, floats without a fraction as integers."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        return _text(value)
    if kind is int:
        return _integer(value)
    if kind is float:
        return _float(value)
    if depth == 0:
        raise InvalidDocument(f"the value is nested deeper than {_DEPTH} levels")
    if kind is dict:
        return {_key(name): _plain(member, depth - 1) for name, member in value.items()}
    if kind is list or kind is tuple:
        return [_plain(item, depth - 1) for item in value]
    return _subclass(value, depth)


def _subclass(value: Any, depth: int) -> Json:
    kinds: tuple[type[Any], ...] = (str, int, float, dict, list, tuple)
    for kind in kinds:
        if isinstance(value, kind):
            # str(value) of an enum is its name, not its text.
            return _plain(str.__str__(value) if kind is str else kind(value), depth)
    raise InvalidDocument(
        f"a {type(value).__name__} is not JSON; expected None, bool, int, float, str, list or dict: {value!r:.80}"
    )


def _text(value: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidDocument(f"the text {value[:64]!r} has a lone surrogate, which is not Unicode text") from None
    return value


def _key(name: Any) -> str:
    if not isinstance(name, str):
        raise InvalidDocument(f"an object's key is text; got {name!r:.80}")
    return _text(str.__str__(name))


def _integer(value: int) -> int:
    if -_INT_LIMIT < value < _INT_LIMIT:
        return value
    # Trailing zeros are the exponent's, so 10**100 has one digit; but a store keeps at most 38 of them here.
    raise InvalidDocument(f"an integer has at most {limits.INT_DIGITS} digits; got {str(value)[:50]}...")


def _float(value: float) -> int | float:
    if not math.isfinite(value):
        raise InvalidDocument(f"{value!r} is not JSON")
    if value == 0:
        return 0
    if not _SMALLEST <= abs(value) < _LARGEST:
        raise InvalidDocument(f"{value!r} is outside the range of numbers, {_SMALLEST} to {_LARGEST}")
    if value.is_integer() and abs(value) < _INT_LIMIT:
        return int(value)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _field(value: Json, field: str) -> Any:
    for name in field.split("."):
        if type(value) is not dict or name not in value:
            return _MISSING
        value = value[name]
    return value


def _fulfils(found: Any, condition: Filter) -> bool:
    wanted = condition.value
    if condition.op == "==":
        return found is not _MISSING and _same(found, wanted)
    if condition.op == "!=":
        return found is _MISSING or not _same(found, wanted)
    if found is _MISSING:
        return False
    if isinstance(found, str) and isinstance(wanted, str):
        return _compares_text(found, wanted, condition.op)
    if _is_number(found) and _is_number(wanted):
        return _compares(found, wanted, condition.op)
    return False


def _compares_text(found: str, wanted: str, op: str) -> bool:
    if op == "startsWith":
        return found.startswith(wanted)
    # By code points is by UTF-8 bytes: the encoding keeps that order.
    return _compares(found, wanted, op)


def _compares(found: Any, wanted: Any, op: str) -> bool:
    if op == "<":
        return bool(found < wanted)
    if op == "<=":
        return bool(found <= wanted)
    if op == ">":
        return bool(found > wanted)
    return bool(op == ">=" and found >= wanted)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
