"""`trunkline connect`: a client to try a socket with, by hand or in a pipe."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.client.address import Call, parse_header, parse_subprotocol, parse_url
from trunkline.errors import ConfigurationError

if TYPE_CHECKING:
    from trunkline.cli.client.conversation import Source
    from trunkline.cli.client.screen import Screen

__all__ = ["connect"]

_ANYTHING_ELSE = 3


def connect(
    url: Annotated[
        str,
        typer.Argument(metavar="URL", help="ws://... or wss://..., or in short HOST:PORT/NAME, :PORT/NAME or /NAME."),
    ],
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME:VALUE", help="Send a header with the handshake; may be repeated.")
    ] = None,
    subprotocol: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Offer a subprotocol, the best first; may be repeated.")
    ] = None,
    binary: Annotated[bool, typer.Option("--binary", help="Send lines as binary messages.")] = False,
    wait: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="How long to listen after the end of a pipe, from the last message on; default 2.",
            show_default=False,
        ),
    ] = 2,
) -> None:
    """Talk to a socket: what you type is sent, what comes is shown."""
    call = Call(
        parse_url(url),
        tuple(map(parse_header, header or ())),
        tuple(map(parse_subprotocol, subprotocol or ())),
        binary,
        wait,
    )
    raise typer.Exit(_Line(call).run())


class _Line:
    """One call, from dialling to the exit code."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._open = False
        self._signal = signal.SIGINT

    def run(self) -> int:
        from trunkline.cli.client.opening import Failed

        _open_streams()
        signal.signal(signal.SIGTERM, self._terminated)
        self._source, self._screen = _ends(self._call)
        try:
            with asyncio.Runner() as runner:
                return runner.run(self._talk())
        except Failed as failed:
            self._screen.note(str(failed) if failed.body is not None else f"trunkline: {failed}", style="red")
            self._screen.body(failed.body or b"")
            return failed.code
        except KeyboardInterrupt:
            return 0 if self._open else 128 + self._signal
        except ConfigurationError:
            raise
        except OSError as error:
            self._screen.note(f"trunkline: what came cannot be written: {error.strerror}", style="red")
            return _ANYTHING_ELSE
        except Exception as error:  # noqa: BLE001
            # A person who tries a socket has no use for a traceback of ours.
            self._screen.note(f"trunkline: {type(error).__name__}: {error}", style="red")
            return _ANYTHING_ELSE

    async def _talk(self) -> int:
        from trunkline.cli.client.conversation import Conversation
        from trunkline.cli.client.opening import open_connection

        connection = await open_connection(self._call)
        self._open = True
        chosen = f", subprotocol {connection.subprotocol}" if connection.subprotocol else ""
        self._screen.note(f"connected to {self._call.url}{chosen}", style="green", hint=self._screen.hint)
        return await Conversation(connection, self._source, self._screen).hold()

    def _terminated(self, number: int, _: FrameType | None) -> None:
        self._signal = signal.Signals(number)
        signal.raise_signal(signal.SIGINT)


def _open_streams() -> None:
    """Where a shell closed one of them: nothing is read there, and what is written vanishes."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115


def _ends(call: Call) -> tuple[Source, Screen]:
    """What is read and what is written to: the same, if a person sits before it."""
    from prompt_toolkit.utils import is_dumb_terminal

    if sys.stdin.isatty() and (sys.stdout.isatty() or sys.stderr.isatty()) and not is_dumb_terminal():
        from trunkline.cli.client.terminal import Terminal

        terminal = Terminal(binary=call.binary)
        return terminal, terminal
    from trunkline.cli.client.piped import Piped
    from trunkline.cli.client.screen import Screen

    return Piped(sys.stdin.fileno(), binary=call.binary, patience=call.wait), Screen()
