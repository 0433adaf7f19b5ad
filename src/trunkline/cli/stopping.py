"""How a node is told to stop: SIGTERM in order, SIGINT or a second signal at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from trunkline import limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from trunkline.gateway.server import Gateway

__all__ = ["RELOADING", "Interrupted", "Stop", "ignore_signals"]

RELOADING = "TRUNKLINE_RELOADING"  # set by `--reload` for the node that it runs
_AT_ONCE_SECONDS = 0.8  # and the flush: within one second
_FUNCTIONS_SECONDS = 2.0  # one that begins only now, to hear of the end of a connection, takes a second to begin
_SHARE_OF_CLIENTS = 0.9  # of the time to drain; the rest is for the ends of lifespans
_CUT_SECONDS = 0.4  # after this, clients that do not answer a close are not waited for
_FLUSH_SECONDS = 0.15
_OF_PROGRAMS = "; handlers and lifespans that had not ended were cut off"


class Interrupted(KeyboardInterrupt):
    """A signal came before the door was open; its number is the argument."""


class Stop:
    """Listens to SIGINT and SIGTERM from now on.

    While a program is loaded and its lifespans begin, a signal raises `Interrupted` there. Once the door is
    open, SIGTERM ends `wait`, and what follows has the seconds that are given; SIGINT, or any second signal,
    leaves it less than one, or a first SIGINT two where there are functions. SIGHUP, which only `--reload` sends, is
    as SIGINT and closes with 1012.

    Attributes:
        code, reason: to close clients with.
    """

    def __init__(self, seconds: float) -> None:
        self.code, self.reason = limits.CLOSE_GOING_AWAY, limits.REASON_GOING_AWAY
        self._seconds = seconds
        self._gateway: Gateway | None = None
        self._running: Callable[[], list[str]] | None = None
        self._asked = asyncio.Event()
        self._hurry = asyncio.Event()
        self._terms = 0
        if RELOADING in os.environ:
            signal.signal(signal.SIGHUP, self._signalled)
        # Not the loop's own signal handlers: those have to wait for code that never gives the loop its turn.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._signalled)

    def opened(self, gateway: Gateway, running: Callable[[], list[str]] | None = None) -> None:
        """The door is open: from now on there are clients to take leave of.

        Args:
            running: the names of functions that are at work, where a template is served.
        """
        self._loop = asyncio.get_running_loop()
        self._running = running
        self._gateway = gateway

    async def wait(self) -> None:
        """Until a signal comes, or one has come."""
        await self._asked.wait()

    async def leave(self, grace: float, drain: float) -> None:
        """Take leave of the clients: for `grace` seconds others still come in, then all are closed within `drain`."""
        assert self._gateway is not None
        if sys.stdout.isatty():
            print(flush=True)  # the prompt that comes back does not stand behind the terminal's own ^C
        self._gateway.draining = True
        await self.grace(grace)
        await self._gateway.close(code=self.code, reason=self.reason, seconds=drain * _SHARE_OF_CLIENTS)

    async def grace(self, seconds: float) -> None:
        """So long, or until somebody insists."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), seconds)

    def _signalled(self, number: int, _: FrameType | None) -> None:
        if self._gateway is None:
            raise Interrupted(number)
        at_once = number != signal.SIGTERM or self._terms > 0
        self._terms += 1
        if number not in {signal.SIGINT, signal.SIGTERM}:
            self.code, self.reason = limits.CLOSE_RESTART, limits.REASON_RESTART
        _after(self._left(insisted=self._terms > 1) if at_once else self._seconds, self._cut_off)
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._begin, at_once)

    def _left(self, *, insisted: bool) -> float:
        return _AT_ONCE_SECONDS if insisted or self._running is None else _FUNCTIONS_SECONDS

    def _begin(self, at_once: bool) -> None:
        self._asked.set()
        if at_once:
            assert self._gateway is not None
            self._gateway.hurried = True
            self._hurry.set()
            self._loop.call_later(_CUT_SECONDS, self._cut_handshakes)

    def _cut_handshakes(self) -> None:
        assert self._gateway is not None
        for connection in list(self._gateway.alive):
            connection.sweep(self._loop.time() + limits.CLOSE_SECONDS)

    def _cut_off(self) -> None:
        # Documents that were acknowledged are durable; nothing else of ours needs an end in order.
        what = _OF_PROGRAMS if self._running is None else _of_functions(self._running())
        with contextlib.suppress(OSError):
            os.write(sys.stderr.fileno(), f"trunkline: stopped at once{what}\n".encode())
        flushing = threading.Thread(target=sys.stdout.flush, daemon=True)  # whoever reads it may have stopped
        flushing.start()
        flushing.join(_FLUSH_SECONDS)
        os._exit(0)


def _of_functions(names: list[str]) -> str:
    return f"; {', '.join(names)} {'was' if len(names) == 1 else 'were'} cut off" if names else ""


def ignore_signals() -> None:
    """All is done, in order: whoever still insists must not change the exit code while the interpreter ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _after(seconds: float, do: object) -> None:
    timer = threading.Timer(seconds, do)  # type: ignore[arg-type]
    timer.daemon = True
    timer.start()
