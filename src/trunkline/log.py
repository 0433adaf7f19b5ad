r"""Logging: the standard library's, under the name `trunkline`. Only the command line configures it.

What a client sent is data, in a log too, and a log is read by people, terminals and machines. So on our handler

- a record is one line; in the text format its traceback follows, indented by four spaces. What begins at column 0
  is ours, whatever a client sent;
- characters that are not for reading are written as escapes: `\n`, `\x1b`, `\u2028`;
- what lets somebody in is written as `[redacted]`: the values of the headers and parameters below, bearer tokens, JSON
  web tokens, passwords of URLs;
- every field has a largest length.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["configure", "escape", "redact"]

_REDACTED = "[redacted]"
_MESSAGE_CHARS = 4096
_TRACEBACK_CHARS = 32768
_FIELD_CHARS = 512
_FIELDS = ("connection_id", "request_id", "route", "where")
# Stands for a line break of our own while the values are put in: theirs cannot be taken for it.
_BREAK = f"\0{secrets.token_hex(8)}\0"


def configure(level: int | str = logging.INFO, layout: str = "text") -> None:
    """Write the log to standard error.

    Args:
        level: the least that is written; also by name, such as "debug".
        layout: "text" for people, or "json": one object a line.
    """
    handler = _Handler(sys.stderr)
    handler.addFilter(_Cleaner())
    handler.setFormatter(_Json() if layout == "json" else _Text())
    least = logging.getLevelNamesMapping()[level.upper()] if isinstance(level, str) else level
    # asyncio reports what nobody caught: its lines carry the same texts.
    for name, lowest in (("trunkline", least), ("asyncio", max(least, logging.WARNING))):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(lowest)
        logger.propagate = False


class _Handler(logging.StreamHandler[Any]):
    """Where standard error is gone there is nobody to tell; the library would print the record as it was."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        pass


class _Cleaner(logging.Filter):
    """Puts what may be written of a record into `record.clean`; lets every record pass, and never raises."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            record.clean = _clean(record)
        except Exception as error:  # noqa: BLE001 - raised by a value's own __str__, for example
            where = f"{record.pathname}:{record.lineno}"
            record.clean = {"message": f"a record made at {where} cannot be written: {type(error).__name__}"}
        return True


def _clean(record: logging.LogRecord) -> dict[str, str]:
    values = record.args if isinstance(record.args, Mapping) else {}
    text = str(record.msg).replace("\n", _BREAK)
    message, *below = (text % record.args if record.args else text).split(_BREAK)
    clean = {"message": _line(message, _MESSAGE_CHARS)}
    for name in _FIELDS:
        value = getattr(record, name, values.get(name))
        if value is not None:
            clean[name] = _line(str(value), _FIELD_CHARS)
    if record.exc_info and record.exc_info[0]:
        below.append(logging.Formatter().formatException(record.exc_info))
    if record.stack_info:
        below.append(record.stack_info)
    if below:
        lines = redact("\n".join(below)).split("\n")
        clean["traceback"] = _cut("\n".join(map(escape, lines)), _TRACEBACK_CHARS)
    return clean


def _line(text: str, most: int) -> str:
    return _cut(escape(redact(text)), most)


def _cut(text: str, most: int) -> str:
    left_out = len(text) - most
    if left_out <= 0:
        return text
    return f"{text[: most // 2]} ... {left_out:,} characters left out ... {text[-(most // 2) :]}"


class _Text(logging.Formatter):
    """For people."""

    def format(self, record: logging.LogRecord) -> str:
        clean: dict[str, str] = record.clean  # type: ignore[attr-defined]
        line = f"{self.formatTime(record)} {record.levelname} {record.name}: {clean['message']}"
        below = clean.get("traceback")
        return line if below is None else "\n    ".join([line, *below.split("\n")])


class _Json(logging.Formatter):
    """For machines: one object a line, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        clean: dict[str, str] = record.clean  # type: ignore[attr-defined]
        return json.dumps({"time": time, "level": record.levelname, "logger": record.name} | clean)


# Characters that move a cursor, end a line, turn the direction of reading, or cannot be written at all.

_UNREADABLE = (
    *range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF,
    *range(0xD800, 0xE000),
)  # fmt: skip
_ESCAPES = {char: f"\\x{char:02x}" if char < 0x100 else f"\\u{char:04x}" for char in _UNREADABLE}
_ESCAPES |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}


def escape(text: str) -> str:
    r"""The text on one line, with `\x1b` and the like for what is not for reading. Backslashes stay as they are."""
    return text.translate(_ESCAPES)


# Secrets. No pattern goes back over what it has read, so a long text takes no longer than its length. Behind a group
# that is said by an atomic one: with Python 3.11.2 a possessive quantifier there takes a character too many.

_QUOTE = r"\\{0,8}[\"']"  # in a repr inside a repr it has backslashes
_SPACE = r"[\ \t]{0,8}"
_GIVEN = rf"(?:{_QUOTE}{_SPACE}[:=,]{_SPACE} | {_SPACE}(?:[:=]|%3D){_SPACE})"
_NAMED = re.compile(
    rf"""
    (?P<name>  # ends so: Set-Cookie, access_token and X-Amz-Security-Token are meant too
        (?P<header>authorization | cookies? | sec-websocket-protocol)
        | token | api[-_]?key | access[-_]?key | signature | credential | password | secret
    )
    (?:
        # 'cookie': ['a=1', 'b=2']: to the quote with a bracket
        (?P<listed>{_GIVEN}[\[(]{_SPACE}[bru]{{0,2}}{_QUOTE})  (?>(?:(?!{_QUOTE},?{_SPACE}[\])])[^\n])*)
        # 'cookie': 'a=1': to the same quote without one more backslash
        | (?P<quoted>{_GIVEN}[bru]{{0,2}}(?P<quote>{_QUOTE}))  (?>(?:(?!(?<!\\)(?P=quote))[^\n])*)
        # "token": 1
        | (?P<member>{_QUOTE}{_SPACE}[:=,]{_SPACE})  (?:\[redacted\] | [^\s,}}\])]++)
        # Cookie: a=1 and token=a; but not `token = a`, which is a line of source code
        | (?P<bare>:{_SPACE} | = | %3D)  (?(header)[^\n]++ | [^\s&\"'<>\\]++)
    )
    """,
    re.IGNORECASE | re.ASCII | re.VERBOSE,
)
_KEPT = rf"\g<name>\g<listed>\g<quoted>\g<member>\g<bare>{_REDACTED}"

# Secrets that show themselves without a name.
_BEARER = re.compile(r"(?<![\w-])(bearer(?:[.+]|%20|,?\s{1,8})|access_token,\s{0,8})[\w.~+/=%:-]++", re.IGNORECASE)
_BASIC = re.compile(r"(?<![\w-])([Bb]asic\s{1,8})(?=[a-z]*[A-Z0-9])[\w+/-]{6,}+=*")
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]{5,}+\.[\w-]{5,}+\.[\w-]*+")
_URL_PASSWORD = re.compile(r"(://[^/\s:@\"']{0,255}:)[^/\s@\"']{1,255}(?=@)")


def redact(text: str) -> str:
    """The text with `[redacted]` for secrets, in headers, query strings, reprs and JSON. Takes linear time."""
    text = _NAMED.sub(_KEPT, text)
    text = _BEARER.sub(rf"\1{_REDACTED}", text)
    text = _BASIC.sub(rf"\1{_REDACTED}", text)
    text = _JWT.sub(_REDACTED, text)
    return _URL_PASSWORD.sub(rf"\1{_REDACTED}", text)
