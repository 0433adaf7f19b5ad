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

from trunkline.cli.stopping import Interrupted

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["deploy"]


def deploy(
    programs: Annotated[list[str], typer.Argument(metavar="PROGRAM", help="Python files or modules")],
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
    memory: Annotated[int, typer.Option(metavar="MB", help="Memory of each function.")] = 256,
    architecture: Annotated[str, typer.Option(metavar="NAME", help="x86_64 or arm64.")] = "x86_64",
    python: Annotated[
        str, typer.Option(metavar="VERSION", help="Python of the functions, 3.11 to 3.13; default this one.")
    ] = "",
    requirements: Annotated[
        str | None, typer.Option(metavar="FILE", help="What the program needs; default that of its project.")
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Further files of its folder, such as words/*.txt; may be repeated."),
    ] = None,
    retention: Annotated[int, typer.Option(metavar="DAYS", help="How long logs are kept.")] = 30,
    rate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PER_SECOND/BURST",
            help="Rate of a socket or route, such as socket.chat=100/200; may be repeated.",
        ),
    ] = None,
    point_in_time_recovery: Annotated[
        bool, typer.Option("--point-in-time-recovery", help="Tables can be restored to any second of 35 days.")
    ] = False,
    delete_tables: Annotated[
        bool, typer.Option("--delete-tables", help="Delete tables with their stack; default is to keep them.")
    ] = False,
    no_access_log: Annotated[
        bool, typer.Option("--no-access-log", help="Log no line for each request to a socket.")
    ] = False,
) -> None:
    """Put a program on AWS: show the plan, ask, and do it."""
    from trunkline.aws.lambda_platform import Platform
    from trunkline.aws.options import Options
    from trunkline.aws.package import PackageOptions
    from trunkline.aws.stack import check_name, default_name
    from trunkline.cli.deploying import deployed
    from trunkline.cli.destroying import destroyed
    from trunkline.cli.settling import Job
    from trunkline.config import parse_rates

    options = Options(
        memory_mb=memory,
        packages=PackageOptions(
            Platform(python, architecture),
            None if requirements is None else Path(requirements),
            tuple(include or ()),
        ),
        retention_days=retention,
        point_in_time_recovery=point_in_time_recovery,
        keep_tables=not delete_tables,
        rates=parse_rates("the command line", rate or []),
        access_log=not no_access_log,
    )
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
