"""What a handler is given, and where operations find the node that runs them."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Protocol

import msgspec

from trunkline.errors import NotRunning
from trunkline.model.api import Response

if TYPE_CHECKING:
    from trunkline.connections.base import Connections
    from trunkline.model.events import Event
    from trunkline.stores.base import Store

__all__ = ["Context", "Node", "Res", "current_node", "running_node"]


class Node(Protocol):
    """What an operation needs of the node that it runs on."""

    @property
    def store(self) -> Store:
        """Where its documents live."""

    @property
    def connections(self) -> Connections:
        """How connections are reached."""

    def url(self, socket: str) -> str:
        """Where clients connect to a socket."""


running_node: contextvars.ContextVar[Node] = contextvars.ContextVar("trunkline_node")


def current_node(operation: str) -> Node:
    """The node of the running handler or `trunkline.open` block.

    Raises:
        NotRunning: there is none.
    """
    try:
        return running_node.get()
    except LookupError:
        raise NotRunning(
            f"{operation} was called outside a running node; call it from a handler, from @trunkline.lifespan, "
            "or inside `async with trunkline.open(program)`"
        ) from None


class Res:
    """What a connect handler answers to the handshake.

    Attributes:
        subprotocol: the subprotocol that the connection speaks; None for none.
    """

    __slots__ = ("_body", "_status", "subprotocol")

    def __init__(self) -> None:
        self.subprotocol: str | None = None
        self._status = 200
        self._body: str | bytes | None = None

    def reject(self, status: int, body: str | bytes = "") -> None:
        """Refuse the connection with an HTTP status (300 to 599) and body. The handler goes on to its end."""
        if not 300 <= status <= 599:
            raise ValueError(f"reject({status}): expected an HTTP status from 300 to 599")
        if isinstance(body, str):
            body.encode()  # a lone surrogate is an error here, not when the answer is written
        self._status = status
        self._body = body

    def response(self) -> Response | None:
        """The answer as recorded; None for a plain yes."""
        if self._status != 200:
            return Response(self._status, self._body)
        if self.subprotocol is not None:
            return Response(200, None, {"sec-websocket-protocol": self.subprotocol})
        return None


class Context(msgspec.Struct, eq=False):
    """What a handler is given.

    Attributes:
        req: the event: `connection_id`, `data`, `text()`, `json()`, `query`, `headers`, `source_ip`, `route`, ...
    """

    req: Event
    _res: Res | None = None

    def __repr__(self) -> str:
        return f"Context({self.req!r})"

    @property
    def res(self) -> Res:
        """The answer to the handshake; it matters on connect only."""
        if self._res is None:
            self._res = Res()
        return self._res
