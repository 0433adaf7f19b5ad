"""Leads a function's HTTPS connections for AWS's names to this machine; Host and path stay as they are.

The interpreter imports it by itself where this folder is on PYTHONPATH. It imports nothing of trunkline, and works at
the lowest level that all HTTP clients share: the look-up of a name, and the TLS that is put on a socket. A led socket
gets none where what it leads to speaks none; asyncio's clients, which have no socket to replace, get real TLS. Of what
AWS has and is not here, it says so once.

Variables:
    TRUNKLINE_LEAD_TO: HOST:PORT that connections to `*.execute-api.REGION.amazonaws.com` are led to.
    TRUNKLINE_LEAD_NAMES: further names that are led there, with commas between them.
    TRUNKLINE_LEAD_CA: the certificate that asyncio's clients are to trust in.
    AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL_LAMBDA and so on: what `SERVICE.REGION.amazonaws.com` is led to.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import re
import socket
import ssl
import sys
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_EXECUTE_API = re.compile(r"(?:[a-z0-9-]+\.)?execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?")
_SERVICE = re.compile(r"([a-z0-9-]+)\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?")
_S3 = re.compile(r"(?:.+\.)?s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?")  # a bucket may stand in front
_VARIABLE = "AWS_ENDPOINT_URL_"
_OTHERWISE = {
    "cloudwatch": "monitoring",
    "cloudwatchlogs": "logs",
    "cognitoidentityprovider": "cognito-idp",
    "eventbridge": "events",
    "sfn": "states",
}
_AWS = re.compile(r".+\.(?:amazonaws\.com(?:\.cn)?|api\.aws)")
_HTTPS = {443, "443", b"443", "https", b"https"}


class _Place(NamedTuple):
    host: str
    port: int
    plain: bool = True


def _place(url: str | None) -> _Place | None:
    parts = urlsplit(url or "")
    if not parts.hostname:
        return None
    plain = parts.scheme != "https"
    return _Place(parts.hostname, parts.port or (80 if plain else 443), plain)


_HERE = _place(f"http://{os.environ.get('TRUNKLINE_LEAD_TO', '')}")
_NAMES = frozenset(filter(None, os.environ.get("TRUNKLINE_LEAD_NAMES", "").lower().split(",")))
_SERVICES = {
    _OTHERWISE.get(name, name): _place(url)
    for variable, url in os.environ.items()
    if variable.startswith(_VARIABLE) and (name := variable[len(_VARIABLE) :].replace("_", "").lower())
}
_AUTHORITY = os.environ.get("TRUNKLINE_LEAD_CA")
_told: set[str] = set()


def _led(name: Any) -> _Place | None:
    """Where connections to a name are led; None for a name that is not led."""
    name = _lower(name)
    if name in _NAMES or _EXECUTE_API.fullmatch(name):
        return _HERE
    if _S3.fullmatch(name):
        return _SERVICES.get("s3")
    service = _SERVICE.fullmatch(name)
    return _SERVICES.get(service[1]) if service is not None else None


def _lower(name: Any) -> str:
    if isinstance(name, bytes):
        name = name.decode("ascii", "replace")
    return name.lower().rstrip(".") if isinstance(name, str) else ""


def _tell(name: str) -> None:
    """Say once of a name of AWS that its service is not here."""
    if _AWS.fullmatch(name) and name not in _told:
        _told.add(name)
        sys.stderr.write(
            f"{name} is not here: calls to it go to AWS, and no credentials of yours with them; "
            "a variable such as AWS_ENDPOINT_URL_SQS leads them elsewhere\n"
        )


def _is_plain(sock: Any, name: Any) -> bool:
    """Whether a socket was led to something that speaks no TLS; not one that a proxy is at the other end of."""
    place = _led(name)
    if place is None or not place.plain or isinstance(sock, ssl.SSLSocket):
        return False
    try:
        return bool(sock.getpeername()[1] == place.port)
    except OSError:  # it is not connected yet
        return False


class _PlainSocket(socket.socket):
    """A connection on this machine, where a client expects one with TLS on it."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, name: str) -> None:
        seconds = sock.gettimeout()
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self.settimeout(seconds)
        self.context = context
        self.server_side = False
        self.server_hostname = name

    def getpeercert(self, binary_form: bool = False) -> Any:
        return b"" if binary_form else {"subjectAltName": (("DNS", self.server_hostname),)}

    def version(self) -> str:
        return "TLSv1.3"

    def cipher(self) -> tuple[str, str, int]:
        return "TLS_AES_256_GCM_SHA384", "TLSv1.3", 256

    def selected_alpn_protocol(self) -> None:
        return None

    def do_handshake(self, block: bool = False) -> None:
        pass

    def pending(self) -> int:
        return 0

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002
        return self.recv(len) if buffer is None else self.recv_into(buffer, len)

    def write(self, data: Any) -> int:
        return self.send(data)

    def unwrap(self) -> socket.socket:
        return self


def _lead() -> None:
    look_up, wrap_socket, wrap_bio = socket.getaddrinfo, ssl.SSLContext.wrap_socket, ssl.SSLContext.wrap_bio

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        place = _led(host) if port in _HTTPS else None
        if place is not None:
            return look_up(*place[:2], *args, **kwargs)
        if port in _HTTPS:
            _tell(_lower(host))
        return look_up(host, port, *args, **kwargs)

    def on_socket(
        self: ssl.SSLContext,
        sock: Any,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: Any = None,
        session: Any = None,
    ) -> Any:
        if not server_side and _is_plain(sock, server_hostname):
            return _PlainSocket(sock, self, server_hostname)
        return wrap_socket(
            self, sock, server_side, do_handshake_on_connect, suppress_ragged_eofs, server_hostname, session
        )

    def on_bio(
        self: ssl.SSLContext,
        incoming: Any,
        outgoing: Any,
        server_side: bool = False,
        server_hostname: Any = None,
        session: Any = None,
    ) -> Any:
        if _AUTHORITY and not server_side and _led(server_hostname) is not None:
            self.load_verify_locations(_AUTHORITY)
        return wrap_bio(self, incoming, outgoing, server_side, server_hostname, session)

    socket.getaddrinfo = getaddrinfo
    ssl.SSLContext.wrap_socket = on_socket  # type: ignore[method-assign]
    ssl.SSLContext.wrap_bio = on_bio  # type: ignore[method-assign]


def _run_next() -> None:
    """The `sitecustomize` that this one stands in front of."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    others = [path for path in sys.path if os.path.abspath(path or ".") != here]  # noqa: PTH100
    spec = importlib.machinery.PathFinder.find_spec(__name__, others)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules[__name__] = module
        spec.loader.exec_module(module)


_lead()
_run_next()
