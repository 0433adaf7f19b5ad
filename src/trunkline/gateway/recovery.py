"""After a crash: whoever was connected gets the DISCONNECT that the last run still owed."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from trunkline import limits
from trunkline.gateway.dispatcher import log_handler_error, timed_out
from trunkline.gateway.runner import NOT_HANDLERS
from trunkline.model.api import DISCONNECT_ROUTE, CompiledRoute
from trunkline.model.events import DISCONNECT, Event

if TYPE_CHECKING:
    from trunkline.gateway.journal import Entry, Journal
    from trunkline.gateway.server import Gateway
    from trunkline.model.api import CompiledApi

__all__ = ["recover"]

logger = logging.getLogger("trunkline.gateway")
_AT_ONCE = 100  # disconnect handlers


async def recover(gateway: Gateway, journal: Journal) -> None:
    """Run the disconnect handler of every connection that a journal holds, and note its end.

    Its close code is 1006. Connections of sockets that are not served any more, or have no such handler, are
    forgotten, and the log says so.
    """
    entries = journal.entries()
    if not entries:
        return
    logger.warning(
        "connections that were open when the last run ended: %d; they get their DISCONNECT now", len(entries)
    )
    begin = asyncio.current_task()
    room = asyncio.Semaphore(_AT_ONCE)

    async def disconnect(api: CompiledApi, entry: Entry) -> None:
        try:
            await _disconnect(api, entry, cast("asyncio.Task[None]", begin))
            journal.ended(entry.connection_id)
        finally:
            room.release()

    async with asyncio.TaskGroup() as group:
        for api, entry in list(_served(gateway, journal, entries)):
            await room.acquire()
            # A Task and a Context for each, as a connection has.
            group.create_task(disconnect(api, entry), context=gateway.context.copy())


def _served(gateway: Gateway, journal: Journal, entries: list[Entry]) -> Iterator[tuple[CompiledApi, Entry]]:
    forgotten: Counter[str] = Counter()
    for entry in entries:
        stage = gateway.stages.get(entry.stage)
        if stage is not None and stage.api.name == entry.api and stage.api.disconnect is not None:
            yield stage.api, entry
        else:
            forgotten[entry.api] += 1
            journal.ended(entry.connection_id)
    for api, count in forgotten.items():
        logger.warning(
            "connections of %r among them: %d; they get none, because the program has no disconnect handler for it now",
            api, count,
        )  # fmt: skip


async def _disconnect(api: CompiledApi, entry: Entry, begin: asyncio.Task[None]) -> None:
    route = cast("CompiledRoute", api.disconnect)
    event = Event(
        DISCONNECT, entry.identity(), DISCONNECT_ROUTE,
        close_code=limits.CLOSE_ABNORMAL, close_reason=limits.REASON_ABNORMAL,
    )  # fmt: skip
    seconds = api.limits.handler_seconds
    try:
        async with asyncio.timeout(seconds) as deadline:
            await route.invoke(event)
    except NOT_HANDLERS:
        raise
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and begin.cancelling():
            raise  # the start is broken off: the next one begins with this connection
        if not deadline.expired():
            log_handler_error(route, event, error)
    if deadline.expired():
        timed_out(route, event, seconds)
