"""A stack of CloudFormation as it stands: its status, template, resources and events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trunkline.aws.account import Account, code_of
from trunkline.aws.progress import Event
from trunkline.aws.reading import read_template
from trunkline.errors import ConfigurationError

__all__ = ["Held", "Stack", "Standing", "check_name", "default_name"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
_OURS = "made by trunkline"  # what the description of each template of ours says


@dataclass(frozen=True, slots=True)
class Standing:
    """How a stack stands.

    Attributes:
        id: its ARN, which names it when it is deleted, too.
        reason: why, if CloudFormation says so.
    """

    id: str
    status: str
    reason: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_moving(self) -> bool:
        """Whether something is being done to it now."""
        return self.status.endswith("_IN_PROGRESS") and not self.is_empty

    @property
    def is_empty(self) -> bool:
        """Whether nothing has ever been made of it."""
        return self.status == "REVIEW_IN_PROGRESS"


@dataclass(frozen=True, slots=True)
class Held:
    """A resource that a stack holds.

    Attributes:
        name: what AWS calls it; "" before it is made.
    """

    logical_id: str
    type: str
    name: str


def default_name(program: str) -> str:
    """The name of a program's stack: `trunkline-live-scores` of `live_scores.py`."""
    short = Path(program).stem if program.endswith(".py") else program.rpartition(".")[2]
    return f"trunkline-{re.sub(r'[^A-Za-z0-9]+', '-', short).strip('-')}"


def check_name(name: str) -> str:
    """The name, if CloudFormation takes it.

    Raises:
        ConfigurationError: it does not.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"the stack's name is {name!r}; expected a letter, then letters, digits and '-', 128 at most: --stack NAME"
        )
    return name


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack's place, whether there is one or not."""

    name: str
    account: Account

    @property
    def api(self) -> Any:
        """boto3's client of CloudFormation."""
        return self.account.client("cloudformation")

    def standing(self, stack_id: str | None = None) -> Standing | None:
        """How it stands; None if there is none. By its id it is found when it is deleted, too."""
        from botocore.exceptions import ClientError

        try:
            found = self.api.describe_stacks(StackName=stack_id or self.name)["Stacks"][0]
        except ClientError as error:
            if code_of(error) == "ValidationError" and "does not exist" in str(error):
                return None
            raise
        outputs = {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())}
        return Standing(found["StackId"], found["StackStatus"], found.get("StackStatusReason", ""), outputs)

    def template(self) -> dict[str, Any]:
        """What it was last made from.

        Raises:
            ConfigurationError: that was not a template of ours.
        """
        template = read_template(self.api.get_template(StackName=self.name)["TemplateBody"])
        if _OURS not in str(template.get("Description", "")):
            raise ConfigurationError(
                f"stack {self.name} was not made by trunkline, so it is left alone; expected another name: --stack NAME"
            )
        return template

    def resources(self) -> list[Held]:
        """What it holds, by logical id."""
        pages = self.api.get_paginator("list_stack_resources").paginate(StackName=self.name)
        held = [one for page in pages for one in page["StackResourceSummaries"]]
        return sorted(
            (
                Held(one["LogicalResourceId"], one["ResourceType"], one.get("PhysicalResourceId", ""))
                for one in held
                if one["ResourceStatus"] != "DELETE_COMPLETE"
            ),
            key=lambda one: one.logical_id,
        )

    def events(self, stack_id: str) -> Iterator[Event]:
        """What has happened to it, the newest first; pages are asked for as they are read."""
        for page in self.api.get_paginator("describe_stack_events").paginate(StackName=stack_id):
            for found in page["StackEvents"]:
                yield Event(
                    found["EventId"], found["Timestamp"], found["LogicalResourceId"], found["ResourceType"],
                    found["ResourceStatus"], found.get("ResourceStatusReason", ""),
                    is_stack=found.get("PhysicalResourceId") == found["StackId"]
                    or found["ResourceType"] == "AWS::CloudFormation::Stack",
                )  # fmt: skip

    def delete(self) -> None:
        """Begin to delete it."""
        self.api.delete_stack(StackName=self.name)
