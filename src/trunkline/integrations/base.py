"""Seam 1: where an event goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trunkline.model.api import Response
    from trunkline.model.events import Event

__all__ = ["Integration", "IntegrationError", "IntegrationTimeout", "ReplyTooLarge"]


class Integration(Protocol):
    """Takes one event, answers with a response; None is an empty success."""

    async def invoke(self, event: Event) -> Response | None:
        """Whatever it raises is an error of the integration: the gateway logs it and tells the client."""


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
