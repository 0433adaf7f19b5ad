"""Documents in this process's memory, gone with it."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence

from trunkline import clock
from trunkline.errors import AlreadyExists, Conflict
from trunkline.stores.base import Filter, Json, Path, Record, decode, encode, matches, new_version

__all__ = ["MemoryStore"]

_SWEEP_WRITES = 1000


class _Entry:
    __slots__ = ("expires_at", "text", "version")

    def __init__(self, text: str, version: int, expires_at: float | None) -> None:
        self.text = text
        self.version = version
        self.expires_at = expires_at


class _Shelf:
    """The documents of one path: by id, and their ids in order."""

    __slots__ = ("entries", "order")

    def __init__(self) -> None:
        self.entries: dict[str, _Entry] = {}
        self.order: list[bytes] = []

    def set(self, id: str, entry: _Entry) -> None:  # noqa: A002
        if id not in self.entries:
            insort(self.order, id.encode())
        self.entries[id] = entry

    def remove(self, id: str) -> None:  # noqa: A002
        if self.entries.pop(id, None) is not None:
            del self.order[bisect_right(self.order, id.encode()) - 1]


class MemoryStore:
    """See `Store`. Values are kept as JSON text, so that nobody shares them with their writer."""

    def __init__(self) -> None:
        self._shelves: dict[Path, _Shelf] = {}
        self._writes = 0

    async def open(self) -> None:
        """See `Store.open`."""

    async def close(self) -> None:
        """See `Store.close`."""
        self._shelves.clear()

    async def get(self, path: Path, id: str) -> Record | None:  # noqa: A002
        """See `Store.get`."""
        entry = self._find(path, id)
        return None if entry is None else Record(path, id, decode(entry.text), entry.version)

    async def put(
        self,
        path: Path,
        id: str,  # noqa: A002
        value: Json,
        *,
        create: bool = False,
        if_version: int | None = None,
        expires_at: float | None = None,
    ) -> int:
        """See `Store.put`."""
        text = encode(value)
        found = self._find(path, id)
        if create and found is not None:
            raise AlreadyExists(f"{'/'.join((*path, id))} exists already")
        if if_version is not None and (found is None or found.version != if_version):
            at = "does not exist" if found is None else f"is at version {found.version}"
            raise Conflict(f"{'/'.join((*path, id))} {at}; expected version {if_version}")
        version = new_version()
        self._shelves.setdefault(path, _Shelf()).set(id, _Entry(text, version, expires_at))
        self._sweep()
        return version

    async def delete(self, path: Path, id: str) -> None:  # noqa: A002
        """See `Store.delete`."""
        shelf = self._shelves.get(path)
        if shelf is not None:
            shelf.remove(id)
            if not shelf.entries:
                del self._shelves[path]

    async def query(self, path: Path, filters: Sequence[Filter], *, after: str | None, limit: int) -> list[Record]:
        """See `Store.query`."""
        shelf = self._shelves.get(path)
        found: list[Record] = []
        if shelf is not None:
            start = 0 if after is None else bisect_right(shelf.order, after.encode())
            self._collect(path, shelf, start, filters, limit, found)
        return found

    async def query_group(
        self, root: str, name: str, filters: Sequence[Filter], *, after: tuple[str, str] | None, limit: int
    ) -> list[Record]:
        """See `Store.query_group`."""
        found: list[Record] = []
        paths = [path for path in self._shelves if len(path) == 3 and path[0] == root and path[2] == name]
        for path in sorted(paths, key=lambda path: path[1].encode()):
            shelf, start = self._shelves[path], 0
            if after is not None:
                if path[1].encode() < after[0].encode():
                    continue
                if path[1] == after[0]:
                    start = bisect_right(shelf.order, after[1].encode())
            self._collect(path, shelf, start, filters, limit, found)
        return found

    def _collect(
        self,
        path: Path,
        shelf: _Shelf,
        start: int,
        filters: Sequence[Filter],
        limit: int,
        found: list[Record],
    ) -> None:
        now = clock.now()
        for position in range(start, len(shelf.order)):
            if len(found) >= limit:
                return
            key = shelf.order[position].decode()
            entry = shelf.entries[key]
            if entry.expires_at is not None and entry.expires_at <= now:
                continue
            value = decode(entry.text)
            if not filters or matches(value, filters):
                found.append(Record(path, key, value, entry.version))

    def _find(self, path: Path, id: str) -> _Entry | None:  # noqa: A002
        shelf = self._shelves.get(path)
        entry = None if shelf is None else shelf.entries.get(id)
        if entry is not None and entry.expires_at is not None and entry.expires_at <= clock.now():
            return None
        return entry

    def _sweep(self) -> None:
        """Now and then, drop what has expired."""
        self._writes += 1
        if self._writes % _SWEEP_WRITES:
            return
        now = clock.now()
        for path, shelf in list(self._shelves.items()):
            for key in [k for k, e in shelf.entries.items() if e.expires_at is not None and e.expires_at <= now]:
                shelf.remove(key)
            if not shelf.entries:
                del self._shelves[path]
