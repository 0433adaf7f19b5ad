"""A Lambda function behind a route: `AWS_PROXY`, with API Gateway's contract for what the function answers."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from trunkline import limits
from trunkline.integrations.base import IntegrationError, check_reply, in_time, run_function
from trunkline.model.api import Response
from trunkline.model.events import CONNECT, DISCONNECT

if TYPE_CHECKING:
    from trunkline.model.events import Event
    from trunkline.model.functions import Invoker

__all__ = ["LambdaIntegration", "MalformedResponse", "read_proxy_response"]

_NUMBER = re.compile(r"[0-9]{3}")
_KEYS = frozenset({"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"})
_FORWARDED = frozenset({"content-type", "sec-websocket-protocol"})
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class MalformedResponse(Exception):  # noqa: N818
    """A function's answer that is no proxy response."""


class LambdaIntegration:
    """Invokes a function with the proxy event and reads its proxy response.

    Args:
        function: what to invoke.
        seconds: how long it may take; `TimeoutInMillis` of the integration.
        message_bytes: the largest reply.
    """

    __slots__ = ("_function", "_message_bytes", "_seconds")

    def __init__(
        self,
        function: Invoker,
        *,
        seconds: float = limits.HANDLER_SECONDS,
        message_bytes: int = limits.MESSAGE_BYTES,
    ) -> None:
        self._function = function
        self._seconds = seconds
        self._message_bytes = message_bytes

    async def invoke(self, event: Event) -> Response | None:
        """See `Integration.invoke`.

        Raises:
            IntegrationError: 502 for a function that failed, 500 for one that was not run or answered what is no
                proxy response, 504 for one that took too long.
        """
        who = f"the function {self._function.name}"
        running = run_function(self._function, _encode(event.event))
        invocation = await in_time(running, self._seconds, who)
        if invocation.function_error is not None:
            raise IntegrationError(f"{who} failed: {_why(invocation.payload)}", 502)
        if event.kind is DISCONNECT:
            return None  # nobody is there to be answered
        try:
            response = read_proxy_response(invocation.payload)
        except MalformedResponse as error:
            raise IntegrationError(f"{who} answered what is no proxy response: {error}") from None
        if event.kind is not CONNECT:
            check_reply(response.body, self._message_bytes, who)
        return response


def read_proxy_response(payload: bytes) -> Response:
    """A function's answer as a response; of its headers, those that a handshake's answer takes.

    A status that is missing is 200, and may be text, as API Gateway has it. A body that is empty or missing is None:
    nothing is sent.

    Raises:
        MalformedResponse: it is no proxy response; the text says why.
    """
    try:
        answer = _decode(payload)
    except (msgspec.DecodeError, RecursionError):
        raise MalformedResponse(f"it is not JSON: {payload[:100]!r}") from None
    if not isinstance(answer, dict):
        raise MalformedResponse(f"expected an object with statusCode; got {payload[:100].decode('utf-8', 'replace')}")
    unknown = sorted(answer.keys() - _KEYS)
    if unknown:
        raise MalformedResponse(f"it has {', '.join(map(repr, unknown))}; known are {', '.join(sorted(_KEYS))}")
    return Response(_status(answer.get("statusCode", 200)), _body(answer) or None, _headers(answer))


def _status(status: Any) -> int:
    number = int(status) if isinstance(status, str) and _NUMBER.fullmatch(status) else status
    if isinstance(number, bool) or not isinstance(number, int) or not 100 <= number <= 599:
        raise MalformedResponse(f"statusCode is {status!r}; expected a number from 100 to 599")
    return number


def _body(answer: Mapping[str, Any]) -> str:
    body, encoded = answer.get("body"), answer.get("isBase64Encoded")
    if body is not None and not isinstance(body, str):
        raise MalformedResponse(f"body is a {type(body).__name__}; expected text, such as of json.dumps")
    if encoded is not None and not isinstance(encoded, bool):
        raise MalformedResponse(f"isBase64Encoded is {encoded!r}; expected true or false")
    if not body or not encoded:
        return body or ""
    try:
        return base64.b64decode(body, validate=True).decode()
    except (binascii.Error, ValueError):
        raise MalformedResponse("body is not base64 of UTF-8 text, and isBase64Encoded is true") from None


def _headers(answer: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    single, multiple = answer.get("headers"), answer.get("multiValueHeaders")
    for name, value in _pairs("headers", single):
        if isinstance(value, list | dict) or value is None:
            raise MalformedResponse(f"headers[{name!r}] is {value!r}; expected text")
        found[name.lower()] = value if isinstance(value, str) else _encode(value).decode()
    for name, values in _pairs("multiValueHeaders", multiple):
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise MalformedResponse(f"multiValueHeaders[{name!r}] is {values!r}; expected a list of texts")
        if values:
            found[name.lower()] = values[-1]
    kind = found.get("content-type")
    if kind and "charset" not in kind.lower():
        found["content-type"] = f"{kind}; charset=UTF-8"  # as API Gateway was seen to say
    return {name: value for name, value in found.items() if name in _FORWARDED}


def _pairs(key: str, table: Any) -> list[tuple[str, Any]]:
    if table is None:
        return []
    if not isinstance(table, dict):
        raise MalformedResponse(f"{key} is a {type(table).__name__}; expected an object")
    return list(table.items())


def _why(payload: bytes) -> str:
    """What Lambda says of a failed function."""
    try:
        told = _decode(payload)
    except (msgspec.DecodeError, RecursionError):
        told = None
    if not isinstance(told, dict):
        return payload[:200].decode("utf-8", "replace")
    return f"{told.get('errorType', 'Error')}: {told.get('errorMessage', '')}"
