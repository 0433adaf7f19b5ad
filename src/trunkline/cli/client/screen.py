"""Where things are written: messages to standard output, everything else to standard error."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.text import Text

from trunkline.cli.client.messages import for_line, for_terminal, printable

if TYPE_CHECKING:
    from io import TextIOWrapper

__all__ = ["OutputGone", "Screen"]

_HIGHLIGHTED = 32 * 1024  # characters; colouring more takes longer than anybody looks


class OutputGone(Exception):  # noqa: N818
    """Whoever read standard output has stopped."""


class _Notes(Console):
    def on_broken_pipe(self) -> None:
        """Go on without: nobody has to read notes."""
        _discard(sys.stderr.fileno())


class Screen:
    """A terminal gets messages indented and coloured, a pipe or a file gets each on a line of its own.

    Args:
        margin: what stands before each message in a terminal.

    Attributes:
        hint: what a person is told when the connection is open.
    """

    hint = ""

    def __init__(self, margin: str = "") -> None:
        for stream in (sys.stdout, sys.stderr):
            _say_everything(stream)  # type: ignore[arg-type]
        self._margin = margin
        self._out = Console(highlight=False, soft_wrap=True)
        self._notes = _Notes(stderr=True, highlight=False, soft_wrap=True)

    def message(self, message: str | bytes) -> None:
        """Write a message that came.

        Raises:
            OutputGone: nobody reads it any more.
        """
        try:
            if sys.stdout.isatty():
                self._out.print(self._drawn(message, self._out.width))
            else:
                sys.stdout.buffer.write(for_line(message).encode() + b"\n")
                sys.stdout.flush()
        except BrokenPipeError:
            _discard(sys.stdout.fileno())
            raise OutputGone from None

    def note(self, text: str, style: str = "", hint: str = "") -> None:
        """Write what is no message: one line."""
        line = Text(printable(text), style=style)
        self._notes.print(line.append(f"  {hint}", style="not bold dim") if hint and sys.stderr.isatty() else line)

    def body(self, body: bytes) -> None:
        """Write what a server said with its refusal."""
        text = body.decode("utf-8", "backslashreplace").rstrip()
        if sys.stderr.isatty():
            self._notes.print(_coloured(text, self._notes.width))
        elif text:
            self._notes.out(text)

    def _drawn(self, message: str | bytes, width: int) -> Text:
        drawn = Text(self._margin, style="not bold dim")
        text = _coloured(message, width - len(self._margin))
        for number, line in enumerate(text.split("\n", allow_blank=True)):
            drawn.append("\n" + " " * len(self._margin) if number else "").append_text(line)
        return drawn


def _coloured(message: str | bytes, width: int) -> Text:
    text, is_json = for_terminal(message, width)
    drawn = Text(text, style="not dim" if isinstance(message, str) else "magenta not dim")
    if is_json and len(text) <= _HIGHLIGHTED:
        JSONHighlighter().highlight(drawn)
    return drawn


def _discard(descriptor: int) -> None:
    """Let what is still written there vanish, else Python complains when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _say_everything(stream: TextIOWrapper) -> None:
    """A terminal that knows few letters shows the others by number."""
    stream.reconfigure(errors="backslashreplace")
