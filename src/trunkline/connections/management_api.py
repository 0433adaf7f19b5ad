"""Connections of API Gateway, through its management API.

boto3 blocks, so it is called in threads; it is imported, and a client is made, when the first call needs it. A call
that was throttled has done nothing and is tried again; every other one is made once: it could be a second message.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from trunkline import clock, limits
from trunkline.connections.base import ConnectionInfo, FanOut
from trunkline.errors import (
    ConfigurationError,
    InvalidConnectionId,
    MessageTooLarge,
    PermissionDenied,
    SendError,
    Throttled,
    Unreachable,
)

__all__ = ["ManagementApi"]

_THREADS = 32  # calls at a time; boto3 blocks
_SECONDS = 2.0  # an answer that takes longer is none
_CONNECT_SECONDS = 1.0
_BACKOFF_SECONDS = (0.05, 0.1, 0.2, 0.4)
_STALE_SECONDS = 20.0  # an open connection that was not used for so long may be dead: a function that waits is frozen
_ID_CHARS = 128  # far more than any id has; a longer one would make no URL
_REGION = re.compile(r"\.execute-api\.([a-z0-9-]+)\.")
_OPERATIONS = {"post_to_connection": "send", "delete_connection": "close", "get_connection": "info"}


class ManagementApi:
    """The connections of Apis by the name of their socket; see `Connections`.

    What API Gateway does not know is not there: no bytes can be sent, a close has always code 1000, and a client that
    does not read is `Throttled`, as a rate is.

    Args:
        endpoints: where each socket's stage is, such as "https://ID.execute-api.REGION.amazonaws.com/socket".
        message_bytes: the largest message of sockets that take less than API Gateway.
        region: for endpoints that do not say it; None for boto3's own rules.
        seconds: how long a call may take.

    Raises:
        ConfigurationError: of a call about a socket without an endpoint, or where boto3 is not installed.
        PermissionDenied: of a call that AWS refuses.
    """

    def __init__(
        self,
        endpoints: Mapping[str, str],
        *,
        message_bytes: Mapping[str, int] | None = None,
        region: str | None = None,
        seconds: float = _SECONDS,
    ) -> None:
        self._endpoints = endpoints
        self._message_bytes = message_bytes or {}
        self._region = region
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="trunkline-connections")
        self._room = asyncio.Semaphore(_THREADS)  # so that no call waits for a thread while its time runs
        self._making = asyncio.Lock()
        self._clients: dict[str, Any] = {}
        self._used_at = 0.0

    def shut(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def send(self, api: str, connection_id: str, data: str | bytes) -> bool:
        """See `Connections.send`."""
        payload = self._payload(api, data)
        return bool(await self._with_patience(partial(self._post, api, connection_id, payload)))

    async def close(self, api: str, connection_id: str, code: int, reason: str) -> bool:
        """See `Connections.close`; code and reason are API Gateway's."""
        call = partial(self._call, api, "delete_connection", connection_id)
        return await self._with_patience(call) is not None

    async def info(self, api: str, connection_id: str) -> ConnectionInfo | None:
        """See `Connections.info`."""
        found = await self._with_patience(partial(self._call, api, "get_connection", connection_id))
        return None if found is None else _info(found)

    async def fan_out(self, api: str, connection_ids: Sequence[str], data: str | bytes) -> FanOut:
        """See `Connections.fan_out`. Whom the rate kept out is in `failed` at once; `broadcast` tries them again."""
        try:
            payload = self._payload(api, data)
        except SendError as error:
            return FanOut(0, [], dict.fromkeys(connection_ids, error))
        if connection_ids:
            await self._client(api)  # what is wrong with all of them is raised once
        fates = await asyncio.gather(*(self._fate(api, each, payload) for each in connection_ids))
        told = list(zip(connection_ids, fates, strict=True))
        gone = [connection_id for connection_id, fate in told if fate is False]
        failed = {connection_id: fate for connection_id, fate in told if isinstance(fate, Exception)}
        return FanOut(fates.count(True), gone, failed)

    async def _fate(self, api: str, connection_id: str, payload: bytes) -> bool | Exception:
        try:
            return await self._post(api, connection_id, payload)
        except (SendError, PermissionDenied) as error:
            return error

    async def _post(self, api: str, connection_id: str, payload: bytes) -> bool:
        return await self._call(api, "post_to_connection", connection_id, Data=payload) is not None

    async def _with_patience(self, call: Callable[[], Any]) -> Any:
        """What a call answers; while it is throttled, with pauses that grow, and differ from those of others."""
        for pause in _BACKOFF_SECONDS:
            try:
                return await call()
            except Throttled:
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        return await call()

    async def _call(self, api: str, operation: str, connection_id: str, **more: Any) -> Any:
        """AWS's answer; None if the connection is gone."""
        _check_id(connection_id)
        client = await self._client(api)
        call = partial(getattr(client, operation), ConnectionId=connection_id, **more)
        loop = asyncio.get_running_loop()
        async with self._room:
            try:
                async with asyncio.timeout(self._seconds):
                    return await loop.run_in_executor(self._threads, call)
            except TimeoutError:
                raise Unreachable(f"API Gateway did not answer within {self._seconds:g} s") from None
            except Exception as error:  # noqa: BLE001 - boto3's
                return _gone_or_raise(error, api, operation)

    def _payload(self, api: str, data: str | bytes) -> bytes:
        if not isinstance(data, str):
            raise TypeError("API Gateway sends texts only; expected str, got bytes")
        payload = data.encode()
        most = min(self._message_bytes.get(api, limits.MESSAGE_BYTES), limits.MESSAGE_BYTES)
        if len(payload) > most:
            raise MessageTooLarge(f"the message has {len(payload):,} bytes; the limit message_bytes is {most:,}")
        return payload

    # Clients of boto3, one for each socket.

    async def _client(self, api: str) -> Any:
        async with self._making:
            client = self._clients.get(api)
            loop = asyncio.get_running_loop()
            if client is None:
                client = self._clients[api] = await loop.run_in_executor(self._threads, self._made, api)
            elif clock.now() - self._used_at > _STALE_SECONDS:
                for each in self._clients.values():
                    each.close()  # only its open connections: the next call makes a new one
            self._used_at = clock.now()
            return client

    def _made(self, api: str) -> Any:
        endpoint = self._endpoints.get(api)
        if endpoint is None:
            known = ", ".join(self._endpoints) or "none"
            raise ConfigurationError(f"the socket {api!r} has no endpoint here; there are those of {known}")
        try:
            import boto3
            import botocore.exceptions
            from botocore.config import Config
        except ImportError:
            raise ConfigurationError("connections of API Gateway need boto3: pip install 'trunkline[aws]'") from None
        config = Config(
            retries={"total_max_attempts": 1},
            max_pool_connections=_THREADS,
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=self._seconds,
        )
        try:
            session = boto3.Session(region_name=_region(endpoint) or self._region)
            return session.client("apigatewaymanagementapi", endpoint_url=endpoint, config=config)
        except botocore.exceptions.BotoCoreError as error:
            raise _unusable(error) from None


