r"""What of an event goes where: data mappings, template selection expressions, keys of integration responses.

A source gives the values of one header, parameter or piece of a path; no values are nothing, which is left out:

    route.request.header.NAME, route.request.querystring.NAME      the last value; of a handshake
    route.request.multivalueheader.NAME, route.request.multivaluequerystring.NAME      every value; of a handshake
    route.request.body, route.request.body.a.b[0]      the message, or what its JSON has there: text, or else JSON
    stageVariables.NAME, context.NAME      a variable of the stage; something of `requestContext`, through dots
    'a text'

A selection expression is static text, `\$` for a dollar, `${request.body.a.b}`, and for answers
`${integration.response.statuscode}` and `${integration.response.header.NAME}` (`multivalueheader` for all). What is
missing is the empty text, also where the message is no JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from trunkline.errors import DeclarationError
from trunkline.model.api import DEFAULT_ROUTE
from trunkline.model.events import CONNECT
from trunkline.model.expressions import member_of, text_of

if TYPE_CHECKING:
    from trunkline.model.events import Event

__all__ = ["Inbound", "Parameter", "Selection", "Source", "compile_key", "compile_parameters", "compile_selection"]

_MISSING: Any = object()
_UNREAD: Any = object()
_NAME = r"[a-zA-Z0-9._$-]+"
_TARGET = re.compile(rf"integration\.request\.(header|querystring|path)\.({_NAME})")
_SOURCE = re.compile(
    rf"""
      route\.request\.(?P<all>multivalue)?(?P<place>header|querystring)\.(?P<name>{_NAME})
    | (?P<body>route\.request\.body(?P<path>(?:\.[^.\[\]'"\s]+|\[[0-9]{{1,9}}\])*))
    | stageVariables\.(?P<variable>{_NAME})
    | context\.(?P<context>{_NAME})
    | '(?P<static>.*)'
    """,
    re.VERBOSE | re.DOTALL,
)
_STEP = re.compile(r"\.([^.\[]+)|\[([0-9]+)\]")
_VARIABLE = re.compile(
    r"request\.body((?:\.[A-Za-z0-9_-]+)+)"
    r"|integration\.response\.(?:(statuscode)|(multivalue)?header\.([A-Za-z0-9_-]+))"
)
_TOKEN = re.compile(r"\\\$|\$\{[^}]*\}|\$[A-Za-z0-9_.-]+|\$|[^\\$]+|\\", re.DOTALL)
# How a request is cut into pieces is not for a client to say.
_FRAMING = frozenset({
    "connection", "content-length", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
    "upgrade",
})  # fmt: skip
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Inbound:
    """What sources and expressions see of an event; JSON is read once, if at all.

    Attributes:
        event: the event itself.
    """

    __slots__ = ("_value", "event")

    def __init__(self, event: Event) -> None:
        self.event = event
        self._value = _UNREAD

    @property
    def text(self) -> str:
        """The message, bytes in base64; empty on connect and disconnect."""
        data = self.event.data
        return data if isinstance(data, str) else str(self.event.event["body"])

    @property
    def value(self) -> Any:
        """The message, read as JSON; a value of no type that JSON has, if it is none."""
        if self._value is _UNREAD:
            try:
                self._value = _decode(self.event.data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._value = _MISSING
        return self._value

    @property
    def context(self) -> Mapping[str, Any]:
        """The `requestContext` of its event."""
        context: Mapping[str, Any] = self.event.event["requestContext"]
        return context

    @property
    def stage_variables(self) -> Mapping[str, str]:
        """Those of its stage."""
        return self.event.identity.stage_variables or {}

    @property
    def headers(self) -> Mapping[str, list[str]]:
        """Of a handshake, with those that the gateway adds, as its event has them."""
        return self._of_handshake("multiValueHeaders")

    @property
    def query(self) -> Mapping[str, list[str]]:
        """Of a handshake."""
        return self._of_handshake("multiValueQueryStringParameters")

    def _of_handshake(self, member: str) -> Mapping[str, list[str]]:
        found: Mapping[str, list[str]] = self.event.event.get(member, {}) if self.event.kind is CONNECT else {}
        return found


Source: TypeAlias = Callable[[Inbound], list[str]]
Selection: TypeAlias = Callable[[Inbound, int, Mapping[str, list[str]]], str]
"""From an event, and the status and headers of the answer to it, to the key of a template."""


class Parameter(NamedTuple):
    """Something of a request: where, by which name, and what."""

    place: str
    name: str
    source: Source


def compile_parameters(parameters: Mapping[str, str]) -> tuple[Parameter, ...]:
    """Read data mappings: sources by `integration.request.PLACE.NAME`.

    Raises:
        DeclarationError: one is none.
    """
    return tuple(_parameter(target, source) for target, source in parameters.items())


def compile_selection(expression: str, *, of_response: bool = False) -> Selection:
    """Read a template selection expression; that of a response also sees the answer.

    Raises:
        DeclarationError: it is none.
    """
    if expression == DEFAULT_ROUTE:  # constants are written `\\$default`; other expressions also take it bare
        return lambda _inbound, _status, _headers: DEFAULT_ROUTE
    parts = [_part(match, expression, of_response) for match in _TOKEN.finditer(expression)]
    return lambda inbound, status, headers: "".join([part(inbound, status, headers) for part in parts])


def compile_key(key: str) -> Callable[[str], bool]:
    """Whether a status or an error message is what the key of an integration response means.

    Args:
        key: a text, or a regular expression between slashes, which has to match all of it.

    Raises:
        DeclarationError: it is no regular expression.
    """
    if len(key) < 2 or not (key.startswith("/") and key.endswith("/")):
        return lambda text: text == key
    try:
        pattern = re.compile(key[1:-1])
    except re.error as error:
        raise DeclarationError(f"the integration response key {key} is no regular expression: {error}") from None
    return lambda text: pattern.fullmatch(text) is not None


def _parameter(target: str, expression: str) -> Parameter:
    match = _TARGET.fullmatch(target)
    if match is None:
        raise DeclarationError(
            f"{target!r} is nothing of a request; expected integration.request.header.NAME, or querystring or path"
        )
    place, name = match.groups()
    if place == "header" and name.lower() in _FRAMING:
        raise DeclarationError(f"{target} cannot be mapped: this header is the gateway's own")
    return Parameter(place, name, _source(target, expression))


def _source(target: str, expression: str) -> Source:
    match = _SOURCE.fullmatch(expression)
    if match is None:
        raise DeclarationError(
            f"{target} is {expression!r}; expected route.request.body.NAME, route.request.header.NAME, "
            "route.request.querystring.NAME, stageVariables.NAME, context.NAME or 'a text'"
        )
    if match["place"]:
        return _of_request(match["place"], match["name"], all_values=match["all"] is not None)
    if match["body"]:
        return _of_body(match["path"])
    if match["variable"]:
        return _of_stage(match["variable"])
    if match["context"]:
        return _of_context(match["context"])
    static = [match["static"]]
    return lambda _: static


def _of_request(place: str, name: str, *, all_values: bool) -> Source:
    first = None if all_values else -1

    def headers(inbound: Inbound) -> list[str]:
        folded = name.lower()
        found = [value for key, values in inbound.headers.items() if key.lower() == folded for value in values]
        return found[first:]

    def query(inbound: Inbound) -> list[str]:
        return inbound.query.get(name, [])[first:]

    return headers if place == "header" else query


def _of_body(path: str) -> Source:
    steps: list[str | int] = [name or int(index) for name, index in _STEP.findall(path)]
    if not steps:
        return lambda inbound: [inbound.text] if inbound.text else []
    return lambda inbound: _written(_found(inbound.value, steps))


def _of_stage(name: str) -> Source:
    def variable(inbound: Inbound) -> list[str]:
        value = inbound.stage_variables.get(name)
        return [] if value is None else [value]

    return variable


def _of_context(name: str) -> Source:
    steps = name.split(".")
    return lambda inbound: _written(_found(inbound.context, steps))


def _found(value: Any, steps: Iterable[str | int]) -> Any:
    for step in steps:
        if not _has(value, step):
            return _MISSING
        value = value[step]
    return value


def _has(value: Any, step: str | int) -> bool:
    if isinstance(step, int):
        return isinstance(value, list) and step < len(value)
    return isinstance(value, dict) and step in value


def _written(value: Any) -> list[str]:
    if value is _MISSING:
        return []
    return [value if isinstance(value, str) else _encode(value).decode()]


def _part(match: re.Match[str], expression: str, of_response: bool) -> Selection:
    text = match.group()
    if not text.startswith("$"):
        static = "$" if text == "\\$" else text
        return lambda _inbound, _status, _headers: static
    variable = _VARIABLE.fullmatch(text[1:].removeprefix("{").removesuffix("}"))
    if variable is None or not (of_response or variable[1]):
        also = ", ${integration.response.statuscode}, ${integration.response.header.NAME}" if of_response else ""
        raise DeclarationError(
            f"the template selection expression {expression!r} has a '$' at position {match.start()} that starts no "
            f"variable; expected ${{request.body.NAME}}{also}, or '\\$' for the character itself"
        )
    return _variable(variable)


def _variable(match: re.Match[str]) -> Selection:
    if match[1]:
        path = tuple(match[1][1:].split("."))
        return lambda inbound, _status, _headers: text_of(member_of(inbound.value, path))
    if match[2]:
        return lambda _inbound, status, _headers: str(status)
    name, has_all = match[4].lower(), match[3] is not None

    def header(_inbound: Inbound, _status: int, headers: Mapping[str, list[str]]) -> str:
        values = headers.get(name, [])
        return (text_of(values) if has_all else values[-1]) if values else ""

    return header
