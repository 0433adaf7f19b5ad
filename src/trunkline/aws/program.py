"""What a program is on AWS: functions, sockets and tables, and which line asked for what."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from trunkline.aws.sources import sources_of
from trunkline.errors import ConfigurationError, DeclarationError
from trunkline.model.api import CONNECT_ROUTE, DISCONNECT_ROUTE
from trunkline.resources.collection import Collection
from trunkline.resources.loading import folder_of, load
from trunkline.resources.permissions import Declared
from trunkline.resources.websocket import Websocket

if TYPE_CHECKING:
    from trunkline.resources.application import Application
    from trunkline.resources.websocket import Handler, SocketOptions

__all__ = ["Authorizer", "AwsProgram", "Function", "Route", "Socket", "Table", "Use", "aws_program"]

Kind: TypeAlias = Literal["collection", "websocket"]
_WORD = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """A permission that a file asks for: one word of one resource.

    Attributes:
        where: the line that asks for it; its file is relative to the program's folder.
    """

    kind: Kind
    name: str
    word: str
    where: Declared


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function: one file of the program.

    Attributes:
        name: its logical id.
        program: the file within the program's folder, or the module's name.
        sources: the files of the folder that it runs, its own first.
        uses: what it may do, in order.
    """

    name: str
    program: str
    sources: tuple[Path, ...]
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """A route of a socket, and the function behind it."""

    key: str
    function: str
    where: Declared

    @property
    def two_way(self) -> bool:
        """Whether what the function answers goes back to the client."""
        return self.key not in {CONNECT_ROUTE, DISCONNECT_ROUTE}


@dataclass(frozen=True, slots=True)
class Authorizer:
    """What decides about a socket's handshakes.

    Attributes:
        identity: API Gateway's expressions of what a handshake must have.
    """

    function: str
    identity: tuple[str, ...]
    where: Declared


@dataclass(frozen=True, slots=True)
class Socket:
    """A WebSocket Api, with one stage of the same name."""

    name: str
    logical_id: str
    options: SocketOptions
    routes: tuple[Route, ...]
    authorizer: Authorizer | None
    where: Declared


@dataclass(frozen=True, slots=True)
class Table:
    """The table of a collection."""

    name: str
    logical_id: str
    where: Declared


@dataclass(frozen=True, slots=True)
class AwsProgram:
    """A program on AWS, each part in the order of its name.

    Attributes:
        name: what its stack is called unless somebody says otherwise: that of its first file.
        folder: what its files are in.
    """

    name: str
    folder: Path
    application: Application
    functions: tuple[Function, ...]
    sockets: tuple[Socket, ...]
    tables: tuple[Table, ...]

    def function(self, name: str) -> Function:
        """The function of a logical id."""
        return next(one for one in self.functions if one.name == name)


def aws_program(programs: Sequence[str]) -> AwsProgram:
    """Load a program and say what it is on AWS.

    Args:
        programs: files and modules, as for `trunkline run`; each becomes a function.

    Raises:
        ConfigurationError, DeclarationError, ProgramFailed: it cannot be loaded, or cannot be on AWS.
    """
    application = load(list(programs))
    folder = folder_of(programs[0]).resolve()
    entries = {program: _entry(program, folder) for program in programs}
    # What a template makes of these names ends in Function, Api or Table, so a socket may be called as its file is.
    names, of_sockets, of_tables = Names(), Names(), Names()
    functions = tuple(
        _function(program, file, folder, names.new(_short(program)), application) for program, file in entries.items()
    )
    sockets = tuple(_socket(name, application, functions, folder, of_sockets) for name in sorted(application.sockets))
    tables = tuple(
        Table(name, f"{of_tables.new(name)}Table", _relative(_first(handles).where, folder))
        for name, handles in sorted(application.collections.items())
    )
    serving = {route.function for socket in sockets for route in socket.routes}
    serving |= {socket.authorizer.function for socket in sockets if socket.authorizer is not None}
    for function in functions:
        if function.name not in serving:
            raise ConfigurationError(
                f"{function.program} declares no handler, so no event would ever start it as a function; leave it out"
            )
    return AwsProgram(_short(programs[0]), folder, application, functions, sockets, tables)


