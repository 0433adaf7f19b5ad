"""The parameters of a template: what they are given, or their defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trunkline.errors import ConfigurationError
from trunkline.templates.document import Document
from trunkline.templates.sections import as_text, section

__all__ = ["parameters_of"]

# What CDK 1 fills in when it deploys: the bucket, the prefix and key and the hash of code that is beside its template.
_ASSET = re.compile(r"AssetParameters([0-9a-f]+)")


def parameters_of(document: Document, given: Mapping[str, str]) -> dict[str, Any]:
    """The value of each parameter: a text, or texts for a list.

    Raises:
        ConfigurationError: one is given that is not there, has no value, or a value that it does not allow.
    """
    declared = section(document, document.data, "Parameters")
    unknown = [name for name in given if name not in declared]
    if unknown:
        known = f"one of {', '.join(declared)}" if declared else "none, it has no Parameters"
        raise ConfigurationError(f"{document.file} has no parameter {unknown[0]!r}; expected {known}")
    return {name: _value(document, name, declaration, given.get(name)) for name, declaration in declared.items()}


def _value(document: Document, name: str, declaration: Any, given: str | None) -> Any:
    path = ("Parameters", name)
    if not isinstance(declaration, dict):
        raise document.error(f"parameter {name} is {declaration!r}; expected a mapping with Type", *path)
    kind = as_text(declaration.get("Type", "String")) or ""
    value = _text(declaration.get("Default")) if given is None else given
    if value is None:
        if (asset := _ASSET.match(name)) is not None:
            return f"||{asset[1]}.zip"
        raise document.error(
            f"parameter {name} has no Default and none was given; expected --parameter {name}=VALUE", *path
        )
    values = [part.strip() for part in value.split(",")] if _is_list(kind) else [value]
    if not kind.startswith("AWS::SSM::"):  # whose values are names of values
        for each in values:
            _check(document, name, declaration, kind, each)
    return values if _is_list(kind) else value


def _text(default: Any) -> str | None:
    if isinstance(default, list):
        return ",".join(as_text(part) or "" for part in default)
    return as_text(default)


def _is_list(kind: str) -> bool:
    return kind.endswith("CommaDelimitedList") or "List<" in kind


def _check(document: Document, name: str, declaration: dict[str, Any], kind: str, value: str) -> None:
    allowed = declaration.get("AllowedValues")
    path = ("Parameters", name)
    if isinstance(allowed, list) and value not in (texts := [as_text(one) for one in allowed]):
        listed = ", ".join(map(str, texts))
        raise document.error(f"parameter {name} is {value!r}; expected one of {listed}", *path, "AllowedValues")
    if kind in {"Number", "List<Number>"}:
        measured, least, most = _number(document, name, value), "MinValue", "MaxValue"
    else:
        measured, least, most = float(len(value)), "MinLength", "MaxLength"
    for limit, sign in ((least, 1), (most, -1)):
        bound = as_text(declaration.get(limit))
        if bound is not None and sign * measured < sign * _number(document, f"{name}'s {limit}", bound, *path, limit):
            raise document.error(f"parameter {name} is {value!r}; expected {limit} {bound}", *path, limit)


def _number(document: Document, name: str, value: str, *path: Any) -> float:
    try:
        return float(value)
    except ValueError:
        raise document.error(f"{name} is {value!r}; expected a number", *(path or ("Parameters", name))) from None
