"""The sending half of a connection: a bounded queue in front of its socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from trunkline import limits
from trunkline.wire.frames import OP_PONG, encode_frame

if TYPE_CHECKING:
    from trunkline.gateway.server import Gateway

__all__ = ["Output"]

_WRITE_BYTES = limits.WRITE_BYTES  # looked up for each frame


class Output(asyncio.BufferedProtocol):
    """What one loop turn puts here is one write; what a slow reader does not take waits here."""

    __slots__ = (
        "_first", "_full_since", "_gateway", "_more", "_out_bytes", "_pong", "_transport", "_writable",
        "_writing_paused",
    )  # fmt: skip

    def __init__(self, gateway: Gateway, transport: asyncio.Transport) -> None:
        self._gateway = gateway
        self._transport = transport
        self._writing_paused = False
        self._writable: asyncio.Future[None] | None = None
        # Most often one frame waits, of one connection among thousands: a list would be memory to fetch and to make.
        self._first = b""
        self._more: list[bytes] | None = None
        self._out_bytes = 0
        self._pong: bytes | None = None
        self._full_since = 0.0

    def pause_writing(self) -> None:
        """The socket takes no more: what is sent waits here."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """The socket takes again."""
        self._writing_paused = False
        self._full_since = 0.0
        while self._first and not self._writing_paused:
            self.flush()
        if self._writing_paused:
            return
        if self._pong is not None:
            self._transport.write(encode_frame(OP_PONG, self._pong))
            self._pong = None
        self._release_writer()

    def flush(self) -> bool:
        """Hand what is queued to the transport, as one write; of a long queue, as much as one write takes.

        False if there was nothing to write, or the socket takes nothing.
        """
        data = self._first
        if not data or self._writing_paused:
            return False
        if self._more is not None:
            data = self._take_one_write(data, self._more)
        else:
            self._first = b""
            self._out_bytes = 0
        self._transport.write(data)
        return True

    def _take_one_write(self, first: bytes, more: list[bytes]) -> bytes:
        size, count = len(first), 0
        most = self._out_bytes if self._out_bytes <= 2 * limits.WRITE_BYTES else limits.WRITE_BYTES
        while size < most and count < len(more):
            size += len(more[count])
            count += 1
        data = b"".join([first, *more[:count]])
        self._out_bytes -= size
        self._first, self._more = (more[count], more[count + 1 :] or None) if count < len(more) else (b"", None)
        return data

    def _put(self, frame: bytes) -> None:
        """Queue a frame."""
        if not self._first:
            self._gateway.touch(self)
            self._first = frame
        elif self._more is None:
            self._more = [frame]
        else:
            self._more.append(frame)
        self._out_bytes += len(frame)
        if self._out_bytes > _WRITE_BYTES:
            self.flush()

    def _put_pong(self, payload: bytes) -> None:
        if self._writing_paused:
            self._pong = payload  # RFC 6455 section 5.5.3: only the latest ping needs an answer
        else:
            self._put(encode_frame(OP_PONG, payload))

    def _drop_output(self) -> None:
        """The socket is gone, and whoever waits for it goes on."""
        self._first, self._more = b"", None
        self._out_bytes = 0
        self._writing_paused = False
        self._release_writer()

    async def _until_writable(self) -> None:
        while self._writing_paused:
            if self._writable is None:
                self._writable = self._gateway.loop.create_future()
            await asyncio.shield(self._writable)  # others wait for it too

    def _release_writer(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
