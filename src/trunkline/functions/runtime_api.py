"""Lambda's Runtime API for one worker: it asks for the next event, and says what came of it.

Each worker has a listener of its own, so nobody has to say who he is, and the end of a connection is the end of its
worker.
"""

from __future__ import annotations

import asyncio
import json
import select
from collections.abc import Mapping
from typing import Protocol, cast

import httptools

__all__ = ["Listener", "RuntimeConnection"]

_PREFIX = "/2018-06-01/runtime/"
_ACCEPTED = b'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"OK"}'
_UNKNOWN = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_MOST_BYTES = 6_291_556  # of an answer, as Lambda says it in its error


class Listener(Protocol):
    """What is told of a worker's calls."""

    def asked(self, connection: RuntimeConnection) -> None:
        """It waits for an event."""

    def answered(self, request_id: str, payload: bytes, *, failed: bool) -> None:
        """It has handled one."""

    def failed_to_start(self, payload: bytes) -> None:
        """It could not even begin."""

    def hung_up(self, connection: RuntimeConnection) -> None:
        """A connection of it has ended."""


class RuntimeConnection(asyncio.Protocol):
    """One connection of a worker.

    Args:
        listener: who is told.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._parser = httptools.HttpRequestParser(self)
        self._transport = cast("asyncio.Transport", None)
        self._hang_up: select.poll | None = None
        self._url = b""
        self._body: list[bytes] = []
        self._size = 0
        self._failed = False

    @property
    def is_alive(self) -> bool:
        """Whether the worker is still at its other end, as far as the system knows."""
        # Who waits for an event sends nothing.
        return self._hang_up is not None and not self._transport.is_closing() and not self._hang_up.poll(0)

    def give(self, headers: Mapping[str, str], payload: bytes) -> None:
        """Hand it the event that it waits for."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{lines}Content-Length: {len(payload)}\r\n\r\n"
        self._transport.write(head.encode() + payload)

    # asyncio's.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A worker came."""
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            self._hang_up = select.poll()
            self._hang_up.register(sock.fileno(), select.POLLIN | getattr(select, "POLLRDHUP", 0))

    def data_received(self, data: bytes) -> None:
        """Some of a call came."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It left."""
        self._listener.hung_up(self)

    # httptools'.

    def on_message_begin(self) -> None:
        """A call begins."""
        self._url, self._body, self._size, self._failed = b"", [], 0, False

    def on_url(self, url: bytes) -> None:
        """Some of its path came."""
        self._url += url

    def on_body(self, body: bytes) -> None:
        """Some of its body came."""
        self._size += len(body)
        if self._size <= _MOST_BYTES:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """It is whole."""
        path = self._url.decode("latin-1").removeprefix(_PREFIX)
        if path == "invocation/next":
            self._listener.asked(self)
        elif self._size > _MOST_BYTES:
            self._say_too_large()
            self._told(path)
            self._transport.write(_ACCEPTED)  # a runtime client that is refused would end
        else:
            self._transport.write(_ACCEPTED if self._told(path) else _UNKNOWN)

    def _say_too_large(self) -> None:
        message = f"Response payload size exceeded maximum allowed payload size ({_MOST_BYTES} bytes)."
        error = {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message}
        self._body, self._failed = [json.dumps(error, separators=(",", ":")).encode()], True

    def _told(self, path: str) -> bool:
        payload = b"".join(self._body)
        if path == "init/error":
            self._listener.failed_to_start(payload)
            return True
        kind, _, rest = path.partition("/")
        request_id, _, what = rest.partition("/")
        if kind != "invocation" or what not in {"response", "error"}:
            return False
        self._listener.answered(request_id, payload, failed=self._failed or what == "error")
        return True
