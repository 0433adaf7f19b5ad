"""A Python handler of a program, as an integration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from trunkline.model.api import Response
from trunkline.model.events import CONNECT, MESSAGE
from trunkline.resources.context import Context

if TYPE_CHECKING:
    from trunkline.model.events import Event

__all__ = ["PythonIntegration"]

_encode = msgspec.json.Encoder().encode


class PythonIntegration:
    """Calls `handler(context)` and turns what it returns into a response.

    Args:
        handler: an `async def` of one argument.
        binary: whether a reply may be bytes.
    """

    __slots__ = ("_binary", "_handler")

    def __init__(self, handler: Callable[[Context], Awaitable[Any]], *, binary: bool = False) -> None:
        self._handler = handler
        self._binary = binary

    async def invoke(self, event: Event) -> Response | None:
        """See `Integration.invoke`."""
        context = Context(event)
        value = await self._handler(context)
        if event.kind is MESSAGE:
            return None if value is None else Response(200, self._reply(value))
        return context.res.response() if event.kind is CONNECT else None

    def _reply(self, value: Any) -> str | bytes:
        if type(value) is str and value.isascii():
            return value
        if isinstance(value, str):
            if not value.isascii():
                value.encode()  # a lone surrogate is an error of the handler
            return str.__str__(value)  # str() of an enum's member is its name
        if isinstance(value, bytes | bytearray | memoryview):
            if not self._binary:
                raise TypeError(
                    "the handler returned bytes; this socket sends text. Return str, or declare "
                    "websocket(..., binary=True)"
                )
            return bytes(value)
        return _encode(value).decode()
