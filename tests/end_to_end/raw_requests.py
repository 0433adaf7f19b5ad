"""Requests that two readers could take otherwise, that no reader can take, or that cost too much.

Each has the status of the answer, after which the socket ends.
"""

from typing import NamedTuple

__all__ = ["HEADERS_WITHOUT_COST", "KEY", "REQUESTS", "RawRequest", "handshake", "plain"]

KEY = "AAAAAAAAAAAAAAAAAAAAAA=="


class RawRequest(NamedTuple):
    name: str
    data: bytes
    status: int


def plain(*headers, line="GET /x HTTP/1.1", host="Host: localhost", body=""):
    """A request that is no handshake."""
    lines = [line, *([] if host is None else [host]), *headers, "", ""]
    return ("\r\n".join(lines) + body).encode("latin-1")


def handshake(*headers, line="GET /socket HTTP/1.1", host="Host: localhost", without=(), body=""):
    """A good handshake, but for what is given."""
    usual = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    kept = [f"{name}: {value}" for name, value in usual.items() if name not in without]
    return plain(*kept, *headers, line=line, host=host, body=body)


def post(*headers, body=""):
    return plain(*headers, line="POST /x HTTP/1.1", body=body)


def chunked(body):
    return post("Transfer-Encoding: chunked", body=body)


_LINE_ENDS = [
    RawRequest("a bare LF behind the first line", plain(line="GET /x HTTP/1.1\nX: y"), 400),
    RawRequest("bare LFs everywhere", b"GET /x HTTP/1.1\nHost: localhost\n\n", 400),
    RawRequest("a bare LF at the end", b"GET /x HTTP/1.1\r\nHost: localhost\r\n\n", 400),
    RawRequest("a bare CR behind the first line", plain(line="GET /x HTTP/1.1\rX: y"), 400),
    RawRequest("a CR in the target", plain(line="GET /x\ry HTTP/1.1"), 400),
    RawRequest("a LF in the target", plain(line="GET /x\ny HTTP/1.1"), 400),
    RawRequest("a NUL in the target", plain(line="GET /x\0y HTTP/1.1"), 400),
    RawRequest("a NUL in the first line", plain(line="GET /x HTTP/1.1\0"), 400),
    RawRequest("a CR in a header's name", plain("x\ry: 1"), 400),
    RawRequest("a LF in a header's name", plain("x\ny: 1"), 400),
    RawRequest("a NUL in a header's name", plain("x\0y: 1"), 400),
    RawRequest("a CR in a header's value", plain("x: a\rb"), 400),
    RawRequest("a LF in a header's value", plain("x: a\nb"), 400),
    RawRequest("a LF in a header's value, a header", plain("x: a\nHost: evil.example"), 400),
    RawRequest("a NUL in a header's value", plain("x: a\0b"), 400),
    RawRequest("a NUL in a handshake's key", handshake(f"Sec-WebSocket-Key: {KEY}\0", without=["Sec-WebSocket-Key"]), 400),
    RawRequest("a DEL in a header's value", plain("x: a\x7fb"), 400),
    RawRequest("a header folded with a space", plain("x: a", " b"), 400),
    RawRequest("a header folded with a tab", plain("x: a", "\tb"), 400),
    RawRequest("the first header folded", plain(host=" Host: localhost"), 400),
    RawRequest("a space in a header's name", plain("x y: 1"), 400),
    RawRequest("a space before the colon", plain("Content-Length : 0"), 400),
    RawRequest("a header without a name", plain(": 1"), 400),
    RawRequest("a header without a colon", plain("x"), 400),
    RawRequest("a header's name beyond ASCII", plain("x\xff: 1"), 400),
]  # fmt: skip

