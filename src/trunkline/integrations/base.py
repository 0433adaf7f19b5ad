"""Seam 1: where an event goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trunkline.model.api import Response
    from trunkline.model.events import Event

__all__ = ["Integration"]


class Integration(Protocol):
    """Takes one event, answers with a response; None is an empty success."""

    async def invoke(self, event: Event) -> Response | None:
        """Whatever it raises is an error of the integration: the gateway logs it and tells the client."""
