"""What an HTTP/1.1 request must be beyond what its parser checks: one meaning, for every reader on the way.

The parser refuses bare CR and LF, NUL, folded headers, a Content-Length that is repeated, malformed or stands
beside Transfer-Encoding. It takes a first line with several spaces, and those of other protocols; that, and what
else is left, is checked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from trunkline.wire.handshake import HandshakeError

__all__ = ["check_extensions", "check_line", "check_request", "end_of_line"]

# A repeated one of these means one thing to one reader and another to the next (RFC 9112 sections 3.2 and 11.2).
_ONCE = frozenset(
    {
        "host",
        "upgrade",
        "sec-websocket-key",
        "sec-websocket-version",
        "authorization",
        "content-length",
        "origin",
        "transfer-encoding",
    }
)
_HOST = re.compile(r"(?:[A-Za-z0-9._~%!$&'()*+,;=-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_LINE = re.compile(rb"[!-~]+ [!-~]+ HTTP/[0-9]\.[0-9]\r\n")
_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# No two parts that follow each other match the same text, so that no header makes it try again and again.
_EXTENSION = re.compile(rf'{_NAME}(?:[ \t]*;[ \t]*{_NAME}(?:[ \t]*=[ \t]*(?:{_NAME}|"[ !#-\[\]-~]*"))?)*')


def end_of_line(data: bytes, at: int) -> int:
    """Where a first line that begins there ends, if it is whole and right; else 0."""
    line = _LINE.match(data, at)
    return 0 if line is None else line.end()


def check_line(line: bytes) -> None:
    """Refuse a first line that others could read otherwise. Raises HandshakeError, 400."""
    if not _LINE.fullmatch(line):
        raise HandshakeError(400, "the request is not valid HTTP/1.1")


def check_extensions(values: Iterable[str]) -> None:
    """Refuse what is no list of extensions (RFC 6455 section 9.1); none of them is used. Raises HandshakeError, 400."""
    for value in values:
        for extension in value.split(","):
            bare = extension.strip(" \t")
            if bare and not _EXTENSION.fullmatch(bare):
                raise HandshakeError(400, "Sec-WebSocket-Extensions must be a list of tokens with parameters")


def check_request(
    target: str, version: str, headers: Sequence[tuple[str, str]], named: Mapping[str, str] | None = None
) -> None:
    """Refuse a request that others could read otherwise.

    Args:
        named: the headers by their names in lower case, if somebody has them.

    Raises:
        HandshakeError: 505 for a version other than HTTP/1.1 and 1.0, 501 for a body's coding that is not
            chunked, 400 for everything else.
    """
    if version not in {"1.0", "1.1"}:
        raise HandshakeError(505, f"this server speaks HTTP/1.1; the request is HTTP/{version}")
    if not target.startswith("/") or "#" in target:
        raise HandshakeError(400, "the request's target must be a path that begins with '/'")
    named = {name.lower(): value for name, value in headers} if named is None else named
    if len(named) != len(headers):
        _check_repeated(headers)
    if "transfer-encoding" in named and (named["transfer-encoding"].lower() != "chunked" or version != "1.1"):
        raise HandshakeError(501, "the only Transfer-Encoding that is taken is chunked")
    host = named.get("host")
    if host is None:
        if version == "1.1":
            raise HandshakeError(400, "the request has no Host")
    elif not _HOST.fullmatch(host):
        raise HandshakeError(400, "the request's Host is not a host name, or an address, with a port or without")


def _check_repeated(headers: Sequence[tuple[str, str]]) -> None:
    seen: set[str] = set()
    for name, _ in headers:
        folded = name.lower()
        if folded in _ONCE and folded in seen:
            raise HandshakeError(400, f"the request has more than one {name}")
        seen.add(folded)
