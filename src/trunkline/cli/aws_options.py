"""The options of what a program is on AWS, which `synth` and `deploy` share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from trunkline.aws.options import Options

__all__ = [
    "Architecture", "DeleteTables", "Include", "Memory", "NoAccessLog", "PointInTimeRecovery", "Programs", "Python",
    "Rates", "Requirements", "Retention", "options_of",
]  # fmt: skip

Programs: TypeAlias = Annotated[list[str], typer.Argument(metavar="PROGRAM", help="Python files or modules")]
Memory: TypeAlias = Annotated[int, typer.Option(metavar="MB", help="Memory of each function.")]
Architecture: TypeAlias = Annotated[str, typer.Option(metavar="NAME", help="x86_64 or arm64.")]
Python: TypeAlias = Annotated[
    str, typer.Option(metavar="VERSION", help="Python of the functions, 3.11 to 3.13; default this one.")
]
Requirements: TypeAlias = Annotated[
    str | None, typer.Option(metavar="FILE", help="What the program needs; default that of its project.")
]
Include: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Further files of its folder, such as words/*.txt; may be repeated."),
]
Retention: TypeAlias = Annotated[int, typer.Option(metavar="DAYS", help="How long logs are kept.")]
Rates: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=PER_SECOND/BURST", help="Rate of a socket or route, such as socket.chat=100/200; may be repeated."
    ),
]
PointInTimeRecovery: TypeAlias = Annotated[
    bool, typer.Option("--point-in-time-recovery", help="Tables can be restored to any second of 35 days.")
]
DeleteTables: TypeAlias = Annotated[
    bool, typer.Option("--delete-tables", help="Delete tables with their stack; default is to keep them.")
]
NoAccessLog: TypeAlias = Annotated[
    bool, typer.Option("--no-access-log", help="Log no line for each request to a socket.")
]


def options_of(
    *,
    memory: int,
    architecture: str,
    python: str,
    requirements: str | None,
    include: Sequence[str] | None,
    retention: int,
    rate: Sequence[str] | None,
    point_in_time_recovery: bool,
    delete_tables: bool,
    no_access_log: bool,
) -> Options:
    """What they mean together.

    Raises:
        ConfigurationError: one of them cannot be.
    """
    from trunkline.aws.lambda_platform import Platform
    from trunkline.aws.options import Options
    from trunkline.aws.package import PackageOptions
    from trunkline.config import parse_rates

    needed = None if requirements is None else Path(requirements)
    return Options(
        memory_mb=memory,
        packages=PackageOptions(Platform(python, architecture), needed, tuple(include or ())),
        retention_days=retention,
        point_in_time_recovery=point_in_time_recovery,
        keep_tables=not delete_tables,
        rates=parse_rates("the command line", list(rate or [])),
        access_log=not no_access_log,
    )
