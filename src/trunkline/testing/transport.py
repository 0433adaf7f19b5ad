"""A socket without a network: what a test's client and the gateway's protocol talk over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

__all__ = ["MemoryTransport"]

_HIGH_WATER = 64 * 1024


class MemoryTransport(asyncio.Transport):
    """The server's end. Bytes arrive through the protocol's buffer, as they do from a socket.

    Args:
        protocol: the server's.
        deliver: takes what the server writes.
        ended: is called once, when the server's end is gone.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: asyncio.BufferedProtocol,
        deliver: Callable[[bytes], None],
        ended: Callable[[], None],
        source_ip: str = "127.0.0.1",
    ) -> None:
        super().__init__({"peername": (source_ip, 50000), "sockname": ("127.0.0.1", 8000)})
        self._loop = loop
        self._protocol = protocol
        self._deliver = deliver
        self._ended = ended
        self._inbound = bytearray()
        self._outbound = bytearray()  # what a client that does not read has not taken
        self._scheduled = False
        self._reading = True
        self._taking = True
        self._closing = False
        self._lost = False
        self._full = False
        protocol.connection_made(self)

    # The client's side.

    def arrive(self, data: bytes) -> None:
        """The client sent bytes."""
        if not self._closing:
            self._inbound += data
            self._schedule()

    def client_reads(self, taking: bool) -> None:
        """The client begins or ceases to read."""
        self._taking = taking
        if taking and self._outbound:
            data, self._outbound = bytes(self._outbound), bytearray()
            self._deliver(data)
            if self._full:
                self._full = False
                self._protocol.resume_writing()
            if self._closing and not self._outbound:
                self._lose(None)

    def client_leaves(self, error: Exception | None = None) -> None:
        """The client closed its socket, or it broke."""
        if self._closing:
            return
        if error is None and self._protocol.eof_received():
            return
        self._closing = True
        self._loop.call_soon(self._lose, error)

    # asyncio's side.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See `asyncio.WriteTransport.write`."""
        if self._lost:
            return
        if self._taking:
            self._deliver(bytes(data))
            return
        self._outbound += data
        if len(self._outbound) > _HIGH_WATER and not self._full:
            self._full = True
            self._protocol.pause_writing()

    def close(self) -> None:
        """Close behind what is written."""
        if not self._closing:
            self._closing = True
            if not self._outbound:
                self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """Close at once."""
        if not self._lost:
            self._closing = True
            self._outbound.clear()
            self._loop.call_soon(self._lose, None)

    def is_closing(self) -> bool:
        """Whether it is closing or gone."""
        return self._closing

    def can_write_eof(self) -> bool:
        """A socket can."""
        return True

    def write_eof(self) -> None:
        """The server sends no more."""

    def pause_reading(self) -> None:
        """Keep what arrives."""
        self._reading = False

    def resume_reading(self) -> None:
        """Hand on what arrived."""
        self._reading = True
        self._schedule()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Who gets what arrives."""
        self._protocol = cast("asyncio.BufferedProtocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who gets what arrives."""
        return self._protocol

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has not taken."""
        return len(self._outbound)

    def _schedule(self) -> None:
        if not self._scheduled and self._inbound:
            self._scheduled = True
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        self._scheduled = False
        if not self._reading or self._closing or not self._inbound:
            return
        buffer: Any = self._protocol.get_buffer(-1)
        size = min(len(buffer), len(self._inbound))
        buffer[:size] = self._inbound[:size]
        del self._inbound[:size]
        self._protocol.buffer_updated(size)
        self._schedule()

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._protocol.connection_lost(error)
            self._ended()
