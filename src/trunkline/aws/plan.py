"""What a deployment would do, read from a change set of CloudFormation: pure, no call of AWS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

__all__ = ["Change", "Kind", "changes_of"]

_LONGEST = 60  # characters of a value that is shown
_ALWAYS, _PERHAPS = "True", "Conditional"


class Kind(Enum):
    """What becomes of a resource."""

    MADE = "made"
    CHANGED = "changed"
    REPLACED = "replaced"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one resource, and why.

    Attributes:
        type: in CloudFormation's words.
        reasons: a line each.
        name: what AWS calls it; "" of what is made.
        is_kept: AWS keeps what the stack no longer has of it.
        is_certain: it is not only "perhaps", which is all that CloudFormation may know before.
    """

    kind: Kind
    logical_id: str
    type: str
    reasons: tuple[str, ...] = ()
    name: str = ""
    is_kept: bool = False
    is_certain: bool = True

    @property
    def is_grave(self) -> bool:
        """Whether documents will not be where the program looks for them."""
        return self.type == "AWS::DynamoDB::Table" and self.kind not in {Kind.MADE, Kind.CHANGED}

    @property
    def is_fatal(self) -> bool:
        """Whether documents will be nowhere."""
        return self.is_grave and not self.is_kept


def changes_of(described: Iterable[Mapping[str, Any]]) -> list[Change]:
    """The changes of a change set, the made ones first, each kind by logical id."""
    found = [_change(one["ResourceChange"]) for one in described if "ResourceChange" in one]
    kinds = list(Kind)
    return sorted(found, key=lambda change: (kinds.index(change.kind), change.logical_id))


def _change(found: Mapping[str, Any]) -> Change:
    replacement = found.get("Replacement", "False")
    return Change(
        _kind(found, replacement),
        found["LogicalResourceId"],
        found["ResourceType"],
        tuple(dict.fromkeys(_reasons(found.get("Details", ())))),
        found.get("PhysicalResourceId", ""),
        is_kept=str(found.get("PolicyAction", "")).endswith("Retain"),
        is_certain=replacement != _PERHAPS,
    )


def _kind(found: Mapping[str, Any], replacement: str) -> Kind:
    action = found["Action"]
    if action == "Remove":
        return Kind.DELETED
    if action == "Add":
        return Kind.MADE
    return Kind.REPLACED if replacement in {_ALWAYS, _PERHAPS} else Kind.CHANGED


def _reasons(details: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What of a resource changes. CloudFormation tells the same twice where a property names another resource."""
    dynamic = {_target(one) for one in details if one.get("Evaluation") == "Static"}
    for one in details:
        if one.get("Evaluation") == "Dynamic" and _target(one) in dynamic and "CausingEntity" not in one:
            continue
        yield _reason(one)


def _target(detail: Mapping[str, Any]) -> tuple[str, str]:
    target = detail.get("Target", {})
    return target.get("Attribute", ""), target.get("Name", "")


def _reason(detail: Mapping[str, Any]) -> str:
    target = detail.get("Target", {})
    what = _path(target)
    before, after = target.get("BeforeValue"), target.get("AfterValue")
    if before is not None and after is not None and max(len(before), len(after)) <= _LONGEST:
        return f"{what}: {before} -> {after}"
    cause = detail.get("CausingEntity")
    return f"{what}, as {cause} changes" if cause else what


def _path(target: Mapping[str, Any]) -> str:
    """`Environment.Variables.TRUNKLINE_TABLES` of `/Properties/Environment/Variables/TRUNKLINE_TABLES`."""
    path = target.get("Path", "")
    if path.startswith("/Properties/"):
        return str(path.removeprefix("/Properties/").replace("/", "."))
    return str(target.get("Name") or target.get("Attribute", "?"))
