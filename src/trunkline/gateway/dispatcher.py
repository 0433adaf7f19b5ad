"""From a message to its route, and from what went wrong to AWS's words for it."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING

from trunkline import limits
from trunkline.model.api import DEFAULT_ROUTE
from trunkline.model.ids import message_id
from trunkline.tracebacks import explain, is_programs

if TYPE_CHECKING:
    from trunkline.integrations.base import IntegrationError, MessageRefused
    from trunkline.model.api import CompiledApi, CompiledRoute
    from trunkline.model.events import Event

__all__ = [
    "bad_request_body", "error_body", "log_handler_error", "log_integration_error", "log_refused",
    "select_route", "timed_out",
]  # fmt: skip

logger = logging.getLogger("trunkline.handlers")


def select_route(api: CompiledApi, data: str | bytes) -> CompiledRoute | None:
    """The route of a message; None when none matches and there is no `$default`."""
    routes = api.routes
    if api.select is not None:
        key = api.select(data)
        if key is not None and key in routes:
            return routes[key]
    return routes.get(DEFAULT_ROUTE)


def error_body(message: str, event: Event) -> str:
    """The text that API Gateway sends for an error; its spacing is AWS's."""
    return f'{{"message": "{message}", "connectionId":"{event.connection_id}", "requestId":"{event.request_id}"}}'


def bad_request_body(event: Event) -> str:
    """The text that API Gateway sends for a message that no model takes: it names the message."""
    message = message_id(event.connection_id)
    return (
        f'{{"message": "{limits.MESSAGE_BAD_BODY}", "connectionId":"{event.connection_id}", "messageId":"{message}"}}'
    )


def log_handler_error(route: CompiledRoute, event: Event, error: BaseException) -> None:
    """Tell the log what a handler raised: its own traceback, without our frames around it."""
    said = explain(error) if is_programs(error) else "".join(traceback.format_exception(error)).rstrip()
    logger.error(
        "the handler of %(route)s at %(where)s raised; "
        "connection %(connection_id)s, request %(request_id)s\n%(traceback)s",
        _named(route, event) | {"traceback": said},
    )


def log_integration_error(route: CompiledRoute, event: Event, error: IntegrationError) -> None:
    """Tell the log what is wrong behind a route; the error's text says it whole."""
    logger.error(
        "the integration of %(route)s%(at)s failed: %(error)s; connection %(connection_id)s, request %(request_id)s",
        _named(route, event) | {"at": f" at {route.where}" if route.where else "", "error": str(error)},
    )


def log_refused(route: CompiledRoute, event: Event, error: MessageRefused) -> None:
    """Tell the log why a message or a handshake was refused; anybody can send such, so it is no error."""
    logger.info(
        "what came to %(route)s%(at)s was refused: %(error)s; connection %(connection_id)s, request %(request_id)s",
        _named(route, event) | {"at": f" at {route.where}" if route.where else "", "error": str(error)},
    )


def timed_out(route: CompiledRoute, event: Event, seconds: float) -> None:
    """Tell the log that a handler was cancelled at its deadline."""
    logger.error(
        "the handler of %(route)s at %(where)s was cancelled after %(seconds)g s (limit handler_seconds); "
        "connection %(connection_id)s, request %(request_id)s",
        _named(route, event) | {"seconds": seconds},
    )


def _named(route: CompiledRoute, event: Event) -> dict[str, str | float]:
    """The values by which a log of JSON names them too."""
    return {
        "route": route.key, "where": route.where, "connection_id": event.connection_id, "request_id": event.request_id,
    }  # fmt: skip
