"""Taking leave of every client in order: what was received is handled and answered, then comes the close.

The closes are spread evenly, so that clients which connect again do not all come at once; no faster than other
nodes take new connections, and no slower than the time that is given allows.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from typing import TYPE_CHECKING

from trunkline import limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.gateway.connection import Connection
    from trunkline.gateway.server import Gateway

__all__ = ["drain"]

logger = logging.getLogger("trunkline.gateway")

_TURN_SECONDS = 0.01
_SPREAD_SHARE = 2 / 3  # of the time; the rest is for handlers that take long


async def drain(gateway: Gateway, code: int, reason: str, seconds: float) -> None:
    """Close every connection of a gateway that takes no new ones, and wait until its disconnect handler has run.

    Args:
        seconds: when it gives up. Infinite: every connection is closed at once, and the limits of handlers and
            closing handshakes alone bound the wait.
    """
    began = gateway.time()
    waiting = list(gateway.alive)
    random.shuffle(waiting)
    spread = 0.0 if math.isinf(seconds) else min(len(waiting) / limits.CLOSES_PER_SECOND, seconds * _SPREAD_SHARE)
    while (gateway.alive or gateway.ending) and gateway.time() - began < seconds:
        passed = gateway.time() - began
        if gateway.hurried:
            _close_all(gateway, code, reason)
        elif passed >= spread:  # those too whose handshake was still being decided
            _drain(gateway.alive, code, reason)
        else:
            _drain(waiting[: 1 + int(len(waiting) * passed / spread)], code, reason)
        await asyncio.sleep(_TURN_SECONDS)
    _give_up(gateway)


def _drain(connections: Iterable[Connection], code: int, reason: str) -> None:
    for connection in list(connections):
        connection.drain(code, reason)


def _close_all(gateway: Gateway, code: int, reason: str) -> None:
    for connection in list(gateway.alive):
        connection.close(code, reason)


def _give_up(gateway: Gateway) -> None:
    left = {*gateway.alive, *gateway.ending}
    if not left:
        return
    kept = "; the journal keeps them for the next start" if gateway.journal is not None else ""
    logger.warning("the time to drain is over; connections that have not had their DISCONNECT: %d%s", len(left), kept)
    for connection in left:
        connection.abandon()
    gateway.alive.clear()
    gateway.ending.clear()
