"""A program's authorizer as API Gateway asks it: a REQUEST event in, a policy out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from trunkline.model.authorization import Refused
from trunkline.resources.authorizer import PythonAuthorizer

if TYPE_CHECKING:
    from trunkline.model.api import Authorization
    from trunkline.model.events import AuthorizerEvent
    from trunkline.resources.context import Context

__all__ = ["decide"]

_NOBODY = "refused"  # a policy that denies needs a principal as little as nobody does; AWS's samples have one


async def decide(function: Callable[[Context], Awaitable[Any]], event: AuthorizerEvent) -> dict[str, Any]:
    """What API Gateway is told.

    A policy that the program wrote itself is handed on as it is: API Gateway evaluates it.

    Raises:
        Refused: 401, which an exception tells it, or 500. API Gateway has a client told nothing else but 403.
    """
    asked = _Asked(function)
    try:
        decision = await PythonAuthorizer(asked).decide(event)
    except Refused as refused:
        if refused.status != 403:
            raise
        return asked.policy or _policy(event, "Deny")
    if decision.status == 401:
        raise Refused(401, "")
    if decision.status >= 300:
        return _policy(event, "Deny")
    return asked.policy or _allowed(decision, event)


class _Asked:
    """The function, and what it said."""

    def __init__(self, function: Callable[[Context], Awaitable[Any]]) -> None:
        self._function = function
        self.policy: dict[str, Any] | None = None

    async def __call__(self, context: Context) -> Any:
        said = await self._function(context)
        if isinstance(said, Mapping) and context.res.response() is None:
            self.policy = dict(said)
        return said


def _allowed(decision: Authorization, event: AuthorizerEvent) -> dict[str, Any]:
    said = dict(decision.context)
    return _policy(event, "Allow", said.pop("principalId")) | {"context": said}


def _policy(event: AuthorizerEvent, effect: str, principal: str = _NOBODY) -> dict[str, Any]:
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": event.method_arn}
    return {"principalId": principal, "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
