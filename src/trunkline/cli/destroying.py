"""What `trunkline deploy --destroy` does: it shows what goes and what stays, asks, and deletes."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trunkline.aws.account import refusals
from trunkline.aws.reading import comment_of, stays
from trunkline.aws.stack import Held
from trunkline.cli.asking import ask
from trunkline.cli.settling import Job, at_rest, deleted
from trunkline.log import escape

__all__ = ["destroyed"]


def destroyed(job: Job) -> None:
    """Delete a program's stack.

    Raises:
        typer.Exit: it was not deleted.
    """
    stack = job.open()
    with refusals():
        standing = at_rest(job, stack)
        if standing is None:
            job.out.print("there is no such stack, so nothing to delete")
            return
        if standing.is_empty:
            stack.delete()
            job.out.print("nothing had been made of it; its name is free again")
            return
        template, held = stack.template(), stack.resources()
        goes = [one for one in held if not stays(template, one.logical_id)]
        kept = [one for one in held if stays(template, one.logical_id)]
        _show(job.out, "is deleted", "red", goes, template)
        _show(job.out, "stays, with its documents, and costs what it costs", "green", kept, template)
        job.out.print(Text(f"{len(goes)} deleted, {len(kept)} kept; the bucket with the code stays, too", "bold"))
        ask("Delete all of this?", job.out, yes=job.yes, otherwise="not deleted")
        deleted(job, stack, standing, len(held))
        job.out.print(Text(f"deleted: {stack.name} is gone", "bold green"))
        for one in kept:
            job.out.print(Text(f"kept: table {one.name}; a new deployment makes another, which is empty"))


def _show(out: Console, title: str, colour: str, held: Iterable[Held], template: dict[str, object]) -> None:
    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    for one in held:
        grid.add_row(Text(f"  - {one.logical_id}", colour), Text(escape(comment_of(template, one.logical_id))))
    if grid.row_count:
        out.print(Text(title, "bold"))
        out.print(grid)