def _short(program: str) -> str:
    """What people call it: `chat` for `rooms/chat.py` and for `rooms.chat`."""
    return Path(program).stem if program.endswith(".py") else program.rpartition(".")[2]


class Names:
    """Logical ids, which are letters and digits, and all different."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, name: str) -> str:
        """One that is read like the name, such as `LiveScores` for "live-scores"."""
        words = _WORD.findall(name) or ["Unnamed"]
        wanted = "".join(word[0].upper() + word[1:] for word in words)
        found = next(one for one in self._numbered(wanted) if one not in self._taken)
        self._taken.add(found)
        return found

    def _numbered(self, wanted: str) -> Iterator[str]:
        yield wanted
        number = 2
        while True:
            yield f"{wanted}{number}"
            number += 1


def _entry(program: str, folder: Path) -> Path:
    """The file that a program is."""
    file = Path(program if program.endswith(".py") else str(sys.modules[program].__file__)).resolve()
    if not file.is_relative_to(folder):
        raise ConfigurationError(f"{program} is outside of {folder}, where the rest of the program is; put it there")
    return file


def _function(program: str, file: Path, folder: Path, name: str, application: Application) -> Function:
    sources = sources_of(file, folder)
    shown = file.relative_to(folder).as_posix() if program.endswith(".py") else program
    return Function(name, shown, sources, tuple(_uses(application, sources, folder)))


def _uses(application: Application, sources: Iterable[Path], folder: Path) -> list[Use]:
    """Each word once, with the first line that asks for it."""
    files = set(sources)
    found: dict[tuple[Kind, str, str], Use] = {}
    handles: list[Collection | Websocket] = [*_all(application.collections), *_all(application.grants)]
    for handle in sorted(handles, key=lambda one: (one.where.file, one.where.line)):
        if Path(handle.where.file).resolve() not in files:
            continue
        kind: Kind = "websocket" if isinstance(handle, Websocket) else "collection"
        for word in sorted(handle.granted):
            use = Use(kind, handle.name, word, _relative(handle.where, folder))
            found.setdefault((kind, handle.name, word), use)
    return sorted(found.values())


def _all(handles: dict[str, list[Collection]] | dict[str, list[Websocket]]) -> Iterator[Collection | Websocket]:
    for named in handles.values():
        yield from named


def _socket(name: str, application: Application, functions: Sequence[Function], folder: Path, names: Names) -> Socket:
    socket = application.sockets[name]
    handlers = sorted(application.handlers[name].values(), key=lambda one: one.route)
    if not handlers:
        raise DeclarationError(f"{socket.where}: {socket!r} has no handler; API Gateway needs a route at least")
    routes = tuple(Route(one.route, _behind(one, functions), _relative(one.where, folder)) for one in handlers)
    declared = application.authorizers.get(name)
    authorizer = None
    if declared is not None:
        identity = tuple(f"{source.place}.{source.name}" for source in declared.identity)
        authorizer = Authorizer(_behind(declared, functions), identity, _relative(declared.where, folder))
    return Socket(name, names.new(name), socket.options, routes, authorizer, _relative(socket.where, folder))


def _behind(handler: Handler, functions: Sequence[Function]) -> str:
    """The function that runs a handler: the first whose files it is declared in."""
    file = Path(handler.declared.file).resolve()
    return next((one.name for one in functions if file in one.sources), functions[0].name)


def _first(handles: Sequence[Collection]) -> Collection:
    return min(handles, key=lambda one: (one.where.file, one.where.line))


def _relative(where: Declared, folder: Path) -> Declared:
    """The same line, its file as it is read from the program's folder."""
    file = Path(where.file).resolve()
    return Declared(file.relative_to(folder).as_posix(), where.line) if file.is_relative_to(folder) else where
