"""`AWS` with a Lambda function: it is given what a template makes, and may answer with whatever it likes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trunkline.integrations.base import Answered, IntegrationError, run_function

if TYPE_CHECKING:
    from trunkline.integrations.base import Asked
    from trunkline.model.functions import Invoker

__all__ = ["FunctionBackend"]


class _Failure(msgspec.Struct, rename="camel"):
    error_message: str


_is_json = msgspec.json.Decoder(msgspec.Raw).decode
_decode = msgspec.json.Decoder(_Failure).decode


class FunctionBackend:
    """Invokes a function with the request's body.

    Args:
        function: what to invoke.
    """

    __slots__ = ("_function",)

    def __init__(self, function: Invoker) -> None:
        self._function = function

    async def call(self, asked: Asked) -> Answered:
        """See `Backend.call`. A function that failed is an answer with an error."""
        payload = asked.body.encode() or b"{}"
        try:
            _is_json(payload)
        except (msgspec.DecodeError, RecursionError):
            raise IntegrationError(
                f"the function {self._function.name} was not run: functions take JSON, and this is none"
            ) from None
        invocation = await run_function(self._function, payload)
        text = invocation.payload.decode("utf-8", "replace")
        return Answered(200, text, error=None if invocation.function_error is None else _error_message(text))


def _error_message(payload: str) -> str:
    try:
        return _decode(payload).error_message
    except (msgspec.DecodeError, RecursionError):
        return payload
