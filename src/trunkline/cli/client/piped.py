"""Lines of standard input, when it is no terminal or one that cannot be drawn on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator

from trunkline.cli.client.messages import MESSAGE_BYTES
from trunkline.errors import ConfigurationError

__all__ = ["Piped"]

_READ_BYTES = 64 * 1024
_READS_AHEAD = 2


class Piped:
    """Each line is a message, without its line end.

    Args:
        descriptor: of what is read.
        binary: lines are bytes, and need not be UTF-8.
        patience: seconds to listen for after the last.
    """

    def __init__(self, descriptor: int, *, binary: bool, patience: float) -> None:
        self.patience = patience
        self._descriptor = descriptor
        self._binary = binary

    async def lines(self) -> AsyncIterator[str | bytes]:
        """Until the end of the input.

        Raises:
            ConfigurationError: a line is no UTF-8, or too long.
        """
        number = 0
        async for line in _lines(_reads(self._descriptor)):
            number += 1
            yield line if self._binary else _decoded(line, number)


def _decoded(line: bytes, number: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"line {number} of standard input is not UTF-8; --binary sends lines as they are"
        ) from None


async def _lines(reads: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = bytearray()
    async for data in reads:
        rest += data
        if b"\n" in data:
            *whole, last = rest.split(b"\n")
            rest = last
            for line in whole:
                yield bytes(line.removesuffix(b"\r"))
        if len(rest) > MESSAGE_BYTES:
            raise ConfigurationError(f"a line of standard input has over {MESSAGE_BYTES:,} bytes; expected messages")
    if rest:
        yield bytes(rest.removesuffix(b"\r"))


async def _reads(descriptor: int) -> AsyncIterator[bytes]:
    """What a thread reads: the input may be a file, which no event loop can wait for.

    It reads the descriptor itself and is a daemon, so it may sleep in there when the process ends.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    room = threading.Semaphore(_READS_AHEAD)

    def read() -> None:
        data = b"begin"
        while data:
            room.acquire()
            try:
                data = os.read(descriptor, _READ_BYTES)
            except OSError:
                data = b""
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(queue.put_nowait, data)

    threading.Thread(target=read, daemon=True).start()
    while data := await queue.get():
        room.release()
        yield data
