"""`trunkline synth`: a program as a template of CloudFormation, with the zips of its functions beside it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
from trunkline.errors import ConfigurationError

if TYPE_CHECKING:
    from trunkline.aws.options import Options
    from trunkline.aws.synthesis import Synthesis

__all__ = ["synth"]

_PRINTED = "-"


def synth(
    programs: Programs,
    output: Annotated[
        str, typer.Option(metavar="DIR", help="Folder to write to, or - to print the template alone.")
    ] = "build",
    as_json: Annotated[bool, typer.Option("--json", help="Write template.json in place of template.yaml.")] = False,
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
    """Write a program as a CloudFormation template, with the code of its functions."""
    options = options_of(
        memory=memory, architecture=architecture, python=python, requirements=requirements, include=include,
        retention=retention, rate=rate, point_in_time_recovery=point_in_time_recovery, delete_tables=delete_tables,
        no_access_log=no_access_log,
    )  # fmt: skip
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
