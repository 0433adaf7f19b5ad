"""A program's authorizer: what it returns, and what follows from it."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

from trunkline import clock, limits
from trunkline.model.api import Authorization
from trunkline.model.authorization import Refused, read_authorizer_output
from trunkline.resources.context import Context

if TYPE_CHECKING:
    from trunkline.model.api import Response
    from trunkline.model.events import AuthorizerEvent

__all__ = ["Allow", "PythonAuthorizer"]

_RESERVED = frozenset({"principalId", "integrationLatency"})
_YEAR_5138 = 1e11  # in seconds; as milliseconds it is 1973


@dataclass(frozen=True, slots=True)
class Allow:
    """An authorizer's yes.

    Attributes:
        principal: who it is; every later event has it, as `ctx.req.authorizer["principalId"]`.
        context: what else later events are to know, as `ctx.req.authorizer`: texts, numbers, True and False. They
            arrive as texts, in the form that API Gateway gives them: 7 as "7", True as "true".
        expires_at: when the connection is closed with 1008, in seconds since the epoch; None for never.

    Raises:
        TypeError, ValueError: something of it is of another type, or is too large: 8 KB as JSON.
    """

    principal: str
    context: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    _: KW_ONLY
    expires_at: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.principal, str) or not self.principal:
            raise TypeError(f"principal is {self.principal!r}; expected a text that says who it is")
        if not isinstance(self.context, Mapping):
            raise TypeError(f"context is a {type(self.context).__name__}; expected a dict of texts, numbers and bools")
        _check_end(self.expires_at)
        size = len(json.dumps([self.principal, self.texts()], ensure_ascii=False).encode())
        if size > limits.AUTHORIZER_BYTES:
            raise ValueError(f"principal and context are {size:,} bytes; the limit is {limits.AUTHORIZER_BYTES:,}")

    def texts(self) -> dict[str, str]:
        """The context as later events have it."""
        return {_name(name): _text(name, value) for name, value in self.context.items()}


class PythonAuthorizer:
    """Calls `function(context)` and makes a decision of what it returns.

    Args:
        function: an `async def` of one argument.
    """

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[Context], Awaitable[Any]]) -> None:
        self._function = function

    async def decide(self, event: AuthorizerEvent) -> Authorization:
        """See `CompiledAuthorizer.decide`."""
        context = Context(event)
        decision = await self._function(context)
        recorded = context.res.response()
        if recorded is not None:
            return _recorded(recorded)
        if isinstance(decision, Allow):
            return _allowed(decision)
        if isinstance(decision, Mapping):
            return _read(decision, event)
        if decision is None or decision is False:
            raise Refused(403, limits.MESSAGE_DENIED)
        raise TypeError(
            f"the authorizer returned a {type(decision).__name__}; expected Allow(principal, context), the answer of "
            "a Lambda authorizer as a dict, or None to refuse"
        )


def _recorded(response: Response) -> Authorization:
    if response.status < 300:
        raise TypeError("the authorizer set ctx.res.subprotocol; only a connect handler chooses one")
    return Authorization(response.status, response.body)


def _allowed(allow: Allow) -> Authorization:
    if allow.expires_at is not None and allow.expires_at <= clock.now():
        raise Refused(401, limits.MESSAGE_UNAUTHORIZED)
    said = allow.texts() | {"principalId": allow.principal}
    return Authorization(context=said, expires_at=allow.expires_at)


def _read(answer: Mapping[str, Any], event: AuthorizerEvent) -> Authorization:
    if "policyDocument" not in answer:
        raise TypeError(
            "the authorizer returned a dict without policyDocument; to let a client in, return "
            "Allow(principal, context) or the answer of a Lambda authorizer"
        )
    return read_authorizer_output(json.dumps(dict(answer), ensure_ascii=False).encode(), event)


def _check_end(end: float | None) -> None:
    if end is None:
        return
    if isinstance(end, bool) or not isinstance(end, int | float):
        raise TypeError(f"expires_at is {end!r}; expected seconds since the epoch, such as time.time() + 3600")
    if not math.isfinite(end) or end > _YEAR_5138:
        raise ValueError(f"expires_at is {end!r}; expected seconds since the epoch, not milliseconds")


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"context has the name {name!r}; expected a text")
    if name in _RESERVED:
        raise ValueError(f"context has {name!r}, which is API Gateway's own")
    return name


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str.__str__(value)  # str() of an enum's member is its name
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float) and math.isfinite(value):
        return repr(float(value))
    raise TypeError(f"context[{name!r}] is a {type(value).__name__}; expected str, int, bool or a float that is finite")
