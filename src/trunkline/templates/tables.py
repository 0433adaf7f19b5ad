"""DynamoDB tables of a template, as the parameters of CreateTable."""

from __future__ import annotations

from typing import Any

from trunkline.model.tables import TableDefinition
from trunkline.templates.resource import Resource
from trunkline.templates.sections import as_text

__all__ = ["make_table"]

_ON_DEMAND = "PAY_PER_REQUEST"
_INDEX_KEYS = ("IndexName", "KeySchema", "Projection")


def make_table(resource: Resource, name: str) -> TableDefinition:
    """A table.

    Raises:
        ConfigurationError: a property that CreateTable needs is missing or is something else.
    """
    create: dict[str, Any] = {"TableName": name}
    for key in ("AttributeDefinitions", "KeySchema"):
        create[key] = _mappings(resource, key)
        if not create[key]:
            raise resource.error(f"{key} is missing; expected a list")
    throughput = _throughput(resource, resource.mapping("ProvisionedThroughput"))
    if resource.text("BillingMode", "PROVISIONED") == _ON_DEMAND or throughput is None:
        throughput = None
        create["BillingMode"] = _ON_DEMAND
    else:
        create["ProvisionedThroughput"] = throughput
    for key in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        provisioned = throughput if key.startswith("Global") else None
        if indexes := [_index(resource, index, provisioned) for index in _mappings(resource, key)]:
            create[key] = indexes
    if view := resource.mapping("StreamSpecification").get("StreamViewType"):
        create["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": view}
    return TableDefinition(name, resource.logical_id, create, _ttl(resource), resource.where)


def _mappings(resource: Resource, key: str) -> list[dict[str, Any]]:
    items = resource.list(key)
    if not all(isinstance(item, dict) for item in items):
        raise resource.error(f"{key} holds what is no mapping; expected mappings", key)
    return items


def _throughput(resource: Resource, given: dict[str, Any]) -> dict[str, int] | None:
    names = ("ReadCapacityUnits", "WriteCapacityUnits")
    return {name: int(resource.number(name, 1, given)) for name in names} if given else None


def _index(resource: Resource, index: dict[str, Any], provisioned: dict[str, int] | None) -> dict[str, Any]:
    made = {key: index[key] for key in _INDEX_KEYS if key in index}
    if provisioned is not None:
        own = index.get("ProvisionedThroughput")
        made["ProvisionedThroughput"] = _throughput(resource, own if isinstance(own, dict) else {}) or provisioned
    return made


def _ttl(resource: Resource) -> str | None:
    ttl = resource.mapping("TimeToLiveSpecification")
    return as_text(ttl.get("AttributeName")) if (as_text(ttl.get("Enabled", True)) or "").lower() == "true" else None
