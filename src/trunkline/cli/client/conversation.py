"""An open connection: what is typed goes out, what comes in is shown, until one side closes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

from websockets.exceptions import ConnectionClosed
from websockets.frames import Close, CloseCode

from trunkline.cli.client.screen import OutputGone

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from trunkline.cli.client.screen import Screen

__all__ = ["Conversation", "Source", "ending"]

_GOOD_CODES = {CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY}
_ANYTHING_ELSE = 3


class Source(Protocol):
    """Where messages to send come from.

    Attributes:
        patience: seconds to listen for after the last line, counted anew from each message that comes.
    """

    patience: float

    def lines(self) -> AsyncIterator[str | bytes]:
        """What to send, until there is no more."""


class Conversation:
    """One connection from its handshake to its end."""

    def __init__(self, connection: ClientConnection, source: Source, screen: Screen) -> None:
        self._connection = connection
        self._source = source
        self._screen = screen
        self._patience: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None

    async def hold(self) -> int:
        """Talk until it is over; returns the exit code.

        Raises:
            ConfigurationError: the source cannot be sent.
        """
        self._sending = asyncio.create_task(self._send())
        self._sending.add_done_callback(self._sent)
        receiving = asyncio.create_task(self._receive())
        try:
            await asyncio.wait([receiving])
        except asyncio.CancelledError:  # Ctrl-C
            self._leave()
        closed = await receiving
        left = self._closing is not None
        self._sending.cancel()
        await asyncio.wait([self._sending])
        if not self._sending.cancelled():
            self._sending.result()
        if self._patience is not None:
            self._patience.cancel()
        code, line = ending(closed, left=left)
        self._screen.note(line, style="red" if code else "dim")
        return code

    def _leave(self) -> None:
        self._sending.cancel()
        if self._closing is None:
            self._closing = asyncio.create_task(self._connection.close())

    async def _send(self) -> None:
        with contextlib.suppress(ConnectionClosed):  # the receiving side tells of it
            async for line in self._source.lines():
                await self._connection.send(line)

    def _sent(self, sending: asyncio.Task[None]) -> None:
        if sending.cancelled() or sending.exception() is not None:
            self._leave()
        else:
            self._listen_on()

    def _listen_on(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = asyncio.get_running_loop().call_later(self._source.patience, self._leave)

    async def _receive(self) -> ConnectionClosed:
        show = True
        while True:
            try:
                message = await self._connection.recv()
            except ConnectionClosed as closed:
                return closed
            if self._patience is not None:
                self._listen_on()
            try:
                if show:
                    self._screen.message(message)
            except OutputGone:
                show = False
                self._leave()


def ending(closed: ConnectionClosed, *, left: bool) -> tuple[int, str]:
    """Exit code, and what is said, of the end of a connection; `left` if it was asked for at this end."""
    theirs, ours = closed.rcvd, closed.sent
    if theirs is not None and (ours is None or closed.rcvd_then_sent):
        return 0 if theirs.code in _GOOD_CODES else _ANYTHING_ELSE, f"closed {_named(theirs)}"
    if left:
        return 0, "closed" if theirs is None else f"closed {theirs.code}"
    if ours is not None:
        return _ANYTHING_ELSE, f"closed from here: {_named(ours)}"
    return _ANYTHING_ELSE, "lost: the connection ended without a close frame"


def _named(close: Close) -> str:
    if close.code == CloseCode.NO_STATUS_RCVD:
        return "without a code"
    if close.reason:
        return f"{close.code:d} {close.reason}"
    try:
        return f"{close.code:d} ({CloseCode(close.code).name.lower().replace('_', ' ')})"
    except ValueError:
        return f"{close.code:d}"
