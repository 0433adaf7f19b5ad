r"""Route selection expressions: what of a message names its route.

The language is API Gateway's: `$request.body.a.b`, `${request.body.a}`, static text, mixtures such as
`${request.body.service}/${request.body.action}`, and `\$` for a literal dollar. A missing member is the
empty string; an array is written `[item1, item2]`. The result is compared with route keys exactly.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from trunkline.errors import DeclarationError

__all__ = ["Selector", "compile_selector", "member_of", "text_of"]

# From the text of a message to a route key, or None when the message is not a JSON object.
Selector: TypeAlias = Callable[[str | bytes], str | None]
_Path: TypeAlias = tuple[str, ...]

_NAME = r"[A-Za-z0-9_-]+"
_TOKEN = re.compile(
    rf"\\\$|\$\{{request\.body((?:\.{_NAME})+)\}}|\$request\.body((?:\.{_NAME})+)|\$|[^\\$]+|\\", re.DOTALL
)


def compile_selector(expression: str) -> Selector:
    """Compile an expression once; the selector costs about 0.2 us for a message of 64 bytes.

    Raises:
        DeclarationError: the expression is not of the language.
    """
    parts = _parse(expression)
    paths = [part for part in parts if not isinstance(part, str)]
    if len(parts) == 1 and paths and len(paths[0]) == 1:
        return _single_member(paths[0][0])
    return _mixture(parts)


def _parse(expression: str) -> list[str | _Path]:
    if not expression:
        raise DeclarationError("select is empty; expected an expression such as '$request.body.action'")
    parts: list[str | _Path] = []
    for token in _TOKEN.finditer(expression):
        path = token.group(1) or token.group(2)
        if path:
            parts.append(tuple(path[1:].split(".")))
        elif token.group() == "$":
            raise DeclarationError(
                f"select={expression!r} has a '$' at position {token.start()} that starts no variable; "
                "expected $request.body.NAME or ${request.body.NAME}, or '\\$' for the character itself"
            )
        else:
            parts.append("$" if token.group() == "\\$" else token.group())
    return parts


def _single_member(name: str) -> Selector:
    # The usual case. msgspec checks the whole text and builds the one member that is asked for.
    body = msgspec.defstruct("Body", [("key", Any, "")], rename={"key": name})
    decode = msgspec.json.Decoder(body).decode

    def select(text: str | bytes) -> str | None:
        try:
            # msgspec lets invalid UTF-8 inside bytes pass where it skips a member.
            key = decode(text if type(text) is str else text.decode()).key  # type: ignore[attr-defined, union-attr]
            return key if type(key) is str else text_of(key)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    return select


def _mixture(parts: list[str | _Path]) -> Selector:
    decode = msgspec.json.Decoder().decode

    def select(text: str | bytes) -> str | None:
        try:
            body = decode(text)
            if type(body) is not dict:
                return None
            return "".join([part if isinstance(part, str) else text_of(member_of(body, part)) for part in parts])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    return select


def member_of(body: Any, path: _Path) -> Any:
    """What JSON has at the end of a path; the empty text for nothing."""
    for name in path:
        if type(body) is not dict or name not in body:
            return ""
        body = body[name]
    return body


def text_of(value: Any) -> str:
    """A value as expressions write it: text as it is, an array as `[item1, item2]`, else JSON."""
    if type(value) is str:
        return value
    if type(value) is list:
        return "[" + ", ".join([text_of(item) for item in value]) + "]"
    return msgspec.json.encode(value).decode()
