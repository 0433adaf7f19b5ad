"""A template of ours read back, as CloudFormation keeps it, and what it says of permissions and of what stays."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from trunkline.aws.grants import Grant
from trunkline.errors import ConfigurationError

__all__ = ["comment_of", "grants_in", "read_template", "stays"]

_KEPT = {"Retain", "RetainExceptOnCreate"}


def read_template(body: Any) -> dict[str, Any]:
    """A template as a mapping, from its YAML or JSON, or from what boto3 has read of that already.

    Raises:
        ConfigurationError: it is neither.
    """
    template = body if isinstance(body, Mapping) else _parsed(str(body))
    if not isinstance(template, Mapping):
        raise ConfigurationError("the stack has a template that is no mapping")
    return dict(template)


def _parsed(text: str) -> Any:
    with contextlib.suppress(json.JSONDecodeError):
        return json.loads(text)
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError:
        raise ConfigurationError(
            "the stack's template is YAML, which needs pyyaml: pip install 'trunkline[aws]'"
        ) from None
    try:
        return yaml.load(text, Loader=_loader(yaml))  # noqa: S506  # a SafeLoader with three tags
    except yaml.YAMLError as error:
        raise ConfigurationError(f"the stack's template cannot be read: {error}") from None


def _loader(yaml: Any) -> Any:
    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        pass

    Loader.add_multi_constructor("!", _tagged)
    return Loader


def _tagged(loader: Any, tag: str, node: Any) -> dict[str, Any]:
    """`{"Ref": "x"}` of `!Ref x`, and so on: the tags that templates of ours have; of others the text."""
    value = getattr(node, "value", None)
    if tag == "Ref":
        return {"Ref": value}
    return {f"Fn::{tag}": value.split(".") if tag == "GetAtt" and isinstance(value, str) else value}


def grants_in(template: Mapping[str, Any], tables: Mapping[str, str]) -> list[Grant]:
    """What the roles of a template allow: what is deployed, whatever the program says by now.

    Args:
        tables: the collections' names by the logical ids of their tables.
    """
    return sorted(
        Grant(logical_id.removesuffix("Role"), action, _shown(statement["Resource"], tables), _reasons(role, statement))
        for logical_id, role in template.get("Resources", {}).items()
        if role["Type"] == "AWS::IAM::Role"
        for statement in _statements(role)
        for action in statement["Action"]
    )


def _statements(role: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for policy in role["Properties"].get("Policies", ()):
        yield from policy["PolicyDocument"]["Statement"]


def _reasons(role: Mapping[str, Any], statement: Mapping[str, Any]) -> tuple[str, ...]:
    """The lines that asked for a statement; what our templates say besides is no line."""
    found = role.get("Metadata", {}).get("Statements", {}).get(statement.get("Sid"), ())
    return tuple(
        sorted({where for _, comma, where in (one.partition(", ") for one in found) if comma and ":" in where})
    )


def _shown(resource: Any, tables: Mapping[str, str]) -> str:
    """A resource for people, in the words of `explain`."""
    if isinstance(resource, Mapping) and "Fn::GetAtt" in resource:
        logical_id = resource["Fn::GetAtt"][0]
        if logical_id.endswith("Logs"):
            return "its own log group"
        return f"table of {tables.get(logical_id, logical_id)}"
    text = str(resource.get("Fn::Sub", resource) if isinstance(resource, Mapping) else resource)
    *_, stage, verb, calls, anything = ("", "", *text.split("/"))[-4:]
    if calls == "@connections" and anything == "*":
        return f"{verb} @connections of {stage}, any connection"
    return text


def stays(template: Mapping[str, Any], logical_id: str) -> bool:
    """Whether AWS keeps a resource that its stack no longer has."""
    return template["Resources"].get(logical_id, {}).get("DeletionPolicy") in _KEPT


def comment_of(template: Mapping[str, Any], logical_id: str) -> str:
    """What a template says of a resource, with its line of the program."""
    return str(template["Resources"].get(logical_id, {}).get("Metadata", {}).get("Comment", ""))
