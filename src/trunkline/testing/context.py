"""A Context made by hand, so that a handler is tested by calling it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from trunkline import clock, limits
from trunkline.model.api import execute_arn
from trunkline.model.events import CONNECT, DISCONNECT, MESSAGE, AuthorizerEvent, Event, EventType, Handshake, Identity
from trunkline.model.ids import ConnectionIds
from trunkline.resources.context import Context, running_node

__all__ = ["context"]

_KINDS: dict[str, tuple[EventType, str]] = {
    "authorizer": (CONNECT, "$connect"),
    "connect": (CONNECT, "$connect"),
    "message": (MESSAGE, "$default"),
    "disconnect": (DISCONNECT, "$disconnect"),
}
_ids = ConnectionIds(secrets.token_bytes(32))


def context(
    data: str | bytes = "",
    *,
    event: Literal["authorizer", "connect", "message", "disconnect"] = "message",
    connection_id: str | None = None,
    socket: str = "socket",
    route: str | None = None,
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    query: str = "",
    source_ip: str = "127.0.0.1",
    authorizer: Mapping[str, str] | None = None,
    close_code: int = limits.CLOSE_NORMAL,
    close_reason: str = "",
) -> Context:
    """What a handler would be given.

    Args:
        data: the message.
        connection_id: whose event it is; without it, a new one: inside a running node, one of that node's.
        route: a custom route's key.
        headers, query: of the handshake, for an authorizer or a connect handler.
        authorizer: what the authorizer said, for the handlers that come after it.
        close_code, close_reason: for a disconnect handler.
    """
    kind, key = _KINDS[event]
    pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    identity = Identity(
        connection_id=connection_id or _new_id(),
        api_id="0000000000",
        stage=socket,
        domain_name="localhost",
        source_ip=source_ip,
        user_agent=None,
        connected_at=clock.now_ms(),
        authorizer=authorizer,
    )
    made = Event(
        kind,
        identity,
        route or key,
        data if kind is MESSAGE else "",
        handshake=Handshake(pairs, query) if kind is CONNECT else None,
        close_code=close_code if kind is DISCONNECT else 0,
        close_reason=close_reason if kind is DISCONNECT else "",
    )
    return Context(AuthorizerEvent.of(made, execute_arn()) if event == "authorizer" else made)


def _new_id() -> str:
    running: Any = running_node.get(None)
    ids: ConnectionIds = _ids if running is None else running.gateway.ids
    return ids.new()
