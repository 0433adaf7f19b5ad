"""The gateway of one node: its listeners, stages, connections, and the sweep over them."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import logging
import math
import os
from typing import TYPE_CHECKING, cast

from trunkline import limits
from trunkline.errors import ConfigurationError
from trunkline.gateway.acceptor import Acceptor
from trunkline.gateway.admission import Admission
from trunkline.gateway.drain import drain
from trunkline.gateway.hangups import find_dead_peers
from trunkline.gateway.http import HttpResponse
from trunkline.gateway.invocations import is_invocation
from trunkline.gateway.management import is_management
from trunkline.gateway.request_reader import HttpRequest
from trunkline.gateway.stages import Stage, stage_at
from trunkline.gateway.static_files import StaticFiles
from trunkline.gateway.tls import TlsAcceptor
from trunkline.gateway.watch import LoopWatch
from trunkline.model.addresses import is_loopback

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from trunkline.connections.base import Registry
    from trunkline.gateway.connection import Connection
    from trunkline.gateway.invocations import Invocations
    from trunkline.gateway.journal import Journal
    from trunkline.gateway.management import Later, Management
    from trunkline.gateway.output import Output
    from trunkline.model.api import CompiledApi
    from trunkline.model.ids import ConnectionIds

__all__ = ["Gateway"]

logger = logging.getLogger("trunkline.gateway")
_TURNS_OF_MANY = 64


class Gateway:
    """Serves Apis on one node.

    Args:
        apis: what to serve, one stage each.
        ids: makes and recognises connection ids.
        connections: is told of every connection that can be sent to.
        web: folder of static files, or None.
        admission: who is let in; None for the rules without caps, proxies and further origins.
        management: answers calls about connections; None refuses them.
        invocations: answers calls of functions; None has none.
        journal: is told of every connection that is accepted and of its end; None keeps none.
        context: what context variables hold where handlers run.
        tls: also takes clients that begin with TLS, at the same port; None takes plain ones alone.
    """

    def __init__(
        self,
        apis: Iterable[CompiledApi],
        ids: ConnectionIds,
        connections: Registry,
        *,
        web: Path | None = None,
        admission: Admission | None = None,
        management: Management | None = None,
        invocations: Invocations | None = None,
        journal: Journal | None = None,
        context: contextvars.Context | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.time = self.loop.time
        self.stages = {api.stage: Stage(api) for api in apis}
        self.ids = ids
        self.connections = connections
        self.admission = admission or Admission()
        self.management = management
        self.invocations = invocations
        self.journal = journal
        self.context = context if context is not None else contextvars.copy_context()
        self.tls = tls
        self.buffer = memoryview(bytearray(limits.READ_BYTES))
        self.alive: set[Connection] = set()  # from the handshake until the disconnect handler begins
        self.ending: set[Connection] = set()  # while the disconnect handler runs
        self.doors: set[Acceptor] = set()
        self.draining = False
        self.closing = False  # nobody is let in any more
        self.hurried = False  # while draining: nobody waits for handlers any more
        self._web = None if web is None else StaticFiles(web)
        self._touched: list[Output] = []
        self._flushed = 0  # of those, so many are flushed
        self._watch: LoopWatch | None = None
        self._servers: list[asyncio.Server] = []
        self._admin_servers: list[asyncio.Server] = []
        self.sweep_seconds = self._sweep_interval()
        self._sweeper: asyncio.TimerHandle | None = self.loop.call_later(self.sweep_seconds, self._sweep)

    def _sweep_interval(self) -> float:
        """Of what is served now; a redeploy may have brought shorter limits."""
        kinds = {stage.api.limits for stage in self.stages.values()}
        shortest = [min(kind.idle_seconds, kind.lifetime_seconds, kind.handler_seconds) for kind in kinds]
        return min(max(min(shortest, default=math.inf) / 10, 0.01), 1.0)

    # Listening.

    async def listen(self, host: str, port: int) -> int:
        """Take clients at an address; returns the port, which the system chooses if 0 was asked for.

        Raises:
            ConfigurationError: the address cannot be had.
        """
        if self._watch is None:
            self._watch = LoopWatch(self.loop)
        self.admission.loopback = self.admission.loopback and is_loopback(host)
        if self.management is not None and not self.admission.loopback:
            self.management.check_public(host)
        return await self._listen(self._door, host, port, "--port", self._servers)

    def _door(self) -> Acceptor:
        return Acceptor(self, self.answer) if self.tls is None else TlsAcceptor(self, self.answer, self.tls)

    async def listen_admin(self, host: str, port: int) -> int:
        """Serve `/live` and `/ready` at an address of their own; see `listen`."""
        answering = lambda: Acceptor(self, self.answer_admin, upgrades=False)  # noqa: E731
        return await self._listen(answering, host, port, "--admin", self._admin_servers)

    async def _listen(
        self, factory: Callable[[], Acceptor], host: str, port: int, flag: str, servers: list[asyncio.Server]
    ) -> int:
        try:
            server = await self.loop.create_server(factory, host, port, backlog=4096)
        except UnicodeError:
            raise ConfigurationError(f"{host!r} is no host name or address; pass another with {flag}") from None
        except OSError as error:
            raise ConfigurationError(_why_no_listener(error, host, port, flag)) from None
        find_dead_peers(server.sockets)
        servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    # Plain HTTP.

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """A request at the clients' address that is no handshake."""
        if is_management(request.path):
            answer = self.manage(request)
            return answer if isinstance(answer, HttpResponse) else await answer()
        if self.invocations is not None and is_invocation(request.path):
            return await self.invocations.respond(request)
        if self.stage_of(request) is not None:
            return HttpResponse.text(
                426,
                "this is a WebSocket: connect to it with ws:// and a WebSocket client",
                {"upgrade": "websocket"},
            )
        if self._web is None:
            return HttpResponse.text(404, "nothing is here; pass --web DIR to serve a folder of static files")
        if request.method not in {"GET", "HEAD"}:
            return HttpResponse.text(405, "static files take GET and HEAD", {"allow": "GET, HEAD"})
        found = self._web.respond(request.path, request.header("if-none-match"), request.header("if-modified-since"))
        return found or HttpResponse.text(404, "no such file")

    def manage(self, request: HttpRequest) -> HttpResponse | Later:
        """The answer to a management call, or what to call and wait for to get it."""
        return HttpResponse.forbidden() if self.management is None else self.management.respond(request, self.stages)

    async def answer_admin(self, request: HttpRequest) -> HttpResponse:
        """A request at the admin address. A web page must not drive it: see DESIGN of the door."""
        if request.header("origin") is not None or request.header("sec-fetch-site") is not None:
            return HttpResponse.text(403, "not for web pages")
        if not is_loopback(_host_name(request.header("host") or "")):
            return HttpResponse.text(403, "the Host is not a loopback name")
        if request.path == "/live":
            return HttpResponse.text(200, "live")
        if request.path == "/ready":
            return HttpResponse.text(503, "draining") if self.draining else HttpResponse.text(200, "ready")
        return HttpResponse.text(404, "here are /live and /ready")

    def stage_of(self, request: HttpRequest) -> Stage | None:
        """The stage that a handshake is for."""
        return stage_at(self.stages, request.path, request.header("host") or "")

    # Writing: what one turn of the loop puts on the connections' outputs is flushed once, after it.

    def touch(self, connection: Output) -> None:
        """Its output has something new: flush it after this turn, behind those that were touched before."""
        if not self._touched:
            self.loop.call_soon(self._flush_touched)
        self._touched.append(connection)

    def _flush_touched(self) -> None:
        # A write costs ten times what queueing costs. So few a turn: a message to 10,000 does not hold up everyone
        # else, and what is queued meanwhile for the same connections goes out in the same writes.
        # Of very many, a part of them, so that the turns themselves cost little.
        touched, at = self._touched, self._flushed
        writes = max(limits.WRITES_PER_TURN, (len(touched) - at) // _TURNS_OF_MANY)
        most = len(touched)
        while writes and at < most:
            if touched[at].flush():  # a runner that has ended has flushed its output already
                writes -= 1
            at += 1
        if at < len(touched):
            if 2 * at > len(touched):  # what is done is let go of, also while others always wait
                del touched[:at]
                at = 0
            self._flushed = at
            self.loop.call_soon(self._flush_touched)
        else:
            touched.clear()
            self._flushed = 0

    # Sweeping and ending.

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in (*self.alive, *self.ending):
            connection.sweep(now)
        for door in list(self.doors):
            door.sweep(now)
        self.sweep_seconds = self._sweep_interval()
        self._sweeper = self.loop.call_later(self.sweep_seconds, self._sweep)

    async def _last_answers(self, seconds: float) -> None:
        """What was asked over plain HTTP is answered, though no connection had to be waited for."""
        until = self.time() + seconds
        while any(door.is_busy for door in self.doors) and self.time() < until and not self.hurried:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def close(
        self,
        *,
        code: int = limits.CLOSE_GOING_AWAY,
        reason: str = limits.REASON_GOING_AWAY,
        seconds: float = math.inf,
    ) -> None:
        """Let nobody in, close every connection, and wait until its disconnect handler has run; see `drain`."""
        self.draining = self.closing = True
        if self.invocations is None:
            self._stop_listening()
        for door in list(self.doors):
            door.leave()
        await drain(self, code, reason, seconds)
        await self._last_answers(min(seconds, limits.CLOSE_SECONDS))
        if self.invocations is not None:
            await self.invocations.close(0 if self.hurried else min(seconds, limits.CLOSE_SECONDS))
            self._stop_listening()  # until now functions called back
        for server in self._admin_servers:  # until now they said that the node is not ready
            server.close()
        for door in list(self.doors):
            door.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()


def _why_no_listener(error: OSError, host: str, port: int, flag: str) -> str:
    if error.errno == errno.EADDRINUSE or "address already in use" in str(error):
        return f"port {port} of {host} is in use by another program; pass another with {flag}"
    known = error.errno is not None and error.errno > 0  # a name that is not found has a number of its own kind
    why = os.strerror(cast("int", error.errno)) if known else error.strerror or str(error)
    return f"cannot listen at {host}:{port}: {why}; pass another address with {'--host' if flag == '--port' else flag}"


def _host_name(host: str) -> str:
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
