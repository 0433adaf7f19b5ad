"""`trunkline deploy`: a program becomes a stack of AWS, after its plan is shown and somebody agrees."""

from __future__ import annotations

import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from trunkline.cli.aws_options import (
    Architecture,
    DeleteTables,
    Include,
    Memory,
    NoAccessLog,
    PointInTimeRecovery,
    Programs,
    Python,
    Rates,
    Requirements,
    Retention,
    options_of,
)
from trunkline.cli.stopping import Interrupted

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["deploy"]


def deploy(
    programs: Programs,
    stack: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the stack; default that of the program.")
    ] = None,
    region: Annotated[str | None, typer.Option(metavar="REGION", help="AWS Region; default as boto3 finds it.")] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Profile of AWS's configuration; default as boto3 finds it.")
    ] = None,
    bucket: Annotated[
        str | None, typer.Option(metavar="NAME", help="Bucket for the code; default one of ours, made if missing.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Agree to the plan beforehand, for CI.")] = False,
    destroy: Annotated[bool, typer.Option("--destroy", help="Delete the stack; tables that it keeps stay.")] = False,
    memory: Memory = 256,
    architecture: Architecture = "x86_64",
    python: Python = "",
    requirements: Requirements = None,
    include: Include = None,
    retention: Retention = 30,
    rate: Rates = None,
    point_in_time_recovery: PointInTimeRecovery = False,
    delete_tables: DeleteTables = False,
    no_access_log: NoAccessLog = False,
) -> None:
    """Put a program on AWS: show the plan, ask, and do it."""
    from trunkline.aws.stack import check_name, default_name
    from trunkline.cli.deploying import deployed
    from trunkline.cli.destroying import destroyed
    from trunkline.cli.settling import Job

    options = options_of(
        memory=memory, architecture=architecture, python=python, requirements=requirements, include=include,
        retention=retention, rate=rate, point_in_time_recovery=point_in_time_recovery, delete_tables=delete_tables,
        no_access_log=no_access_log,
    )  # fmt: skip
    out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    job = Job(
        tuple(programs), options, check_name(stack or default_name(programs[0])), profile, region, bucket, out,
        yes=yes, again=shlex.join(["trunkline", *sys.argv[1:]]),
    )  # fmt: skip
    with _interruptible(out):
        if destroy:
            destroyed(job)
        else:
            with tempfile.TemporaryDirectory(prefix="trunkline-") as folder:
                deployed(job, Path(folder))


@contextmanager
def _interruptible(out: Console) -> Iterator[None]:
    """SIGINT and SIGTERM end it in order, and are its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        yield
    except Interrupted as interrupted:
        out.print("stopped: nothing of the stack was changed")
        raise typer.Exit(128 + interrupted.args[0]) from None


def _interrupt(number: int, _: FrameType | None) -> None:
    raise Interrupted(number)
