"""`trunkline`: the verbs, and how errors end."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from trunkline.cli import connect, deploy, new, run, synth
from trunkline.cli import explain as explaining
from trunkline.errors import ConfigurationError, DeclarationError, StoreUnavailable
from trunkline.resources.loading import ProgramFailed
from trunkline.tracebacks import explain, is_programs

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("run")(run.run)
app.command("connect")(connect.connect)
app.command("new")(new.new)
app.command("synth")(synth.synth)
app.command("deploy")(deploy.deploy)
app.command("explain")(explaining.explain)
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # typer keeps its name to itself


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"trunkline {version('trunkline')}")
        raise typer.Exit


@app.callback()
def trunkline(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Real-time connections in Python without running the infrastructure."""


def main() -> None:
    """Run the command line. A mistake is one line and exit code 2, an error in the program its traceback and 2."""
    try:
        sys.exit(app(standalone_mode=False))
    except (ConfigurationError, DeclarationError, StoreUnavailable) as error:
        _fail(f"trunkline: {error}")
    except ProgramFailed as failed:
        _fail(explain(failed.__cause__ or failed))
    except _UsageError as error:
        _fail(_usage(error))
    except Exception as error:
        if not is_programs(error):
            raise
        _fail(explain(error))


def _fail(message: str) -> None:
    if message:
        print(message, file=sys.stderr)
    sys.exit(2)


def _usage(error: Exception) -> str:
    """One line, in a terminal as in a pipe; nothing if the help was shown instead."""
    message: str = error.format_message()  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    command = "trunkline" if context is None else context.command_path
    return f"trunkline: {message.rstrip('.')}; see {command} --help" if message else ""
