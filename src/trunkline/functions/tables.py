"""Making the tables of a template in a DynamoDB that answers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from trunkline.errors import ConfigurationError
from trunkline.functions.environment import CREDENTIALS, Say
from trunkline.model.tables import TableDefinition

__all__ = ["make_tables"]

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


def make_tables(definitions: Sequence[TableDefinition], url: str, region: str, say: Say, *, named: bool) -> None:
    """Have tables in the DynamoDB at a URL; it blocks. One that is there already, with the same keys, is left as it is.

    Args:
        named: somebody named this DynamoDB: its tables are no run's own.

    Raises:
        ConfigurationError: it does not answer, or a table cannot be made in it.
    """
    client = _client(url, region)
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

    try:
        for definition in definitions:
            try:
                _Table(client, definition, url, say, named=named).make()
            except (ClientError, ParamValidationError) as error:
                why = " ".join(str(error).split())
                raise ConfigurationError(f"{_place(definition)}: {url} refused it: {why}") from None
    except BotoCoreError as error:
        raise ConfigurationError(f"DynamoDB at {url}: {error}; expected one that answers at this URL") from None
    finally:
        client.close()


class _Table:
    """One table to be, and where."""

    def __init__(self, client: Any, definition: TableDefinition, url: str, say: Say, *, named: bool) -> None:
        self._client = client
        self._definition = definition
        self._url = url
        self._say = say
        self._is_named = named
        self._kept = (*_KEPT, "StreamSpecification") if named else _KEPT

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
            way_out = "delete it, or name another DynamoDB with --dynamodb" if self._is_named else "start the run anew"
            raise ConfigurationError(
                f"{_place(self._definition)}: the one at {self._url} has the key {_spelled(found)}, expected "
                f"{_spelled(wanted)}; {way_out}"
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
