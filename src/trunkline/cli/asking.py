"""Asking before something is done that cannot be taken back, at a terminal alone."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

__all__ = ["NOBODY_AGREED", "ask"]

NOBODY_AGREED = 3  # exit code


def ask(question: str, out: Console, *, yes: bool, otherwise: str) -> None:
    """Go on if somebody agrees.

    Args:
        yes: somebody has agreed beforehand.
        otherwise: what to say if not.

    Raises:
        typer.Exit: nobody does.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and out.is_terminal):
        print(f"trunkline: {otherwise}: there is no terminal to ask at, and no --yes", file=sys.stderr)
        raise typer.Exit(NOBODY_AGREED)
    if not _is_yes(question):
        out.print(otherwise)
        raise typer.Exit(NOBODY_AGREED)


def _is_yes(question: str) -> bool:
    try:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        print()
        return False
    except KeyboardInterrupt:
        print()  # what follows does not stand behind the terminal's own ^C
        raise
