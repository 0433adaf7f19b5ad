"""Who is let in: from how many sockets, in all and of one address, and from pages of which origins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from trunkline.model.addresses import (
    authority,
    check_origin,
    is_in,
    is_loopback,
    origin_parts,
    parse_address,
    parse_network,
    subscriber,
)

__all__ = ["Admission"]

_SCHEMES = ("http", "https")


class Admission:
    """The rules of one gateway's door, and its count of sockets by address.

    Args:
        most: sockets at a time in all; None for no cap.
        most_per_address: sockets at a time of one IPv4 address or one IPv6 /64; None for no cap.
        proxies: networks whose `X-Forwarded-For` is believed.
        origins: besides the rules, pages of exactly these origins may connect.
    """

    def __init__(
        self,
        *,
        most: int | None = None,
        most_per_address: int | None = None,
        proxies: Sequence[str] = (),
        origins: Sequence[str] = (),
    ) -> None:
        self.most = most
        self._most_per_address = most_per_address
        self._proxies = [parse_network(text) for text in proxies]
        self._origins = frozenset(check_origin(origin) for origin in origins)
        self._by_address: Counter[str] = Counter()
        self.loopback = True  # until somebody else can reach the door

    def is_proxy(self, address: str) -> bool:
        """Whether what this peer says of its clients is believed."""
        return bool(self._proxies) and is_in(address, self._proxies)

    def source(self, peer: str, forwarded: Sequence[str]) -> str:
        """The client's address: the last one of `X-Forwarded-For` that is not a proxy's own, if a proxy says so."""
        if not self.is_proxy(peer):
            return peer
        for part in reversed([part.strip() for value in forwarded for part in value.split(",")]):
            address = parse_address(part)
            if address is None:
                break  # nobody vouches for what stands in front of it
            if not is_in(address, self._proxies):
                return address
        return peer

    def enter(self, address: str) -> str | None:
        """Count a socket of an address; returns the key to `leave` with, None if there are too many of it."""
        if self._most_per_address is None:
            return ""
        key = subscriber(address)
        if self._by_address[key] >= self._most_per_address:
            return None
        self._by_address[key] += 1
        return key

    def leave(self, key: str) -> None:
        """A socket that entered is gone."""
        if key:
            self._by_address[key] -= 1
            if not self._by_address[key]:
                del self._by_address[key]

    def allows_origin(self, origin: str | None, host: str) -> bool:
        """Whether a page may connect: of the same host, of this machine to this machine, or of a declared origin.

        A client that is no browser sends no Origin. `null`, which any sandboxed page can send, is never allowed.
        """
        if origin is None or origin in self._origins:
            return True
        parts = origin_parts(origin)
        if parts is None:
            return False
        scheme, name, port = parts
        if self.loopback and is_loopback(name):
            return True
        return scheme in _SCHEMES and (name, port) == authority(host, scheme)
