"""The tables of a template: made in a DynamoDB that somebody named, or in one that is started for the run."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trunkline.errors import ConfigurationError
from trunkline.functions.dynamodb_server import DynamoServer, choose_server
from trunkline.functions.environment import CREDENTIALS, Say
from trunkline.model.tables import TableDefinition

__all__ = ["tables_for"]

_KEPT = (
    "TableName",
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "ProvisionedThroughput",
    "LocalSecondaryIndexes",
    "GlobalSecondaryIndexes",
)
_ACTIVE_SECONDS = 60.0
_UNKNOWN = frozenset({"UnknownOperationException", "UnknownOperation", "NotImplemented"})


@contextlib.asynccontextmanager
async def tables_for(
    definitions: Sequence[TableDefinition],
    *,
    url: str | None = None,
    node: Path | None = None,
    node_modules: Path | None = None,
    region: str = "us-east-1",
    say: Say,
) -> AsyncIterator[str]:
    """Have tables for as long as the block lasts; gives the URL of their DynamoDB.

    A table that is there already, with the same keys, is left as it is.

    Args:
        url: a DynamoDB that runs; None starts one, whose tables are gone behind the block.
        node: the program Node; None for what is found.
        node_modules: where dynalite is looked for first.
        region: of the tables.
        say: takes lines for people, from "dynamodb".

    Raises:
        ConfigurationError: there is no DynamoDB, or a table cannot be made in it.
    """
    if url is not None:
        await asyncio.to_thread(_make, definitions, url, region, say, named=True)
        yield url
        return
    server = DynamoServer(*choose_server(node, node_modules))
    try:
        if server.name == "moto":
            say("dynamodb", "moto's server holds the tables: it is slow on large ones; `npm install dynalite` is quick")
        url = await asyncio.to_thread(server.url)
        await asyncio.to_thread(_make, definitions, url, region, say, named=False)
        yield url
    finally:
        server.close()


def _make(definitions: Sequence[TableDefinition], url: str, region: str, say: Say, *, named: bool) -> None:
    client = _client(url, region)
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

    try:
        for definition in definitions:
            try:
                _Table(client, definition, url, say, streams=named).make()
            except (ClientError, ParamValidationError) as error:
                why = " ".join(str(error).split())
                raise ConfigurationError(f"{_place(definition)}: {url} refused it: {why}") from None
    except BotoCoreError as error:
        raise ConfigurationError(f"DynamoDB at {url}: {error}; expected one that answers at this URL") from None
    finally:
        client.close()


class _Table:
    """One table to be, and where."""

    def __init__(self, client: Any, definition: TableDefinition, url: str, say: Say, *, streams: bool) -> None:
        self._client = client
        self._definition = definition
        self._url = url
        self._say = say
        self._kept = (*_KEPT, "StreamSpecification") if streams else _KEPT

    def make(self) -> None:
        """See that it is there, and can be used."""
        there = self._described()
        if there is not None:
            self._compare(there)
            return
        create = self._definition.create
        self._client.create_table(**{name: value for name, value in create.items() if name in self._kept})
        self._wait()
        self._expire()
        if left_out := [name for name in create if name not in self._kept]:
            self._tell(f"made without {', '.join(left_out)}, which is not run here")

    def _described(self) -> Mapping[str, Any] | None:
        try:
            described = self._client.describe_table(TableName=self._definition.name)
        except self._client.exceptions.ResourceNotFoundException:
            return None
        table: Mapping[str, Any] = described["Table"]
        return table

    def _wait(self) -> None:
        until = time.monotonic() + _ACTIVE_SECONDS
        while (self._described() or {}).get("TableStatus") != "ACTIVE":
            if time.monotonic() > until:
                raise ConfigurationError(
                    f"{_place(self._definition)}: {self._url} has not made it within {_ACTIVE_SECONDS:.0f} seconds"
                )
            time.sleep(0.02)

    def _expire(self) -> None:
        attribute = self._definition.ttl_attribute
        if attribute is None:
            return
        ttl = {"Enabled": True, "AttributeName": attribute}
        try:
            self._client.update_time_to_live(TableName=self._definition.name, TimeToLiveSpecification=ttl)
        except self._client.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _UNKNOWN:
                raise
            self._tell(f"items do not end by {attribute}: this DynamoDB has no time to live")

    def _compare(self, there: Mapping[str, Any]) -> None:
        """What was made before, by whomever, is kept; but a table with other keys would fail the handlers oddly."""
        found, wanted = _keys(there), _keys(self._definition.create)
        if found != wanted:
            raise ConfigurationError(
                f"{_place(self._definition)}: the one at {self._url} has the key {_spelled(found)}, expected "
                f"{_spelled(wanted)}; delete it, or name another DynamoDB with --dynamodb"
            )
        missing = _indexes(self._definition.create) - _indexes(there)
        if missing:
            self._tell(f"the one at {self._url} is kept; it has no index {', '.join(sorted(missing))}")

    def _tell(self, what: str) -> None:
        self._say("dynamodb", f"table {self._definition.name}: {what}")


def _client(url: str, region: str) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise ConfigurationError("tables need boto3: pip install 'trunkline[aws]'") from None
    config = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 2})
    try:
        # As the functions' own clients: DynamoDB Local has other tables for each key and region, and any key will do.
        return boto3.Session(region_name=region, **CREDENTIALS).client("dynamodb", endpoint_url=url, config=config)
    except ValueError:
        raise ConfigurationError(f"--dynamodb {url!r}: expected a URL such as http://127.0.0.1:8000") from None


def _place(definition: TableDefinition) -> str:
    name = f"table {definition.name}"
    return f"{definition.where}: {name}" if definition.where else name


def _keys(table: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """By kind: name and type of an attribute."""
    types = {one["AttributeName"]: one["AttributeType"] for one in table["AttributeDefinitions"]}
    return {one["KeyType"]: (one["AttributeName"], types.get(one["AttributeName"], "")) for one in table["KeySchema"]}


def _spelled(keys: Mapping[str, tuple[str, str]]) -> str:
    return ", ".join(f"{kind} {name} ({type_})" for kind, (name, type_) in sorted(keys.items()))


def _indexes(table: Mapping[str, Any]) -> set[str]:
    kinds = ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
    return {str(index["IndexName"]) for kind in kinds for index in table.get(kind) or ()}
