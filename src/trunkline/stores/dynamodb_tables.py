"""Making the tables of collections: those that are missing, all at once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from trunkline.errors import ConfigurationError, StoreUnavailable
from trunkline.stores.dynamodb_client import DynamoClient, Refused
from trunkline.stores.dynamodb_items import TABLE

__all__ = ["make_tables"]

logger = logging.getLogger("trunkline.stores")

_ACTIVE_SECONDS = 60.0
_POLL_SECONDS = 0.02
_LONGEST_POLL_SECONDS = 1.0
_TTL = {"Enabled": True, "AttributeName": "expires_at"}
_UNKNOWN = {"UnknownOperationException", "UnknownOperation", "NotImplemented"}
_MISSING = "ResourceNotFoundException"
_TAKEN = "ResourceInUseException"


async def make_tables(client: DynamoClient, names: Iterable[str]) -> None:
    """Have these tables. What is there already, with the same keys, is left as it is.

    Raises:
        ConfigurationError: one is there, with other keys.
        StoreUnavailable: one cannot be made.
    """
    await asyncio.gather(*(client.run(_make, client, name) for name in names))


def _make(client: DynamoClient, name: str) -> None:
    there = _described(client, name)
    if there is None:
        _create(client, name)
    elif _keys(there) != _keys(TABLE):
        raise ConfigurationError(
            f"{client.name}: table {name} is there with other keys than a collection's, pk (S) and sk (B); "
            "choose another prefix with --store"
        )
    _wait(client, name)


def _create(client: DynamoClient, name: str) -> None:
    try:
        client.ask("CreateTable", {"TableName": name, **TABLE})
    except Refused as error:
        if error.code != _TAKEN:  # another process makes it right now
            raise
        return
    _wait(client, name)
    logger.info("made table %s, %s", name, client.name)
    try:
        client.ask("UpdateTimeToLive", {"TableName": name, "TimeToLiveSpecification": _TTL})
    except Refused as error:
        if error.code not in _UNKNOWN:
            raise
        logger.info("table %s keeps what has expired: this DynamoDB has no time to live", name)


def _wait(client: DynamoClient, name: str) -> None:
    until, pause = time.monotonic() + _ACTIVE_SECONDS, _POLL_SECONDS
    while (_described(client, name) or {}).get("TableStatus") not in {"ACTIVE", "UPDATING"}:
        if time.monotonic() > until:
            raise StoreUnavailable(f"{client.name} has not made table {name} within {_ACTIVE_SECONDS:.0f} seconds")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_POLL_SECONDS)


def _described(client: DynamoClient, name: str) -> Mapping[str, Any] | None:
    try:
        table: Mapping[str, Any] | None = client.ask("DescribeTable", {"TableName": name}).get("Table")
    except Refused as error:
        if error.code != _MISSING:
            raise
        return None
    if table is None:
        raise StoreUnavailable(f"{client.name} answers, but not as a DynamoDB does")
    return table


def _keys(table: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """By kind: name and type of an attribute. What indexes are made of is nothing of ours."""
    types = {one["AttributeName"]: one["AttributeType"] for one in table["AttributeDefinitions"]}
    return {one["KeyType"]: (one["AttributeName"], types[one["AttributeName"]]) for one in table["KeySchema"]}
