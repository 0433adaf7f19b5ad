"""What `trunkline deploy` does, step by step: nothing on AWS is changed before somebody has agreed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.text import Text

from trunkline.aws.account import refusals
from trunkline.aws.bucket import Bucket, State, bucket_of
from trunkline.aws.changeset import ChangeSet, proposed
from trunkline.aws.deploy import MOST_INLINE, absent, can_log_access, template_for, text_of, without_access_log
from trunkline.aws.grants import grown
from trunkline.aws.reading import grants_in
from trunkline.aws.stack import Stack, Standing
from trunkline.aws.synthesis import Synthesis, synthesize
from trunkline.aws.template import BUCKET
from trunkline.cli.asking import ask
from trunkline.cli.planning import Plan, show
from trunkline.cli.settling import Job, failed, followed, settled
from trunkline.cli.watching import busy, tell_failure
from trunkline.config import settings
from trunkline.resources.loading import folder_of

__all__ = ["deployed"]

_DONE = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
_NOT = "not deployed"
_NO_ACCESS_LOG = (
    "no access log is written: API Gateway has no role for that in this account and Region yet; set one with "
    "aws apigateway update-account, and deploy again"
)


def deployed(job: Job, folder: Path) -> None:
    """Deploy a program.

    Args:
        folder: where the zips are written.

    Raises:
        typer.Exit: it was not deployed.
    """
    chosen = settings(folder_of(job.programs[0]), {})
    with busy(job.out, "the code of its functions is put together"):
        made = synthesize(job.programs, job.options, chosen, folder)
    stack = job.open()
    with refusals():
        warnings = list(made.warnings)
        if job.options.access_log and not can_log_access(stack.account):
            made = without_access_log(made, job.options, chosen)
            warnings.append(_NO_ACCESS_LOG)
        _Deployment(job, stack, made, settled(job, stack)).run(warnings)


@dataclass(slots=True)
class _Deployment:
    """One that is under way.

    Attributes:
        standing: how the stack stands; None before it is made.
    """

    job: Job
    stack: Stack
    made: Synthesis
    standing: Standing | None

    def run(self, warnings: list[str]) -> None:
        bucket = bucket_of(self.stack.account, self.job.bucket)
        before = {} if self.standing is None else self.stack.template()
        text = text_of(self.made)
        self._make_before(bucket, len(text.encode()))
        template = template_for(text, self.stack.name, bucket)
        with ExitStack() as life:
            with busy(self.job.out, "CloudFormation works out what would change"):
                parameters = {BUCKET: bucket.name}
                change_set = life.enter_context(proposed(self.stack, template, parameters, new=self.standing is None))
            if not change_set.changes:
                self.job.out.print("nothing to do: everything is as the program says")
                self._tell_urls()
                return
            self._carry_out(change_set, self._plan(change_set, warnings, before, bucket))

    def _make_before(self, bucket: Bucket, size: int) -> None:
        """A template that is too long goes through the bucket, even for the plan."""
        if size > MOST_INLINE and bucket.state() is not State.READY:
            self.job.out.print(f"the template has {size:,} bytes, so its plan goes through bucket {bucket.name}")
            ask("Make this bucket, private and encrypted?", self.job.out, yes=self.job.yes, otherwise=_NOT)
            bucket.make()

    def _plan(self, change_set: ChangeSet, warnings: list[str], before: Mapping[str, Any], bucket: Bucket) -> Plan:
        state = bucket.state()
        tables = {table.logical_id: table.name for table in self.made.program.tables}
        grants = grown(grants_in(before, tables), grants_in(self.made.template, tables))
        uploads = absent(bucket, self.made.packages, state)
        return Plan(warnings, change_set.changes, self.made.template, before, grants, bucket, state, uploads)

    def _carry_out(self, change_set: ChangeSet, plan: Plan) -> None:
        out = self.job.out
        show(plan, out)
        lost = any(change.is_fatal for change in plan.changes)
        ask("Deploy this, and lose documents?" if lost else "Deploy this?", out, yes=self.job.yes, otherwise=_NOT)
        if plan.bucket_state is not State.READY:
            plan.bucket.make()
        _upload(plan, out)
        self.standing, operation = followed(
            self.job, self.stack, change_set.stack_id, change_set.carry_out, len(plan.changes)
        )
        if self.standing.status not in _DONE:
            failed(self.job, operation, self.made.template, self.standing)
        if operation.failed is not None:  # what an update no longer needs could not be deleted
            tell_failure(out, operation, plan.before, self.standing.reason)
        out.print(Text(f"deployed: {self.stack.name} is as the program says", "bold green"))
        self._tell_urls()

    def _tell_urls(self) -> None:
        outputs = {} if self.standing is None else self.standing.outputs
        for socket in self.made.program.sockets:
            if (url := outputs.get(f"{socket.logical_id}Url")) is not None:
                self.job.out.print(Text.assemble((f"{socket.name}  ", "bold"), (url, "cyan")), soft_wrap=True)


def _upload(plan: Plan, out: Console) -> None:
    columns = (TextColumn("  {task.description}"), BarColumn(bar_width=20), DownloadColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        for package in plan.uploads:
            task = progress.add_task(package.path.name, total=package.size)
            plan.bucket.upload(package.path, package.path.name, partial(progress.advance, task))
            out.print(Text.assemble(("  uploaded ", "green"), package.path.name))
