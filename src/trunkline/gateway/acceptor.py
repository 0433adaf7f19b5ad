"""The door: reads HTTP requests off a new socket, answers them, or hands the socket to a Connection."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, cast

import httptools

from trunkline import clock, limits
from trunkline.gateway.answers import Answer, too_large
from trunkline.gateway.authorizers import two_authorizations
from trunkline.gateway.connection import Connection
from trunkline.gateway.http import HttpResponse, encode
from trunkline.gateway.management import is_management
from trunkline.model.events import Handshake, Identity
from trunkline.wire.handshake import HandshakeError, check_upgrade, is_upgrade, parse_subprotocols
from trunkline.wire.requests import check_extensions, check_line, check_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trunkline.gateway.management import Later
    from trunkline.gateway.server import Gateway, Stage

__all__ = ["Acceptor", "HttpRequest"]

logger = logging.getLogger("trunkline.gateway")

_CONTENT_LENGTH = b"content-length"
_LATE_SWEEP = 1.25  # of the time between two


class HttpRequest:
    """One plain HTTP request; its path is raw, as it stood on the wire. `peer` is the address that it came from."""

    __slots__ = ("body", "headers", "method", "path", "peer", "query")

    def __init__(
        self, method: str, path: str, query: str, headers: list[tuple[str, str]], body: bytes = b"", peer: str = ""
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.peer = peer

    def header(self, name: str) -> str | None:
        """The last value of a header; None without it."""
        values = self.values(name)
        return values[-1] if values else None

    def values(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name]


class Acceptor(asyncio.BufferedProtocol):
    """The protocol of a socket until it is known what it is for.

    Args:
        gateway: whose buffer, stages and connections are used.
        answer: answers a plain HTTP request.
        upgrades: whether a WebSocket handshake is taken here.
    """

    __slots__ = (
        "_answer", "_answered", "_body", "_body_left", "_body_size", "_bytes", "_counted", "_gateway", "_head_bytes",
        "_headers", "_in_head", "_leaving", "_line", "_lingering", "_parser", "_paused", "_peer", "_refusal",
        "_requests", "_task", "_transport", "_upgrades", "_url", "_writable", "deadline",
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
        self._head_bytes = 0  # that came since the last head was whole
        self._in_head = True
        self._line: bytes | None = b""  # what came of a request's first line; None once it is whole
        self._body_left = 0  # of a body of known length
        self._body: list[bytes] = []
        self._body_size = 0
        self._counted = ""  # the key under which this socket is counted
        self._refusal: tuple[int, str] | None = None  # decided before its request came
        self._lingering = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._requests: list[tuple[HttpRequest, bool, Later | None]] = []
        self._answered = 0  # requests of one read, at once
        self._paused = False
        self._peer = ""
        self._task: asyncio.Task[None] | None = None
        self._leaving = False
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.deadline = gateway.loop.time() + limits.HANDSHAKE_SECONDS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = cast("asyncio.Transport", transport)
        self._gateway.doors.add(self)
        self._peer = _address(self._transport)
        if self._upgrades:
            self._enter(self._peer)

    def _enter(self, peer: str) -> None:
        gateway, rules = self._gateway, self._gateway.admission
        key = "" if rules.is_proxy(peer) else rules.enter(peer)
        self._counted = key or ""
        if rules.most is not None and len(gateway.doors) + len(gateway.alive) > rules.most:
            self._turn_away(503, "this server has as many connections as it takes; try again later")
        elif key is None:
            self._turn_away(429, "this address has as many connections as it may")

    def _turn_away(self, status: int, text: str) -> None:
        """It is told when its request has come; those that only hold a socket are not waited for."""
        self._refusal = (status, text)
        self.deadline = self._gateway.time() + limits.REFUSED_SECONDS
        if len(self._gateway.doors) > limits.REFUSED_SOCKETS:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It left."""
        self._gateway.doors.discard(self)
        self._gateway.admission.leave(self._counted)
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """It does not read: the next answer waits."""
        self._writable.clear()
        self.deadline = self._gateway.time() + limits.HANDSHAKE_SECONDS

    def resume_writing(self) -> None:
        """It reads again."""
        self._writable.set()

    def eof_received(self) -> bool:
        """It sends no more; answers under way are still written."""
        return self._task is not None

    def get_buffer(self, sizehint: int) -> memoryview:
        """See `Connection.get_buffer`."""
        return self._gateway.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Some of a request came."""
        if self._lingering or self._transport.is_closing():
            return
        data = bytes(self._gateway.buffer[:nbytes])
        self._head_bytes += nbytes
        self._answered = 0
        try:
            rest = self._feed(data)
            if rest is not None:
                self._upgrade(rest)
        except HandshakeError as error:
            self._refuse(error.status, error.message, dict(error.headers))
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            status, text = cause.args if isinstance(cause, _Refused) else (400, "the request is not valid HTTP/1.1")
            if status == 413 and self._upgrades and is_management(self._url.decode("latin-1")):
                self._send_last(too_large())
            else:
                self._refuse(status, text)
        except httptools.HttpParserError:
            self._refuse(400, "the request is not valid HTTP/1.1")
        else:
            # A header that does not end is not handed on, so it is not counted there.
            if self._in_head and self._head_bytes > limits.REQUEST_LINE_BYTES + limits.HEADER_BYTES:
                self._refuse(431, f"more than {limits.HEADER_BYTES} bytes of headers")

    def _feed(self, data: bytes) -> bytes | None:
        """Have it parsed; returns what stands behind a handshake, if it is one.

        The first line of each request is looked at here: what the parser takes for one, others may not. So the
        parser gets pieces, and a first line is at the beginning of a piece.
        """
        at = 0
        while at < len(data):
            piece = data[at : self._end_of_piece(data, at)]
            at += len(piece)
            at_line = self._line is not None
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                return piece[upgrade.args[0] :] + data[at:]
            if at_line:
                self._look_at_line(piece)
        return None

    def _end_of_piece(self, data: bytes, at: int) -> int:
        if self._body_left:
            size = min(self._body_left, len(data) - at)
            self._body_left -= size
            return at + size
        if self._line is not None or data.startswith((b"\n", b"\r\n"), at):
            return data.find(b"\n", at) + 1 or len(data)
        empty_line = data.find(b"\n\r\n", at)  # nothing but a body of known length ends with anything else
        return empty_line + 3 if empty_line >= 0 else len(data)

    def _look_at_line(self, piece: bytes) -> None:
        self._line = line = (self._line or b"") + piece
        if line == b"\r\n":
            self._line = b""  # before a first line, empty ones are skipped
        elif line.endswith(b"\n"):
            check_line(line)
            self._line = None

    def sweep(self, now: float) -> None:
        """Cut a client that has not sent a whole request in time, keeps an idle socket open, or does not read."""
        # A sweep early rather than late: the deadline is a promise, and the next sweep may be late.
        latest = now + self._gateway.sweep_seconds * _LATE_SWEEP
        if latest > self.deadline and (self._task is None or not self._writable.is_set()):
            self._transport.abort()

    def leave(self) -> None:
        """The gateway is closing: answer what was asked, and nothing more."""
        self._leaving = True
        if self._task is None:
            self._transport.abort()

    def abort(self) -> None:
        """The gateway is closed."""
        self._transport.abort()

    # httptools calls these.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._headers = []
        self._url = b""
        self._bytes = 0
        self._body = []
        self._body_size = 0
        self._in_head = True

    def on_headers_complete(self) -> None:
        """What follows is a body, or the WebSocket."""
        self._in_head = False
        self._head_bytes = 0
        if self._body_left > limits.MESSAGE_BYTES:
            raise _Refused(413, f"the body is longer than {limits.MESSAGE_BYTES} bytes")

    def on_url(self, url: bytes) -> None:
        """Some of its target came."""
        self._url += url
        if len(self._url) > limits.URL_BYTES:
            raise _Refused(414, f"the URL is longer than {limits.URL_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers."""
        self._bytes += len(name) + len(value) + 4
        if self._bytes > limits.HEADER_BYTES or len(self._headers) >= limits.HEADER_COUNT:
            raise _Refused(431, f"more than {limits.HEADER_COUNT} headers, or {limits.HEADER_BYTES} bytes of them")
        if not self._in_head:
            return  # behind a chunked body, it would pass for one that was checked before it
        if len(name) == len(_CONTENT_LENGTH) and name.lower() == _CONTENT_LENGTH:
            self._body_left = int(value)
        self._headers.append((name.decode("latin-1"), value.decode("latin-1").strip()))

    def on_body(self, body: bytes) -> None:
        """Some of its body came."""
        self._body_size += len(body)
        if self._body_size > limits.MESSAGE_BYTES:
            raise _Refused(413, f"the body is longer than {limits.MESSAGE_BYTES} bytes")
        self._body.append(body)

    def on_message_complete(self) -> None:
        """It is whole: answer it."""
        if self._line is not None:
            raise _Refused(400, "the request is not valid HTTP/1.1")  # no more than a first line
        self._line = b""
        if self._parser.should_upgrade():
            return  # HttpParserUpgrade follows
        if self._refusal is not None:
            raise _Refused(*self._refusal)
        request = self._request()
        try:
            check_request(self._url.decode("latin-1"), self._parser.get_http_version(), request.headers)
        except HandshakeError as error:
            raise _Refused(error.status, error.message) from None
        if not self._has_said_all():
            self._take(request, keep_alive=self._parser.should_keep_alive())

    def _take(self, request: HttpRequest, *, keep_alive: bool) -> None:
        later = None
        if self._may_answer_at_once(request):
            response = self._answer_at_once(request)
            if isinstance(response, HttpResponse):
                self._answered += 1
                self._reply(response, request, keep_alive=keep_alive)
                self.deadline = self._gateway.time() + limits.HANDSHAKE_SECONDS
                return
            later = response
        self._requests.append((request, keep_alive, later))
        if len(self._requests) > limits.WAITING_MESSAGES:
            raise _Refused(429, f"more than {limits.WAITING_MESSAGES} requests wait for their answers")
        if self._task is None:
            self._task = self._gateway.loop.create_task(self._respond())
            self._pause()

    def _may_answer_at_once(self, request: HttpRequest) -> bool:
        idle = self._task is None and self._writable.is_set() and self._answered < limits.WAITING_MESSAGES
        return idle and self._upgrades and is_management(request.path)

    def _answer_at_once(self, request: HttpRequest) -> HttpResponse | Later:
        try:
            return self._gateway.manage(request)
        except Exception as error:  # noqa: BLE001
            return _failed(request, error)

    def _request(self) -> HttpRequest:
        path, _, query = self._url.decode("latin-1").partition("?")
        method = self._parser.get_method().decode("ascii")
        return HttpRequest(method, path, query, self._headers, b"".join(self._body), self._peer)

    async def _respond(self) -> None:
        while self._requests:
            await self._writable.wait()
            if self._has_said_all():
                break
            request, keep_alive, later = self._requests.pop(0)
            try:
                response = await (self._answer(request) if later is None else later())
            except Exception as error:  # noqa: BLE001
                response = _failed(request, error)
            if self._has_said_all():
                break
            self._reply(response, request, keep_alive=keep_alive)
        self._resume()
        self._task = None
        if not self._lingering:
            self.deadline = self._gateway.time() + limits.HANDSHAKE_SECONDS

    def _reply(self, response: HttpResponse, request: HttpRequest, *, keep_alive: bool) -> None:
        response.close = response.close or not keep_alive or self._leaving
        self._transport.write(_encoded(response, head_only=request.method == "HEAD"))
        if response.close:
            self._transport.close()

    def _has_said_all(self) -> bool:
        return self._lingering or self._transport.is_closing()

    def _pause(self) -> None:
        """While an answer is awaited, no more than one read is kept."""
        self._paused = True
        self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _refuse(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        self._send_last(HttpResponse.text(status, text, headers))

    def _send_last(self, response: HttpResponse) -> None:
        response.close = True
        self._transport.write(_encoded(response))
        if not self._transport.can_write_eof():
            self._transport.close()
            return
        # What it still sends is read and thrown away, else the kernel answers with a reset, which may
        # overtake the answer.
        self._transport.write_eof()
        self._lingering = True
        self._resume()
        self.deadline = self._gateway.time() + limits.REFUSED_SECONDS

    # The handshake.

    def _upgrade(self, rest: bytes) -> None:
        request = self._request()
        stage = self._gateway.stage_of(request.path)
        if self._upgrades and _is_ambiguous(stage, request):
            self._send_last(two_authorizations())
            return
        key = self._check_handshake(request)
        if stage is None:
            self._send_last(HttpResponse.forbidden())
            return
        self._hand_over(stage, request, key, rest)

    def _check_handshake(self, request: HttpRequest) -> str:
        """Its key; raises HandshakeError."""
        if self._refusal is not None:
            raise HandshakeError(*self._refusal)
        version = self._parser.get_http_version()
        check_request(self._url.decode("latin-1"), version, request.headers)
        if not self._upgrades or not is_upgrade(request.headers):
            raise HandshakeError(400, "this server upgrades to websocket only")
        if request.header("transfer-encoding") is not None or request.header("content-length") not in {None, "0"}:
            raise HandshakeError(400, "a handshake has no body")
        key = check_upgrade(request.method, version, request.headers)
        parse_subprotocols(request.values("sec-websocket-protocol"))
        check_extensions(request.values("sec-websocket-extensions"))
        if not self._gateway.admission.allows_origin(request.header("origin"), request.header("host") or ""):
            raise HandshakeError(403, "pages of this origin may not connect; the setting `origin` lists others")
        self._find_source(request)
        return key

    def _find_source(self, request: HttpRequest) -> None:
        """Behind a proxy, the client is known, and counted, only now."""
        rules, peer = self._gateway.admission, self._peer
        if rules.is_proxy(peer):
            key = rules.enter(rules.source(peer, request.values("x-forwarded-for")))
            if key is None:
                raise HandshakeError(429, "this address has as many connections as it may")
            self._counted = key

    def _hand_over(self, stage: Stage, request: HttpRequest, key: str, rest: bytes) -> None:
        gateway = self._gateway
        gateway.doors.discard(self)
        host = request.header("host") or ""
        identity = Identity(
            connection_id=gateway.ids.new(),
            api_id=stage.api.api_id,
            stage=stage.api.stage,
            domain_name=host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host,
            source_ip=gateway.admission.source(self._peer, request.values("x-forwarded-for")),
            user_agent=request.header("user-agent"),
            connected_at=clock.now_ms(),
            stage_variables=stage.api.stage_variables or None,
        )
        connection = Connection(gateway, stage, identity, self._transport, self._counted)
        self._transport.set_protocol(connection)
        connection.start(Handshake(request.headers, request.query), key, rest)


class _Refused(Exception):  # noqa: N818
    """Status and text of a refusal."""


def _is_ambiguous(stage: Stage | None, request: HttpRequest) -> bool:
    """Whether an authorizer would have to choose between two tokens."""
    return stage is not None and stage.api.authorizer is not None and len(request.values("authorization")) > 1


def _address(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""


def _encoded(response: HttpResponse, *, head_only: bool = False) -> bytes:
    if isinstance(response, Answer):
        return response.encoded(head_only=head_only)
    return encode(response, head_only=head_only)


def _failed(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return HttpResponse.text(500, "internal server error")
