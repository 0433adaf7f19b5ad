"""From the bytes of a socket to HTTP requests, each whole and checked, in order; strict and bounded.

The parser is llhttp. It refuses most of what two readers could take differently; its pieces and the checks of
`wire.requests` see to the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import httptools
import msgspec

from trunkline import limits
from trunkline.wire.handshake import HandshakeError, is_upgrade
from trunkline.wire.requests import check_line, check_request, end_of_line

if TYPE_CHECKING:
    from trunkline.gateway.management import Later

__all__ = ["GoOn", "HttpRequest", "Item", "Refusal", "RequestReader", "Upgrade"]

_HEADER_COUNT = limits.HEADER_COUNT  # looked up for each header of each request
_COMMON_BYTES = 2048  # of a head; a longer one is not kept
_WAYS = frozenset({"transfer-encoding", "expect"})  # the body comes in another way than behind the head
_NOT_HTTP = "the request is not valid HTTP/1.1"


class HttpRequest:
    """One request; its path is raw, as it stood on the wire. `peer` is the address that it came from.

    Attributes:
        later: what to call and wait for to get its answer, if that is known already.
    """

    __slots__ = ("body", "headers", "keep_alive", "later", "method", "named", "path", "peer", "query", "version")

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        headers: list[tuple[str, str]],
        body: bytes = b"",
        peer: str = "",
        version: str = "1.1",
        keep_alive: bool = True,
        named: dict[str, str] | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.peer = peer
        self.version = version
        self.keep_alive = keep_alive
        self.later: Later | None = None
        # The last value of each header, by its name in lower case.
        self.named = {name.lower(): value for name, value in headers} if named is None else named

    def header(self, name: str) -> str | None:
        """The last value of a header; None without it."""
        return self.named.get(name)

    def values(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name]


class Upgrade(msgspec.Struct, eq=False):
    """A request to become a WebSocket, and what stands behind it. Nothing is read after it.

    Attributes:
        error: why it cannot be, as far as its head says so.
    """

    request: HttpRequest
    rest: bytes
    error: HandshakeError | None = None


class Refusal(msgspec.Struct, eq=False):
    """What cannot be read, and what to answer. Nothing is read after it."""

    status: int
    text: str
    headers: Mapping[str, str] = {}
    path: str = ""


class GoOn(msgspec.Struct, eq=False):
    """A client waits with the body of its request until it is told to go on (RFC 9110 section 10.1.1)."""


Item: TypeAlias = HttpRequest | Upgrade | Refusal | GoOn


class _Before(msgspec.Struct, eq=False):
    """The request before the next one: a client that says the same again, but for the body, is not read anew.

    Who keeps a socket open to send one message after another does that, and most of a call's cost is its head.
    """

    head: bytes
    length: int  # of its body
    request: HttpRequest

    def again(self, body: bytes) -> HttpRequest:
        one = self.request
        return HttpRequest(
            one.method, one.path, one.query, one.headers, body, one.peer, one.version, one.keep_alive, one.named
        )


class _Refused(Exception):  # noqa: N818
    """Status and text of a refusal."""


class RequestReader:
    """Reads what one client sends.

    Args:
        peer: the address that it comes from.
        most_of: how long the body of a request to a raw target may be.
    """

    __slots__ = (
        "_before", "_body", "_body_left", "_body_size", "_head", "_head_bytes", "_headers", "_in_head", "_items",
        "_line", "_most", "_most_of", "_named", "_over", "_parser", "_peer", "_raw", "_trailer_bytes", "_url",
    )  # fmt: skip

    def __init__(self, peer: str, most_of: Callable[[bytes], int] = lambda _: limits.MESSAGE_BYTES) -> None:
        self._peer = peer
        self._most_of = most_of
        self._most = 0  # of the body that follows
        self._parser = httptools.HttpRequestParser(self)
        self._items: list[Item] = []
        self._over = False
        self._headers: list[tuple[str, str]] = []
        self._url = b""
        self._named: dict[str, str] = {}
        self._raw: list[tuple[bytes, bytes]] = []  # headers of a head that is not whole
        self._trailer_bytes = 0
        self._head_bytes = 0  # that came since the last head was whole
        self._in_head = True
        self._line: bytes | None = b""  # what came of a request's first line; None once it is whole
        self._body: list[bytes] = []
        self._body_size = 0
        self._body_left = 0  # of a body of known length
        self._head = b""  # of this request, if it came in one piece
        self._before: _Before | None = None

    def feed(self, data: bytes) -> list[Item]:
        """What is whole with these bytes, in order. Behind an Upgrade or a Refusal bytes are thrown away."""
        if self._over:
            return []
        self._head_bytes += len(data)
        try:
            self._parse(data)
        except HandshakeError as error:
            self._end(Refusal(error.status, error.message, error.headers))
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            status, text = cause.args if isinstance(cause, _Refused) else (400, _NOT_HTTP)
            self._end(Refusal(status, text, path=self._url.partition(b"?")[0].decode("latin-1")))
        except httptools.HttpParserError:
            self._end(Refusal(400, _NOT_HTTP))
        else:
            # A header that does not end is not handed on, so it is not counted there.
            if self._in_head and self._head_bytes > limits.REQUEST_LINE_BYTES + limits.HEADER_BYTES:
                self._end(Refusal(431, f"more than {limits.HEADER_BYTES} bytes of headers"))
        items, self._items = self._items, []
        return items

    def _end(self, item: Item) -> None:
        self._items.append(item)
        self._over = True

    def _parse(self, data: bytes) -> None:
        """Have it parsed in pieces, so that a first line is at the beginning of one, and can be looked at."""
        at = 0
        while at < len(data) and not self._over:
            if self._before is not None and (end := self._end_of_same(data, at, self._before)):
                at = end
                continue
            end = self._end_of_piece(data, at)
            piece = data[at:end]
            at = end
            at_line = self._line is not None
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                self._upgrade(piece[upgrade.args[0] :] + data[at:])
                return
            if at_line:
                self._look_at_line(piece)

    def _end_of_same(self, data: bytes, at: int, before: _Before) -> int:
        """Where a request ends that differs from the one before in nothing but its body; 0 if it is another."""
        if self._line != b"" or self._body_left or not data.startswith(before.head, at):
            return 0
        body = at + len(before.head)
        end = body + before.length
        if end > len(data):
            return 0
        self._head_bytes = 0
        self._items.append(before.again(data[body:end]))
        return end

    def _end_of_piece(self, data: bytes, at: int) -> int:
        if self._body_left:
            size = min(self._body_left, len(data) - at)
            self._body_left -= size
            return at + size
        first = at
        if self._line == b"" and (line := end_of_line(data, at)):
            self._line = None
            at = line - 1
        elif self._line is not None or data.startswith((b"\n", b"\r\n"), at):
            self._head = b""
            return data.find(b"\n", at) + 1 or len(data)
        else:
            first = len(data)
        empty_line = data.find(b"\n\r\n", at)  # nothing but a body of known length ends with anything else
        end = empty_line + 3 if empty_line >= 0 else len(data)
        self._head = data[first:end]
        return end

    def _look_at_line(self, piece: bytes) -> None:
        self._line = line = (self._line or b"") + piece
        if line == b"\r\n":
            self._line = b""  # before a first line, empty ones are skipped
        elif line.endswith(b"\n"):
            check_line(line)
            self._line = None

    def _upgrade(self, rest: bytes) -> None:
        request = self._request()
        error = _what_is_wrong(request, self._url)
        if error is None and request.method != "CONNECT" and not is_upgrade(request.headers):
            # To another protocol: nobody has to follow an offer (RFC 9110 section 7.8).
            request.keep_alive = False
            self._end(request)
        else:
            self._end(Upgrade(request, rest, error))

    def _request(self) -> HttpRequest:
        path, _, query = self._url.decode("latin-1").partition("?")
        parser, body = self._parser, self._body
        return HttpRequest(
            parser.get_method().decode(), path, query, self._headers, body[0] if len(body) == 1 else b"".join(body),
            self._peer, parser.get_http_version(), parser.should_keep_alive(), self._named,
        )  # fmt: skip

    # httptools calls these.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._raw = []
        self._url = b""
        self._trailer_bytes = 0
        self._body = []
        self._body_size = 0
        self._in_head = True

    def on_headers_complete(self) -> None:
        """What follows is a body, or the WebSocket."""
        self._in_head = False
        self._read_headers()
        self._head_bytes = 0
        self._most = self._most_of(self._url)
        self._check_body(self._body_left)
        if "expect" in self._named and self._named["expect"].lower() == "100-continue":
            self._items.append(GoOn())

    def on_url(self, url: bytes) -> None:
        """Some of its target came."""
        self._url += url
        if len(self._url) > limits.URL_BYTES:
            raise _Refused(414, f"the URL is longer than {limits.URL_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers."""
        raw = self._raw
        if self._in_head and len(raw) < _HEADER_COUNT:
            raw.append((name, value))
        else:
            self._behind_the_body(name, value)

    def _behind_the_body(self, name: bytes, value: bytes) -> None:
        """Behind a chunked body, it would pass for a header that was checked before it."""
        self._trailer_bytes += len(name) + len(value) + 4
        if self._in_head or self._trailer_bytes > limits.HEADER_BYTES:
            raise _too_many_headers()

    def _read_headers(self) -> None:
        raw = self._raw
        many = self._head_bytes > limits.HEADER_BYTES  # else there cannot be so many bytes of them
        if many and sum([len(name) + len(value) + 4 for name, value in raw]) > limits.HEADER_BYTES:
            raise _too_many_headers()
        # Nothing but blanks and tabs is no part of a value; a bare `strip` takes more.
        self._headers = [(name.decode("latin-1"), value.decode("latin-1").strip(" \t")) for name, value in raw]
        self._named = {name.lower(): value for name, value in self._headers}
        length = self._named.get("content-length")
        if length is not None:
            self._body_left = int(length)

    def on_body(self, body: bytes) -> None:
        """Some of its body came."""
        self._body_size += len(body)
        self._check_body(self._body_size)
        self._body.append(body)

    def _check_body(self, size: int) -> None:
        if size > self._most:
            raise _Refused(413, f"the body is longer than {self._most} bytes")

    def on_message_complete(self) -> None:
        """It is whole."""
        self._line = b""
        if self._parser.should_upgrade():
            return  # HttpParserUpgrade follows
        request = self._request()
        error = _what_is_wrong(request, self._url)
        if error is not None:
            raise _Refused(error.status, error.message)
        self._items.append(request)
        if not request.keep_alive:
            self._over = True  # its client said that nothing follows
        elif self._head.endswith(b"\n\r\n") and len(self._head) <= _COMMON_BYTES and _WAYS.isdisjoint(self._named):
            self._before = _Before(self._head, self._body_size, request)


def _too_many_headers() -> _Refused:
    return _Refused(431, f"more than {limits.HEADER_COUNT} headers, or {limits.HEADER_BYTES} bytes of them")


def _what_is_wrong(request: HttpRequest, target: bytes) -> HandshakeError | None:
    try:
        check_request(target.decode("latin-1"), request.version, request.headers, request.named)
    except HandshakeError as error:
        return error
    return None
