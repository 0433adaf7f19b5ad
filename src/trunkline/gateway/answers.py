"""What the management API answers, byte for byte as API Gateway does."""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from random import getrandbits
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import UUID

from trunkline import clock, limits
from trunkline.errors import InvalidConnectionId, MessageTooLarge, SlowConsumer, Throttled
from trunkline.gateway.http import PHRASES, HttpResponse
from trunkline.model.policies import Decision

if TYPE_CHECKING:
    from datetime import datetime

    from trunkline.connections.base import ConnectionInfo
    from trunkline.errors import SendError
    from trunkline.gateway.keys import Key

__all__ = [
    "Answer", "denied", "described", "failure", "forbidden", "gone", "internal_error", "iso", "refused", "too_large",
]  # fmt: skip

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Answer(HttpResponse):
    """An answer with API Gateway's headers, in its order and case.

    Args:
        kind: the name of the error; empty for a success.
        bare: without what the API itself adds: the request came no further than the door.
    """

    __slots__ = ("bare", "kind")

    def __init__(self, status: int, body: bytes = b"", kind: str = "", *, bare: bool = False) -> None:
        self.status = status
        self.body = body
        self.headers = _NO_HEADERS  # they are made with the bytes
        self.close = False
        self.kind = kind
        self.bare = bare

    def encoded(self, *, head_only: bool = False) -> bytes:
        """Its bytes."""
        second = _this_second()
        front = second.front(self.status, len(self.body), self.bare, self.close)
        head = f"{front}\r\n" if self.bare else f"{front}{self._ids(second)}\r\n"
        return head.encode() if head_only else head.encode() + self.body

    def _ids(self, second: _Second) -> str:
        # For people to find an answer by, and no secret: to ask the system for its bits would cost ten times as much.
        digits = f"{getrandbits(48):012x}"
        first = f"x-amzn-RequestId: {second.uuid}{digits}\r\n"
        api_id = f"x-amz-apigw-id: {digits}{second.api_end}\r\n"
        if self.kind:
            return f"{first}x-amzn-ErrorType: {self.kind}\r\n{api_id}"
        return f"{first}{api_id}X-Amzn-Trace-Id: {second.trace}{digits}\r\n"


class _Second:
    """What the answers of one second have in common."""

    __slots__ = ("api_end", "date", "front", "number", "trace", "uuid")

    def __init__(self, number: int) -> None:
        self.number = number
        self.date = formatdate(number, usegmt=True)
        raw = getrandbits(128)
        self.trace = f"Root=1-{number:08x}-{raw >> 80:012x}"
        self.uuid = str(UUID(int=raw, version=4))[:24]
        self.api_end = b2a_base64(raw.to_bytes(16, "big")[14:], newline=False).translate(_URL_SAFE).decode()
        self.front = lru_cache(maxsize=64)(self._front)

    def _front(self, status: int, length: int, bare: bool, close: bool) -> str:
        """The lines in front of an answer's ids."""
        content = "" if bare else "Content-Type: application/json\r\n"
        content += "" if status == 204 else f"Content-Length: {length}\r\n"
        connection = "close" if close else "keep-alive"
        return f"HTTP/1.1 {status} {PHRASES[status]}\r\nDate: {self.date}\r\n{content}Connection: {connection}\r\n"


_second = _Second(0)


def _this_second() -> _Second:
    global _second  # noqa: PLW0603
    now = int(clock.now())
    if now != _second.number:
        _second = _Second(now)
    return _second


def described(info: ConnectionInfo | None) -> Answer:
    """What is known of a connection; None is one that is gone."""
    if info is None:
        return gone()
    identity = {"sourceIp": info.source_ip}
    if info.user_agent is not None:
        identity["userAgent"] = info.user_agent
    about = {
        "identity": identity,
        "connectedAt": iso(info.connected_at),
        "lastActiveAt": iso(info.last_active_at),
    }
    # The layout, too, is API Gateway's.
    return Answer(200, json.dumps(about, indent=2, separators=(",", " : "), ensure_ascii=False).encode())


def iso(time: datetime) -> str:
    """A time in UTC as ISO 8601, with milliseconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"


# What goes wrong.


def too_large() -> Answer:
    """For a body over the limit, which nobody has read."""
    return Answer(413, bare=True)


def gone() -> Answer:
    """For a connection that is closed, or not open yet."""
    return Answer(410, kind="GoneException")


def forbidden() -> Answer:
    """For what is not served here, or not to this caller."""
    return refused(403, "ForbiddenException", limits.MESSAGE_FORBIDDEN)


def failure(error: SendError, connection_id: str) -> Answer:
    """For what kept a message, or a question, from its connection."""
    if isinstance(error, InvalidConnectionId):
        return refused(400, "BadRequestException", f"Invalid connectionId: {connection_id}")
    if isinstance(error, MessageTooLarge):
        return too_large()
    if isinstance(error, SlowConsumer):
        return refused(429, "LimitExceededException", "The WebSocket client side buffer is full")
    if isinstance(error, Throttled):
        return refused(429, "LimitExceededException", limits.MESSAGE_THROTTLED)
    return refused(503, "ServiceUnavailableException", "Service Unavailable")  # Unreachable: nothing is known


def denied(key: Key, action: str, arn: str, decision: Decision) -> Answer:
    """For a caller who is known, and may not do this."""
    kind = "session" if key.session_token else "identity-based"
    article = "a" if key.session_token else "an"
    why = (
        f"with an explicit deny in {article} {kind} policy"
        if decision is Decision.EXPLICIT_DENY
        else f"because no {kind} policy allows the {action} action"
    )
    message = f"User: {key.arn} is not authorized to perform: {action} on resource: {arn} {why}"
    return refused(403, "AccessDeniedException", message, member="Message")


def refused(status: int, kind: str, message: str, *, member: str = "message") -> Answer:
    """An error with a message."""
    body = json.dumps({member: message}, separators=(",", ":"), ensure_ascii=False)
    return Answer(status, body.encode("utf-8", "replace"), kind)


def internal_error() -> Answer:
    """Something of ours is broken; the log has what."""
    return Answer(500, b'{"message": "Internal server error"}', "InternalServerErrorException")
