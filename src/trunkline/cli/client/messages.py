"""How a message is written: for a program that reads lines, and for a person at a terminal."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import msgspec

__all__ = ["MESSAGE_BYTES", "for_line", "for_terminal", "is_json", "printable"]

MESSAGE_BYTES: Final = 64 * 1024 * 1024  # the longest that is taken, in either direction
_ROW = 16  # bytes in a row of a dump
_ROWS = 256

# What would move the cursor, change colours or turn the direction of writing: strangers write messages, too.
_UNSEEN = [*range(0x20), 0x7F, *range(0x80, 0xA0), 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)]
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _UNSEEN}
_ESCAPES_OF_A_LINE = _ESCAPES | {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}
_ESCAPES_OF_A_TEXT = {code: text for code, text in _ESCAPES.items() if chr(code) not in "\n\t"}
# In a JSON text: a letter by its number, which may take two, or any other escape.
_LETTER = re.compile(r"\\(?:(u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|u(?![dD][89a-fA-F])\w{4})|.)")


def is_json(text: str) -> bool:
    """Whether all of it is one JSON value."""
    try:
        msgspec.json.format(text)
    except (ValueError, RecursionError):
        return False
    return True


def printable(text: str) -> str:
    """One line without anything that a terminal would obey."""
    return text.translate(_ESCAPES_OF_A_LINE)


def for_line(message: str | bytes) -> str:
    r"""A message on one line: text as it came, bytes as hex.

    Line ends in a text become blanks if it is JSON, to which they mean nothing, and otherwise `\n`.
    """
    if isinstance(message, bytes):
        return message.hex()
    if "\n" not in message and "\r" not in message:
        return message
    if is_json(message):
        return message.replace("\r", " ").replace("\n", " ")
    return message.replace("\r", "\\r").replace("\n", "\\n")


def for_terminal(message: str | bytes, width: int) -> tuple[str, bool]:
    """A message for a person, and whether it is JSON.

    JSON keeps its numbers and its spelling, but a letter's number is shown as the letter. It is indented where it is
    wider than `width`.
    """
    if isinstance(message, bytes):
        return _dump(message), False
    if not is_json(message):
        return message.replace("\r\n", "\n").translate(_ESCAPES_OF_A_TEXT), False
    text = _LETTER.sub(_letter, message.strip())
    if "\n" in text or _columns(text) > width:
        text = _folded(msgspec.json.format(text, indent=2).split("\n"), width)
    return text.translate(_ESCAPES_OF_A_TEXT), True


def _letter(escape: re.Match[str]) -> str:
    """The letter of an escape, if it can be seen."""
    letter: str = msgspec.json.decode(f'"{escape[0]}"') if escape[1] else ""
    return letter if letter.isprintable() and not letter.isascii() else escape[0]


def _folded(lines: list[str], width: int) -> str:
    """Indented JSON in which whatever fits on a line of its own stands on one."""
    folded: list[str] = []
    opened: list[int] = []
    for line in lines:
        folded.append(line)
        if line.endswith(("{", "[")):
            opened.append(len(folded) - 1)
        elif line.lstrip().startswith(("}", "]")):
            start = opened.pop()
            if len(folded) - start <= width:
                first, *inner, last = folded[start:]
                whole = first + " ".join(map(str.strip, inner)) + last.strip()
                folded[start:] = [whole] if _columns(whole) <= width else folded[start:]
    return "\n".join(folded)


def _columns(text: str) -> int:
    """How wide a line is in a terminal, near enough."""
    if text.isascii():
        return len(text)
    return sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in text)


def _dump(data: bytes) -> str:
    size = f"{len(data):,} byte{'s' * (len(data) != 1)}"
    if len(data) <= _ROW:
        return f"{size}  {data.hex(' ')}  {_letters(data)}".rstrip()
    rows = [_row(data, start) for start in range(0, min(len(data), _ROW * _ROWS), _ROW)]
    left = len(data) - _ROW * _ROWS
    more = [f"and {left:,} more, which are written when the output is a pipe or a file"] if left > 0 else []
    return "\n".join([size, *rows, *more])


def _row(data: bytes, start: int) -> str:
    row = data[start : start + _ROW]
    return f"{start:06x}  {row.hex(' '):{_ROW * 3 - 1}}  {_letters(row)}"


def _letters(data: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in data)
