"""DynamoDB through boto3: a bounded number of threads, and errors that say what to do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from trunkline.errors import ConfigurationError, InvalidDocument, StoreUnavailable
from trunkline.stores.dynamodb_items import Item, Parameters

__all__ = ["ConditionFailed", "DynamoClient", "Refused"]

_THREADS = 32  # requests at a time
_CONNECT_SECONDS = 3.0
_READ_SECONDS = 8.0  # a handler has 29
_LOOPBACK = ("localhost", "127.", "::1")
# Nobody's: what runs on this machine takes any. The same as functions here have, so that they see the same tables.
_ANYBODY = {
    "aws_access_key_id": "AKIALOCALFUNCTION000",
    "aws_secret_access_key": "local-function-no-secret",
    "aws_session_token": "local-function-no-session",
}
_THROTTLED = {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"}
_UNKNOWN_KEYS = {"UnrecognizedClientException", "InvalidSignatureException", "InvalidClientTokenId"}
_EXPIRED_KEYS = {"ExpiredTokenException", "ExpiredToken"}
_WRITES = {"PutItem", "DeleteItem"}
_PERHAPS = "; it may have been written all the same"
_NO_CREDENTIALS = (
    "there are no credentials of AWS; give them as boto3 takes them, such as AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY"
)


class ConditionFailed(Exception):  # noqa: N818
    """A write's condition did not hold.

    Attributes:
        item: what is there; None if it is not known.
    """

    def __init__(self, item: Item | None) -> None:
        super().__init__()
        self.item = item


class Refused(StoreUnavailable):
    """DynamoDB answered with an error.

    Attributes:
        code: its name for it.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class DynamoClient:
    """A DynamoDB. Nothing of AWS is imported, made or asked before the first operation.

    Args:
        region, endpoint: as boto3 has them; None for its own rules.
        attempts: how often a request is made before it counts as failed, with growing pauses.

    Attributes:
        name: what people call it.
    """

    def __init__(self, region: str | None, endpoint: str | None, attempts: int) -> None:
        self.name = (
            f"DynamoDB at {endpoint}"
            if endpoint
            else f"DynamoDB of {region or os.environ.get('AWS_REGION', 'this Region')}"
        )
        self._region = region
        self._endpoint = endpoint
        self._attempts = attempts
        self._made: Any = None
        self._making = threading.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="trunkline-dynamodb")
        self._is_open = True

    async def call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """One operation, such as "GetItem".

        Raises:
            ConditionFailed: the condition of a write did not hold.
            InvalidDocument: the item is too large.
            StoreUnavailable, ConfigurationError: it was not done.
        """
        answer: Mapping[str, Any] = await self.run(self.ask, operation, parameters)
        return answer

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The function's result, from one of the threads."""
        if not self._is_open:
            raise StoreUnavailable(f"{self.name}: the store is not open")
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def close(self) -> None:
        """Finish what is under way and let go."""
        self._is_open = False
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)
        if self._made is not None:
            self._made.close()
            self._made = None

    def ask(self, operation: str, parameters: Parameters) -> Mapping[str, Any]:
        """As `call`; it blocks."""
        client = self._client()
        with self._translated(operation, parameters["TableName"]):
            method = getattr(client, _method(operation))
            answer: Mapping[str, Any] = method(**parameters)
            return answer

    def _client(self) -> Any:
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> Any:
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError
        except ImportError:
            raise ConfigurationError("documents in DynamoDB need boto3: pip install 'trunkline[aws]'") from None
        config = Config(
            # Not "adaptive": after one throttled request it holds all others back for seconds, of other tables, too.
            retries={"mode": "standard", "total_max_attempts": self._attempts},
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            max_pool_connections=_THREADS,
            parameter_validation=False,  # we know what we ask, and it walks through every document
        )
        try:
            session = boto3.Session(region_name=self._region, **self._credentials())
            return session.client("dynamodb", endpoint_url=self._endpoint, config=config)
        except (BotoCoreError, ValueError) as error:
            raise ConfigurationError(f"{self.name} cannot be used: {error}") from None

    def _credentials(self) -> Mapping[str, str]:
        """None of AWS are needed by what is on this machine, nor looked for elsewhere than in the environment."""
        host = urlsplit(self._endpoint or "").hostname or ""
        return _ANYBODY if host.startswith(_LOOPBACK) and "AWS_ACCESS_KEY_ID" not in os.environ else {}

    @contextlib.contextmanager
    def _translated(self, operation: str, table: str) -> Iterator[None]:
        from botocore import exceptions

        try:
            yield
        except exceptions.ClientError as error:
            raise self._refused(operation, table, error.response) from None
        except exceptions.NoCredentialsError:
            raise StoreUnavailable(f"{self.name}: {_NO_CREDENTIALS}") from None
        except exceptions.ConnectionError as error:
            raise StoreUnavailable(f"{self.name} does not answer: {error}") from None
        except exceptions.HTTPClientError as error:
            perhaps = _PERHAPS if operation in _WRITES else ""
            raise StoreUnavailable(f"{self.name}, table {table}, {operation}: {error}{perhaps}") from None
        except exceptions.BotoCoreError as error:
            raise StoreUnavailable(f"{self.name}, table {table}, {operation}: {error}") from None

    def _refused(self, operation: str, table: str, response: Mapping[str, Any]) -> Exception:
        code, text = response["Error"].get("Code", ""), response["Error"].get("Message", "")
        if code == "ConditionalCheckFailedException":
            return ConditionFailed(response.get("Item"))
        if code == "ValidationException" and "Item size" in text:
            return InvalidDocument(f"the document is too large for DynamoDB, which counts 400 KB with its id: {text}")
        return Refused(code, f"{self.name}, table {table}: {self._why(operation, code, text, response)}")

    def _why(self, operation: str, code: str, text: str, response: Mapping[str, Any]) -> str:
        if code == "ResourceNotFoundException":
            return "there is no such table"
        if code == "AccessDeniedException":
            return f"dynamodb:{operation} on it is not allowed to these credentials: {text}"
        if code in _UNKNOWN_KEYS:
            return f"these credentials are not AWS's: {text}"
        if code in _EXPIRED_KEYS:
            return f"these credentials are no longer valid: {text}"
        if code in _THROTTLED:
            return f"throttled, after {self._attempts} attempts at {operation}: {text}"
        failed = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500
        return f"{operation} failed with {code}: {text}{_PERHAPS if failed and operation in _WRITES else ''}"


def _method(operation: str) -> str:
    """How boto3 calls an operation: `get_item` for "GetItem"."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in operation).lstrip("_")
