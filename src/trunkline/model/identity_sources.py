"""Identity sources: what a handshake must carry before its authorizer is asked at all.

    route.request.header.NAME        a header; case does not count
    route.request.querystring.NAME   a parameter of the query string
    stageVariables.NAME              a variable of the stage
    context.NAME                     something of the event, by the names of the table below

A source that is missing or empty refuses the handshake with 401, and nobody is called. Of a repeated header or
parameter the last value counts, which is the one that the event shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
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
# API Gateway takes any name behind `context.`; eventType and messageDirection, which stand in the event, are not
# found there all the same, so a handshake that needs them is refused.
_CONTEXT: dict[str, Callable[[Event], str | None]] = {
    "apiId": lambda event: event.identity.api_id,
    "connectedAt": lambda event: str(event.identity.connected_at),
    "connectionId": lambda event: event.identity.connection_id,
    "domainName": lambda event: event.identity.domain_name,
    "domainPrefix": lambda event: event.identity.domain_name.partition(".")[0],
    "extendedRequestId": lambda event: event.request_id,
    "identity.sourceIp": lambda event: event.identity.source_ip,
    "identity.userAgent": lambda event: event.identity.user_agent,
    "requestId": lambda event: event.request_id,
    "requestTimeEpoch": lambda _: str(clock.now_ms()),
    "routeKey": lambda event: event.route,
    "stage": lambda event: event.identity.stage,
}


@dataclass(frozen=True, slots=True)
class IdentitySource:
    """One source: where it is looked for, and under which name."""

    place: str
    name: str

    def value(self, event: Event) -> str | None:
        """What a handshake has there; None for nothing."""
        if self.place == "route.request.header":
            return event.headers.get(self.name)
        if self.place == "route.request.querystring":
            return event.query.get(self.name)
        if self.place == "stageVariables":
            return (event.identity.stage_variables or {}).get(self.name)
        return _CONTEXT[self.name](event) if self.name in _CONTEXT else None


def parse_identity_sources(expressions: Iterable[str]) -> tuple[IdentitySource, ...]:
    """Read identity sources; an empty expression is none, as API Gateway has it.

    Raises:
        DeclarationError: one is no source, in API Gateway's words.
    """
    return tuple(_parse(expression) for expression in expressions if expression != "")


def are_present(sources: Sequence[IdentitySource], event: Event) -> bool:
    """Whether a handshake has them all, and none of them is empty."""
    return all(source.value(event) for source in sources)


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
