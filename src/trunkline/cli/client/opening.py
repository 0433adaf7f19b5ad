"""The handshake, and what is said when it fails."""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidProxy, InvalidStatus, NegotiationError

from trunkline.cli.client.messages import MESSAGE_BYTES

if TYPE_CHECKING:
    from trunkline.cli.client.address import Call

__all__ = ["Failed", "open_connection"]

_OPEN_SECONDS = 60.0  # a connect handler may take 29
_CLOSE_SECONDS = 2.0
_REFUSED = 1
_ANYTHING_ELSE = 3


class Failed(Exception):  # noqa: N818
    """There is no connection.

    Attributes:
        code: exit code.
        body: what the server said besides; None if it said nothing or did not answer.
    """

    def __init__(self, code: int, line: str, body: bytes | None = None) -> None:
        super().__init__(line)
        self.code = code
        self.body = body


class _Connect(connect):
    """Follows no redirect, as no browser does: where else to connect is for the person to decide."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Show it like any other refusal."""
        return exc


async def open_connection(call: Call) -> ClientConnection:
    """Connect.

    Raises:
        Failed: the server refused, or could not be reached.
    """
    try:
        return await _Connect(**_arguments(call))
    except InvalidStatus as refused:
        raise Failed(_REFUSED, _status(refused), bytes(refused.response.body or b"")) from None
    except NegotiationError as error:
        raise Failed(_ANYTHING_ELSE, f"the handshake failed: {error}") from None
    except (InvalidHandshake, EOFError):
        raise Failed(_ANYTHING_ELSE, f"{call.place.netloc} does not answer as a WebSocket server") from None
    except (OSError, InvalidProxy, ImportError, ValueError) as error:
        raise Failed(_ANYTHING_ELSE, f"cannot reach {call.place.netloc}: {_why(error)}") from None


def _arguments(call: Call) -> dict[str, Any]:
    logger = logging.getLogger("trunkline.connect")
    logger.disabled = True  # whatever there is to say is said here
    return {
        **_address(call),
        "subprotocols": call.subprotocols or None,
        "user_agent_header": "trunkline",
        "open_timeout": _OPEN_SECONDS,
        # Like a browser, it sends no pings: what a server does with a client that is silent can be seen.
        "ping_interval": None,
        "close_timeout": _CLOSE_SECONDS,
        "max_size": MESSAGE_BYTES,
        "logger": logger,
    }


def _address(call: Call) -> dict[str, Any]:
    """Where to; a `Host` of one's own stands in the URL, since the handshake takes it from there."""
    place = call.place
    headers = [(name, value) for name, value in call.headers if name.lower() != "host"]
    asked: dict[str, Any] = {"uri": call.url, "additional_headers": headers}
    if _is_here(place.hostname or ""):
        asked["proxy"] = None
    hosts = [value for name, value in call.headers if name.lower() == "host"]
    if hosts:
        secure = place.scheme == "wss"
        asked["uri"] = place._replace(netloc=hosts[-1]).geturl()
        asked |= {"host": place.hostname, "port": place.port or (443 if secure else 80), "proxy": None}
        if secure:
            asked["server_hostname"] = place.hostname
    return asked


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _status(refused: InvalidStatus) -> str:
    response = refused.response
    phrase = response.reason_phrase or next((known.phrase for known in HTTPStatus if known == response.status_code), "")
    location = response.headers.get("Location")
    return f"refused {response.status_code} {phrase}".rstrip() + (f", go to {location}" if location else "")


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_OPEN_SECONDS:g} seconds"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"it does not speak TLS ({error.reason or error})"
    if isinstance(error, socket.gaierror):
        return "there is no host of that name"
    # A name with several addresses gives one error for all of them, which has no number of its own.
    if isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error):
        return "nothing listens there"
    if isinstance(error, ConnectionError):
        return "it hung up"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
