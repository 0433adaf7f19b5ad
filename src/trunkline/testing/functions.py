"""A Lambda function in this process: what a test puts where a deployed function would be."""

from __future__ import annotations

import asyncio
import inspect
import json
import traceback
import uuid
from collections.abc import Callable
from typing import Any

from trunkline.model.functions import Invocation, InvocationRefused

__all__ = ["Function", "LambdaContext"]


class LambdaContext:
    """What Lambda hands a handler beside the event."""

    def __init__(self, name: str) -> None:
        self.function_name = name
        self.function_version = "$LATEST"
        self.invoked_function_arn = f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
        self.memory_limit_in_mb = "128"
        self.aws_request_id = str(uuid.uuid4())
        self.log_group_name = f"/aws/lambda/{name}"
        self.log_stream_name = "test"

    def get_remaining_time_in_millis(self) -> int:
        """As if it had just begun."""
        return 29_000


class Function:
    """An `Invoker` over `handler(event, context)`, plain or `async def`; its answer goes through JSON as on Lambda.

    Attributes:
        events: every event that it was invoked with, in order.
    """

    def __init__(self, handler: Callable[[Any, Any], Any], *, name: str | None = None) -> None:
        self._handler = handler
        self._name: str = name or str(getattr(handler, "__name__", "function"))
        self._refusal: str | None = None
        self.events: list[Any] = []

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    def refuse(self, why: str | None = "Rate Exceeded.") -> None:
        """From now on it is not run, as when Lambda throttles it; None lets it run again."""
        self._refusal = why

    async def invoke(self, payload: bytes) -> Invocation:
        """See `Invoker.invoke`."""
        event = json.loads(payload)
        self.events.append(event)
        if self._refusal is not None:
            raise InvocationRefused(self._refusal)
        try:
            answer = self._handler(event, LambdaContext(self._name))
            if inspect.isawaitable(answer):
                answer = await answer
            return Invocation(json.dumps(answer).encode())
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, Lambda answers
            told = {
                "errorMessage": str(error),
                "errorType": type(error).__name__,
                "requestId": "",
                "stackTrace": traceback.format_tb(error.__traceback__),
            }
            return Invocation(json.dumps(told).encode(), "Unhandled")
