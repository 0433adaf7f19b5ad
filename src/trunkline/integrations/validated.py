"""A route that takes only what its models take: everything else reaches no integration."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from trunkline.integrations.base import MessageRefused
from trunkline.model.api import DEFAULT_ROUTE
from trunkline.model.events import MESSAGE
from trunkline.model.expressions import compile_selector
from trunkline.model.schemas import Schema

if TYPE_CHECKING:
    from trunkline.integrations.base import Integration
    from trunkline.model.api import Response
    from trunkline.model.events import Event

__all__ = ["ValidatedIntegration"]

_SMALL = 4096  # characters; judging more than this takes long enough that nobody else should wait for it
_decode = msgspec.json.Decoder().decode


class ValidatedIntegration:
    """Hands on the messages that a model takes; connects and disconnects have no body.

    Args:
        integration: what is behind the route.
        select: its model selection expression: from a message to the key of its model.
        models: JSON schemas, as texts, by key; that of `$default` is for messages whose key has none.

    Raises:
        DeclarationError: the expression or a schema cannot be.
    """

    __slots__ = ("_integration", "_models", "_select")

    def __init__(self, integration: Integration, select: str, models: Mapping[str, str]) -> None:
        self._integration = integration
        # Constants are written `\\$default`; other expressions of API Gateway also take it bare.
        self._select = compile_selector("\\$default" if select == DEFAULT_ROUTE else select)
        self._models = {key: Schema(text) for key, text in models.items()}

    async def invoke(self, event: Event) -> Response | None:
        """See `Integration.invoke`.

        Raises:
            MessageRefused: no model takes the message.
        """
        if event.kind is MESSAGE:
            why = self._refusal(event.data) if len(event.data) <= _SMALL else await self._judged(event.data)
            if why is not None:
                raise MessageRefused(why)
        return await self._integration.invoke(event)

    async def _judged(self, data: str | bytes) -> str | None:
        return await asyncio.to_thread(self._refusal, data)

    def _refusal(self, data: str | bytes) -> str | None:
        try:
            value: Any = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return "it is no JSON"
        key = self._select(data)
        model = self._models.get(DEFAULT_ROUTE if key is None else key) or self._models.get(DEFAULT_ROUTE)
        if model is None:
            return "its key has no model, and there is none for $default"
        why = model.refusal(value, len(data))
        return None if why is None else f"its model refuses it: {why}"
