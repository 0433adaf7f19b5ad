"""Loading a program: Python files or modules, run once, and what they declared."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from trunkline.errors import ConfigurationError, DeclarationError
from trunkline.resources.application import Application, Lifespan, collecting, lifespan_of
from trunkline.resources.collection import Collection
from trunkline.resources.websocket import Websocket

__all__ = ["ProgramFailed", "declared_in", "folder_of", "load"]


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
        declared += declared_in(module)
    application = Application.of(declared)
    if not application.sockets:
        raise DeclarationError(
            f'{", ".join(programs)} declares no websocket; expected at least one: socket = websocket("socket")'
        )
    return application


def declared_in(module: ModuleType) -> list[Any]:
    """What the names of a module mean: sockets, collections and lifespans."""
    values = [lifespan_of(value) or value for value in vars(module).values()]
    return [value for value in values if isinstance(value, Websocket | Collection | Lifespan)]


def folder_of(program: str) -> Path:
    """The folder that a program's state is kept beside."""
    return Path(program).resolve().parent if program.endswith(".py") else Path.cwd()


def _run(program: str) -> ModuleType:
    if program.endswith(".py") or "/" in program or "\\" in program:
        return _run_file(Path(program))
    return _run_module(program)


def _run_module(name: str) -> ModuleType:
    unknown = ConfigurationError(f"there is no file or module {name!r}; expected a path such as chat.py")
    if not all(part.isidentifier() for part in name.split(".")):
        raise unknown
    _add_to_path(Path.cwd())
    try:
        return _guarded(
            lambda: importlib.reload(sys.modules[name]) if name in sys.modules else importlib.import_module(name)
        )
    except ProgramFailed as failed:
        missing = getattr(failed.__cause__, "name", None) if isinstance(failed.__cause__, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):  # itself, or the package that it is in
            raise unknown from None
        raise


def _run_file(file: Path) -> ModuleType:
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise ConfigurationError(f"{file} {what}; expected a Python file such as chat.py")
    _add_to_path(file.resolve().parent)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{file} is not a Python file; expected a name that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    loader = spec.loader
    _guarded(lambda: loader.exec_module(module))
    return module


def _add_to_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _guarded(run: Any) -> ModuleType:
    try:
        module: ModuleType = run()
    except (DeclarationError, ConfigurationError):
        raise
    except (Exception, SystemExit) as error:
        raise ProgramFailed from error
    return module
