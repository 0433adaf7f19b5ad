"""Documents in an SQLite file: nothing to install, durable when a write returns.

One thread writes; what waits for it becomes one transaction (group commit), and what of that is alike becomes
one statement, because each statement is a hand-over of the interpreter lock. Reads run on the loop's own
read-only connection: they take microseconds, and see every acknowledged write.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from trunkline import clock
from trunkline.errors import AlreadyExists, Conflict, StoreUnavailable
from trunkline.stores.base import Filter, Json, Record, decode, encode, matches, new_version
from trunkline.stores.base import Path as DocumentPath

__all__ = ["SqliteStore"]

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE documents (
    root TEXT NOT NULL, name TEXT NOT NULL, parent TEXT NOT NULL, id TEXT NOT NULL,
    value TEXT NOT NULL, version INTEGER NOT NULL, expires_at REAL,
    PRIMARY KEY (root, name, parent, id)
) WITHOUT ROWID;
CREATE INDEX documents_expiry ON documents (expires_at) WHERE expires_at IS NOT NULL;
"""
_KEY = "json_extract(row.value, '$[0]'), json_extract(row.value, '$[1]'), " \
       "json_extract(row.value, '$[2]'), json_extract(row.value, '$[3]')"  # fmt: skip
_UPDATE = "DO UPDATE SET value = excluded.value, version = excluded.version, expires_at = excluded.expires_at"
_SET = f"""
INSERT INTO documents SELECT {_KEY}, json_extract(row.value, '$[4]'), json_extract(row.value, '$[5]'),
json_extract(row.value, '$[6]') FROM json_each(?) AS row WHERE true ON CONFLICT {_UPDATE}
"""
_DELETE = f"DELETE FROM documents WHERE (root, name, parent, id) IN (SELECT {_KEY} FROM json_each(?) AS row)"
_CREATE = f"INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT {_UPDATE} WHERE documents.expires_at <= ?"
_REPLACE = """
UPDATE documents SET value = ?, version = ?, expires_at = ?
WHERE root = ? AND name = ? AND parent = ? AND id = ? AND version = ? AND (expires_at IS NULL OR expires_at > ?)
"""
_EXPIRE = "DELETE FROM documents WHERE expires_at <= ?"
_LIVE = "(expires_at IS NULL OR expires_at > ?)"
_GET = f"SELECT value, version FROM documents WHERE root = ? AND name = ? AND parent = ? AND id = ? AND {_LIVE}"
_QUERY = f"""
SELECT id, value, version FROM documents
WHERE root = ? AND name = ? AND parent = ? AND id > ? AND {_LIVE} ORDER BY id LIMIT ?
"""
_QUERY_GROUP = f"""
SELECT parent, id, value, version FROM documents
WHERE root = ? AND name = ? AND (parent, id) > (?, ?) AND {_LIVE} ORDER BY parent, id LIMIT ?
"""

_SLICE = 256  # rows that a filtered query reads before others get their turn
_EXPIRE_SECONDS = 60.0
_CHECKED_BYTES = 64 * 1024 * 1024  # a file up to this is looked through at the start, in less than 0.1 s
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_WHAT_TO_DO = "put a backup in its place, or pass another file with --store"
_WAITED_SECONDS = 0.002  # a batch that waited so long makes the loop yield
_YIELD_SECONDS = 0.00005
_encode_rows = msgspec.json.Encoder().encode


class _Write:
    """One write on its way to the thread; `kind` is which statement it becomes."""

    __slots__ = ("error", "expires_at", "future", "if_version", "key", "kind", "text", "version")

    def __init__(
        self,
        kind: str,
        key: tuple[str, str, str, str],
        future: asyncio.Future[None],
        text: str = "",
        if_version: int | None = None,
        expires_at: float | None = None,
    ) -> None:
        self.kind = kind
        self.key = key
        self.future = future
        self.text = text
        self.version = new_version()
        self.if_version = if_version
        self.expires_at = expires_at
        self.error: Exception | None = None


