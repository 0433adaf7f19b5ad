"""Seam 1: where an event goes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from trunkline.model.functions import InvocationRefused

if TYPE_CHECKING:
    from trunkline.model.api import Response
    from trunkline.model.events import Event
    from trunkline.model.functions import Invocation, Invoker

__all__ = [
    "Answered", "Asked", "Backend", "Integration", "IntegrationError", "IntegrationTimeout", "MessageRefused",
    "Renderer", "ReplyTooLarge", "Values", "check_reply", "in_time", "run_function",
]  # fmt: skip

_T = TypeVar("_T")


class Integration(Protocol):
    """Takes one event, answers with a response; None is an empty success."""

    async def invoke(self, event: Event) -> Response | None:
        """Whatever it raises is an error of the integration: the gateway logs it and tells the client."""


class Asked(msgspec.Struct, eq=False):
    """What a backend is asked.

    Attributes:
        body: the request's body, of a template or as the client sent it; empty on connect and disconnect.
        headers, query: what data mappings put there, by name, every value.
        path: the same; one value each.
    """

    body: str = ""
    headers: Mapping[str, Sequence[str]] = {}
    query: Mapping[str, Sequence[str]] = {}
    path: Mapping[str, str] = {}


class Answered(msgspec.Struct, eq=False):
    """What a backend answered.

    Attributes:
        status: its HTTP status.
        body: its body.
        headers: by name in lower case, every value.
        error: the error message of a function that failed; None for none.
    """

    status: int
    body: str = ""
    headers: Mapping[str, list[str]] = {}
    error: str | None = None


class Backend(Protocol):
    """What is behind an integration with data mappings or templates."""

    async def call(self, asked: Asked) -> Answered:
        """Ask it.

        Raises:
            IntegrationError: it did not answer; the text says why.
        """


class Values(msgspec.Struct, eq=False):
    """What a mapping template can read.

    Attributes:
        body: `$input.body`.
        context: `$context`.
        stage_variables: `$stageVariables`.
        headers, query, path: what `$input.params()` finds.
    """

    body: str = ""
    context: Mapping[str, Any] = {}
    stage_variables: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    path: Mapping[str, str] = {}


class Renderer(Protocol):
    """Makes texts of mapping templates."""

    async def render(self, template: str, values: Values) -> str:
        """The text that a template gives.

        Raises:
            IntegrationError: the template is wrong, takes too long or makes too much; the text says which.
        """


class IntegrationError(Exception):
    """What is behind the integration failed, and the text says how; a traceback of ours would say no more.

    Attributes:
        status: what a handshake is answered with.
    """

    def __init__(self, text: str, status: int = 500) -> None:
        super().__init__(text)
        self.status = status


class IntegrationTimeout(IntegrationError):  # noqa: N818
    """It did not answer in time."""

    def __init__(self, text: str) -> None:
        super().__init__(text, 504)


class ReplyTooLarge(IntegrationError):  # noqa: N818
    """Its reply is over the message limit: the connection closes with 1009."""


class MessageRefused(IntegrationError):  # noqa: N818
    """The message is not what its route takes, and reached nothing; the sender is told, and the text says why."""


async def in_time(answer: Awaitable[_T], seconds: float, who: str) -> _T:
    """What an awaitable gives.

    Args:
        who: would have answered, for messages to people.

    Raises:
        IntegrationTimeout: it took longer than that.
    """
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        raise IntegrationTimeout(f"{who} did not answer within {seconds:g} s") from None


async def run_function(function: Invoker, payload: bytes) -> Invocation:
    """What a function answers, failures among it.

    Raises:
        IntegrationError: it was not run.
    """
    try:
        return await function.invoke(payload)
    except InvocationRefused as refused:
        raise IntegrationError(f"the function {function.name} was not run: {refused}") from None


def check_reply(body: str | bytes | None, message_bytes: int, who: str) -> None:
    """Let pass what may be sent to a client.

    Raises:
        ReplyTooLarge: it is over the limit.
    """
    size = len(body.encode() if isinstance(body, str) else body or b"")
    if size > message_bytes:
        raise ReplyTooLarge(f"{who} answered {size:,} bytes; the limit message_bytes is {message_bytes:,}")
