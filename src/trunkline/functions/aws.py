"""A function in AWS, through Lambda's Invoke API."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from trunkline.errors import ConfigurationError
from trunkline.model.functions import Invocation, InvocationRefused

__all__ = ["AwsFunction", "AwsFunctions"]

_THREADS = 64  # invocations at a time; boto3 blocks
# What Lambda answers when it did not run the function.
_REFUSED = frozenset(
    {"TooManyRequestsException", "AccessDeniedException", "ResourceNotFoundException", "ResourceConflictException"}
)


class AwsFunctions:
    """The functions of one region. Nothing of AWS is imported or asked before the first invocation.

    Args:
        region, profile, endpoint: as boto3 has them; None for its own rules.
    """

    def __init__(self, *, region: str | None = None, profile: str | None = None, endpoint: str | None = None) -> None:
        self._region = region
        self._profile = profile
        self._endpoint = endpoint
        self._client: Any = None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="trunkline-lambda")

    def function(self, name: str) -> AwsFunction:
        """The function of a name or ARN."""
        return AwsFunction(self, name)

    async def call(self, name: str, payload: bytes) -> Invocation:
        """Invoke a function and wait for its answer; see `Invoker.invoke`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._call, name, payload)

    def close(self) -> None:
        """Let go of the threads; what runs in AWS goes on there."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _call(self, name: str, payload: bytes) -> Invocation:
        import botocore.exceptions

        try:
            answer = self._connected().invoke(FunctionName=name, Payload=payload)
            return Invocation(answer["Payload"].read(), answer.get("FunctionError"))
        except botocore.exceptions.ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            what = "not run" if code in _REFUSED else "not reached"
            raise InvocationRefused(f"{what}: {error}") from None
        except botocore.exceptions.BotoCoreError as error:
            raise InvocationRefused(f"not reached: {error}") from None

    def _connected(self) -> Any:
        if self._client is None:
            try:
                import boto3
                from botocore.config import Config
            except ImportError:
                raise ConfigurationError("functions in AWS need boto3: pip install 'trunkline[aws]'") from None
            session = boto3.Session(region_name=self._region, profile_name=self._profile)
            # The gateway tells the client of a failure; a second run of a started function would be a second effect.
            config = Config(retries={"total_max_attempts": 1}, max_pool_connections=_THREADS, read_timeout=60)
            self._client = session.client("lambda", endpoint_url=self._endpoint, config=config)
        return self._client


class AwsFunction:
    """See `Invoker`."""

    def __init__(self, functions: AwsFunctions, name: str) -> None:
        self._functions = functions
        self._name = name

    @property
    def name(self) -> str:
        """Its name or ARN."""
        return self._name

    async def invoke(self, payload: bytes) -> Invocation:
        """See `Invoker.invoke`."""
        return await self._functions.call(self._name, payload)
