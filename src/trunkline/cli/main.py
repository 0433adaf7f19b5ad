"""`trunkline`: the verbs, and how errors end."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

import typer

from trunkline.cli import run
from trunkline.errors import ConfigurationError, DeclarationError, StoreUnavailable
from trunkline.resources.loading import ProgramFailed

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("run")(run.run)


@app.callback()
def trunkline() -> None:
    """Real-time connections in Python without running the infrastructure."""


def main() -> None:
    """Run the command line; a user's mistake is one line and exit code 2."""
    try:
        app()
    except (ConfigurationError, DeclarationError, StoreUnavailable) as error:
        print(f"trunkline: {error}", file=sys.stderr)
        sys.exit(2)
    except ProgramFailed as failed:
        cause = failed.__cause__
        assert cause is not None
        lines = traceback.format_exception(type(cause), cause, _programs_part(cause.__traceback__))
        print("".join(lines).rstrip(), file=sys.stderr)
        sys.exit(2)


def _programs_part(trace: TracebackType | None) -> TracebackType | None:
    """Without the frames of ours and of the import system in front of the program's own."""
    part = trace
    while part is not None and (
        part.tb_frame.f_globals.get("__name__", "").startswith(("trunkline.", "importlib"))
        or part.tb_frame.f_code.co_filename.startswith("<frozen importlib")
    ):
        part = part.tb_next
    return part
