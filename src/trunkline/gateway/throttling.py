"""Rates: token buckets for a node, for each of its stages and routes, and for each address.

What is under no rate has no throttle, and costs nothing. A request that one of its rates refuses counts against none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from trunkline import limits
from trunkline.connections.base import ConnectionInfo, FanOut
from trunkline.errors import Throttled
from trunkline.gateway.dispatcher import error_body
from trunkline.gateway.http import HttpResponse
from trunkline.model.addresses import subscriber
from trunkline.model.api import CONNECT_ROUTE, CompiledApi, CompiledRoute, Rate, Throttle
from trunkline.model.events import CONNECT, Event

if TYPE_CHECKING:
    from trunkline.connections.base import Connections
    from trunkline.model.events import Identity

__all__ = ["AWS_RATES", "Bucket", "ThrottledConnections", "Throttling", "too_many"]

AWS_RATES: Mapping[str, Rate] = {
    "connects": Rate(limits.CONNECTS_PER_SECOND, limits.CONNECTS_PER_SECOND),
    "requests": Rate(limits.REQUESTS_PER_SECOND, limits.REQUESTS_BURST),
}
_TOLERANCE = 1e-6  # of a token: what sums of floating seconds are off by
_FEW, _MANY = 1024, 65_536  # addresses
_subscriber = lru_cache(maxsize=4096)(subscriber)


class Bucket:
    """Holds `burst` tokens, and gets `per_second` new ones a second until it is full."""

    __slots__ = ("_burst", "_full_at", "_per_second")

    def __init__(self, rate: Rate) -> None:
        self._burst = rate.burst if rate.per_second else 0
        self._per_second = rate.per_second
        self._full_at = 0.0

    def has_one(self, now: float) -> bool:
        """Whether there is a token."""
        return (self._full_at - now) * self._per_second <= self._burst - 1 + _TOLERANCE and self._burst > 0

    def take(self, now: float) -> None:
        """Take a token that is there."""
        self._full_at = max(self._full_at, now) + 1 / self._per_second

    def is_full(self, now: float) -> bool:
        """Whether nobody has taken one lately."""
        return self._full_at <= now


class _Addresses:
    """A bucket for each IPv4 address and each IPv6 /64 that has not been quiet.

    There are at most 65,536; if that is not enough, those that came first begin anew.
    """

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._buckets: dict[str, Bucket] = {}
        self._forget_at = _FEW

    def __len__(self) -> int:
        return len(self._buckets)

    def bucket(self, address: str, now: float) -> Bucket:
        """That of an address."""
        key = _subscriber(address)
        found = self._buckets.get(key)
        if found is None:
            if len(self._buckets) >= self._forget_at:
                self._forget(now)
            found = self._buckets[key] = Bucket(self._rate)
        return found

    def _forget(self, now: float) -> None:
        """A full bucket is as good as none. It is looked for seldom, so that each new address costs little."""
        busy = [(key, bucket) for key, bucket in self._buckets.items() if not bucket.is_full(now)]
        self._buckets = dict(busy[-_MANY // 2 :])
        self._forget_at = max(_FEW, 2 * len(self._buckets))


class _Buckets:
    """The buckets that one kind of request is counted in; see `Throttle`."""

    __slots__ = ("_addresses", "_buckets", "_time")

    def __init__(self, time: Callable[[], float], buckets: Sequence[Bucket], addresses: _Addresses | None) -> None:
        self._time = time
        self._buckets = tuple(buckets)
        self._addresses = addresses

    def takes(self, address: str) -> bool:
        now = self._time()
        buckets = self._buckets
        if self._addresses is not None:
            buckets = (self._addresses.bucket(address, now), *buckets)
        for bucket in buckets:
            if not bucket.has_one(now):
                return False
        for bucket in buckets:
            bucket.take(now)
        return True


class Throttling:
    """The rates of a node.

    Args:
        rates: by name: "connects" and "requests" of the node, "address.connects" and "address.messages" of one address;
            others are not looked at.
        time: the loop's.
    """

    def __init__(self, rates: Mapping[str, Rate], time: Callable[[], float]) -> None:
        self._time = time
        self._connects = _buckets(rates.get("connects"))
        self._requests = _buckets(rates.get("requests"))
        self._address_connects = _addresses(rates.get("address.connects"))
        self._address_messages = _addresses(rates.get("address.messages"))

    def applied(self, api: CompiledApi) -> CompiledApi:
        """The Api with throttles for what is under a rate: the node's, its own, or a route's."""
        stage = [*self._requests, *_buckets(api.rate)]
        handshake = [*self._connects, *stage, *_buckets(None if api.connect is None else api.connect.rate)]
        return replace(
            api,
            routes={key: self._route(route, stage) for key, route in api.routes.items()},
            handshakes=self._throttle(handshake, self._address_connects),
            messages=self._throttle(stage, self._address_messages),
            calls=self._throttle(stage),
        )

    def _route(self, route: CompiledRoute, stage: list[Bucket]) -> CompiledRoute:
        return replace(route, throttle=self._throttle([*stage, *_buckets(route.rate)], self._address_messages))

    def _throttle(self, buckets: list[Bucket], addresses: _Addresses | None = None) -> Throttle | None:
        return _Buckets(self._time, buckets, addresses) if buckets or addresses is not None else None


class ThrottledConnections:
    """Connections as a program on AWS has them: each use is a call to `@connections`, and counts as one.

    Args:
        connections: what is used.
        calls: counts the calls, by the name of the Api; one without a throttle is not counted.

    Raises:
        Throttled: there are too many.
    """

    def __init__(self, connections: Connections, calls: Mapping[str, Throttle | None]) -> None:
        self._connections = connections
        self._calls = calls

    async def send(self, api: str, connection_id: str, data: str | bytes) -> bool:
        """See `Connections.send`."""
        self._count(api)
        return await self._connections.send(api, connection_id, data)

    async def close(self, api: str, connection_id: str, code: int, reason: str) -> bool:
        """See `Connections.close`."""
        self._count(api)
        return await self._connections.close(api, connection_id, code, reason)

    async def info(self, api: str, connection_id: str) -> ConnectionInfo | None:
        """See `Connections.info`."""
        self._count(api)
        return await self._connections.info(api, connection_id)

    async def fan_out(self, api: str, connection_ids: Sequence[str], data: str | bytes) -> FanOut:
        """See `Connections.fan_out`: each connection is a call."""
        throttle = self._calls.get(api)
        taken = [throttle is None or throttle.takes("") for _ in connection_ids]
        reached = [i for i, taking in zip(connection_ids, taken, strict=True) if taking]
        done = await self._connections.fan_out(api, reached, data)
        done.failed |= {i: _throttled(api) for i, taking in zip(connection_ids, taken, strict=True) if not taking}
        return done

    def _count(self, api: str) -> None:
        throttle = self._calls.get(api)
        if throttle is not None and not throttle.takes(""):
            raise _throttled(api)


def too_many(identity: Identity) -> HttpResponse:
    """What API Gateway answers to a handshake over a rate."""
    event = Event(CONNECT, identity, CONNECT_ROUTE)
    headers = {"content-type": "application/json; charset=UTF-8", "x-amz-apigw-id": event.request_id}
    return HttpResponse(429, error_body(limits.MESSAGE_THROTTLED, event).encode(), headers)


def _throttled(api: str) -> Throttled:
    return Throttled(f"a rate that {api!r} is under is used up; wait, and try again")


def _buckets(rate: Rate | None) -> list[Bucket]:
    return [] if rate is None else [Bucket(rate)]


def _addresses(rate: Rate | None) -> _Addresses | None:
    return None if rate is None else _Addresses(rate)
