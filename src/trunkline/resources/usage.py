"""Which of its permissions a program uses: noted while it runs, and kept in a file.

The file is JSON: a list of objects with `kind`, `name` and `word`, as they stand in a declaration, and `file` and
`line`, where the program used them; files are relative to its own folder. What was noted in earlier runs stays in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from trunkline.errors import ConfigurationError
from trunkline.resources.permissions import caller

if TYPE_CHECKING:
    from trunkline.connections.base import ConnectionInfo, Connections, FanOut
    from trunkline.stores.base import Filter, Json, Record, Store
    from trunkline.stores.base import Path as DocumentPath

__all__ = ["NotingConnections", "NotingStore", "Usage", "Used", "note_in", "noting", "read_usage"]

_noting: Usage | None = None  # of this process, for nodes that say nothing of their own


class Used(msgspec.Struct, frozen=True, order=True):
    """One use of a permission."""

    kind: Literal["collection", "websocket"]
    name: str
    word: str
    file: str
    line: int


class Usage:
    """What is used from now on.

    Args:
        file: where it is kept.

    Raises:
        ConfigurationError: it is there and holds something else.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._found = set(read_usage(file)) if file.exists() else set()

    def note(self, kind: Literal["collection", "websocket"], name: str, word: str) -> None:
        """The line of the program that is being run uses this."""
        where = caller()
        self._found.add(Used(kind, name, word, self._relative(Path(where.file)), where.line))

    def save(self) -> None:
        """Write the file."""
        try:
            self._file.write_bytes(msgspec.json.format(msgspec.json.encode(sorted(self._found)), indent=1) + b"\n")
        except OSError as error:
            raise ConfigurationError(f"the record of used permissions, {self._file}: {error.strerror}") from None

    def _relative(self, file: Path) -> str:
        folder, path = self._file.resolve().parent, file.resolve()
        return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def noting() -> Usage | None:
    """What nodes of this process note their uses in, if they say nothing else."""
    return _noting


def note_in(usage: Usage | None) -> None:
    """Have the nodes of this process note their uses, such as those of a run of tests."""
    global _noting  # noqa: PLW0603 - a run of tests is a process
    _noting = usage


def read_usage(file: Path) -> list[Used]:
    """What a file of used permissions holds.

    Raises:
        ConfigurationError: it cannot be read, or holds something else.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Used])
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}; expected what run --record-usage wrote") from None
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ConfigurationError(f"{file}: {error}; expected what run --record-usage wrote") from None


class NotingStore:
    """A store whose uses are noted; see `Store`."""

    def __init__(self, store: Store, usage: Usage) -> None:
        self._store = store
        self._usage = usage

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)  # such as where it is, for the banner

    async def open(self) -> None:
        """See `Store.open`."""
        await self._store.open()

    async def close(self) -> None:
        """See `Store.close`."""
        await self._store.close()

    async def get(self, path: DocumentPath, id: str) -> Record | None:  # noqa: A002
        """See `Store.get`."""
        self._usage.note("collection", path[0], "reading")
        return await self._store.get(path, id)

    async def put(
        self,
        path: DocumentPath,
        id: str,  # noqa: A002
        value: Json,
        *,
        create: bool = False,
        if_version: int | None = None,
        expires_at: float | None = None,
    ) -> int:
        """See `Store.put`."""
        self._usage.note("collection", path[0], "writing")
        return await self._store.put(path, id, value, create=create, if_version=if_version, expires_at=expires_at)

    async def delete(self, path: DocumentPath, id: str) -> None:  # noqa: A002
        """See `Store.delete`."""
        self._usage.note("collection", path[0], "deleting")
        await self._store.delete(path, id)

    async def query(
        self, path: DocumentPath, filters: Sequence[Filter], *, after: str | None, limit: int
    ) -> list[Record]:
        """See `Store.query`."""
        self._usage.note("collection", path[0], "reading")
        return await self._store.query(path, filters, after=after, limit=limit)

    async def query_group(
        self, root: str, name: str, filters: Sequence[Filter], *, after: tuple[str, str] | None, limit: int
    ) -> list[Record]:
        """See `Store.query_group`."""
        self._usage.note("collection", root, "reading")
        return await self._store.query_group(root, name, filters, after=after, limit=limit)


class NotingConnections:
    """Connections whose uses are noted; see `Connections`."""

    def __init__(self, connections: Connections, usage: Usage) -> None:
        self._connections = connections
        self._usage = usage

    async def send(self, api: str, connection_id: str, data: str | bytes) -> bool:
        """See `Connections.send`."""
        self._usage.note("websocket", api, "sending")
        return await self._connections.send(api, connection_id, data)

    async def close(self, api: str, connection_id: str, code: int, reason: str) -> bool:
        """See `Connections.close`."""
        self._usage.note("websocket", api, "closing")
        return await self._connections.close(api, connection_id, code, reason)

    async def info(self, api: str, connection_id: str) -> ConnectionInfo | None:
        """See `Connections.info`."""
        self._usage.note("websocket", api, "inspecting")
        return await self._connections.info(api, connection_id)

    async def fan_out(self, api: str, connection_ids: Sequence[str], data: str | bytes) -> FanOut:
        """See `Connections.fan_out`."""
        self._usage.note("websocket", api, "sending")
        return await self._connections.fan_out(api, connection_ids, data)
