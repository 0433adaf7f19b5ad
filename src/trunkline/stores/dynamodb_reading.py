"""Queries over the partitions of a DynamoDB table: read side by side, merged in order, no further than is asked for."""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from trunkline.stores.base import Filter, Path, Record, matches
from trunkline.stores.dynamodb_conditions import live
from trunkline.stores.dynamodb_items import PREFIX_BYTES, Item, Parameters, bounds, partitions_of, plain

__all__ = ["Ask", "Search"]

Ask: TypeAlias = Callable[[Parameters], Awaitable[Mapping[str, Any]]]
"""Does one Query of a table, with these parameters."""
Position: TypeAlias = tuple[bytes, bytes]
"""Of a document: its parent's id and its id."""

_LEAST = 4  # items of a page: DynamoDB counts 4 KB at least
_FILTERED = 64
_MOST = 100_000  # more are never in a page, which has 1 MB; DynamoDB takes no number over 2 ** 31


class Search:
    """One query.

    Args:
        path: of a collection or a subcollection; of a group it is `(root, "", name)`.
        after: the position behind which it begins; None for the beginning.
    """

    def __init__(
        self,
        path: Path,
        filters: Sequence[Filter],
        *,
        after: tuple[str, str] | None,
        now: float,
        group: bool = False,
    ) -> None:
        self._path = path
        self._filters = filters
        self._after = None if after is None else (after[0].encode(), after[1].encode())
        self._parent = path[1] if len(path) == 3 and not group else None
        low, high = bounds(path[:1] if group else path, after)
        names = partitions_of(path, path[2] if group else None)
        condition = live(filters, now)
        self._partitions = [_Partition(_query(name, low, high, condition)) for name in names]

    async def run(self, ask: Ask, limit: int) -> list[Record]:
        """At most so many documents, in order."""
        found: list[Record] = []
        while len(found) < limit:
            ready = await self._next(ask, limit - len(found))
            if not ready:
                break
            found += [record for _, record in ready]
        return found[:limit]

    async def _next(self, ask: Ask, missing: int) -> list[tuple[Position, Record]]:
        """The documents that come next, as far as is known; none at the end."""
        await self._read(ask, missing)
        ends = [one.found[-1][0] for one in self._partitions if not one.is_read]
        until = min(ends, default=None)
        ready = [entry for one in self._partitions for entry in one.take(until)]
        ready.sort(key=_position)
        return ready

    async def _read(self, ask: Ask, missing: int) -> None:
        """Go on until every partition has something, or has been read. What will soon be needed is read with it."""
        share = missing / len(self._partitions)
        few = share
        while any(not one.found and not one.is_read for one in self._partitions):
            wanted = [one for one in self._partitions if not one.is_read and len(one.found) <= few]
            await asyncio.gather(*(self._read_on(one, ask, share, missing) for one in wanted))
            few = 0

    async def _read_on(self, partition: _Partition, ask: Ask, share: float, missing: int) -> None:
        size = math.ceil(share + 2 * math.sqrt(share))  # with 8 of them, more than that is seldom in one
        grown = min(partition.pages, 6)
        size = min(max(size, _LEAST) << grown, missing)
        if self._filters:
            size = max(size, _FILTERED << grown)
        size = min(size, _MOST)
        for item in partition.taken(await ask(partition.page(size))):
            record = plain(self._path, item)
            position = _position_of(record)
            if self._is_wanted(position, record):
                partition.found.append((position, record))
        partition.found.sort(key=_position)  # what is cut comes in the order of its hash

    def _is_wanted(self, position: Position, record: Record) -> bool:
        if self._after is not None and position <= self._after:
            return False
        if self._parent is not None and record.path[1] != self._parent:
            return False
        return not self._filters or matches(record.value, self._filters)


class _Partition:
    """What is known of one partition.

    Attributes:
        found: documents that nobody took yet, in order.
        is_read: nothing is behind these.
        pages: how many were read.
    """

    __slots__ = ("_held", "_query", "_start", "found", "is_read", "pages")

    def __init__(self, query: Parameters) -> None:
        self._query = query
        self._start: Item | None = None
        self._held: list[Item] = []
        self.found: list[tuple[Position, Record]] = []
        self.is_read = False
        self.pages = 0

    def page(self, size: int) -> Parameters:
        """What to ask next, for this many items to be looked at."""
        start = {} if self._start is None else {"ExclusiveStartKey": self._start}
        return {**self._query, **start, "Limit": size}

    def taken(self, page: Mapping[str, Any]) -> list[Item]:
        """The items of a page whose place is known. Keys that are cut alike are held back until all are there."""
        items: list[Item] = self._held + page["Items"]
        self.pages += 1
        self._start = page.get("LastEvaluatedKey")
        self.is_read = self._start is None
        last = b"" if self._start is None else self._start["sk"]["B"]
        alike = last[:PREFIX_BYTES] if len(last) >= PREFIX_BYTES else None
        self._held = [] if alike is None else [one for one in items if one["sk"]["B"].startswith(alike)]
        return items[: len(items) - len(self._held)]

    def take(self, until: Position | None) -> list[tuple[Position, Record]]:
        """What was found up to here; None for all."""
        count = len(self.found) if until is None else bisect_right(self.found, until, key=_position)
        taken, self.found = self.found[:count], self.found[count:]
        return taken


def _query(partition: str, low: bytes | None, high: bytes | None, condition: Parameters) -> Parameters:
    values = condition["ExpressionAttributeValues"] | {":pk": {"S": partition}}
    text = "pk = :pk"
    if low is not None:
        text += " AND sk >= :low" if high is None else " AND sk BETWEEN :low AND :high"
        values[":low"] = {"B": low}
    if high is not None:
        values[":high"] = {"B": high}
    return {
        **condition,
        "KeyConditionExpression": text,
        "ExpressionAttributeValues": values,
        "ConsistentRead": True,
    }


def _position(entry: tuple[Position, Record]) -> Position:
    return entry[0]


def _position_of(record: Record) -> Position:
    parent = record.path[1].encode() if len(record.path) == 3 else b""
    return parent, record.id.encode()
