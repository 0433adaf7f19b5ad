"""Route selection: an expression is compiled or told, and selects what a slow reading of the same rules selects."""

import msgspec

from trunkline.errors import DeclarationError
from trunkline.model.expressions import compile_selector

_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def check(data):
    """An expression, a NUL, and a message."""
    first, _, message = data.partition(b"\0")
    expression = first.decode("utf-8", "surrogateescape")
    try:
        select = compile_selector(expression)
    except DeclarationError:
        assert _parts(expression) is None, "a good expression is refused"
        return
    parts = _parts(expression)
    assert parts is not None, "an expression with a '$' that starts nothing is taken"
    expected = _select(parts, message)
    assert select(message) == expected
    try:
        text = message.decode()
    except UnicodeDecodeError:
        assert expected is None
        return
    assert select(text) == expected


def _parts(expression):
    """Static texts and paths, read letter by letter; None for what is not of the language."""
    parts, at = [], 0
    while at < len(expression):
        if expression.startswith("\\$", at):
            parts.append("$")
            at += 2
        elif expression[at] != "$":
            parts.append(expression[at])
            at += 1
        else:
            braces = expression.startswith("${", at)
            path, end = _path(expression, at + 1 + braces)
            if braces and (path is None or not expression.startswith("}", end)):
                return None
            if path is None:
                return None
            parts.append(path)
            at = end + braces
    return parts or None


def _path(expression, at):
    """The names behind `request.body`, and where they end."""
    if not expression.startswith("request.body", at):
        return None, at
    at += len("request.body")
    names = []
    while at < len(expression) and expression[at] == ".":
        end = at + 1
        while end < len(expression) and expression[end] in _LETTERS:
            end += 1
        if end == at + 1:
            break
        names.append(expression[at + 1 : end])
        at = end
    return names or None, at


def _select(parts, message):
    try:
        body = msgspec.json.decode(message.decode())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    return "".join(part if isinstance(part, str) else _text(_member(body, part)) for part in parts)


def _member(value, names):
    for name in names:
        value = value.get(name, "") if isinstance(value, dict) else ""
    return value


def _text(value):
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return msgspec.json.encode(value).decode()
