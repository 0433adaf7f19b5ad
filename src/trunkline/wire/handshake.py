"""The opening handshake of RFC 6455, section 4, for both roles; HTTP itself is parsed elsewhere."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha1

__all__ = [
    "HandshakeError",
    "accept_key",
    "accept_response",
    "check_accept",
    "check_subprotocol",
    "check_upgrade",
    "client_request",
    "is_upgrade",
    "parse_subprotocols",
]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN = re.compile(r"[\r\n\0]")
Headers = Sequence[tuple[str, str]]


class HandshakeError(Exception):
    """A handshake that cannot be.

    Attributes:
        status: the HTTP status for the client.
        message: what was wrong and what was expected.
        headers: what belongs into the refusal.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}


def accept_key(key: str) -> str:
    """The answer to a `Sec-WebSocket-Key`."""
    return base64.b64encode(sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()).decode()


def is_upgrade(headers: Headers) -> bool:
    """Whether a request asks for a WebSocket."""
    return "websocket" in _tokens(headers, "upgrade")


def check_upgrade(method: str, http_version: str, headers: Headers) -> str:
    """The key of a valid handshake.

    Args:
        http_version: such as "1.1".

    Raises:
        HandshakeError: 405, 426 with the version we speak, or 400.
    """
    if method != "GET":
        raise HandshakeError(405, f"a handshake is a GET; this is a {method}", {"allow": "GET"})
    if http_version != "1.1":
        raise HandshakeError(400, f"a handshake is HTTP/1.1; this is HTTP/{http_version}")
    if not is_upgrade(headers) or "upgrade" not in _tokens(headers, "connection"):
        raise HandshakeError(400, "a handshake has 'Connection: Upgrade' and 'Upgrade: websocket'")
    if _one(headers, "sec-websocket-version") != "13":
        raise HandshakeError(426, "Sec-WebSocket-Version must be 13", {"sec-websocket-version": "13"})
    key = _one(headers, "sec-websocket-key")
    if not _is_key(key):
        raise HandshakeError(400, "Sec-WebSocket-Key must be 16 bytes in base64")
    return key


def parse_subprotocols(values: Iterable[str]) -> list[str]:
    """The subprotocols that a client offers, from its header's values, in order.

    Empty elements of the list are skipped (RFC 9110 section 5.6.1.2).

    Raises:
        HandshakeError: 400, one is not a token or stands twice, or the header is there and names none.
    """
    offered: list[str] = []
    seen: set[str] = set()
    given = [part.strip(" \t") for value in values for part in value.split(",")]
    if given and not any(given):
        raise HandshakeError(400, "Sec-WebSocket-Protocol must be a list of different tokens; it is empty")
    for name in filter(None, given):
        if not _TOKEN.fullmatch(name) or name in seen:
            raise HandshakeError(400, "Sec-WebSocket-Protocol must be a list of different tokens")
        seen.add(name)
        offered.append(name)
    return offered


def check_subprotocol(name: str | None) -> None:
    """Raises ValueError for a subprotocol that would break its header; None is none."""
    if name is not None and not _TOKEN.fullmatch(name):
        raise ValueError(f"subprotocol {name!r} is not a token of letters, digits and !#$%&'*+-.^_`|~")


def accept_response(key: str, subprotocol: str | None, date: str) -> bytes:
    """The 101, with API Gateway's headers in its order.

    Raises:
        ValueError: the subprotocol is not a token, so it would break the header.
    """
    check_subprotocol(subprotocol)
    chosen = ""
    if subprotocol is not None:
        chosen = f"sec-websocket-protocol: {subprotocol}\r\n"
    return (
        f"HTTP/1.1 101 Switching Protocols\r\ndate: {date}\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        f"sec-websocket-accept: {accept_key(key)}\r\n{chosen}\r\n"
    ).encode("latin-1")


def client_request(host: str, target: str, key: str, headers: Headers = (), subprotocols: Sequence[str] = ()) -> bytes:
    """A client's request.

    Raises:
        ValueError: a value has a line break.
    """
    lines = [
        f"GET {target} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
    ]  # fmt: skip
    if subprotocols:
        lines.append("Sec-WebSocket-Protocol: " + ", ".join(subprotocols))
    lines += [f"{name}: {value}" for name, value in headers]
    for line in lines:
        if _FORBIDDEN.search(line):
            raise ValueError(f"a header has a line break or a NUL: {line!r}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def check_accept(status: int, headers: Headers, key: str, offered: Sequence[str] = ()) -> str | None:
    """A client's check of the answer; returns the subprotocol, if one was chosen.

    Raises:
        HandshakeError: it was refused (the server's status), or the answer is not a valid 101.
    """
    if status != 101:
        raise HandshakeError(status, f"the server answered {status} instead of 101")
    if not is_upgrade(headers) or "upgrade" not in _tokens(headers, "connection"):
        raise HandshakeError(status, "the server's 101 does not upgrade to websocket")
    if _one(headers, "sec-websocket-accept") != accept_key(key):
        raise HandshakeError(status, "the server's Sec-WebSocket-Accept does not belong to this handshake")
    if _values(headers, "sec-websocket-extensions"):
        raise HandshakeError(status, "the server chose an extension that was not offered")
    chosen = _values(headers, "sec-websocket-protocol")
    if not chosen:
        return None
    if len(chosen) > 1 or chosen[0] not in offered:
        raise HandshakeError(status, f"the server chose a subprotocol that was not offered: {', '.join(chosen)!r}")
    return chosen[0]


def _values(headers: Headers, name: str) -> list[str]:
    return [value for key, value in headers if key.lower() == name]


def _one(headers: Headers, name: str) -> str:
    values = _values(headers, name)
    return values[0].strip(" \t") if len(values) == 1 else ""


def _tokens(headers: Headers, name: str) -> set[str]:
    return {token.strip(" \t").lower() for value in _values(headers, name) for token in value.split(",")}


def _is_key(key: str) -> bool:
    try:
        return len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
