"""Addresses, networks and origins: who is at the other end, and where a page comes from."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TypeAlias
from urllib.parse import urlsplit

from trunkline.errors import ConfigurationError

__all__ = [
    "Network",
    "authority",
    "check_origin",
    "is_in",
    "is_loopback",
    "origin_parts",
    "parse_address",
    "parse_network",
    "subscriber",
]

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_IPV6_PREFIX = 64  # one subscriber has at least this much


def check_origin(text: str) -> str:
    """An origin as browsers write it. Raises ConfigurationError for what is none."""
    if origin_parts(text) is None or text != text.lower():
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


def origin_parts(origin: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an origin."""
    try:
        parts = urlsplit(origin)
        scheme, name, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        return None
    if not scheme or not name or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return scheme, name, port or _PORTS.get(scheme, 0)


def authority(host: str, scheme: str) -> tuple[str, int]:
    """Host and port of a Host header; the scheme's port if it names none."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdigit():
        return host.strip("[]").lower(), _PORTS.get(scheme, 0)
    return name.strip("[]").lower(), int(port)


def parse_address(text: str) -> str | None:
    """An IP address in its usual form; None for what is none."""
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return None


def is_in(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address belongs to one of the networks; an IPv4 address within IPv6 counts as itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)


def subscriber(address: str) -> str:
    """Whom an address stands for: itself, or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address or "unknown"
    if parsed.version == 4:
        return str(parsed)
    mapped = parsed.ipv4_mapped
    return str(mapped or ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