_FIRST_LINES = [
    RawRequest("two spaces before the target", plain(line="GET  /x HTTP/1.1"), 400),
    RawRequest("two spaces behind the target", plain(line="GET /x  HTTP/1.1"), 400),
    RawRequest("two spaces in a handshake", handshake(line="GET /socket  HTTP/1.1"), 400),
    RawRequest("a space before the method", plain(line=" GET /x HTTP/1.1"), 400),
    RawRequest("a space at the end of the line", plain(line="GET /x HTTP/1.1 "), 400),
    RawRequest("a tab before the target", plain(line="GET\t/x HTTP/1.1"), 400),
    RawRequest("a tab behind the target", plain(line="GET /x\tHTTP/1.1"), 400),
    RawRequest("a space in the target", plain(line="GET /x y HTTP/1.1"), 400),
    RawRequest("bytes beyond ASCII in the target", plain(line="GET /\xff HTTP/1.1"), 400),
    RawRequest("an absolute target", plain(line="GET http://localhost/x HTTP/1.1"), 400),
    RawRequest("an absolute target of another host", plain(line="GET http://evil.example/x HTTP/1.1"), 400),
    RawRequest("an absolute target in a handshake", handshake(line="GET ws://localhost/socket HTTP/1.1"), 400),
    RawRequest("an authority as target", plain(line="GET localhost:80 HTTP/1.1"), 400),
    RawRequest("CONNECT", plain(line="CONNECT localhost:80 HTTP/1.1"), 400),
    RawRequest("CONNECT with a path", plain(line="CONNECT /socket HTTP/1.1"), 400),
    RawRequest("an asterisk as target", plain(line="OPTIONS * HTTP/1.1"), 400),
    RawRequest("an asterisk as target of GET", plain(line="GET * HTTP/1.1"), 400),
    RawRequest("a target without its slash", handshake(line="GET socket HTTP/1.1"), 400),
    RawRequest("a fragment in the target", plain(line="GET /x#y HTTP/1.1"), 400),
    RawRequest("a fragment in the query", handshake(line="GET /socket?a=b#y HTTP/1.1"), 400),
    RawRequest("no target", plain(line="GET  HTTP/1.1"), 400),
    RawRequest("HTTP/0.9", b"GET /x\r\n\r\n", 400),
    RawRequest("HTTP/0.9 by name", plain(line="GET /x HTTP/0.9"), 505),
    RawRequest("HTTP/1.0 in a handshake", handshake(line="GET /socket HTTP/1.0"), 400),
    RawRequest("HTTP/1.2", plain(line="GET /x HTTP/1.2"), 400),
    RawRequest("HTTP/2.0", plain(line="GET /x HTTP/2.0"), 505),
    RawRequest("HTTP/2.0 in a handshake", handshake(line="GET /socket HTTP/2.0"), 505),
    RawRequest("HTTP/2", plain(line="GET /x HTTP/2"), 400),
    RawRequest("HTTP/11.1", plain(line="GET /x HTTP/11.1"), 400),
    RawRequest("HTTP in small letters", plain(line="GET /x http/1.1"), 400),
    RawRequest("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    RawRequest("RTSP", plain(line="OPTIONS /x RTSP/1.0"), 400),
    RawRequest("ICE", plain(line="SOURCE /x ICE/1.0"), 400),
    RawRequest("TLS on the plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2, 400),
    RawRequest("a method in small letters", plain(line="get /x HTTP/1.1"), 400),
    RawRequest("a method that there is not", plain(line="FETCH /x HTTP/1.1"), 400),
    RawRequest("a method that does not end", plain(line="G" * 10_000), 400),
    RawRequest("a NUL in the method", plain(line="G\0T /x HTTP/1.1"), 400),
    RawRequest("a handshake with POST", handshake(line="POST /socket HTTP/1.1"), 405),
    RawRequest("a handshake with HEAD", handshake(line="HEAD /socket HTTP/1.1"), 405),
]  # fmt: skip

_ONCE = [
    RawRequest("no Host", plain(host=None), 400),
    RawRequest("no Host in a handshake", handshake(host=None), 400),
    RawRequest("an empty Host", handshake(host="Host:"), 400),
    RawRequest("a Host with user info", handshake(host="Host: localhost@evil.example"), 400),
    RawRequest("a Host with a path", handshake(host="Host: localhost/socket"), 400),
    RawRequest("a Host with a query", handshake(host="Host: a/?x"), 400),
    RawRequest("a Host with a space", handshake(host="Host: localhost evil.example"), 400),
    RawRequest("a Host with a tab", handshake(host="Host: localhost\tevil.example"), 400),
    RawRequest("a Host with a backslash", handshake(host="Host: localhost\\evil.example"), 400),
    RawRequest("a Host with two ports", handshake(host="Host: localhost:80:80"), 400),
    RawRequest("a Host whose port is none", handshake(host="Host: localhost:http"), 400),
    RawRequest("a Host beyond ASCII", handshake(host="Host: localh\xf6st"), 400),
    RawRequest("two Hosts", plain("Host: evil.example"), 400),
    RawRequest("two Hosts, the same", handshake("Host: localhost"), 400),
    RawRequest("two Hosts in different letters", handshake("hOST: evil.example"), 400),
    RawRequest("two Upgrades", handshake("Upgrade: websocket"), 400),
    RawRequest("two Upgrades, one to HTTP/2", handshake("Upgrade: h2c"), 400),
    RawRequest("two keys", handshake(f"Sec-WebSocket-Key: {KEY}"), 400),
    RawRequest("two versions, the same", handshake("Sec-WebSocket-Version: 13"), 400),
    RawRequest("two versions", handshake("Sec-WebSocket-Version: 8"), 400),
    RawRequest("two Authorizations", plain("Authorization: a", "authorization: b"), 400),
    RawRequest("two Authorizations in a handshake", handshake("Authorization: a", "Authorization: a"), 400),
    RawRequest("two Origins", handshake("Origin: http://localhost", "Origin: https://evil.example"), 400),
    RawRequest("two Content-Lengths, the same", post("Content-Length: 1", "Content-Length: 1", body="x"), 400),
    RawRequest("two Content-Lengths", post("Content-Length: 1", "Content-Length: 2", body="xy"), 400),
    RawRequest("an upgrade to HTTP/2", handshake("Upgrade: h2c", without=["Upgrade"]), 426),
    RawRequest("a version that is not ours", handshake("Sec-WebSocket-Version: 8", without=["Sec-WebSocket-Version"]), 426),
    RawRequest("no version", handshake(without=["Sec-WebSocket-Version"]), 426),
    RawRequest("no key", handshake(without=["Sec-WebSocket-Key"]), 400),
    RawRequest("a key of another length", handshake("Sec-WebSocket-Key: AAAA", without=["Sec-WebSocket-Key"]), 400),
    RawRequest("a foreign page", handshake("Origin: https://evil.example"), 403),
    RawRequest("a page without an origin", handshake("Origin: null"), 403),
    RawRequest("a stage that is not there", handshake(line="GET /nothing HTTP/1.1"), 403),
    RawRequest("a stage by another spelling", handshake(line="GET /x/../socket HTTP/1.1"), 403),
]  # fmt: skip

_BODIES = [
    RawRequest("Content-Length, then Transfer-Encoding", post("Content-Length: 5", "Transfer-Encoding: chunked", body="0\r\n\r\n"), 400),
    RawRequest("Transfer-Encoding, then Content-Length", post("Transfer-Encoding: chunked", "Content-Length: 5", body="0\r\n\r\n"), 400),
    RawRequest("a list of Content-Lengths", post("Content-Length: 1, 1", body="x"), 400),
    RawRequest("a Content-Length with a plus", post("Content-Length: +1", body="x"), 400),
    RawRequest("a Content-Length with a minus", post("Content-Length: -1", body="x"), 400),
    RawRequest("a Content-Length in hex", post("Content-Length: 0x1", body="x"), 400),
    RawRequest("a Content-Length with a space", post("Content-Length: 1 1", body="x"), 400),
    RawRequest("a Content-Length with an underscore", post("Content-Length: 1_0", body="x" * 10), 400),
    RawRequest("an empty Content-Length", post("Content-Length:"), 400),
    RawRequest("a Content-Length of 2^63", post(f"Content-Length: {2**63}"), 413),
    RawRequest("a Content-Length of 2^64", post(f"Content-Length: {2**64}"), 400),
    RawRequest("a Content-Length that is too much", post("Content-Length: 131073"), 413),
    RawRequest("a coding that is not ours", post("Transfer-Encoding: gzip, chunked", body="0\r\n\r\n"), 501),
    RawRequest("a coding behind chunked", post("Transfer-Encoding: chunked, gzip", body="0\r\n\r\n"), 400),
    RawRequest("a coding with another name", post("Transfer-Encoding: xchunked", body="0\r\n\r\n"), 400),
    RawRequest("a coding behind a control character", post("Transfer-Encoding: \x0bchunked", body="0\r\n\r\n"), 400),
    RawRequest("two codings", post("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body="0\r\n\r\n"), 400),
    RawRequest("a coding in HTTP/1.0", plain("Transfer-Encoding: chunked", line="POST /x HTTP/1.0", body="0\r\n\r\n"), 501),
    RawRequest("a chunk of no size", chunked("\r\nx\r\n0\r\n\r\n"), 400),
    RawRequest("a chunk's size with a minus", chunked("-1\r\nx\r\n0\r\n\r\n"), 400),
    RawRequest("a chunk's size with 0x", chunked("0x1\r\nx\r\n0\r\n\r\n"), 400),
    RawRequest("a chunk's size with a space before", chunked(" 1\r\nx\r\n0\r\n\r\n"), 400),
    RawRequest("a chunk's size with a space behind", chunked("1 \r\nx\r\n0\r\n\r\n"), 400),
    RawRequest("a chunk's size with a bare LF", chunked("1\nx\r\n0\r\n\r\n"), 400),
    RawRequest("a chunk with a bare LF behind", chunked("1\r\nx\n0\r\n\r\n"), 400),
    RawRequest("a chunk that is longer than its size", chunked("1\r\nxy\r\n0\r\n\r\n"), 400),
    RawRequest("a chunk's size that overflows", chunked("f" * 17 + "\r\n"), 400),
    RawRequest("a LF in a chunk's extension", chunked("1;a\nb\r\nx\r\n0\r\n\r\n"), 400),
    RawRequest("chunks that end with bare LFs", chunked("0\n\n"), 400),
    RawRequest("a handshake with a body", handshake("Content-Length: 3", body="abc"), 400),
    RawRequest("a handshake with a chunked body", handshake("Transfer-Encoding: chunked", body="0\r\n\r\n"), 400),
]  # fmt: skip

_SIZES = [
    RawRequest("a URL that is too long", plain(line="GET /" + "x" * 4096 + " HTTP/1.1"), 414),
    RawRequest("a URL that is much too long", plain(line="GET /" + "x" * 60_000 + " HTTP/1.1"), 414),
    RawRequest("a query that is too long", handshake(line="GET /socket?" + "x" * 4096 + " HTTP/1.1"), 414),
    RawRequest("101 headers", plain(*[f"x-{n}: 1" for n in range(100)]), 431),
    RawRequest("1,000 headers", handshake(*["x: 1"] * 1000), 431),
    RawRequest("33 KiB of headers", plain(*["x: " + "y" * 1000] * 33), 431),
    RawRequest("33 KiB in one header", handshake("x: " + "y" * 33 * 1024), 431),
    RawRequest("33 KiB in one header's name", plain("x" * 33 * 1024 + ": y"), 431),
    RawRequest("subprotocols beyond ASCII", handshake("Sec-WebSocket-Protocol: \x80\xff"), 400),
    RawRequest("subprotocols of spaces", handshake("Sec-WebSocket-Protocol:" + " " * 32_000), 400),
    RawRequest("a subprotocol with 32,000 spaces inside", handshake("Sec-WebSocket-Protocol: a" + " " * 32_000 + "b"), 400),
    RawRequest("subprotocols of commas", handshake("Sec-WebSocket-Protocol: " + "," * 32_000), 400),
    RawRequest("5,000 subprotocols of one name", handshake("Sec-WebSocket-Protocol: " + ", ".join(["abc"] * 5000)), 400),
    RawRequest("extensions beyond ASCII", handshake("Sec-WebSocket-Extensions: \x80\xff"), 400),
    RawRequest("an extension with 32,000 spaces inside", handshake("Sec-WebSocket-Extensions: a" + " " * 32_000 + "b"), 400),
    RawRequest("an extension that is quoted for ever", handshake('Sec-WebSocket-Extensions: a; b="' + "\\" * 32_000), 400),
]  # fmt: skip

REQUESTS = [*_LINE_ENDS, *_FIRST_LINES, *_ONCE, *_BODIES, *_SIZES]

# Odd, and allowed: 101, and none of it costs anything.
HEADERS_WITHOUT_COST = {
    "5,000 subprotocols": "Sec-WebSocket-Protocol: " + ",".join(f"{n:x}" for n in range(5000)),
    "32,000 commas and a subprotocol": "Sec-WebSocket-Protocol: " + "," * 32_000 + "a",
    "5,000 extensions": "Sec-WebSocket-Extensions: " + ", ".join(["abc"] * 5000),
    "32,000 commas for extensions": "Sec-WebSocket-Extensions: " + "," * 32_000,
    "32,000 spaces for extensions": "Sec-WebSocket-Extensions:" + " " * 32_000,
    "an extension with 8,000 parameters": "Sec-WebSocket-Extensions: a" + ";b=c" * 8000,
}
