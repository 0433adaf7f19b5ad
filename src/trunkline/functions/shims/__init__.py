"""What workers load before a function's code: it leads calls to AWS's names to this machine."""

from __future__ import annotations

from pathlib import Path

__all__ = ["NODE_PRELOAD", "PYTHON_FOLDER"]

PYTHON_FOLDER = Path(__file__).with_name("python")  # for PYTHONPATH
NODE_PRELOAD = Path(__file__).with_name("node") / "lead.cjs"  # for --require
