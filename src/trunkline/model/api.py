"""What a WebSocket API is, as immutable data: an Api, its routes, and its compiled form.

A Stage points at one `CompiledApi`; a redeploy swaps that pointer under open connections.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from trunkline import limits
from trunkline.errors import DeclarationError

if TYPE_CHECKING:
    from trunkline.model.events import AuthorizerEvent, Event
    from trunkline.model.expressions import Selector
    from trunkline.model.identity_sources import IdentitySource

__all__ = [
    "CONNECT_ROUTE",
    "DEFAULT_ROUTE",
    "DISCONNECT_ROUTE",
    "Authorization",
    "CompiledApi",
    "CompiledAuthorizer",
    "CompiledRoute",
    "Limits",
    "Response",
    "execute_arn",
    "partition",
]

CONNECT_ROUTE = "$connect"
DISCONNECT_ROUTE = "$disconnect"
DEFAULT_ROUTE = "$default"
_NO_HEADERS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one socket. Sizes are bytes, times are seconds; the defaults are AWS's.

    Attributes:
        frame_bytes: largest frame from a client; beyond it the connection closes with 1009.
        message_bytes: largest message in either direction; 1009 from a client, `MessageTooLarge` from a handler.
        idle_seconds: without a message in either direction, the connection closes with 1001.
        lifetime_seconds: after this the connection closes with 1001.
        handler_seconds: after this a handler is cancelled, and its client is told.
    """

    frame_bytes: int = limits.FRAME_BYTES
    message_bytes: int = limits.MESSAGE_BYTES
    idle_seconds: float = limits.IDLE_SECONDS
    lifetime_seconds: float = limits.LIFETIME_SECONDS
    handler_seconds: float = limits.HANDLER_SECONDS

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise DeclarationError(f"limit {name} is {value!r}; expected a number above 0")


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something may happen: `burst` times at once, and in the long run `per_second` times a second.

    With either of them 0 it may not happen at all.
    """

    per_second: float
    burst: int

    def __post_init__(self) -> None:
        if not 0 <= self.per_second < math.inf or self.burst < 0:
            raise DeclarationError(f"rate {self.per_second!r}/{self.burst!r}; expected numbers from 0")

    def __str__(self) -> str:
        return f"{self.per_second:.10g}/{self.burst}"


class Throttle(Protocol):
    """Counts something against the rates that it is under."""

    def takes(self, address: str) -> bool:
        """Whether there may be one more now, of the client at this address; if so, it is counted."""


class Response(msgspec.Struct, eq=False):
    """What an integration answers.

    Attributes:
        status: HTTP status; on `$connect` 200 to 299 accepts.
        body: reply to the sender on a message, body of the refusal on `$connect`; None for none.
        headers: on `$connect`, what goes into the handshake's answer: `sec-websocket-protocol`, `content-type`.
    """

    status: int = 200
    body: str | bytes | None = None
    headers: Mapping[str, str] = _NO_HEADERS


class Authorization(Response, eq=False):
    """What an authorizer decided of a handshake; a status of 300 and above is the answer to one that is not let in.

    Attributes:
        context: what later events of the connection say of it, as `requestContext.authorizer`.
        expires_at: when the connection closes, in seconds since the epoch; None for never.
    """

    context: Mapping[str, str] = _NO_HEADERS
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class CompiledRoute:
    """One route, ready to run.

    Attributes:
        key: the route key.
        invoke: hands an event to the route's integration.
        where: file and line of its declaration, for messages to people.
        two_way: what the integration answers to a message goes to its sender; without it, only errors do.
        rate: how many requests to it are taken; None for any number.
        throttle: counts its messages; None where no rate is in force, for itself or above it.
        required: of `$connect`, what a handshake must have for anything to be asked about it.
    """

    key: str
    invoke: Callable[[Event], Awaitable[Response | None]]
    where: str = ""
    two_way: bool = True
    rate: Rate | None = None
    throttle: Throttle | None = None
    required: tuple[IdentitySource, ...] = ()


@dataclass(frozen=True, slots=True)
class CompiledAuthorizer:
    """What decides about a handshake, ready to run.

    Attributes:
        decide: from the handshake to the decision. It raises `Refused` for a no in API Gateway's words; whatever else
            it raises is an error of the authorizer.
        where: file and line of its declaration, for messages to people.
        identity: what a handshake must have for it to be asked.
    """

    decide: Callable[[AuthorizerEvent], Awaitable[Authorization]]
    where: str = ""
    identity: tuple[IdentitySource, ...] = ()


def partition(region: str) -> str:
    """The part of AWS that a Region is in, as ARNs name it."""
    return "aws-us-gov" if region.startswith("us-gov-") else "aws-cn" if region.startswith("cn-") else "aws"


def execute_arn(region: str = "us-east-1", account: str = "000000000000") -> str:
    """What the ARNs of every Api of an account begin with."""
    return f"arn:{partition(region)}:execute-api:{region}:{account}"


@dataclass(frozen=True, slots=True)
class CompiledApi:
    """An Api as one stage serves it.

    Attributes:
        name: the Api's name; the stage of a Python program's socket is its name too.
        select: from a message to its route key; None when only `$default` can match.
        routes: message routes by key, `$default` among them.
        connect: the `$connect` route, or None: every handshake is accepted.
        disconnect: the `$disconnect` route, or None.
        authorizer: decides about a handshake before the `$connect` route sees it; None lets everyone in.
        ordered: messages of one connection one at a time, in order.
        binary: binary messages are taken; AWS closes with 1003.
        execute_arn: what the ARNs of its routes begin with, for policies.
        stage_variables: what every event of the stage carries; empty for none.
        best_effort: a client's end is dealt with while its other handlers still run, as AWS does it; the disconnect
            handler does not wait for them.
        header_bytes: the most that the headers of a handshake may have; None for what the door takes.
        rate: how many requests of all kinds the stage takes; None for any number.
        domain_name: what its events have as `domainName`; empty for the Host that a client asked for.
        handshakes, messages, calls: count its handshakes, its messages that no route takes, and the calls to its
            `@connections`; None where no rate is in force.
    """

    name: str
    api_id: str
    stage: str
    select: Selector | None
    routes: Mapping[str, CompiledRoute]
    connect: CompiledRoute | None = None
    disconnect: CompiledRoute | None = None
    authorizer: CompiledAuthorizer | None = None
    ordered: bool = True
    binary: bool = False
    limits: Limits = field(default_factory=Limits)
    execute_arn: str = field(default_factory=execute_arn)
    stage_variables: Mapping[str, str] = field(default_factory=dict)
    best_effort: bool = False
    header_bytes: int | None = None
    rate: Rate | None = None
    domain_name: str = ""
    handshakes: Throttle | None = None
    messages: Throttle | None = None
    calls: Throttle | None = None
