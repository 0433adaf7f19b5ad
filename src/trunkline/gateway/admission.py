"""Who is let in: from how many sockets, in all and of one address, and from pages of which origins."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias
from urllib.parse import urlsplit

from trunkline.errors import ConfigurationError

__all__ = ["Admission", "check_origin", "is_loopback", "parse_network"]

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_IPV6_PREFIX = 64  # one subscriber has at least this much


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
        return bool(self._proxies) and _is_in(address, self._proxies)

    def source(self, peer: str, forwarded: Sequence[str]) -> str:
        """The client's address: the last one of `X-Forwarded-For` that is not a proxy's own, if a proxy says so."""
        if not self.is_proxy(peer):
            return peer
        for part in reversed([part.strip() for value in forwarded for part in value.split(",")]):
            address = _address(part)
            if address is None:
                break  # nobody vouches for what stands in front of it
            if not _is_in(address, self._proxies):
                return address
        return peer

    def enter(self, address: str) -> str | None:
        """Count a socket of an address; returns the key to `leave` with, None if there are too many of it."""
        if self._most_per_address is None:
            return ""
        key = _subscriber(address)
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
        parts = _split(origin)
        if parts is None:
            return False
        scheme, name, port = parts
        if self.loopback and is_loopback(name):
            return True
        return (name, port) == _authority(host, scheme)


def check_origin(text: str) -> str:
    """An origin as browsers write it. Raises ConfigurationError for what is none."""
    if _split(text) is None or text != text.lower():
        raise ConfigurationError(f"origin {text!r}: expected what browsers send, such as https://app.example")
    return text


def parse_network(text: str) -> Network:
    """A network or one address. Raises ConfigurationError for what is neither."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ConfigurationError(
            f"trust_proxy {text!r}: expected an address or a network, such as 10.0.0.0/8"
        ) from None


def is_loopback(name: str) -> bool:
    """Whether a host name or address is this machine's own."""
    bare = name.strip("[]").lower()
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def _split(origin: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an origin."""
    try:
        parts = urlsplit(origin)
        scheme, name, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        return None
    if not scheme or not name or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return scheme, name, port or _PORTS.get(scheme, 0)


def _authority(host: str, scheme: str) -> tuple[str, int]:
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdigit():
        return host.strip("[]").lower(), _PORTS.get(scheme, 0)
    return name.strip("[]").lower(), int(port)


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return None


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)


def _subscriber(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address or "unknown"
    if parsed.version == 4:
        return str(parsed)
    mapped = parsed.ipv4_mapped
    return str(mapped or ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
