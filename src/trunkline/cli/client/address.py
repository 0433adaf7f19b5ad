"""Whom to call and with what: the URL and the headers, as a person types them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from trunkline.errors import ConfigurationError

__all__ = ["Call", "parse_header", "parse_subprotocol", "parse_url"]

_HOST = "127.0.0.1"
_PORT = 8000
_SHORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[\w.-]*):(?P<port>\d+)(?P<rest>[/?].*)?")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110
_HANDSHAKES_OWN = {
    "connection", "content-length", "sec-websocket-extensions", "sec-websocket-key", "sec-websocket-version",
    "transfer-encoding", "upgrade",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked for.

    Attributes:
        url: `ws://` or `wss://`, checked.
        headers: of the handshake, in their order.
        subprotocols: that are offered, the best first.
        binary: lines are sent as binary messages.
        wait: seconds without a message, after the end of standard input, that end it.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    subprotocols: tuple[str, ...] = ()
    binary: bool = False
    wait: float = 0.0

    @property
    def place(self) -> SplitResult:
        """The URL in its parts."""
        return urlsplit(self.url)


def parse_url(text: str) -> str:
    """The URL that is meant by `ws://...`, `wss://...`, `HOST:PORT/NAME`, `:PORT/NAME` or `/NAME`.

    Raises:
        ConfigurationError: it is none of these, or cannot be one.
    """
    if "://" in text:
        return _checked(text, text)
    short = _SHORT.fullmatch(text)
    if short is not None:
        return _checked(f"ws://{short['host'] or _HOST}:{short['port']}{short['rest'] or '/'}", text)
    if text.startswith("/") and not text.startswith("//"):
        return _checked(f"ws://{_HOST}:{_PORT}{text}", text)
    expected = "ws://HOST:PORT/NAME, HOST:PORT/NAME, :PORT/NAME or /NAME"
    raise ConfigurationError(f"{text!r} is no address; expected {expected}")


def _checked(url: str, typed: str) -> str:
    scheme, _, rest = url.partition("://")
    if scheme.lower() in {"http", "https"}:
        raise ConfigurationError(
            f"{typed!r} is a page's address; a WebSocket's is {scheme.lower().replace('http', 'ws')}://{rest}"
        )
    if scheme.lower() not in {"ws", "wss"}:
        raise ConfigurationError(f"{typed!r} begins with {scheme}://; expected ws:// or wss://")
    problem = _problem(url)
    if problem:
        raise ConfigurationError(f"{typed!r} {problem}")
    return f"{scheme.lower()}://{rest}"


def _problem(url: str) -> str:
    if not url.isprintable() or " " in url:
        return "contains a blank or a control character; write it as %20 and so on"
    try:
        place = urlsplit(url)
        port = place.port
        (place.hostname or "").encode("idna")
    except ValueError as error:
        return f"cannot be read: {error}"
    if not place.hostname:
        return "names no host; expected ws://HOST:PORT/NAME"
    if port == 0:
        return "names port 0, where nothing can listen"
    if place.fragment:
        return "has a #fragment, which a WebSocket's address cannot have"
    if place.username is not None and place.password is None:
        return "has a user without a password; expected USER:PASSWORD@HOST"
    return ""


def parse_header(text: str) -> tuple[str, str]:
    """Name and value of `NAME:VALUE`.

    Raises:
        ConfigurationError: it cannot be sent, or the handshake decides about it.
    """
    name, colon, value = text.partition(":")
    value = value.strip()
    if not colon or not _TOKEN.fullmatch(name):
        raise ConfigurationError(f"--header {text!r} is no header; expected NAME:VALUE, such as Authorization:secret")
    if not value.isprintable():
        raise ConfigurationError(f"--header {name} has a control character in its value")
    if name.lower() == "sec-websocket-protocol":
        raise ConfigurationError(f"--header {name} is what --subprotocol NAME sends")
    if name.lower() in _HANDSHAKES_OWN:
        raise ConfigurationError(f"--header {name} belongs to the handshake itself and cannot be chosen")
    if name.lower() == "host" and _problem(f"ws://{value}/"):
        raise ConfigurationError(f"--header Host:{value} is no host; expected HOST or HOST:PORT")
    return name, value


def parse_subprotocol(text: str) -> str:
    """A name as it may stand in a handshake.

    Raises:
        ConfigurationError: it may not.
    """
    if not _TOKEN.fullmatch(text):
        raise ConfigurationError(f"--subprotocol {text!r} is no name; expected letters, digits, '-', '.' and the like")
    return text