def _region(endpoint: str) -> str | None:
    found = _REGION.search(urlsplit(endpoint).hostname or "")
    return None if found is None else found[1]


def _check_id(connection_id: object) -> None:
    if not isinstance(connection_id, str):
        raise InvalidConnectionId(f"a connection id is a str; got {type(connection_id).__name__}")
    if not 0 < len(connection_id) <= _ID_CHARS:
        raise InvalidConnectionId(
            f"{connection_id[:64]!r} is not a connection id; expected one that a handler got as ctx.req.connection_id"
        )


def _info(found: Mapping[str, Any]) -> ConnectionInfo:
    who = found.get("Identity", {})
    return ConnectionInfo(
        connected_at=found["ConnectedAt"].astimezone(UTC),
        last_active_at=found["LastActiveAt"].astimezone(UTC),
        source_ip=who.get("SourceIp", ""),
        user_agent=who.get("UserAgent"),
    )


def _gone_or_raise(error: Exception, api: str, operation: str) -> None:
    """None for a connection that is gone; every other error of boto3 is raised as ours."""
    import botocore.exceptions

    if isinstance(error, botocore.exceptions.ClientError):
        _raise_answered(error, api, operation)
        return
    if isinstance(error, botocore.exceptions.NoCredentialsError):
        raise _unusable(error) from None
    if isinstance(error, botocore.exceptions.BotoCoreError):
        raise Unreachable(f"API Gateway was not reached: {error}") from None
    raise error


def _unusable(error: Exception) -> ConfigurationError:
    return ConfigurationError(f"API Gateway cannot be called: {error}")


def _raise_answered(error: Any, api: str, operation: str) -> None:
    answer = error.response
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    told = answer.get("message") or answer.get("Error", {}).get("Message") or str(error)
    match status:
        case 410:
            return
        case 400:
            raise InvalidConnectionId(told) from None
        case 413:
            raise MessageTooLarge(
                f"API Gateway takes {limits.MESSAGE_BYTES:,} bytes, and the message has more"
            ) from None
        case 429:
            raise Throttled(told) from None
        case 403:
            raise PermissionDenied(f"AWS does not let websocket({api!r}).{_OPERATIONS[operation]}: {told}") from None
        case _:
            raise Unreachable(f"API Gateway answered {status}: {told}") from None
