"""Logging: the standard library's, under the name `trunkline`. Only the command line configures it."""

from __future__ import annotations

import logging
import sys

__all__ = ["configure"]


def configure(level: int = logging.INFO) -> None:
    """Write the log to standard error, one line with time and level before each record."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("trunkline")
    root.handlers[:] = [handler]
    root.setLevel(level)
    root.propagate = False
