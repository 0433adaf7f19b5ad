"""`trunkline explain`: what a program may do on AWS, and which line of it asks for that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from trunkline.aws.grants import Grant
    from trunkline.aws.iam import Statement
    from trunkline.aws.program import AwsProgram

__all__ = ["explain"]


def explain(
    programs: Annotated[list[str], typer.Argument(metavar="PROGRAM", help="Python files or modules")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the grants as JSON, a line each, to be kept for --diff.")
    ] = False,
    diff: Annotated[
        str | None, typer.Option(metavar="FILE", help="Compare with what --json wrote: exit code 1 if they grow.")
    ] = None,
    usage: Annotated[
        str | None, typer.Option(metavar="FILE", help="Warn of what run --record-usage never saw used.")
    ] = None,
) -> None:
    """Say what a program may do on AWS, and which line of it asks for that."""
    from trunkline.aws.grants import grants_of, read_grants, write_grants
    from trunkline.aws.program import aws_program

    before = None if diff is None else read_grants(Path(diff))
    program = aws_program(programs)
    grants = grants_of(program)
    out = Console(highlight=False, soft_wrap=True)
    if before is not None:
        _compare(before, grants, out)
    elif as_json:
        print(write_grants(grants), end="")
    else:
        _tell(program, out)
    if usage is not None:
        _warn(program, Path(usage), Console(stderr=True, highlight=False, soft_wrap=True))


def _tell(program: AwsProgram, out: Console) -> None:
    from trunkline.aws.grants import shown
    from trunkline.aws.iam import statements

    for function in program.functions:
        out.print(Text.assemble((function.name, "bold"), (f"  {function.program}", "dim")))
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        for _ in ("where", "word"):
            table.add_column(no_wrap=True)
        for statement in statements(function):
            what = f"on {shown(statement.resource)}"
            for where, word, actions in _reasons(statement):
                table.add_row(f"  {where}", word, Text.assemble((", ".join(actions), "cyan"), f" {what}"))
        out.print(table)


def _reasons(statement: Statement) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Line, word and actions of each word that is behind a statement."""
    from trunkline.aws.grants import actions_of

    if not statement.reasons:
        yield "always", "", statement.actions
    for use in statement.reasons:
        yield str(use.where), use.word, actions_of(use)


def _compare(before: Sequence[Grant], now: Sequence[Grant], out: Console) -> None:
    from trunkline.aws.grants import grown

    added, removed = grown(before, now)
    for sign, colour, grants in (("+", "red", added), ("-", "green", removed)):
        for grant in grants:
            why = f"  {', '.join(grant.because)}" if grant.because else ""
            out.print(Text(f"{sign} {grant.function}: {grant.action} on {grant.resource}{why}", colour))
    if not added:
        out.print(f"permissions have not grown: {len(now)} grants, {len(removed) or 'none'} fewer")
        return
    out.print(f"permissions have grown by {len(added)}; if that is meant, write them anew with explain --json")
    raise typer.Exit(1)


def _warn(program: AwsProgram, file: Path, out: Console) -> None:
    from trunkline.aws.grants import unused
    from trunkline.resources.usage import read_usage

    found = unused(program, read_usage(file), file.resolve().parent)
    for function, use in found:
        text = f'{use.where}: {function} never used "{use.word}" of {use.kind}({use.name!r})'
        out.print(Text.assemble(("warning  ", "yellow"), text))
