"""`trunkline synth`: a program as a template of CloudFormation, with the zips of its functions beside it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.errors import ConfigurationError

if TYPE_CHECKING:
    from trunkline.aws.options import Options
    from trunkline.aws.synthesis import Synthesis

__all__ = ["synth"]

_PRINTED = "-"


def synth(
    programs: Annotated[list[str], typer.Argument(metavar="PROGRAM", help="Python files or modules")],
    output: Annotated[
        str, typer.Option(metavar="DIR", help="Folder to write to, or - to print the template alone.")
    ] = "build",
    as_json: Annotated[bool, typer.Option("--json", help="Write template.json in place of template.yaml.")] = False,
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
    """Write a program as a CloudFormation template, with the code of its functions."""
    from trunkline.aws.lambda_platform import Platform
    from trunkline.aws.options import Options
    from trunkline.aws.package import PackageOptions
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
    if output == _PRINTED:
        _print(programs, options, as_json=as_json)
    else:
        _write(programs, options, Path(output), as_json=as_json)


def _print(programs: list[str], options: Options, *, as_json: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = _synthesized(programs, options, Path(folder))
    _warn(made)
    sys.stdout.write(_text(made, as_json=as_json))


def _write(programs: list[str], options: Options, folder: Path, *, as_json: bool) -> None:
    template = folder / f"template.{'json' if as_json else 'yaml'}"
    with _writing(folder):
        made = _synthesized(programs, options, folder)
        template.write_text(_text(made, as_json=as_json), "utf-8")
    _warn(made)
    print(f"template  {template}")
    for function in made.program.functions:
        package = made.packages[function.name]
        print(f"function  {package.path}  {function.program}, {package.size / 1e6:.1f} MB")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{error.filename or folder} cannot be written: {error.strerror}") from None


def _synthesized(programs: list[str], options: Options, folder: Path) -> Synthesis:
    from trunkline.aws.synthesis import synthesize
    from trunkline.config import settings
    from trunkline.resources.loading import folder_of

    return synthesize(programs, options, settings(folder_of(programs[0]), {}), folder)


def _text(made: Synthesis, *, as_json: bool) -> str:
    from trunkline.aws.rendering import render, render_json

    return render_json(made.template) if as_json else render(made.template)


def _warn(made: Synthesis) -> None:
    """What AWS does otherwise goes where errors go: standard output may be the template."""
    for line in made.warnings:
        print(line, file=sys.stderr)
