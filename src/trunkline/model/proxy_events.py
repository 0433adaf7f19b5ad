"""Lambda proxy events, read: the way back from what API Gateway sends to what a handler reads.

What a handler finds in `ctx.req.event` is the very event that came. Members that API Gateway left out, or wrote as null
in former years, are not there.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from trunkline.model.events import CONNECT, DISCONNECT, MESSAGE, AuthorizerEvent, Event, Handshake, Identity, MultiDict

__all__ = ["NotAnEvent", "read_proxy_event"]

_KINDS = {kind: kind for kind in (CONNECT, MESSAGE, DISCONNECT)}
_LATENCY = "integrationLatency"


class NotAnEvent(ValueError):  # noqa: N818
    """What came is no event of a WebSocket Api; the text says what is missing."""


def read_proxy_event(raw: Any) -> Event:
    """The event of a connection, or an `AuthorizerEvent` for what API Gateway asks an authorizer.

    Raises:
        NotAnEvent: it is neither.
    """
    context = raw.get("requestContext") if isinstance(raw, Mapping) else None
    if not isinstance(context, Mapping):
        raise NotAnEvent("it has no requestContext; expected an event of an API Gateway WebSocket Api")
    try:
        return _read(raw, context)
    except KeyError as missing:
        raise NotAnEvent(f"its requestContext has no {missing}; expected an event of a WebSocket Api") from None


def _read(raw: Any, context: Mapping[str, Any]) -> Event:
    kind = _KINDS.get(context["eventType"])
    if kind is None:
        raise NotAnEvent(f"its eventType is {context['eventType']!r}; expected {', '.join(_KINDS)}")
    said = _present(context.get("authorizer"))
    latency = said.pop(_LATENCY, None)
    event = Event(
        kind,
        _identity(raw, context, said),
        context["routeKey"],
        _data(raw) if kind is MESSAGE else "",
        handshake=_handshake(raw) if kind is CONNECT else None,
        close_code=context.get("disconnectStatusCode") or 0,
        close_reason=context.get("disconnectReason") or "",
        authorizer_ms=latency,
        _request_id=context["requestId"],
        _lambda=raw,
    )
    return _asking(event, raw) if raw.get("type") == "REQUEST" else event


def _asking(connect: Event, raw: Any) -> AuthorizerEvent:
    return AuthorizerEvent(
        CONNECT, connect.identity, connect.route, handshake=connect.handshake, _request_id=connect.request_id,
        _lambda=raw, method_arn=raw.get("methodArn", ""),
    )  # fmt: skip


def _identity(raw: Any, context: Mapping[str, Any], said: Mapping[str, Any]) -> Identity:
    who = context.get("identity") or {}
    return Identity(
        connection_id=context["connectionId"],
        api_id=context["apiId"],
        stage=context["stage"],
        domain_name=context.get("domainName") or "",
        source_ip=who.get("sourceIp") or "",
        user_agent=who.get("userAgent"),
        connected_at=context["connectedAt"],
        authorizer={name: _text(value) for name, value in said.items()} or None,
        stage_variables=_present(raw.get("stageVariables")) or None,
    )


def _data(raw: Any) -> str | bytes:
    body = raw.get("body") or ""
    return base64.b64decode(body) if raw.get("isBase64Encoded") else str(body)


def _handshake(raw: Any) -> Handshake:
    headers = list(_pairs(raw, "headers", "multiValueHeaders"))
    found = MultiDict(headers, ignore_case=True)
    port = found.get("x-forwarded-port", "")
    handshake = Handshake(
        headers, "", port=int(port) if port.isdecimal() else 443, scheme=found.get("x-forwarded-proto", "https")
    )
    handshake.query = MultiDict(list(_pairs(raw, "queryStringParameters", "multiValueQueryStringParameters")))
    return handshake


def _pairs(raw: Any, single: str, multiple: str) -> Iterator[tuple[str, str]]:
    """Every name and value; a name that only has one value may be in `single` alone."""
    repeated = _present(raw.get(multiple))
    for name, value in _present(raw.get(single)).items():
        for each in repeated.pop(name, (value,)):
            yield name, each
    for name, values in repeated.items():
        for each in values:
            yield name, each


def _present(members: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (members or {}).items() if value is not None}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
