"""The seam through which anything is sent to, closed or asked of a connection, wherever it is.

An id that belongs to another Api is a connection that is gone: nothing crosses from one to the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

__all__ = ["ConnectionInfo", "Connections", "FanOut", "Registry", "Sink"]


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """What is known of an open connection.

    Attributes:
        connected_at: when its handshake came, UTC.
        last_active_at: when something was last received from it or sent to it, UTC.
        source_ip: its client's address.
        user_agent: what its client calls itself; None if it did not say.
    """

    connected_at: datetime
    last_active_at: datetime
    source_ip: str
    user_agent: str | None


@dataclass(slots=True)
class FanOut:
    """What became of one message to many connections."""

    sent: int
    gone: list[str]
    failed: dict[str, Exception]


class Sink(Protocol):
    """An open connection of this node, as the local side of the seam sees it."""

    @property
    def api_name(self) -> str:
        """The name of its Api; it stays the same."""

    @property
    def message_bytes(self) -> int:
        """The largest message that it takes."""

    def send(self, frame: bytes) -> bool:
        """Queue an encoded message; False if the connection no longer takes any; raises SlowConsumer."""

    def close(self, code: int, reason: str) -> bool:
        """Begin to close; False if that has begun already."""

    def info(self) -> ConnectionInfo:
        """What is known of it."""


class Connections(Protocol):
    """Send, close, info and fan-out by connection id within one Api.

    Raises:
        InvalidConnectionId: no gateway made the id.
        MessageTooLarge: the message is over the Api's limit.
        SlowConsumer: the connection's output queue is full.
        Unreachable: the connection's node did not answer in time.
    """

    async def send(self, api: str, connection_id: str, data: str | bytes) -> bool:
        """True: put in order on the connection's output. False: that connection is gone."""

    async def close(self, api: str, connection_id: str, code: int, reason: str) -> bool:
        """True: closing has begun. False: that connection is gone."""

    async def info(self, api: str, connection_id: str) -> ConnectionInfo | None:
        """What is known of it; None: that connection is gone."""

    async def fan_out(self, api: str, connection_ids: Sequence[str], data: str | bytes) -> FanOut:
        """One message to many; an error of one is in `failed` and does not stop the rest."""


class Registry(Protocol):
    """What the gateway tells of its own connections, and asks of them."""

    def add(self, connection_id: str, sink: Sink) -> None:
        """Make a connection addressable."""

    def remove(self, connection_id: str) -> None:
        """It is gone."""

    def find(self, api: str, connection_id: str) -> Sink | None:
        """The connection, if it is open on this node; raises InvalidConnectionId."""
