"""Documents in DynamoDB: a table for each collection, one request for each write and for each document read.

A collection's documents are spread over 8 partitions by their ids; a query reads these side by side and merges
what comes. Subcollections are in the table of their root. Writes of one document that this process makes at the same
time are made one after the other, as they were asked for.

What is else than in SQLite: the size of a document is counted by DynamoDB, with its id and its parent's; and a write
that fails because no answer came may have been done, which its error says.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import Any

from trunkline import clock
from trunkline.errors import AlreadyExists, ConfigurationError, Conflict, StoreUnavailable
from trunkline.stores.base import Filter, Json, Path, Record, encode, new_version
from trunkline.stores.dynamodb_client import ConditionFailed, DynamoClient
from trunkline.stores.dynamodb_conditions import absent, at_version
from trunkline.stores.dynamodb_items import Item, Parameters, is_live, item_of, key_of, plain, version_of
from trunkline.stores.dynamodb_reading import Search
from trunkline.stores.dynamodb_tables import make_tables

__all__ = ["DynamoStore"]

_ATTEMPTS = 5
_URL = re.compile(
    r"dynamodb://(?P<region>[a-z0-9]+(?:-[a-z0-9]+)+)(?:/(?P<prefix>[A-Za-z0-9_.-]*))?"
    r"(?:\?endpoint=(?P<endpoint>https?://[^/?#@\s]+/?))?"
)
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_FORM = "dynamodb://REGION/PREFIX, with ?endpoint=URL for another than AWS's"


class DynamoStore:
    """See `Store`. No client is made before the first operation.

    Args:
        tables: by collection, the name of its table.
        region, endpoint: as boto3 has them; None for its own rules.
        make: make the tables that are missing when it is opened. Otherwise nothing is made or described.
        attempts: how often a request is made before it counts as failed.

    Attributes:
        place: what people call it.
    """

    def __init__(
        self,
        tables: Mapping[str, str],
        *,
        region: str | None = None,
        endpoint: str | None = None,
        make: bool = False,
        attempts: int = _ATTEMPTS,
    ) -> None:
        self._tables = tables
        self._client = DynamoClient(region, endpoint, attempts)
        self._make = make
        self._last: dict[tuple[Path, str], asyncio.Task[None]] = {}  # write of a document, while there is one
        self.place = self._client.name

    @classmethod
    def of(cls, url: str, collections: Sequence[str]) -> DynamoStore:
        """The store of a URL. A collection's table is named by the URL's path, with the collection's name behind it.

        Raises:
            ConfigurationError: the URL is wrong, or a table cannot be called so.
        """
        region, prefix, endpoint = _parsed(url)
        tables = {name: _named(prefix, name) for name in collections}
        return cls(tables, region=region, endpoint=endpoint, make=True)

    async def open(self) -> None:
        """See `Store.open`."""
        if self._make:
            await make_tables(self._client, self._tables.values())

    async def close(self) -> None:
        """See `Store.close`."""
        if self._last:
            await asyncio.wait(self._last.values())
        await self._client.close()

    # Reading.

    async def get(self, path: Path, id: str) -> Record | None:  # noqa: A002
        """See `Store.get`."""
        table = self._table(path)
        answer = await self._client.call("GetItem", TableName=table, Key=key_of(path, id), ConsistentRead=True)
        item = answer.get("Item")
        with self._readable(table):
            return plain(path, item) if item is not None and is_live(item, clock.now()) else None

    async def query(self, path: Path, filters: Sequence[Filter], *, after: str | None, limit: int) -> list[Record]:
        """See `Store.query`."""
        parent = path[1] if len(path) == 3 else ""
        position = None if after is None else (parent, after)
        return await self._find(Search(path, filters, after=position, now=clock.now()), path, limit)

    async def query_group(
        self, root: str, name: str, filters: Sequence[Filter], *, after: tuple[str, str] | None, limit: int
    ) -> list[Record]:
        """See `Store.query_group`."""
        path = (root, "", name)
        return await self._find(Search(path, filters, after=after, now=clock.now(), group=True), path, limit)

    async def _find(self, search: Search, path: Path, limit: int) -> list[Record]:
        table = self._table(path)

        def ask(parameters: Parameters) -> Awaitable[Mapping[str, Any]]:
            return self._client.call("Query", TableName=table, **parameters)

        with self._readable(table):
            return await search.run(ask, limit)

    @contextlib.contextmanager
    def _readable(self, table: str) -> Iterator[None]:
        try:
            yield
        except (KeyError, ValueError, TypeError) as error:
            raise StoreUnavailable(f"{self.place}, table {table}: an item of it is no document: {error!r}") from error

    # Writing.

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
        version = new_version()
        item = item_of(path, id, encode(value), version, expires_at)
        condition: Parameters = {}
        if if_version is not None:
            condition = at_version(if_version, clock.now())
        elif create:
            condition = absent(clock.now())
        try:
            await self._write("PutItem", path, id, Item=item, **condition)
        except ConditionFailed as failed:
            self._explain(failed.item, "/".join((*path, id)), version, if_version)
        return version

    async def delete(self, path: Path, id: str) -> None:  # noqa: A002
        """See `Store.delete`."""
        await self._write("DeleteItem", path, id, Key=key_of(path, id))

    async def _write(self, operation: str, path: Path, id: str, **parameters: Any) -> None:  # noqa: A002
        """Behind what is already on its way for this document. It goes on if its handler is cancelled."""
        key = (path, id)
        task = asyncio.ensure_future(
            self._behind(self._last.get(key), operation, {"TableName": self._table(path), **parameters})
        )
        self._last[key] = task
        task.add_done_callback(lambda _: self._last.pop(key) if self._last[key] is task else None)
        await asyncio.shield(task)

    async def _behind(self, before: asyncio.Task[None] | None, operation: str, parameters: Parameters) -> None:
        if before is not None:
            await asyncio.wait([before])
        await self._client.call(operation, **parameters)

    def _explain(self, there: Item | None, name: str, version: int, if_version: int | None) -> None:
        """Raises what a failed condition means. It means nothing if what is there is ours: the answer had been lost."""
        found = None if there is None else version_of(there)
        if found == version:
            return
        if if_version is None:
            raise AlreadyExists(f"{name} exists already")
        at = "does not exist, or is at another version"
        if there is not None:
            at = f"is at version {found}" if is_live(there, clock.now()) else "does not exist"
        raise Conflict(f"{name} {at}; expected version {if_version}")

    def _table(self, path: Path) -> str:
        try:
            return self._tables[path[0]]
        except KeyError:
            raise StoreUnavailable(
                f"the collection {path[0]!r} has no table here; declare it in a file of the program"
            ) from None


def _parsed(url: str) -> tuple[str, str, str | None]:
    """Region, prefix and endpoint."""
    found = _URL.fullmatch(url)
    if found is None:
        raise ConfigurationError(f"--store is {url!r}; expected {_FORM}")
    return found["region"], found["prefix"] or "", found["endpoint"]


def _named(prefix: str, collection: str) -> str:
    name = prefix + collection
    if not _TABLE.fullmatch(name):
        raise ConfigurationError(
            f"collection({collection!r}): its table in DynamoDB would be {name!r}; expected 3 to 255 of A-Z, a-z, 0-9, "
            "'_', '-' and '.': change the prefix in --store, or the collection's name"
        )
    return name
