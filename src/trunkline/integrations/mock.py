"""`MOCK`: nothing is behind it; the request itself says which integration response is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from trunkline.integrations.base import Answered, IntegrationError

if TYPE_CHECKING:
    from trunkline.integrations.base import Asked

__all__ = ["MockBackend"]


class _Said(msgspec.Struct, rename="camel"):
    status_code: int


_decode = msgspec.json.Decoder(_Said).decode


class MockBackend:
    """Answers with the `statusCode` of what it is asked, and the same text."""

    __slots__ = ()

    async def call(self, asked: Asked) -> Answered:
        """See `Backend.call`."""
        try:
            status = _decode(asked.body).status_code
        except (msgspec.DecodeError, RecursionError):
            raise IntegrationError(
                "the mock was given no JSON object with a whole number as statusCode; its template has to make one, "
                'such as {"statusCode": 200}'
            ) from None
        return Answered(status, asked.body)
