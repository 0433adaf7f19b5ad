"""`AWS` with an action of DynamoDB: what a template makes goes to the DynamoDB of the run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from trunkline.errors import ConfigurationError, DeclarationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.integrations.base import Answered, Asked

__all__ = ["DynamoDbBackend"]

_ACTION = re.compile(r"dynamodb:([A-Za-z]+)")
_TARGET = "DynamoDB_20120810"
_CONTENT_TYPE = "application/x-amz-json-1.0"


class _Client(Protocol):
    async def send(
        self, method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes | None, *, who: str
    ) -> Answered: ...


class DynamoDbBackend:
    """Has an action done, with a signature, and gives the answer as it comes.

    Args:
        action: such as `dynamodb:PutItem`.
        url: of the DynamoDB.
        region: what it is signed for.
        credentials: as boto3 names them: `aws_access_key_id`, `aws_secret_access_key`, `aws_session_token`.
        client: sends it: an `HttpClient`.

    Raises:
        DeclarationError: it is no action of DynamoDB.
        ConfigurationError: botocore, which signs, is not installed.
    """

    __slots__ = ("_action", "_client", "_signer", "_url")

    def __init__(self, action: str, url: str, *, region: str, credentials: Mapping[str, str], client: _Client) -> None:
        match = _ACTION.fullmatch(action)
        if match is None:
            raise DeclarationError(f"the action is {action!r}; expected one such as dynamodb:PutItem")
        try:
            from botocore.auth import SigV4Auth
            from botocore.credentials import Credentials
        except ImportError:
            raise ConfigurationError("integrations with DynamoDB need boto3: pip install 'trunkline[aws]'") from None
        self._action = match[1]
        self._url = url
        self._client = client
        key = Credentials(
            credentials["aws_access_key_id"],
            credentials["aws_secret_access_key"],
            credentials.get("aws_session_token"),
        )
        self._signer = SigV4Auth(key, "dynamodb", region)

    async def call(self, asked: Asked) -> Answered:
        """See `Backend.call`."""
        from botocore.awsrequest import AWSRequest

        body = asked.body.encode()
        headers = {"X-Amz-Target": f"{_TARGET}.{self._action}", "Content-Type": _CONTENT_TYPE}
        request = AWSRequest("POST", self._url, headers, body)
        self._signer.add_auth(request)
        who = f"dynamodb:{self._action} at {self._url}"
        return await self._client.send("POST", self._url, request.headers.items(), body, who=who)
