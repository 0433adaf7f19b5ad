"""What mapping templates find: `$input`, `$util`, `$context` and `$stageVariables`.

It imports nothing of trunkline but its like: the worker of templates runs it.
"""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from trunkline.integrations.vtl_path import MISSING, find
from trunkline.integrations.vtl_values import Refused, Service, read_json, text, to_json

__all__ = ["namespace_of"]

_KINDS = ("path", "querystring", "header")
_UNSAFE = re.compile(r"[^ !#-&(-.0-\[\]-~]")  # of JavaScript: what is not printed as it is
_SHORT = {"\b": "\\b", "\n": "\\n", "\t": "\\t", "\f": "\\f", "\r": "\\r", **{each: f"\\{each}" for each in "'\"\\/"}}


def namespace_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The names that a template finds, of what `Values` holds."""
    parameters = {"path": values["path"], "querystring": values["query"], "header": values["headers"]}
    return {
        "input": _input(values["body"], parameters),
        "util": _UTIL,
        "context": values["context"],
        "stageVariables": values["stage_variables"],
    }


def _input(body: str, parameters: dict[str, Any]) -> Service:
    @functools.cache
    def parsed() -> Any:
        if not body.strip():
            return {}
        try:
            return read_json(body)
        except Refused as refused:
            raise Refused(f"the body cannot be searched: {refused}") from None

    def path(wanted: str) -> Any:
        found = find(parsed(), wanted)
        return None if found is MISSING else found

    def as_json(wanted: str) -> str:
        found = find(parsed(), wanted)
        return '""' if found is MISSING else to_json(found)

    methods: dict[str, Callable[..., Any]] = {
        "json": as_json,
        "path": path,
        "params": functools.partial(_params, parameters),
    }
    return Service("$input", {"body": body}, methods)


def _params(parameters: Mapping[str, Any], name: str | None = None) -> Any:
    if name is None:
        return parameters
    for kind in _KINDS:
        if name in parameters[kind]:
            return parameters[kind][name]
    wanted = name.lower()
    return next((value for header, value in parameters["header"].items() if header.lower() == wanted), "")


def _of_text(function: Callable[[str], Any]) -> Callable[[Any], Any]:
    """The same for any value, by what is printed; null stays null."""
    return lambda value: None if value is None else function(text(value))


def _escape_java_script(value: str) -> str:
    return _UNSAFE.sub(lambda found: _SHORT.get(found[0]) or _units(found[0]), value)


def _units(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex().upper()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _url_encode(value: str) -> str:
    return quote_plus(value, safe="*", errors="replace").replace("~", "%7E")


def _base64_decode(value: str) -> str:
    return base64.b64decode(value, validate=True).decode("utf-8", "replace")


_UTIL = Service(
    "$util",
    {},
    {
        "base64Decode": _of_text(_base64_decode),
        "base64Encode": _of_text(lambda value: base64.b64encode(value.encode("utf-8", "replace")).decode()),
        "escapeJavaScript": _of_text(_escape_java_script),
        "parseJson": _of_text(read_json),
        "urlDecode": _of_text(unquote_plus),
        "urlEncode": _of_text(_url_encode),
    },
)
