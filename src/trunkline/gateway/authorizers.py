"""The step before `$connect`: whether a client is let in, and what becomes of it if it is not.

Every handshake asks; nothing is cached. A refusal is answered in API Gateway's words, with the request id that the
authorizer's event has.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeAlias, cast

import msgspec

from trunkline import limits
from trunkline.gateway.dispatcher import error_body, log_handler_error
from trunkline.gateway.http import HttpResponse
from trunkline.gateway.runner import NOT_HANDLERS, HandlerTimeout
from trunkline.model.api import Authorization, CompiledRoute, Response
from trunkline.model.authorization import Refused, read_authorizer_output
from trunkline.model.events import AuthorizerEvent
from trunkline.model.functions import InvocationRefused
from trunkline.model.identity_sources import are_present

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trunkline.model.api import CompiledApi, CompiledAuthorizer
    from trunkline.model.events import Event
    from trunkline.model.functions import Invoker

__all__ = ["LambdaAuthorizer", "authorize", "two_authorizations", "what_it_lacks"]

logger = logging.getLogger("trunkline.handlers")
_KEY = "authorizer"  # what the log calls it, where a handler has its route
_PAGE = (
    b"<html>\r\n<head><title>400 Bad Request</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n"
    b"</body>\r\n</html>\r\n"
)
_encode = msgspec.json.Encoder().encode
_Decide: TypeAlias = "Callable[[Event], Awaitable[Response | None]]"
_Invoke: TypeAlias = "Callable[[CompiledRoute, Event], Awaitable[Response | None]]"


def what_it_lacks(route: CompiledRoute, connect: Event) -> Response | None:
    """What a handshake is answered with that has not all that its route requires; None if it has.

    Nobody has been asked then. Anybody can send such a handshake, so it is no error, and the log names what is missing.
    """
    lacking = ", ".join(f"{source.place}.{source.name}" for source in route.required if not source.value(connect))
    if not lacking:
        return None
    logger.info(
        "a handshake was refused: %s at %s requires %s; connection %s, request %s",
        route.key, route.where, lacking, connect.connection_id, connect.request_id,
    )  # fmt: skip
    return Response(400, error_body(limits.MESSAGE_BAD_PARAMETERS, connect))


async def authorize(api: CompiledApi, connect: Event, invoke: _Invoke) -> Authorization:
    """Ask the Api's authorizer about the handshake of a CONNECT event.

    Args:
        invoke: calls what is behind a route, and bounds its time as that of a handler.
    """
    authorizer = cast("CompiledAuthorizer", api.authorizer)
    route = CompiledRoute(_KEY, cast("_Decide", authorizer.decide), authorizer.where)
    event = AuthorizerEvent.of(connect, api.execute_arn)
    if not are_present(authorizer.identity, event):
        return _refusal(route, event, Refused(401, limits.MESSAGE_UNAUTHORIZED))
    try:
        return cast("Authorization", await invoke(route, event))
    except Refused as refused:
        return _refusal(route, event, refused)
    except HandlerTimeout:  # the sweep has told the log
        return _refusal(route, event, Refused(500, limits.MESSAGE_INTERNAL_ERROR))
    except NOT_HANDLERS:
        raise
    except BaseException as error:  # noqa: BLE001 - the authorizer's
        if str(error) == limits.MESSAGE_UNAUTHORIZED:
            return _refusal(route, event, Refused(401, limits.MESSAGE_UNAUTHORIZED))
        log_handler_error(route, event, error)
        return _refusal(route, event, Refused(500, limits.MESSAGE_INTERNAL_ERROR))


def _refusal(route: CompiledRoute, event: Event, refused: Refused) -> Authorization:
    if refused.reason:
        logger.error(
            "the authorizer%s failed: %s; connection %s, request %s",
            f" at {route.where}" if route.where else "", refused.reason, event.connection_id, event.request_id,
        )  # fmt: skip
    return Authorization(refused.status, error_body(refused.message, event))


def two_authorizations() -> HttpResponse:
    """What API Gateway answers to a handshake with two Authorization headers where an authorizer would decide."""
    return HttpResponse(400, _PAGE, {"content-type": "text/html"})


class LambdaAuthorizer:
    """A Lambda function that decides about handshakes: a REQUEST authorizer.

    Args:
        function: what to invoke.
    """

    __slots__ = ("_function",)

    def __init__(self, function: Invoker) -> None:
        self._function = function

    async def decide(self, event: AuthorizerEvent) -> Authorization:
        """See `CompiledAuthorizer.decide`.

        Raises:
            Refused: 401 or 403 if the function says so; 500 if it was not run, failed, or answered what is no answer.
        """
        name = self._function.name
        try:
            invocation = await self._function.invoke(_encode(event.event))
        except InvocationRefused as refused:
            reason = f"the function {name} was not run: {refused}"
            raise Refused(500, limits.MESSAGE_INTERNAL_ERROR, reason) from None
        told = _error_message(invocation.payload)
        if told == limits.MESSAGE_UNAUTHORIZED:
            raise Refused(401, limits.MESSAGE_UNAUTHORIZED)
        if invocation.function_error is not None:
            raise Refused(500, limits.MESSAGE_INTERNAL_ERROR, f"the function {name} failed: {told}")
        return read_authorizer_output(invocation.payload, event)


class _Error(msgspec.Struct):
    errorMessage: str = ""  # noqa: N815


def _error_message(payload: bytes) -> str:
    """What a failed function says of it."""
    try:
        return msgspec.json.decode(payload, type=_Error).errorMessage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
