"""JSON schemas, draft 4: whether a value is what a model of an Api takes.

jsonschema decides. Around it stand the bounds that it lacks: nothing is ever fetched, items are compared in linear
time, and judging a value takes no more steps than its size allows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, TypeAlias

import msgspec

from trunkline.errors import DeclarationError

__all__ = ["Schema"]

_Keyword: TypeAlias = Callable[[Any, Any, Any, Any], "Iterable[Any] | None"]
# A step is one keyword at one value. A schema that tries branches at every level of a value multiplies them.
_STEPS = 10_000
_STEPS_PER_BYTE = 8
_DATA = {"default", "enum"}  # below these is no schema
_BY_NAME = {"definitions", "dependencies", "patternProperties", "properties"}  # below these are schemas by name
_NAMES = {"$schema", "id"}  # what a schema is called: another draft by the one, another place to look by the other
_left: ContextVar[list[int]] = ContextVar("steps")


class _TooManySteps(Exception):  # noqa: N818
    pass


class Schema:
    """A schema, ready to judge values.

    Args:
        text: the schema, as JSON.

    Raises:
        DeclarationError: it is none; the text says what is wrong.
        ImportError: jsonschema is not installed.
    """

    __slots__ = ("_validator",)

    def __init__(self, text: str) -> None:
        from jsonschema import Draft4Validator  # type: ignore[import-untyped]
        from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]
        from jsonschema.validators import extend  # type: ignore[import-untyped]
        from referencing import Registry

        try:
            schema = msgspec.json.decode(text)
            Draft4Validator.check_schema(schema)
            schema = _without_names(schema)
        except (msgspec.DecodeError, RecursionError) as error:
            raise DeclarationError(f"the schema is no JSON that can be read: {error}") from None
        except SchemaError as error:
            raise DeclarationError(f"{_told(error.absolute_path)}: {error.message}") from None
        _check_patterns_and_references(schema)
        keywords: dict[str, _Keyword] = {**Draft4Validator.VALIDATORS, "uniqueItems": _unique_items}
        counted = extend(Draft4Validator, {name: _counted(keyword) for name, keyword in keywords.items()})
        # A registry of our own: the usual one fetches what it does not know.
        self._validator = counted(schema, registry=Registry())

    def refusal(self, value: Any, size: int) -> str | None:
        """Why a value is not what the schema takes; None if it is.

        Args:
            value: as read from JSON.
            size: the length of that JSON: it bounds what judging may cost.

        Returns:
            Where in the schema it is refused. Nothing of the value is in it.
        """
        token = _left.set([_STEPS + _STEPS_PER_BYTE * size])
        try:
            error = next(self._validator.iter_errors(value), None)
        except _TooManySteps:
            return "it takes too many steps to judge"
        except RecursionError:
            return "it is nested too deeply to judge"
        finally:
            _left.reset(token)
        return None if error is None else _told(error.absolute_schema_path)


def _told(path: Iterable[str | int]) -> str:
    return "/".join(map(str, path)) or "the schema"


def _without_names(schema: Any) -> Any:
    """Without what would make it a schema of another draft, or of another place."""
    if isinstance(schema, list):
        return [_without_names(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value if key in _DATA else _without_names(value)
        for key, value in schema.items()
        if key not in _NAMES or not isinstance(value, str)
    }


def _check_patterns_and_references(schema: Any) -> None:
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT4

    resolver = Registry().with_resource("", DRAFT4.create_resource(schema)).resolver()
    for part in _schemas_of(schema):
        reference = part.get("$ref", "#")
        try:
            resolver.lookup(reference)
        except (Unresolvable, AttributeError):
            raise DeclarationError(
                f"$ref is {reference!r}; expected a part of this schema, such as #/definitions/NAME"
            ) from None
        for pattern in part.get("patternProperties", ()):
            _check_pattern(pattern)


def _schemas_of(schema: Any) -> Iterator[dict[str, Any]]:
    """It, and every schema inside it."""
    if isinstance(schema, list):
        for each in schema:
            yield from _schemas_of(each)
    elif isinstance(schema, dict):
        yield schema
        for key, value in schema.items():
            if key in _BY_NAME:
                yield from _schemas_of(list(value.values()))
            elif key not in _DATA:
                yield from _schemas_of(value)


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise DeclarationError(f"pattern {pattern!r} is no regular expression: {error}") from None


def _counted(keyword: _Keyword) -> _Keyword:
    def count(validator: Any, value: Any, instance: Any, schema: Any) -> Iterable[Any] | None:
        left = _left.get()
        left[0] -= 1
        if left[0] < 0:
            raise _TooManySteps
        return keyword(validator, value, instance, schema)

    return count


def _unique_items(validator: Any, unique: Any, instance: Any, schema: Any) -> Iterator[Any]:
    # jsonschema compares each item with each where they cannot be sorted.
    from jsonschema.exceptions import ValidationError

    if unique and isinstance(instance, list) and len(set(map(_canonical, instance))) < len(instance):
        yield ValidationError("items are not unique")


def _canonical(value: Any) -> str:
    """A text that equal values have in common: numbers by what they are worth, members in any order."""
    if isinstance(value, dict):
        return "{" + ",".join(sorted(f"{_canonical(key)}:{_canonical(each)}" for key, each in value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical, value)) + "]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    # Hexadecimal: Python refuses to write long numbers in decimals.
    return f"{value:x}" if type(value) is int else msgspec.json.encode(value).decode()
