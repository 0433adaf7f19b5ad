"""The door: answers the HTTP requests of a new socket in their order, or hands the socket to a Connection."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, cast

from trunkline import clock, limits
from trunkline.gateway.answers import Answer, too_large
from trunkline.gateway.authorizers import two_authorizations
from trunkline.gateway.connection import Connection
from trunkline.gateway.http import FileResponse, HttpResponse, encode
from trunkline.gateway.invocations import is_invocation, payload_too_large
from trunkline.gateway.management import is_management
from trunkline.gateway.request_reader import GoOn, HttpRequest, Item, Refusal, RequestReader, Upgrade
from trunkline.gateway.throttling import too_many
from trunkline.model.addresses import is_loopback
from trunkline.model.events import Handshake, Identity
from trunkline.wire.handshake import HandshakeError, check_upgrade, is_upgrade, parse_subprotocols
from trunkline.wire.requests import check_extensions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trunkline.gateway.management import Later
    from trunkline.gateway.server import Gateway
    from trunkline.gateway.stages import Stage

__all__ = ["Acceptor"]

logger = logging.getLogger("trunkline.gateway")

_GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
_LATE_SWEEP = 1.25  # of the time between two


class Acceptor(asyncio.BufferedProtocol):
    """The protocol of a socket until it is known what it is for.

    Args:
        gateway: whose buffer, stages and connections are used.
        answer: answers a plain HTTP request.
        upgrades: whether a WebSocket handshake is taken here.
    """

    __slots__ = (
        "_answer", "_answered", "_counted", "_gateway", "_leaving", "_lingering", "_paused", "_peer", "_reader",
        "_refusal", "_silent", "_task", "_transport", "_upgrades", "_waiting", "_writable", "deadline",
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
        self._counted = ""  # the key under which this socket is counted
        self._refusal: Refusal | None = None  # decided before its request came
        self._lingering = False
        self._silent = False  # it has said that it sends no more
        self._writable = asyncio.Event()
        self._writable.set()
        self._waiting: deque[Item] = deque()
        self._answered = 0  # items of one read, at once
        self._paused = False
        self._task: asyncio.Task[None] | None = None
        self._leaving = False
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._peer = ""
        self._reader = cast("RequestReader", None)
        self.deadline = gateway.loop.time() + limits.HANDSHAKE_SECONDS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = cast("asyncio.Transport", transport)
        self._gateway.doors.add(self)
        self._peer = _address(self._transport)
        self._reader = RequestReader(self._peer, self._most_of)
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
        self._refusal = Refusal(status, text)
        self.deadline = self._gateway.time() + limits.REFUSED_SECONDS
        if len(self._gateway.doors) > limits.REFUSED_SOCKETS:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It left."""
        self._gateway.doors.discard(self)
        self._gateway.admission.leave(self._counted)
        if self._task is not None:
            self._task.cancel()

    def _most_of(self, target: bytes) -> int:
        """How long a body may be. Functions, which are of this machine, may hand each other more than a message."""
        gateway = self._gateway
        if gateway.invocations is None or not self._upgrades or not is_invocation(target.decode("latin-1")):
            return limits.MESSAGE_BYTES
        rules = gateway.admission
        of_here = rules.loopback and is_loopback(self._peer) and not rules.is_proxy(self._peer)
        return limits.INVOKE_BYTES if of_here else limits.MESSAGE_BYTES

    def pause_writing(self) -> None:
        """It does not read: the next answer waits."""
        self._writable.clear()
        self.deadline = self._gateway.time() + limits.STALLED_SECONDS

    def resume_writing(self) -> None:
        """It reads again."""
        self._writable.set()
        self.deadline = self._gateway.time() + limits.HANDSHAKE_SECONDS

    def eof_received(self) -> bool:
        """It sends no more; answers under way are still written."""
        self._silent = True
        return self._task is not None

    def get_buffer(self, sizehint: int) -> memoryview:
        """See `Connection.get_buffer`."""
        return self._gateway.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Some of a request came."""
        if self._has_said_all():
            return
        self._answered = 0
        for item in self._reader.feed(self._gateway.buffer[:nbytes].tobytes()):
            self._take(item)

    def sweep(self, now: float) -> None:
        """Cut a client that has not sent a whole request in time, keeps an idle socket open, or does not read."""
        # A sweep early rather than late: the deadline is a promise, and the next sweep may be late.
        latest = now + self._gateway.sweep_seconds * _LATE_SWEEP
        if latest > self.deadline and (self._task is None or not self._writable.is_set()):
            self._transport.abort()

    @property
    def is_busy(self) -> bool:
        """Whether an answer is under way."""
        return self._task is not None

    def leave(self) -> None:
        """The gateway is closing: answer what was asked, and nothing more. Who asks whether it does may go on."""
        if not self._upgrades:
            return
        self._leaving = True
        if self._task is None:
            self._transport.abort()

    def abort(self) -> None:
        """The gateway is closed."""
        self._transport.abort()

    # One after another: an answer stands behind those of the requests in front of it.

    def _take(self, item: Item) -> None:
        if isinstance(item, GoOn):
            # Behind answers that are due it is not told: it goes on by itself, when it has waited long enough.
            if self._task is None and self._refusal is None and not self._has_said_all():
                self._transport.write(_GO_ON)
            return
        if len(self._waiting) >= limits.WAITING_MESSAGES:
            if len(self._waiting) > limits.WAITING_MESSAGES:
                return
            item = Refusal(429, f"more than {limits.WAITING_MESSAGES} requests wait for their answers")
        if self._task is not None or not self._writable.is_set() or not self._at_once(item):
            self._waiting.append(item)
            if self._task is None:
                self._task = self._gateway.loop.create_task(self._respond())
                self._pause()

    def _at_once(self, item: Item) -> bool:
        """Whether nothing had to be waited for; then it is done."""
        if self._has_said_all():
            return True
        if self._refusal is not None or not isinstance(item, HttpRequest):
            self._finish(item)
            return True
        if not self._upgrades or not is_management(item.path) or self._answered >= limits.WAITING_MESSAGES:
            return False
        self._answered += 1
        response = self._manage(item)
        if not isinstance(response, HttpResponse):
            item.later = response
            return False
        self._reply(response, item)
        if not self._lingering:
            self.deadline = self._gateway.time() + limits.HANDSHAKE_SECONDS
        return True

    async def _respond(self) -> None:
        while self._waiting:
            await self._writable.wait()
            if self._has_said_all():
                break
            item = self._waiting.popleft()
            if self._refusal is not None or not isinstance(item, HttpRequest):
                self._resume()
                self._finish(item)
                break
            response = await self._response(item)
            if self._has_said_all():
                break
            if isinstance(response, FileResponse) and item.method != "HEAD":
                await self._send_file(response, item)
            else:
                self._reply(response, item)
        self._resume()
        self._task = None
        if not self._lingering and self._writable.is_set():
            self.deadline = self._gateway.time() + limits.HANDSHAKE_SECONDS

    async def _response(self, request: HttpRequest) -> HttpResponse:
        try:
            return await (self._answer(request) if request.later is None else request.later())
        except Exception as error:  # noqa: BLE001
            return _failed(request, error)

    def _manage(self, request: HttpRequest) -> HttpResponse | Later:
        try:
            return self._gateway.manage(request)
        except Exception as error:  # noqa: BLE001
            return _failed(request, error)

    async def _send_file(self, response: FileResponse, request: HttpRequest) -> None:
        """In pieces, each when the client has taken the one before."""
        try:
            file = response.file.open("rb")
        except OSError:
            self._reply(HttpResponse.text(404, "no such file"), request)
            return
        response.close = self._is_last(response, request)
        with file:
            self._transport.write(_encoded(response, head_only=True))
            left = response.length
            while left and not self._has_said_all():
                piece = file.read(min(left, limits.HELD_FILE_BYTES))
                if not piece:  # it has become shorter, and what was promised cannot be kept
                    self._transport.abort()
                    return
                self._transport.write(piece)
                left -= len(piece)
                await asyncio.sleep(0)  # a client that takes everything at once is not alone here
                await self._writable.wait()
        if response.close or self._leaving:
            self._end()

    def _is_last(self, response: HttpResponse, request: HttpRequest) -> bool:
        return response.close or not request.keep_alive or self._leaving

    def _reply(self, response: HttpResponse, request: HttpRequest) -> None:
        head_only = request.method == "HEAD"
        if self._is_last(response, request):
            self._send_last(response, head_only=head_only)
        else:
            self._transport.write(_encoded(response, head_only=head_only))

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

    def _finish(self, item: Item) -> None:
        """The last item of this socket: the WebSocket begins, or the answer is a refusal."""
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif isinstance(item, Upgrade):
            self._upgrade(item)
        else:
            self._refuse(cast("Refusal", item))

    def _refuse(self, refusal: Refusal) -> None:
        large = refusal.status == 413 and self._upgrades
        if large and is_management(refusal.path):
            self._send_last(too_large())
        elif large and self._gateway.invocations is not None and is_invocation(refusal.path):
            self._send_last(payload_too_large(self._most_of(refusal.path.encode("latin-1"))))
        else:
            self._send_last(HttpResponse.text(refusal.status, refusal.text, refusal.headers))

    def _send_last(self, response: HttpResponse, *, head_only: bool = False) -> None:
        response.close = True
        self._transport.write(_encoded(response, head_only=head_only))
        self._end()

    def _end(self) -> None:
        """Nothing is said behind what was said."""
        if self._silent or not self._transport.can_write_eof():
            self._transport.close()
            return
        # What it still sends is read and thrown away, else the kernel answers with a reset, which may
        # overtake the answer.
        self._transport.write_eof()
        self._lingering = True
        self._resume()
        self.deadline = self._gateway.time() + limits.REFUSED_SECONDS

    # The handshake.

    def _upgrade(self, upgrade: Upgrade) -> None:
        request = upgrade.request
        stage = self._gateway.stage_of(request)
        if self._upgrades and _is_ambiguous(stage, request):
            self._send_last(two_authorizations())
            return
        try:
            key = self._check_handshake(upgrade)
        except HandshakeError as error:
            self._refuse(Refusal(error.status, error.message, error.headers))
            return
        if stage is None:
            self._send_last(HttpResponse.forbidden())
            return
        if _has_large_head(stage, request):
            self._refuse(Refusal(431, f"more than {stage.api.header_bytes} bytes of headers"))
            return
        self._hand_over(stage, request, key, upgrade.rest)

    def _check_handshake(self, upgrade: Upgrade) -> str:
        """Its key; raises HandshakeError."""
        request = upgrade.request
        if upgrade.error is not None:
            raise upgrade.error
        if not self._upgrades or not is_upgrade(request.headers):
            raise HandshakeError(400, "nothing is upgraded here but GET to websocket")
        if self._gateway.closing:
            raise HandshakeError(503, "this server is ending; try again later")
        if request.header("transfer-encoding") is not None or request.header("content-length") not in {None, "0"}:
            raise HandshakeError(400, "a handshake has no body")
        key = check_upgrade(request.method, request.version, request.headers)
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
        identity = Identity(
            connection_id=gateway.ids.new(),
            api_id=stage.api.api_id,
            stage=stage.api.stage,
            domain_name=stage.api.domain_name or _domain(request.header("host") or ""),
            source_ip=gateway.admission.source(self._peer, request.values("x-forwarded-for")),
            user_agent=request.header("user-agent"),
            connected_at=clock.now_ms(),
            stage_variables=stage.api.stage_variables or None,
        )
        if stage.api.handshakes is not None and not stage.api.handshakes.takes(identity.source_ip):
            self._send_last(too_many(identity))
            return
        gateway.doors.discard(self)
        connection = Connection(gateway, stage, identity, self._transport, self._counted)
        self._transport.set_protocol(connection)
        connection.start(Handshake(request.headers, request.query), key, rest)


def _domain(host: str) -> str:
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host


def _is_ambiguous(stage: Stage | None, request: HttpRequest) -> bool:
    """Whether an authorizer would have to choose between two tokens."""
    return stage is not None and stage.api.authorizer is not None and len(request.values("authorization")) > 1


def _has_large_head(stage: Stage, request: HttpRequest) -> bool:
    most = stage.api.header_bytes
    return most is not None and sum(len(name) + len(value) + 4 for name, value in request.headers) > most


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
