"""What operations reach in a function of Lambda: the tables and the sockets that its environment names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from trunkline.connections.management_api import ManagementApi
from trunkline.errors import ConfigurationError

if TYPE_CHECKING:
    from trunkline.resources.application import Application
    from trunkline.stores.base import Store

__all__ = ["LambdaNode"]

_TABLES = "TRUNKLINE_TABLES"
_SOCKETS = "TRUNKLINE_SOCKETS"


class LambdaNode:
    """The node of a function; see `Node`.

    Args:
        tables: the name of each collection's table.
        sockets: where each socket's stage is, as for `ManagementApi`.
        message_bytes: the largest message of each socket.

    Attributes:
        connections: API Gateway's.
    """

    def __init__(
        self, tables: Mapping[str, str], sockets: Mapping[str, str], message_bytes: Mapping[str, int] | None = None
    ) -> None:
        self._tables = tables
        self._sockets = sockets
        self._store: Store | None = None
        self.connections = ManagementApi(sockets, message_bytes=message_bytes)

    @classmethod
    def of(cls, environment: Mapping[str, str], application: Application) -> LambdaNode:
        """That of a function's environment.

        Raises:
            ConfigurationError: a variable of it is no JSON object of texts.
        """
        sizes = {name: socket.options.limits.message_bytes for name, socket in application.sockets.items()}
        return cls(_texts(environment, _TABLES), _texts(environment, _SOCKETS), sizes)

    @property
    def store(self) -> Store:
        """Where documents live, once the node is open."""
        if self._store is None:
            raise ConfigurationError(f"this function has no table: {_TABLES} names none")
        return self._store

    def url(self, socket: str) -> str:
        """Where clients connect to a socket."""
        endpoint = self._sockets.get(socket)
        if endpoint is None:
            raise ConfigurationError(f"the address of {socket!r} is not known here: {_SOCKETS} does not have it")
        scheme, parting, rest = endpoint.partition("://")
        return f"{'ws' if scheme == 'http' else 'wss'}{parting}{rest}"

    async def open(self) -> None:
        """Have the store, if there is a table."""
        if self._tables and self._store is None:
            from trunkline.stores.dynamodb import DynamoStore

            store = DynamoStore(self._tables)
            await store.open()
            self._store = store


def _texts(environment: Mapping[str, str], name: str) -> dict[str, str]:
    try:
        return msgspec.json.decode(environment.get(name) or "{}", type=dict[str, str])
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{name} is no JSON object of texts: {error}") from None
