"""Events: what happened on a connection, and how AWS writes it for a Lambda function.

An `Event` is small and costs little; the Lambda proxy event is built only when somebody asks for it.
Keys, their order and what is absent are those of events that API Gateway really sent in 2026: absent
members are left out, never null.
"""

from __future__ import annotations

import builtins
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl

import msgspec

from trunkline import clock
from trunkline.model.ids import message_id, request_id

__all__ = [
    "CONNECT",
    "DISCONNECT",
    "MESSAGE",
    "AuthorizerEvent",
    "Event",
    "EventType",
    "Handshake",
    "Identity",
    "MultiDict",
]

EventType: TypeAlias = Literal["CONNECT", "MESSAGE", "DISCONNECT"]
CONNECT: EventType = "CONNECT"
MESSAGE: EventType = "MESSAGE"
DISCONNECT: EventType = "DISCONNECT"

_decode_json = msgspec.json.Decoder().decode
# The letter case in which API Gateway writes these headers, whatever the client wrote.
_CANONICAL = {
    name.lower(): name
    for name in (
        "Authorization", "Cookie", "Host", "Origin", "User-Agent", "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Key", "Sec-WebSocket-Protocol", "Sec-WebSocket-Version", "X-Amzn-Trace-Id",
    )
}  # fmt: skip
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NOT_FORWARDED = frozenset({"connection", "upgrade", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"})


class MultiDict(Mapping[str, str]):
    """Read-only names and values in which a name may be repeated: the last value wins, `getlist` has all."""

    __slots__ = ("_fold", "_items", "_values")

    def __init__(self, items: Sequence[tuple[str, str]] = (), *, ignore_case: bool = False) -> None:
        self._items = tuple(items)
        self._fold = str.lower if ignore_case else str
        self._values: dict[str, list[str]] = {}
        for name, value in self._items:
            self._values.setdefault(self._fold(name), []).append(value)

    def __getitem__(self, name: str) -> str:
        return self._values[self._fold(name)][-1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"MultiDict({list(self._items)!r})"

    def getlist(self, name: str) -> list[str]:
        """All values of a name, in order; an empty list if there is none."""
        return list(self._values.get(self._fold(name), ()))

    def items_in_order(self) -> tuple[tuple[str, str], ...]:
        """Every pair as it came."""
        return self._items


_EMPTY = MultiDict()
_EMPTY_HEADERS = MultiDict(ignore_case=True)


class Handshake:
    """What a client sent to be connected: kept for the CONNECT event, forgotten after it."""

    __slots__ = ("_trace_id", "headers", "port", "query", "scheme")

    def __init__(
        self, headers: Sequence[tuple[str, str]], query_string: str, *, port: int = 443, scheme: str = "https"
    ) -> None:
        self.headers = MultiDict(headers, ignore_case=True)
        self.query = MultiDict(parse_qsl(query_string, keep_blank_values=True)) if query_string else _EMPTY
        self.port = port
        self.scheme = scheme
        self._trace_id = ""

    def trace_id(self, connected_at: int) -> str:
        """The one that the gateway gives it: the same for its authorizer and its CONNECT event."""
        if not self._trace_id:
            self._trace_id = f"Root=1-{connected_at // 1000:08x}-{secrets.token_hex(12)}"
        return self._trace_id


class Identity:
    """Who is at the other end of a connection, for as long as it lives."""

    __slots__ = (
        "api_id", "authorizer", "connected_at", "connection_id", "domain_name", "source_ip", "stage",
        "stage_variables", "user_agent",
    )  # fmt: skip

    def __init__(
        self,
        *,
        connection_id: str,
        api_id: str,
        stage: str,
        domain_name: str,
        source_ip: str,
        user_agent: str | None,
        connected_at: int,
        authorizer: Mapping[str, str] | None = None,
        stage_variables: Mapping[str, str] | None = None,
    ) -> None:
        self.connection_id = connection_id
        self.api_id = api_id
        self.stage = stage
        self.domain_name = domain_name
        self.source_ip = source_ip
        self.user_agent = user_agent
        self.connected_at = connected_at  # milliseconds since the epoch
        self.authorizer = authorizer
        self.stage_variables = stage_variables


class Event(msgspec.Struct, eq=False):
    """One CONNECT, MESSAGE or DISCONNECT, as a handler reads it (`ctx.req`).

    Attributes:
        kind: "CONNECT", "MESSAGE" or "DISCONNECT".
        route: the selected route key: "$connect", "$disconnect", "$default" or a custom one.
        data: the message, str for text and bytes for binary; "" on connect and disconnect.
        close_code: on disconnect, how the connection ended (RFC 6455 section 7.4), else 0.
        close_reason: on disconnect, the text that came with it.
        authorizer_ms: on connect, how many milliseconds its authorizer took; None without one.
    """

    kind: EventType
    identity: Identity
    route: str
    data: str | builtins.bytes = ""
    handshake: Handshake | None = None
    close_code: int = 0
    close_reason: str = ""
    authorizer_ms: int | None = None
    _request_id: str | None = None
    _lambda: dict[str, Any] | None = None

    def __repr__(self) -> str:
        # Not what it holds: headers and messages do not belong into a log.
        return f"<{self.kind} on {self.route!r} of connection {self.connection_id}>"

    @property
    def connection_id(self) -> str:
        """The id of the connection: 20 characters, never used twice."""
        return self.identity.connection_id

    @property
    def request_id(self) -> str:
        """The id of this event: 16 characters."""
        if self._request_id is None:
            self._request_id = request_id()
        return self._request_id

    @property
    def source_ip(self) -> str:
        """The client's address."""
        return self.identity.source_ip

    @property
    def headers(self) -> MultiDict:
        """The client's headers on connect; empty afterwards, because AWS sends none."""
        return self.handshake.headers if self.handshake is not None else _EMPTY_HEADERS

    @property
    def query(self) -> MultiDict:
        """The query string's parameters on connect; empty afterwards, because AWS sends none."""
        return self.handshake.query if self.handshake is not None else _EMPTY

    @property
    def authorizer(self) -> Mapping[str, str]:
        """What the authorizer said of this connection, every value as a text; empty without one."""
        return self.identity.authorizer or {}

    def text(self) -> str:
        """The message as text.

        Raises:
            UnicodeDecodeError: a binary message that is not UTF-8.
        """
        return self.data if isinstance(self.data, str) else self.data.decode()

    def bytes(self) -> builtins.bytes:
        """The message as bytes; text is written as UTF-8."""
        return self.data.encode() if isinstance(self.data, str) else self.data

    def json(self) -> Any:
        """The message read as JSON.

        Raises:
            ValueError: it is not JSON.
        """
        return _decode_json(self.data)

    @property
    def event(self) -> dict[str, Any]:
        """The Lambda proxy event that API Gateway would send, with its keys in its order."""
        if self._lambda is None:
            self._lambda = self._build()
        return self._lambda

    def _build(self) -> dict[str, Any]:
        return _BUILDERS[self.kind](self)


class AuthorizerEvent(Event, eq=False):
    """A handshake, as its authorizer reads it: the CONNECT event, except for `event`, which is a REQUEST.

    Attributes:
        method_arn: what its policy must allow.
    """

    method_arn: str = ""

    @classmethod
    def of(cls, connect: Event, execute_arn: str) -> AuthorizerEvent:
        """That of a CONNECT event, with the same request id.

        Args:
            execute_arn: what the ARN of the Api begins with: "arn:aws:execute-api:REGION:ACCOUNT".
        """
        identity = connect.identity
        arn = f"{execute_arn}:{identity.api_id}/{identity.stage}/{connect.route}"
        return cls(
            CONNECT, identity, connect.route, handshake=connect.handshake, _request_id=connect.request_id,
            method_arn=arn,
        )  # fmt: skip

    def _build(self) -> dict[str, Any]:
        return _authorizer_request(self)


def _connect(event: Event) -> dict[str, Any]:
    handshake = event.handshake or Handshake((), "")
    built: dict[str, Any] = {}
    headers = _forwarded_headers(event.identity, handshake)
    built["headers"] = {name: values[-1] for name, values in headers.items()}
    built["multiValueHeaders"] = headers
    if len(handshake.query):
        names = sorted(handshake.query)
        built["queryStringParameters"] = {name: handshake.query[name] for name in names}
        built["multiValueQueryStringParameters"] = {name: handshake.query.getlist(name) for name in names}
    _add_stage_variables(built, event.identity)
    context = {"routeKey": event.route} | _authorizer(event.identity, event.authorizer_ms)
    built["requestContext"] = context | _common(event)
    built["isBase64Encoded"] = False
    return built


def _authorizer_request(event: AuthorizerEvent) -> dict[str, Any]:
    # Other than in CONNECT, nothing is left out: what is not there is an empty object.
    handshake = event.handshake or Handshake((), "")
    headers = _authorizer_headers(event.identity, handshake)
    return {
        "type": "REQUEST",
        "methodArn": event.method_arn,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": dict(handshake.query),
        "multiValueQueryStringParameters": {name: handshake.query.getlist(name) for name in handshake.query},
        "stageVariables": dict(event.identity.stage_variables or {}),
        "requestContext": {"routeKey": event.route} | _common(event),
    }


def _message(event: Event) -> dict[str, Any]:
    built: dict[str, Any] = {}
    _add_stage_variables(built, event.identity)
    context = {"routeKey": event.route} | _authorizer(event.identity)
    context["messageId"] = message_id(event.connection_id)
    built["requestContext"] = context | _common(event)
    if isinstance(event.data, str):
        return built | {"body": event.data, "isBase64Encoded": False}
    return built | {"body": msgspec.json.encode(event.data).decode()[1:-1], "isBase64Encoded": True}


def _disconnect(event: Event) -> dict[str, Any]:
    # The four headers, three of them empty, are what API Gateway really sends.
    headers = {"Host": event.identity.domain_name, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
    built: dict[str, Any] = {"headers": headers}
    built["multiValueHeaders"] = {name: [value] for name, value in headers.items()}
    _add_stage_variables(built, event.identity)
    context: dict[str, Any] = {"routeKey": event.route, "disconnectStatusCode": event.close_code}
    context |= _authorizer(event.identity)
    common = _common(event)
    for name, value in common.items():
        context[name] = value
        if name == "messageDirection":
            context["disconnectReason"] = event.close_reason
    built["requestContext"] = context
    built["isBase64Encoded"] = False
    return built


_BUILDERS = {CONNECT: _connect, MESSAGE: _message, DISCONNECT: _disconnect}


def _add_stage_variables(built: dict[str, Any], identity: Identity) -> None:
    if identity.stage_variables:
        built["stageVariables"] = dict(identity.stage_variables)


def _authorizer(identity: Identity, milliseconds: int | None = None) -> dict[str, Any]:
    said: dict[str, Any] = dict(identity.authorizer or {})
    if milliseconds is not None:
        said["integrationLatency"] = milliseconds
    return {"authorizer": said} if said else {}


def _common(event: Event) -> dict[str, Any]:
    identity = event.identity
    epoch = max(clock.now_ms(), identity.connected_at)
    who = {"userAgent": identity.user_agent} if identity.user_agent is not None else {}
    return {
        "eventType": event.kind,
        "extendedRequestId": event.request_id,
        "requestTime": _request_time(epoch),
        "messageDirection": "IN",
        "stage": identity.stage,
        "connectedAt": identity.connected_at,
        "requestTimeEpoch": epoch,
        "identity": who | {"sourceIp": identity.source_ip},
        "requestId": event.request_id,
        "domainName": identity.domain_name,
        "connectionId": identity.connection_id,
        "apiId": identity.api_id,
    }


def _request_time(epoch: int) -> str:
    now = time.gmtime(epoch // 1000)  # strftime's month follows the locale
    return f"{now.tm_mday:02}/{_MONTHS[now.tm_mon - 1]}/{now.tm_year:04}:{time.strftime('%H:%M:%S', now)} +0000"


def _forwarded_headers(identity: Identity, handshake: Handshake) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for name, value in handshake.headers.items_in_order():
        folded = name.lower()
        if folded not in _NOT_FORWARDED:
            headers.setdefault(_CANONICAL.get(folded, name), []).append(value)
    if "X-Amzn-Trace-Id" not in headers:
        headers["X-Amzn-Trace-Id"] = [handshake.trace_id(identity.connected_at)]
    headers["X-Forwarded-For"] = [identity.source_ip]
    headers["X-Forwarded-Port"] = [str(handshake.port)]
    headers["X-Forwarded-Proto"] = [handshake.scheme]
    return _sorted(headers)


def _authorizer_headers(identity: Identity, handshake: Handshake) -> dict[str, list[str]]:
    headers = _forwarded_headers(identity, handshake)
    sent = {name: values for name, values in headers.items() if name.lower() != "content-length"}
    return _sorted(sent | {"Connection": ["upgrade"], "content-length": ["0"], "Upgrade": ["websocket"]})


def _sorted(headers: dict[str, list[str]]) -> dict[str, list[str]]:
    return dict(sorted(headers.items(), key=lambda item: item[0].lower()))
