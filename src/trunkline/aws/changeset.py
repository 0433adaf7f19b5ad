"""A change set of CloudFormation: made, read, and carried out or thrown away."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from trunkline.aws.plan import Change, changes_of
from trunkline.aws.stack import Stack
from trunkline.errors import ConfigurationError

__all__ = ["ChangeSet", "proposed"]

_NOTHING = ("didn't contain changes", "No updates are to be performed")
_FIRST_SECONDS, _LONGEST_SECONDS, _MOST_SECONDS = 0.2, 3.0, 900.0


@dataclass(slots=True)
class ChangeSet:
    """What CloudFormation would do with a template.

    Attributes:
        stack_id: the stack's ARN. One that there was not before is in review until the change set is carried out.
        changes: none if there is nothing to do.
        is_begun: it is being carried out, whatever becomes of us.
    """

    stack: Stack
    id: str
    stack_id: str
    changes: tuple[Change, ...] = ()
    is_begun: bool = False

    def carry_out(self) -> None:
        """Begin. What a rollback takes back, it deletes: tables that were only made now have no documents to keep."""
        from botocore.exceptions import ClientError

        self.is_begun = True
        try:
            self.stack.api.execute_change_set(ChangeSetName=self.id, StackName=self.stack_id, RetainExceptOnCreate=True)
        except ClientError:
            self.is_begun = False
            raise


@contextmanager
def proposed(
    stack: Stack, template: Mapping[str, str], parameters: Mapping[str, str], *, new: bool
) -> Iterator[ChangeSet]:
    """Have CloudFormation work out what a template would change; thrown away at the end unless it is carried out.

    Args:
        template: as TemplateBody or TemplateURL.
        new: the stack is made with it.

    Raises:
        ConfigurationError: CloudFormation does not take the template.
    """
    found = _made(stack, template, parameters, new=new)
    try:
        found.changes = _worked_out(found) if found.id else ()
        yield found
    finally:
        if found.id and not found.is_begun:
            _throw_away(found)


def _made(stack: Stack, template: Mapping[str, str], parameters: Mapping[str, str], *, new: bool) -> ChangeSet:
    """A change set that is being worked out; one without an id if there is nothing to work out."""
    from botocore.exceptions import ClientError

    try:
        made = stack.api.create_change_set(
            StackName=stack.name,
            ChangeSetName=f"trunkline-{uuid.uuid4().hex[:12]}",
            ChangeSetType="CREATE" if new else "UPDATE",
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            **template,
        )
    except ClientError as error:
        if _says_nothing(str(error)):
            return ChangeSet(stack, "", "")
        raise
    return ChangeSet(stack, made["Id"], made["StackId"])


def _says_nothing(reason: str) -> bool:
    return any(text in reason for text in _NOTHING)


def _worked_out(change_set: ChangeSet) -> tuple[Change, ...]:
    """Wait for the changes."""
    seconds, until = _FIRST_SECONDS, time.monotonic() + _MOST_SECONDS
    while time.monotonic() < until:
        found = _described(change_set)
        if found["Status"] == "CREATE_COMPLETE":
            return tuple(changes_of(found["Changes"]))
        if found["Status"] == "FAILED":
            reason = " ".join(found.get("StatusReason", "it does not say why").split())
            if _says_nothing(reason):
                return ()
            raise ConfigurationError(f"CloudFormation does not take the template: {reason}")
        time.sleep(seconds)
        seconds = min(seconds * 1.5, _LONGEST_SECONDS)
    raise ConfigurationError(f"CloudFormation has not said in {_MOST_SECONDS:.0f} s what would change; try again later")


def _described(change_set: ChangeSet) -> dict[str, Any]:
    """All of it, from as many pages as it has."""
    describe = change_set.stack.api.describe_change_set
    arguments = {"ChangeSetName": change_set.id, "StackName": change_set.stack_id, "IncludePropertyValues": True}
    found: dict[str, Any] = describe(**arguments)
    changes, page = list(found.get("Changes", ())), found
    while token := page.get("NextToken"):
        page = describe(NextToken=token, **arguments)
        changes += page.get("Changes", ())
    return {**found, "Changes": changes}


def _throw_away(change_set: ChangeSet) -> None:
    """And with it a stack that only was there for it. What cannot be had away does no harm."""
    from botocore.exceptions import BotoCoreError, ClientError

    stack = change_set.stack
    with contextlib.suppress(BotoCoreError, ClientError):
        stack.api.delete_change_set(ChangeSetName=change_set.id, StackName=change_set.stack_id)
        standing = stack.standing(change_set.stack_id)
        if standing is not None and standing.is_empty:
            stack.api.delete_stack(StackName=change_set.stack_id)
