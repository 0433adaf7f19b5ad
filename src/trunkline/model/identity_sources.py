"""Identity sources: what a handshake must carry before its authorizer is asked at all.

    route.request.header.NAME        a header; case does not count
    route.request.querystring.NAME   a parameter of the query string
    stageVariables.NAME              a variable of the stage
    context.NAME                     something of the event, by the names of the table below

A source that is missing or empty refuses the handshake with 401, and nobody is called. Of a repeated header or
parameter the last value counts, which is the one that the event shows. Headers that the gateway adds are always there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trunkline import clock
from trunkline.errors import DeclarationError

if TYPE_CHECKING:
    from trunkline.model.events import Event

__all__ = ["IdentitySource", "are_present", "parse_identity_sources"]

_EXPRESSION = re.compile(
    r"(route\.request\.querystring|route\.request\.header|stageVariables|context)\.([a-zA-Z0-9._-]+)"
)
_ADDED = {
    name.lower(): name for name in ("X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto")
}
# API Gateway takes any name behind `context.`; eventType and messageDirection, which stand in the event, are not
# found there all the same, so a handshake that needs them is refused.
_OF_IDENTITY = {
    "apiId": "api_id",
    "connectedAt": "connected_at",
    "connectionId": "connection_id",
    "domainName": "domain_name",
    "identity.sourceIp": "source_ip",
    "identity.userAgent": "user_agent",
    "stage": "stage",
}


@dataclass(frozen=True, slots=True)
class IdentitySource:
    """One source: where it is looked for, and under which name."""

    place: str
    name: str

    def value(self, event: Event) -> str | None:
        """What a handshake has there; None for nothing."""
        if self.place == "route.request.header":
            return _header(self.name, event)
        if self.place == "route.request.querystring":
            return event.query.get(self.name)
        if self.place == "stageVariables":
            return (event.identity.stage_variables or {}).get(self.name)
        return _of_context(self.name, event)


def parse_identity_sources(expressions: Iterable[str]) -> tuple[IdentitySource, ...]:
    """Read identity sources; an empty expression is none, as API Gateway has it.

    Raises:
        DeclarationError: one is no source, in API Gateway's words.
    """
    return tuple(_parse(expression) for expression in expressions if expression != "")


def are_present(sources: Sequence[IdentitySource], event: Event) -> bool:
    """Whether a handshake has them all, and none of them is empty."""
    return all(source.value(event) for source in sources)


def _header(name: str, event: Event) -> str | None:
    added = _ADDED.get(name.lower())
    return event.headers.get(name) if added is None else event.event["headers"][added]


def _of_context(name: str, event: Event) -> str | None:
    if name in _OF_IDENTITY:
        value = getattr(event.identity, _OF_IDENTITY[name])
        return None if value is None else str(value)
    if name == "domainPrefix":
        return event.identity.domain_name.partition(".")[0]
    if name == "requestTimeEpoch":
        return str(clock.now_ms())
    if name == "routeKey":
        return event.route
    return event.request_id if name in {"requestId", "extendedRequestId"} else None


def _parse(expression: str) -> IdentitySource:
    match = _EXPRESSION.fullmatch(expression) if isinstance(expression, str) else None
    if match is None:
        raise DeclarationError(
            f"Invalid request identity source expression: {expression}. The sources must be separated by comma, and "
            "each source must be either a request parameter, matching "
            "'route.request.querystring|header.[a-zA-Z0-9._-]+', or a stage variable, matching "
            "'stageVariables.[a-zA-Z0-9._-]+', or a context parameter, matching 'context.[a-zA-Z0-9._-]+'"
        )
    return IdentitySource(match[1], match[2])
