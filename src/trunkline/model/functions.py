"""What a Lambda function is to the gateway: bytes in, bytes out, and the ways in which that fails."""

from __future__ import annotations

from typing import Protocol

import msgspec

__all__ = ["Invocation", "InvocationRefused", "Invoker"]


class Invocation(msgspec.Struct, eq=False):
    """A function's answer.

    Attributes:
        payload: JSON, or what describes the error.
        function_error: None, or that the function failed: "Unhandled" or "Handled", as Lambda says it.
    """

    payload: bytes
    function_error: str | None = None


class InvocationRefused(Exception):  # noqa: N818
    """The function was not run: throttled, not permitted, or not there. The text says which."""


class Invoker(Protocol):
    """One function, wherever it runs."""

    @property
    def name(self) -> str:
        """The function's name, for messages to people."""

    async def invoke(self, payload: bytes) -> Invocation:
        """Run it with an event.

        Raises:
            InvocationRefused: it was not run.
        """