class SqliteStore:
    """See `Store`.

    Args:
        file: the database; it and its folder are made if they are not there, readable by this user only.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Condition()
        self._waiting: list[_Write] = []
        self._closing = False
        self._acknowledged = 0  # batches
        self._watched = False
        self._next_expiry = 0.0

    # Opening and closing.

    async def open(self) -> None:
        """See `Store.open`."""
        with self._translated("open"):
            self._make_file()
            # The store sees to it that one thread at a time uses the connection.
            self._writer = sqlite3.connect(
                self.file, isolation_level=None, timeout=5.0, check_same_thread=False, cached_statements=16
            )
            self._prepare(self._writer)
            address = f"file:{quote(str(self.file.resolve()))}?mode=ro"
            self._reader = sqlite3.connect(address, uri=True, isolation_level=None, timeout=5.0)
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="trunkline-sqlite", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """See `Store.close`."""
        if self._thread is not None:
            with self._ready:
                self._closing = True
                self._ready.notify()
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
            self._thread = None
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._reader = self._writer = None

    def _make_file(self) -> None:
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600))

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")
        elif version != _SCHEMA_VERSION:
            raise StoreUnavailable(
                f"{self.file} has format {version}, and this Trunkline reads format {_SCHEMA_VERSION}; "
                "use the Trunkline that wrote it, or another file with --store"
            )
        elif self.file.stat().st_size <= _CHECKED_BYTES:
            self._check(connection)

    def _check(self, connection: sqlite3.Connection) -> None:
        found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        if found != "ok":
            raise StoreUnavailable(
                f"cannot open the documents in {self.file}: it is damaged ({' '.join(found.split())}); {_WHAT_TO_DO}"
            )

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
            advice = f"; {_WHAT_TO_DO}" if damaged else ""
            raise StoreUnavailable(f"cannot {doing} the documents in {self.file}: {error}{advice}") from error

    # Reading.

    async def get(self, path: DocumentPath, id: str) -> Record | None:  # noqa: A002
        """See `Store.get`."""
        rows = self._select("read", _GET, (*_key(path, id), clock.now()))
        return Record(path, id, self._decode(rows[0][0]), rows[0][1]) if rows else None

    async def query(
        self, path: DocumentPath, filters: Sequence[Filter], *, after: str | None, limit: int
    ) -> list[Record]:
        """See `Store.query`."""
        root, name, parent, _ = _key(path, "")
        found: list[Record] = []
        position = after or ""
        while len(found) < limit:
            size = _slice_size(filters, limit)
            rows = self._select("query", _QUERY, (root, name, parent, position, clock.now(), size))
            for key, text, version in rows:
                value = self._decode(text)
                if not filters or matches(value, filters):
                    found.append(Record(path, key, value, version))
            if len(rows) < size:
                break
            position = rows[-1][0]
            if filters:
                await asyncio.sleep(0)
        return found[:limit]

    async def query_group(
        self, root: str, name: str, filters: Sequence[Filter], *, after: tuple[str, str] | None, limit: int
    ) -> list[Record]:
        """See `Store.query_group`."""
        found: list[Record] = []
        position = after or ("", "")
        while len(found) < limit:
            size = _slice_size(filters, limit)
            rows = self._select("query", _QUERY_GROUP, (root, name, *position, clock.now(), size))
            for parent, key, text, version in rows:
                value = self._decode(text)
                if not filters or matches(value, filters):
                    found.append(Record((root, parent, name), key, value, version))
            if len(rows) < size:
                break
            position = rows[-1][:2]
            if filters:
                await asyncio.sleep(0)
        return found[:limit]

    def _select(self, doing: str, statement: str, values: tuple[Any, ...]) -> list[Any]:
        if self._reader is None:
            raise StoreUnavailable(f"cannot {doing} the documents in {self.file}: it is not open")
        try:
            return self._reader.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot {doing} the documents in {self.file}: {error}") from error

    def _decode(self, text: str) -> Json:
        try:
            return {} if text == "{}" else decode(text)
        except msgspec.DecodeError as error:
            raise StoreUnavailable(f"a document in {self.file} is damaged: {error}") from error

    # Writing: the loop's side.

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
        text = encode(value)
        kind = "replace" if if_version is not None else "create" if create else "set"
        write = _Write(kind, _key(path, id), self._future(), text, if_version, expires_at)
        await self._submit(write)
        return write.version

    async def delete(self, path: DocumentPath, id: str) -> None:  # noqa: A002
        """See `Store.delete`."""
        await self._submit(_Write("delete", _key(path, id), self._future()))

    def _future(self) -> asyncio.Future[None]:
        if self._thread is None or self._closing:
            raise StoreUnavailable(f"cannot write to the documents in {self.file}: it is not open")
        return self._loop.create_future()

    async def _submit(self, write: _Write) -> None:
        with self._ready:
            self._waiting.append(write)
            if len(self._waiting) == 1:
                self._ready.notify()
        if not self._watched:
            self._watched = True
            self._loop.call_later(_WAITED_SECONDS, self._yield_to_writer, self._acknowledged)
        stand_still = getattr(self._loop, "stand_still", contextlib.nullcontext)
        with stand_still():  # virtual time does not pass while the thread works
            await write.future

    def _yield_to_writer(self, acknowledged: int) -> None:
        """While a batch waits too long, give the interpreter lock away: a busy loop would starve the thread."""
        if not self._waiting and self._acknowledged > acknowledged:
            self._watched = False
            return
        if self._acknowledged == acknowledged:
            time.sleep(_YIELD_SECONDS)
        self._loop.call_later(_WAITED_SECONDS, self._yield_to_writer, self._acknowledged)

    def _settle(self, batch: list[_Write]) -> None:
        self._acknowledged += 1
        for write in batch:
            if write.future.done():
                continue  # its handler was cancelled
            if write.error is None:
                write.future.set_result(None)
            else:
                write.future.set_exception(write.error)

    # Writing: the thread's side.

    def _work(self) -> None:
        while True:
            with self._ready:
                while not self._waiting and not self._closing:
                    self._ready.wait()
                batch, self._waiting = self._waiting, []
            if not batch:
                return
            self._commit(batch)
            with contextlib.suppress(RuntimeError):  # the loop was closed under us
                self._loop.call_soon_threadsafe(self._settle, batch)

    def _commit(self, batch: list[_Write]) -> None:
        connection = self._writer
        assert connection is not None
        try:
            connection.execute("BEGIN IMMEDIATE")
            for kind, writes in groupby(batch, key=_kind):
                _APPLY[kind](connection, list(writes))
            self._expire(connection)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread goes on, and nobody waits for ever
            self._roll_back(connection)
            for write in batch:
                write.error = StoreUnavailable(f"cannot write to the documents in {self.file}: {error}")

    def _expire(self, connection: sqlite3.Connection) -> None:
        """Now and then, delete what has expired; reads leave it out already."""
        if time.monotonic() >= self._next_expiry:
            self._next_expiry = time.monotonic() + _EXPIRE_SECONDS
            connection.execute(_EXPIRE, (clock.now(),))

    @staticmethod
    def _roll_back(connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # a full disk may have rolled back already
                connection.execute("ROLLBACK")


def _kind(write: _Write) -> str:
    return write.kind


def _apply_sets(connection: sqlite3.Connection, writes: list[_Write]) -> None:
    rows = [(*write.key, write.text, write.version, write.expires_at) for write in writes]
    connection.execute(_SET, (_encode_rows(rows).decode(),))


def _apply_deletes(connection: sqlite3.Connection, writes: list[_Write]) -> None:
    connection.execute(_DELETE, (_encode_rows([write.key for write in writes]).decode(),))


def _apply_creates(connection: sqlite3.Connection, writes: list[_Write]) -> None:
    for write in writes:
        values = (*write.key, write.text, write.version, write.expires_at, clock.now())
        if connection.execute(_CREATE, values).rowcount != 1:
            write.error = AlreadyExists(f"{_name(write.key)} exists already")


def _apply_replaces(connection: sqlite3.Connection, writes: list[_Write]) -> None:
    for write in writes:
        values = (write.text, write.version, write.expires_at, *write.key, write.if_version, clock.now())
        if _changed(connection, values) != 1:
            row = connection.execute(_GET, (*write.key, clock.now())).fetchone()
            at = "does not exist" if row is None else f"is at version {row[1]}"
            write.error = Conflict(f"{_name(write.key)} {at}; expected version {write.if_version}")


def _changed(connection: sqlite3.Connection, values: tuple[object, ...]) -> int:
    try:
        return connection.execute(_REPLACE, values).rowcount
    except (OverflowError, sqlite3.InterfaceError, sqlite3.ProgrammingError):
        return 0  # what SQLite cannot even compare is the version of no document


_APPLY = {"set": _apply_sets, "delete": _apply_deletes, "create": _apply_creates, "replace": _apply_replaces}


def _key(path: DocumentPath, id: str) -> tuple[str, str, str, str]:  # noqa: A002
    """Root, name, parent, id: the primary key, in which a collection group is one range."""
    return (path[0], "", "", id) if len(path) == 1 else (path[0], path[2], path[1], id)


def _name(key: tuple[str, str, str, str]) -> str:
    root, name, parent, document = key
    return f"{root}/{parent}/{name}/{document}" if name else f"{root}/{document}"


def _slice_size(filters: Sequence[Filter], limit: int) -> int:
    return max(limit, _SLICE) if filters else limit
