"""The parameters of a template: what they are given, or their defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trunkline.errors import ConfigurationError
from trunkline.model.deployment import Warned
from trunkline.templates.document import Document
from trunkline.templates.sections import as_text, section

__all__ = ["parameters_of"]

# What CDK 1 fills in when it deploys: the bucket, the prefix and key and the hash of code that is beside its template.
_ASSET = re.compile(r"AssetParameters([0-9a-f]+)")
# Of what only AWS has: what runs here has no use for it.
_NETWORK = re.compile(r"(?:List<)?AWS::(?:EC2|Route53)::")
_SSM = "AWS::SSM::"  # whose values are names of values
_BOOTSTRAP = "/cdk-bootstrap/"  # the version that CDK asks for in every template


def parameters_of(document: Document, given: Mapping[str, str], warnings: list[Warned]) -> dict[str, Any]:
    """The value of each parameter: a text, or texts for a list.

    One that means something of a network gets its own name, one that means a value in SSM the value's name, each with
    a warning.

    Raises:
        ConfigurationError: one is given that is not there, some have no value, or one has a value that is not allowed.
    """
    declared = section(document, document.data, "Parameters")
    unknown = [name for name in given if name not in declared]
    if unknown:
        known = f"one of {', '.join(declared)}" if declared else "none, it has no Parameters"
        raise ConfigurationError(f"{document.file} has no parameter {unknown[0]!r}; expected {known}")
    texts = {name: _known(document, name, one, given.get(name), warnings) for name, one in declared.items()}
    missing = [name for name, text in texts.items() if text is None]
    if missing:
        raise document.error(_missing(missing), "Parameters", missing[0])
    return {name: _value(document, name, declared[name], text or "") for name, text in texts.items()}


def _known(document: Document, name: str, declaration: Any, given: str | None, warnings: list[Warned]) -> str | None:
    path = ("Parameters", name)
    if not isinstance(declaration, dict):
        raise document.error(f"parameter {name} is {declaration!r}; expected a mapping with Type", *path)
    if given is not None:
        return given
    kind, text = _kind(declaration), _text(declaration.get("Default"))
    if text is None and (asset := _ASSET.match(name)) is not None:
        return f"||{asset[1]}.zip"
    if text is None and _NETWORK.match(kind):
        told = f"parameter {name} ({kind}) has no value and gets its own name, as there is no network of AWS here"
        warnings.append(Warned(document.where(*path), told))
        return name
    if text is not None and kind.startswith(_SSM) and not text.startswith(_BOOTSTRAP):
        told = (
            f"parameter {name} gets {text!r}, the name of a value in SSM; --parameter {name}=VALUE gives it the value"
        )
        warnings.append(Warned(document.where(*path), told))
    return text


def _missing(names: list[str]) -> str:
    given = " ".join(f"--parameter {name}=VALUE" for name in names)
    if len(names) == 1:
        return f"parameter {names[0]} has no Default and none was given; expected {given}"
    return f"parameters {', '.join(names)} have no Default and none were given; expected {given}"


def _kind(declaration: dict[str, Any]) -> str:
    return as_text(declaration.get("Type", "String")) or ""


def _value(document: Document, name: str, declaration: dict[str, Any], text: str) -> Any:
    kind = _kind(declaration)
    values = [part.strip() for part in text.split(",")] if _is_list(kind) else [text]
    if not kind.startswith(_SSM) and not _ASSET.match(name):
        for each in values:
            _check(document, name, declaration, kind, each)
    return values if _is_list(kind) else text


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
