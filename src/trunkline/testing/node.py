"""A program on a real gateway in this process, with clients in memory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from trunkline import runtime
from trunkline.testing.client import Client
from trunkline.testing.faults import Faults

if TYPE_CHECKING:
    from trunkline.config import Settings

__all__ = ["TestNode", "node"]


class TestNode:
    """A node under test.

    Attributes:
        running: the node itself.
        faults: makes things go wrong; see `trunkline.testing.faults`.
    """

    __test__ = False  # pytest would take the name for a test

    def __init__(self, running: runtime.RunningNode) -> None:
        self.running = running
        self.faults = Faults(running)
        self.clients: list[Client] = []

    def client(self, *, timeout: float = 5.0, source_ip: str = "127.0.0.1") -> Client:
        """A client that has sent nothing yet."""
        client = Client(self.running.gateway, timeout=timeout, source_ip=source_ip)
        self.clients.append(client)
        return client

    async def connect(
        self,
        socket: str,
        *,
        query: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        subprotocols: Sequence[str] = (),
        timeout: float = 5.0,  # noqa: ASYNC109
        source_ip: str = "127.0.0.1",
    ) -> Client:
        """Connect to a socket of the program.

        Raises:
            Refused: its connect handler, or the gateway, refused.
        """
        client = self.client(timeout=timeout, source_ip=source_ip)
        target = f"/{socket}" + (f"?{urlencode(query)}" if query else "")
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        await client.handshake(target, headers=pairs, subprotocols=subprotocols)
        return client


@contextlib.asynccontextmanager
async def node(
    program: runtime.Program,
    *,
    store: str = "memory:",
    settings: Settings | None = None,
) -> AsyncIterator[TestNode]:
    """Run a program as `trunkline.open` does, for clients in memory.

    Raises:
        ConfigurationError, DeclarationError: the program or the store cannot be had.
    """
    async with runtime.open(program, store=store, settings=settings) as running:
        test_node = TestNode(running)
        yield test_node
        for client in test_node.clients:
            client.go_on_reading()  # else the gateway would wait for them
