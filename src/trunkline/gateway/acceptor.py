"""The door: reads HTTP requests off a new socket, answers them, or hands the socket to a Connection."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, cast

import httptools

from trunkline import clock, limits
from trunkline.gateway.connection import Connection
from trunkline.gateway.http import HttpResponse, encode
from trunkline.model.events import Handshake, Identity
from trunkline.wire.handshake import HandshakeError, check_upgrade, is_upgrade, parse_subprotocols

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trunkline.gateway.server import Gateway, Stage

__all__ = ["Acceptor", "HttpRequest"]

logger = logging.getLogger("trunkline.gateway")


class HttpRequest:
    """One plain HTTP request; its path is raw, as it stood on the wire."""

    __slots__ = ("headers", "method", "path", "query")

    def __init__(self, method: str, path: str, query: str, headers: list[tuple[str, str]]) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers

    def header(self, name: str) -> str | None:
        """The last value of a header; None without it."""
        values = [value for key, value in self.headers if key.lower() == name]
        return values[-1] if values else None


class Acceptor(asyncio.BufferedProtocol):
    """The protocol of a socket until it is known what it is for.

    Args:
        gateway: whose buffer, stages and connections are used.
        answer: answers a plain HTTP request.
        upgrades: whether a WebSocket handshake is taken here.
    """

    __slots__ = (
        "_answer", "_bytes", "_gateway", "_headers", "_parser", "_requests", "_task", "_transport", "_upgrades",
        "_url", "deadline",
    )  # fmt: skip

    def __init__(
        self,
        gateway: Gateway,
        answer: Callable[[HttpRequest], Awaitable[HttpResponse]],
        *,
        upgrades: bool = True,
    ) -> None:
        self._gateway = gateway
        self._answer = answer
        self._upgrades = upgrades
        self._parser = httptools.HttpRequestParser(self)
        self._headers: list[tuple[str, str]] = []
        self._url = b""
        self._bytes = 0
        self._requests: list[tuple[HttpRequest, bool]] = []
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.deadline = gateway.loop.time() + limits.HANDSHAKE_SECONDS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = cast("asyncio.Transport", transport)
        self._gateway.doors.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It left."""
        self._gateway.doors.discard(self)
        if self._task is not None:
            self._task.cancel()

    def eof_received(self) -> bool:
        """It sends no more; answers under way are still written."""
        return self._task is not None

    def get_buffer(self, sizehint: int) -> memoryview:
        """See `Connection.get_buffer`."""
        return self._gateway.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Some of a request came."""
        data = bytes(self._gateway.buffer[:nbytes])
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            status, text = cause.args if isinstance(cause, _TooLarge) else (400, "the request is not valid HTTP/1.1")
            self._refuse(status, text)
        except httptools.HttpParserError:
            self._refuse(400, "the request is not valid HTTP/1.1")

    def sweep(self, now: float) -> None:
        """Cut a client that has not sent a whole request in time, or keeps an idle socket open."""
        if now >= self.deadline and self._task is None:
            self._transport.abort()

    def abort(self) -> None:
        """The gateway is closing."""
        self._transport.abort()

    # httptools calls these.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._headers = []
        self._url = b""
        self._bytes = 0

    def on_url(self, url: bytes) -> None:
        """Some of its target came."""
        self._url += url
        if len(self._url) > limits.URL_BYTES:
            raise _TooLarge(414, f"the URL is longer than {limits.URL_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers."""
        self._bytes += len(name) + len(value) + 4
        if self._bytes > limits.HEADER_BYTES or len(self._headers) >= limits.HEADER_COUNT:
            raise _TooLarge(431, f"more than {limits.HEADER_COUNT} headers, or {limits.HEADER_BYTES} bytes of them")
        self._headers.append((name.decode("latin-1"), value.decode("latin-1").strip()))

    def on_body(self, body: bytes) -> None:
        """Some of its body came: nothing here reads one."""
        self._bytes += len(body)
        if self._bytes > limits.MESSAGE_BYTES + limits.HEADER_BYTES:
            raise _TooLarge(413, f"the body is longer than {limits.MESSAGE_BYTES} bytes")

    def on_message_complete(self) -> None:
        """It is whole: answer it."""
        if self._parser.should_upgrade():
            return  # HttpParserUpgrade follows
        self._requests.append((self._request(), self._parser.should_keep_alive()))
        if len(self._requests) > limits.WAITING_MESSAGES:
            raise _TooLarge(429, f"more than {limits.WAITING_MESSAGES} requests wait for their answers")
        if self._task is None:
            self._task = self._gateway.loop.create_task(self._respond())

    def _request(self) -> HttpRequest:
        path, _, query = self._url.decode("latin-1").partition("?")
        return HttpRequest(self._parser.get_method().decode("ascii"), path, query, self._headers)

    async def _respond(self) -> None:
        while self._requests and not self._transport.is_closing():
            request, keep_alive = self._requests.pop(0)
            try:
                response = await self._answer(request)
            except Exception:
                logger.exception("%s %s failed", request.method, request.path)
                response = HttpResponse.text(500, "internal server error")
            response.close = response.close or not keep_alive
            self._transport.write(encode(response, head_only=request.method == "HEAD"))
            if response.close:
                self._transport.close()
        self._task = None
        self.deadline = self._gateway.loop.time() + limits.HANDSHAKE_SECONDS

    def _refuse(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        response = HttpResponse.text(status, text, headers)
        response.close = True
        self._transport.write(encode(response))
        self._transport.close()

    # The handshake.

    def _upgrade(self, rest: bytes) -> None:
        request = self._request()
        if not self._upgrades or not is_upgrade(request.headers):
            self._refuse(400, "this server upgrades to websocket only")
            return
        stage = self._gateway.stage_of(request.path)
        if stage is None:
            response = HttpResponse.forbidden()
            response.close = True
            self._transport.write(encode(response))
            self._transport.close()
            return
        try:
            key = check_upgrade(request.method, self._parser.get_http_version(), request.headers)
            parse_subprotocols([v for n, v in request.headers if n.lower() == "sec-websocket-protocol"])
        except HandshakeError as error:
            self._refuse(error.status, error.message, dict(error.headers))
            return
        self._hand_over(stage, request, key, rest)

    def _hand_over(self, stage: Stage, request: HttpRequest, key: str, rest: bytes) -> None:
        gateway = self._gateway
        gateway.doors.discard(self)
        host = request.header("host") or ""
        identity = Identity(
            connection_id=gateway.ids.new(),
            api_id=stage.api.api_id,
            stage=stage.api.stage,
            domain_name=host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host,
            source_ip=_address(self._transport),
            user_agent=request.header("user-agent"),
            connected_at=clock.now_ms(),
        )
        connection = Connection(gateway, stage, identity, self._transport)
        self._transport.set_protocol(connection)
        connection.start(Handshake(request.headers, request.query), key, rest)


class _TooLarge(Exception):  # noqa: N818
    """Status and text of a refusal."""


def _address(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""
