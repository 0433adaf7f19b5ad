"""A stack that is at rest: what goes on is awaited, what failed before is told, and what never was is cleared away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.text import Text

from trunkline.aws.account import open_account
from trunkline.aws.following import Tell, follow, last_event
from trunkline.aws.progress import Operation, since
from trunkline.aws.stack import Stack, Standing
from trunkline.cli.asking import ask
from trunkline.cli.stopping import Interrupted
from trunkline.cli.watching import tell_failure, telling
from trunkline.errors import ConfigurationError

if TYPE_CHECKING:
    from trunkline.aws.options import Options

__all__ = ["Job", "at_rest", "deleted", "failed", "followed", "settled"]

_NEVER_MADE = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"}
_DELETED = "DELETE_COMPLETE"
_AFTER = {
    "ROLLBACK_COMPLETE": "nothing of it is left but its events; to deploy it again deletes those first",
    "UPDATE_ROLLBACK_COMPLETE": "everything is as it was before",
}
_STUCK = {
    "UPDATE_ROLLBACK_FAILED": (
        "mend what its events name, then: aws cloudformation continue-update-rollback --stack-name {stack}"
    ),
    "DELETE_FAILED": "mend what its events name, then delete it once more, with --destroy",
}


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for.

    Attributes:
        again: the command that comes back to it.
    """

    programs: tuple[str, ...]
    options: Options
    stack: str
    profile: str | None
    region: str | None
    bucket: str | None
    out: Console
    yes: bool
    again: str

    def open(self) -> Stack:
        """The stack's place; its first line is printed."""
        stack = Stack(self.stack, open_account(self.profile, self.region))
        self.out.print(Text.assemble((stack.name, "bold"), f" in {stack.account}"))
        return stack


def settled(job: Job, stack: Stack) -> Standing | None:
    """How the stack stands once it is at rest and can be changed; None if it is to be made.

    Raises:
        ConfigurationError: somebody has to mend it first.
        typer.Exit: it has to be cleared away, and nobody agreed.
    """
    standing = at_rest(job, stack)
    if standing is None or standing.is_empty:
        return None
    if standing.status in _NEVER_MADE:
        _clear_away(job, stack, standing)
        return None
    if (advice := _STUCK.get(standing.status)) is not None:
        raise ConfigurationError(f"stack {stack.name} is in {standing.status}: {advice.format(stack=stack.name)}")
    return standing


def at_rest(job: Job, stack: Stack) -> Standing | None:
    """How the stack stands once nothing is done to it; None if there is none."""
    standing = stack.standing()
    if standing is not None and standing.is_moving:
        job.out.print(f"it is in {standing.status}: what was begun before is awaited")
        standing, operation = followed(job, stack, standing.id)
        if operation.failed is not None:
            tell_failure(job.out, operation, {}, standing.reason)
    return None if standing is not None and standing.status == _DELETED else standing


def _clear_away(job: Job, stack: Stack, standing: Standing) -> None:
    template = stack.template()
    operation = Operation()
    operation.take(since(stack.events(standing.id)))
    job.out.print(f"it is in {standing.status}: its first deployment failed, so it can only be deleted")
    tell_failure(job.out, operation, template, standing.reason)
    for held in stack.resources():
        job.out.print(Text(f"  still there: {held.logical_id} ({held.name})"))
    ask("Delete this stack, and make it anew?", job.out, yes=job.yes, otherwise="not deployed")
    deleted(job, stack, standing)


def deleted(job: Job, stack: Stack, standing: Standing, total: int = 0) -> None:
    """Delete a stack, and wait until it is gone.

    Args:
        total: how many resources it has.

    Raises:
        typer.Exit: it could not be deleted.
    """
    template = stack.template()
    standing, operation = followed(job, stack, standing.id, stack.delete, total)
    if standing.status != _DELETED:
        failed(job, operation, template, standing)


def failed(job: Job, operation: Operation, template: Mapping[str, Any], standing: Standing) -> None:
    """Say why, and how it stands now.

    Raises:
        typer.Exit: always.
    """
    tell_failure(job.out, operation, template, standing.reason)
    advice = (_AFTER | _STUCK).get(standing.status, "its console says more").format(stack=job.stack)
    job.out.print(f"the stack is in {standing.status}: {advice}")
    raise typer.Exit(1)


def followed(
    job: Job, stack: Stack, stack_id: str, begin: Callable[[], None] | None = None, total: int = 0
) -> tuple[Standing, Operation]:
    """Begin something, unless it is going on already, and watch what AWS does until it ends.

    Raises:
        typer.Exit: somebody does not want to wait.
        ConfigurationError: AWS can no longer be asked.
    """
    known = None if begin is None else last_event(stack, stack_id)
    try:
        if begin is not None:
            begin()
        with telling(job.out, total) as tell:
            return _watched(job, stack, stack_id, known, tell)
    except Interrupted as interrupted:
        job.out.print("stopped waiting; what AWS has begun goes on. To see what becomes of it:")
        job.out.print(Text(f"  {job.again}"), soft_wrap=True)
        raise typer.Exit(128 + interrupted.args[0]) from None


def _watched(job: Job, stack: Stack, stack_id: str, known: str | None, tell: Tell) -> tuple[Standing, Operation]:
    try:
        return follow(stack, stack_id, known, tell)
    except Exception:
        job.out.print("what AWS has begun goes on, whatever happens here. To see what becomes of it:")
        job.out.print(Text(f"  {job.again}"), soft_wrap=True)
        raise
