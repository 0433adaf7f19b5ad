"""Faults on purpose: what networks, clients and AWS do to a program now and then.

    node.faults.gone(client)                  # from now on
    with node.faults.throttle(client):        # or within a block
        ...

They happen where they would really come from, so programs, calls to `@connections` and other handlers all see them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from trunkline.errors import SendError, SlowConsumer, Throttled, Unreachable
from trunkline.gateway.connection import Connection
from trunkline.model.api import CONNECT_ROUTE, DISCONNECT_ROUTE, CompiledApi, CompiledRoute, Response
from trunkline.testing.client import Client

if TYPE_CHECKING:
    from trunkline.connections.base import ConnectionInfo, Sink
    from trunkline.gateway.stages import Stage
    from trunkline.model.events import Event
    from trunkline.runtime import RunningNode

__all__ = ["Fault", "Faults"]

_NOBODYS = ""  # no Api has this name


class Fault:
    """A fault that is in force until `end()`, or the end of its `with` block, or that of the node."""

    def __init__(self, *ends: Callable[[], None]) -> None:
        self._ends = ends

    def end(self) -> None:
        """From now on everything is as it should be. Ending it again does nothing."""
        ends, self._ends = self._ends, ()
        for end in ends:
            end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.end()


class Faults:
    """The faults of a node under test.

    `who` is a client of the test, or a connection id; its connection must be open. `route` is a route key: that of a
    custom route, or `$connect`, `$default` or `$disconnect`; `socket` tells which one's, if several have it. `times` is
    how often a fault happens; None for always.

    Raises:
        ValueError: there is no such connection, or no such route.
    """

    def __init__(self, running: RunningNode) -> None:
        self._running = running
        self._sinks: dict[str, _FaultySink] = {}
        self._routes: dict[tuple[str, str], _FaultyRoute] = {}

    # Of a connection.

    def gone(self, who: Client | str) -> Fault:
        """A connection that is gone for whoever sends to it, as one whose disconnect has not been told yet.

        `send` and `close` answer False, `info` None, and calls to `@connections` are 410. Its client notices nothing.
        """
        return self._failing(who, _Failing(None, frozenset()))

    def slow_consumer(self, who: Client | str, *, times: int | None = None) -> Fault:
        """A client that does not read: `send` raises `SlowConsumer`, and POST is 429."""
        return self._failing(who, _Failing(SlowConsumer, frozenset({"send"}), times))

    def throttle(self, who: Client | str, *, times: int | None = None) -> Fault:
        """A rate that is used up: `send`, `close` and `info` raise `Throttled`, and calls to `@connections` are 429."""
        return self._failing(who, _Failing(Throttled, frozenset({"send", "close", "info"}), times))

    def unreachable(self, who: Client | str, *, times: int | None = None) -> Fault:
        """Its node does not answer: `send`, `close` and `info` raise `Unreachable`; calls to `@connections` are 503."""
        return self._failing(who, _Failing(Unreachable, frozenset({"send", "close", "info"}), times))

    def miss_disconnect(self, who: Client | str) -> Fault:
        """A disconnect that the program is never told of, as may happen on AWS."""
        identity = self._connection(who)._identity
        (route,) = self._faulty(DISCONNECT_ROUTE, identity.stage)
        route.missed.add(identity.connection_id)
        return Fault(partial(route.missed.discard, identity.connection_id))

    # Of a route.

    def slow(self, route: str, seconds: float, *, socket: str | None = None) -> Fault:
        """A handler that takes long: it begins so many seconds late, and its deadline does not wait for it."""
        routes = self._faulty(route, socket)
        for faulty in routes:
            faulty.delays.append(seconds)
        return Fault(*(partial(faulty.delays.remove, seconds) for faulty in routes))

    def duplicate(self, route: str, *, socket: str | None = None) -> Fault:
        """An event that comes twice, as after an answer that got lost: the handler's second answer is the one given."""
        routes = self._faulty(route, socket)
        for faulty in routes:
            faulty.repeats += 1
        return Fault(*(faulty.repeat_less for faulty in routes))

    # How they are put in.

    def _failing(self, who: Client | str, failing: _Failing) -> Fault:
        sink = self._sink(self._connection(who))
        sink.failings.append(failing)
        return Fault(partial(sink.end, failing))

    def _sink(self, connection: Connection) -> _FaultySink:
        connection_id = connection._identity.connection_id
        if connection_id not in self._sinks:
            reached = self._running.gateway.connections
            sink = reached.find(connection.api_name, connection_id)
            if sink is None:
                raise ValueError(f"connection {connection_id} is not open")
            self._sinks[connection_id] = _FaultySink(connection_id, sink)
            reached.add(connection_id, self._sinks[connection_id])
        return self._sinks[connection_id]

    def _connection(self, who: Client | str) -> Connection:
        if isinstance(who, Client):
            protocol = who._transport.get_protocol()
            if isinstance(protocol, Connection) and protocol in self._running.gateway.alive:
                return protocol
            raise ValueError("the client has no open connection to this node")
        for connection in self._running.gateway.alive:
            if connection._identity.connection_id == who:
                return connection
        raise ValueError(f"no open connection of this node has the id {who!r}")

    def _faulty(self, key: str, socket: str | None) -> list[_FaultyRoute]:
        stages = self._running.gateway.stages
        found = [name for name, stage in stages.items() if socket in {None, name} and key in _keys(stage.api)]
        if not found:
            known = ", ".join(f"{key!r} of {name!r}" for name, stage in stages.items() for key in _keys(stage.api))
            raise ValueError(f"no socket has a route {key!r} here; there are {known or 'none'}")
        return [self._replaced(stages[name], name, key) for name in found]

    def _replaced(self, stage: Stage, name: str, key: str) -> _FaultyRoute:
        if (name, key) not in self._routes:
            stage.api, self._routes[name, key] = _with_faults(stage.api, key)
        return self._routes[name, key]


