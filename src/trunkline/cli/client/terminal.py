"""A line to type at, with what comes in written above it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output, create_output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.shortcuts import PromptSession

from trunkline.cli.client.history import Remembered, history_file
from trunkline.cli.client.messages import is_json
from trunkline.cli.client.screen import Screen

__all__ = ["Terminal"]

_PROMPT = "> "


class _Cleared(Exception):  # noqa: N818
    """What was typed is thrown away."""


class Terminal(Screen):
    """Both where lines are typed and where things are written.

    Args:
        binary: what is typed is sent as bytes.
    """

    patience = 0.0
    hint = "Ctrl-D closes"

    def __init__(self, *, binary: bool) -> None:
        super().__init__(margin="< ")
        self._binary = binary
        self._session: PromptSession[str] = PromptSession(
            FormattedText([("bold", _PROMPT)]),
            history=Remembered(history_file()),
            key_bindings=_keys(),
            output=_output(),
            prompt_continuation=" " * len(_PROMPT),
            reserve_space_for_menu=0,
            enable_suspend=True,
        )
        self._session.default_buffer.on_text_changed += self._typed

    async def lines(self) -> AsyncIterator[str | bytes]:
        """What is typed, until Ctrl-D, or Ctrl-C on an empty line."""
        while True:
            self._session.app.erase_when_done = True
            try:
                # Signals are the whole program's, and errors the conversation's.
                typed = await self._session.prompt_async(handle_sigint=False, set_exception_handler=False)
            except EOFError:
                return
            except _Cleared:
                continue
            for message in _messages(typed):
                yield message.encode() if self._binary else message

    def _typed(self, buffer: Buffer) -> None:
        self._session.app.erase_when_done = not buffer.text  # an empty prompt does not stay behind

    def message(self, message: str | bytes) -> None:
        """Write a message that came, above the line that is being typed."""
        with _above():
            super().message(message)


@contextlib.contextmanager
def _above() -> Iterator[None]:
    app = get_app()
    if not app.is_running:
        yield
        return
    app.renderer.erase()
    try:
        yield
    finally:
        app.invalidate()


def _messages(typed: str) -> list[str]:
    """Several lines can only have been pasted: they are one message if they are JSON together, else one each."""
    if "\n" not in typed or is_json(typed):
        return [typed] if typed.strip() else []
    return [line for line in typed.split("\n") if line.strip()]


def _output() -> Output:
    output = create_output(always_prefer_tty=True)
    if isinstance(output, Vt100_Output):
        output.enable_cpr = False  # the answer of a slow terminal would end up in the shell
    return output


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("c-c", filter=has_focus(DEFAULT_BUFFER))
    def clear_or_leave(event: KeyPressEvent) -> None:
        event.app.erase_when_done = True
        event.app.exit(exception=_Cleared() if event.current_buffer.text else EOFError())

    return keys
