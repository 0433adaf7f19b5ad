"""Loading a program: Python files or modules, run once, and what they declared."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from trunkline.errors import ConfigurationError, DeclarationError
from trunkline.resources.application import Application, collecting
from trunkline.resources.collection import Collection
from trunkline.resources.websocket import Websocket

__all__ = ["ProgramFailed", "folder_of", "load"]


class ProgramFailed(Exception):  # noqa: N818
    """The program's own code raised while it was loaded; `__cause__` is what it raised."""


def load(programs: list[str]) -> Application:
    """Run each program file or module and put together what they declare.

    Raises:
        ConfigurationError: there is no such file or module.
        DeclarationError: the declarations cannot be, or there is no socket among them.
        ProgramFailed: the program's own code raised.
    """
    declared: list[Any] = []
    for program in programs:
        with collecting() as collected:
            module = _run(program)
        declared += collected
        # Declarations of modules that an earlier program imported already are not made a second time.
        declared += [value for value in vars(module).values() if isinstance(value, Websocket | Collection)]
    application = Application.of(declared)
    if not application.sockets:
        raise DeclarationError(
            f'{", ".join(programs)} declares no websocket; expected at least one: socket = websocket("socket")'
        )
    return application


def folder_of(program: str) -> Path:
    """The folder that a program's state is kept beside."""
    return Path(program).resolve().parent if program.endswith(".py") else Path.cwd()


def _run(program: str) -> ModuleType:
    if program.endswith(".py") or "/" in program or "\\" in program:
        return _run_file(Path(program))
    try:
        found = importlib.util.find_spec(program)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise ConfigurationError(f"there is no file or module {program!r}; expected a path such as chat.py")
    return _guarded(
        lambda: importlib.reload(sys.modules[program]) if program in sys.modules else importlib.import_module(program)
    )


def _run_file(file: Path) -> ModuleType:
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise ConfigurationError(f"{file} {what}; expected a Python file such as chat.py")
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{file} is not a Python file; expected a name that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    loader = spec.loader
    _guarded(lambda: loader.exec_module(module))
    return module


def _guarded(run: Any) -> ModuleType:
    try:
        module: ModuleType = run()
    except (DeclarationError, ConfigurationError):
        raise
    except (Exception, SystemExit) as error:
        raise ProgramFailed from error
    return module