@dataclass(eq=False, slots=True)
class _Failing:
    """What goes wrong with these operations; without an error, the connection is gone."""

    error: type[SendError] | None
    operations: frozenset[str]
    times: int | None = None


class _FaultySink:
    """A connection, as the seam sees it, that may fail."""

    def __init__(self, connection_id: str, sink: Sink) -> None:
        self._id = connection_id
        self._sink = sink
        self.failings: list[_Failing] = []

    @property
    def api_name(self) -> str:
        return _NOBODYS if any(failing.error is None for failing in self.failings) else self._sink.api_name

    @property
    def message_bytes(self) -> int:
        return self._sink.message_bytes

    def send(self, frame: bytes) -> bool:
        self._fail("send")
        return self._sink.send(frame)

    def close(self, code: int, reason: str) -> bool:
        self._fail("close")
        return self._sink.close(code, reason)

    def info(self) -> ConnectionInfo:
        self._fail("info")
        return self._sink.info()

    def end(self, failing: _Failing) -> None:
        """It may have ended by itself."""
        if failing in self.failings:
            self.failings.remove(failing)

    def _fail(self, operation: str) -> None:
        for failing in self.failings:
            if failing.error is not None and operation in failing.operations:
                self._count(failing)
                raise failing.error(f"{operation} of connection {self._id} fails because the test asked for it")

    def _count(self, failing: _Failing) -> None:
        if failing.times is not None:
            failing.times -= 1
            if failing.times <= 0:
                self.end(failing)


class _FaultyRoute:
    """A route whose events may be missed, be late, or come twice."""

    def __init__(self, route: CompiledRoute) -> None:
        self._invoke = route.invoke
        self.missed: set[str] = set()
        self.delays: list[float] = []
        self.repeats = 0

    async def invoke(self, event: Event) -> Response | None:
        if event.connection_id in self.missed:
            return None
        if self.delays:
            await asyncio.sleep(sum(self.delays))
        for _ in range(self.repeats):
            await self._invoke(event)
        return await self._invoke(event)

    def repeat_less(self) -> None:
        self.repeats -= 1


def _keys(api: CompiledApi) -> Iterable[str]:
    return [route.key for route in (api.connect, *api.routes.values(), api.disconnect) if route is not None]


def _with_faults(api: CompiledApi, key: str) -> tuple[CompiledApi, _FaultyRoute]:
    """The Api with one route replaced, as a redeploy does it under open connections."""
    if key == CONNECT_ROUTE and api.connect is not None:
        faulty = _FaultyRoute(api.connect)
        return replace(api, connect=replace(api.connect, invoke=faulty.invoke)), faulty
    if key == DISCONNECT_ROUTE and api.disconnect is not None:
        faulty = _FaultyRoute(api.disconnect)
        return replace(api, disconnect=replace(api.disconnect, invoke=faulty.invoke)), faulty
    faulty = _FaultyRoute(api.routes[key])
    routes = {**api.routes, key: replace(api.routes[key], invoke=faulty.invoke)}
    return replace(api, routes=routes), faulty
