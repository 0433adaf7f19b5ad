"""Plain HTTP/1.1 answers as bytes."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trunkline.model.api import Response

__all__ = ["PHRASES", "FileResponse", "HttpResponse", "date", "encode", "refusal"]

# Python's words of four changed with 3.13: an answer does not depend on what runs the node.
PHRASES: Mapping[int, str] = MappingProxyType(
    {status.value: status.phrase for status in HTTPStatus}
    | {
        413: "Request Entity Too Large",
        414: "Request-URI Too Long",
        416: "Requested Range Not Satisfiable",
        422: "Unprocessable Entity",
    }
)


class HttpResponse:
    """An HTTP answer; `close` ends the connection behind it."""

    __slots__ = ("body", "close", "headers", "status")

    def __init__(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None, *, close: bool = False
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers or {}
        self.close = close

    @property
    def length(self) -> int:
        """How many bytes its body has."""
        return len(self.body)

    @classmethod
    def text(cls, status: int, text: str, headers: Mapping[str, str] | None = None) -> HttpResponse:
        """A line for people."""
        named = {"content-type": "text/plain; charset=utf-8"} | dict(headers or {})
        return cls(status, text.encode() + b"\n", named)

    @classmethod
    def forbidden(cls) -> HttpResponse:
        """What API Gateway answers for a stage that is not there."""
        named = {"content-type": "application/json", "x-amzn-errortype": "ForbiddenException"}
        return cls(403, b'{"message":"Forbidden"}', named)


class FileResponse(HttpResponse):
    """An answer whose body is a file: too large to be held, it is sent as it is read.

    Args:
        file: what is sent.
        length: how many bytes of it.
    """

    __slots__ = ("_length", "file")

    def __init__(self, file: Path, length: int, headers: Mapping[str, str]) -> None:
        super().__init__(200, b"", headers)
        self.file = file
        self._length = length

    @property
    def length(self) -> int:
        """How many bytes its body has."""
        return self._length


_date: tuple[int, str] = (0, "")


def date() -> str:
    """The time as HTTP writes it, made once a second."""
    global _date  # noqa: PLW0603
    second = int(time.time())
    if second != _date[0]:
        _date = (second, formatdate(second, usegmt=True))
    return _date[1]


def encode(response: HttpResponse, *, head_only: bool = False, last: str = "") -> bytes:
    """The bytes of an answer; `last` is a header behind all others.

    A header value with a line break is a bug of the caller: ValueError.
    """
    lines = [f"HTTP/1.1 {response.status} {PHRASES.get(response.status, '')}", f"date: {date()}"]
    for name, value in response.headers.items():
        if "\r" in value or "\n" in value or "\0" in value:
            raise ValueError(f"header {name} has a control character: {value!r}")
        lines.append(f"{name}: {value}")
    if response.status not in {204, 304}:
        lines.append(f"content-length: {response.length}")
    if response.close:
        lines.append("connection: close")
    if last:
        lines.append(last)
    head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
    return head if head_only else head + response.body


def refusal(response: Response, request_id: str) -> bytes:
    """A refused handshake: the integration's own status and body, under the headers that AWS sends, in its order."""
    body = response.body if response.body is not None else b""
    raw = body.encode() if isinstance(body, str) else body
    content_type = response.headers.get("content-type", "application/json; charset=UTF-8")
    answer = HttpResponse(response.status, raw, {"content-type": content_type}, close=True)
    return encode(answer, last=f"x-amz-apigw-id: {request_id}")
