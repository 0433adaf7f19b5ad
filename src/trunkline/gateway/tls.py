"""TLS at the port of plain connections: the first byte of a socket says which it is."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, cast

from trunkline import limits
from trunkline.gateway.acceptor import Acceptor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trunkline.gateway.http import HttpResponse
    from trunkline.gateway.request_reader import HttpRequest
    from trunkline.gateway.server import Gateway

__all__ = ["TlsAcceptor"]

_HANDSHAKE = 0x16  # RFC 8446 section 5.1: the content type of a ClientHello; no method of HTTP begins with it


class TlsAcceptor(Acceptor):
    """A door that takes TLS too.

    Args:
        gateway, answer: see `Acceptor`.
        context: the server's.
    """

    __slots__ = ("_context", "_securing")

    def __init__(
        self, gateway: Gateway, answer: Callable[[HttpRequest], Awaitable[HttpResponse]], context: ssl.SSLContext
    ) -> None:
        super().__init__(gateway, answer)
        self._context: ssl.SSLContext | None = context  # until the first byte has come
        self._securing: asyncio.Task[None] | None = None

    def buffer_updated(self, nbytes: int) -> None:
        """Some of a request came, or the beginning of TLS."""
        context, self._context = self._context, None
        if context is None or self._gateway.buffer[0] != _HANDSHAKE:
            super().buffer_updated(nbytes)
            return
        self._transport.pause_reading()
        hello = self._gateway.buffer[:nbytes].tobytes()
        self._securing = self._gateway.loop.create_task(self._secure(context, hello))

    def connection_lost(self, exc: Exception | None) -> None:
        """It left; a handshake that fails may say so twice."""
        super().connection_lost(exc)
        self._counted = ""

    async def _secure(self, context: ssl.SSLContext, hello: bytes) -> None:
        """Put TLS on the socket. How long that may take is the door's deadline, which the sweep keeps."""
        plain, loop, inside = self._transport, self._gateway.loop, _Inside(self, self._gateway.buffer)
        if plain.is_closing():
            return
        loop.call_soon(_feed, plain, hello)  # comes when `start_tls` has made its protocol the socket's
        secured: asyncio.Transport | None = None
        with contextlib.suppress(OSError):  # those of `ssl` are too: it broke off, or speaks something else
            secured = await loop.start_tls(
                plain,
                inside,
                context,
                server_side=True,
                ssl_handshake_timeout=limits.HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=limits.CLOSE_SECONDS,
            )
        if secured is None or plain.is_closing():
            plain.abort()
            self.connection_lost(None)
            return
        self._transport = secured
        secured.set_protocol(self)
        if inside.kept:
            _feed(secured, inside.kept)


class _Inside(asyncio.BufferedProtocol):
    """Stands for the door inside TLS until it is complete: a request may come with the handshake's last bytes."""

    def __init__(self, door: TlsAcceptor, buffer: memoryview) -> None:
        self._door = door
        self._buffer = buffer
        self.kept = b""  # of one read at most

    def get_buffer(self, sizehint: int) -> memoryview:
        """The gateway's."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Some of a request came."""
        self.kept += self._buffer[:nbytes].tobytes()

    def connection_lost(self, exc: Exception | None) -> None:
        """It left."""
        self._door.connection_lost(exc)


def _feed(transport: asyncio.Transport, data: bytes) -> None:
    """As if the transport had just read it."""
    protocol = cast("asyncio.BufferedProtocol", transport.get_protocol())
    cast("memoryview", protocol.get_buffer(len(data)))[: len(data)] = data
    protocol.buffer_updated(len(data))
