"""A program as a whole: what its files declared, checked, and compiled to Apis."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from trunkline import limits
from trunkline.errors import DeclarationError
from trunkline.resources.permissions import Declared, caller

if TYPE_CHECKING:
    from trunkline.resources.collection import Collection
    from trunkline.resources.websocket import Handler, Websocket

__all__ = ["Application", "Lifespan", "collecting", "declare", "lifespan", "lifespan_of"]

LifespanFunction: TypeAlias = Callable[[], AsyncIterator[None]]
_MARK = "_trunkline_lifespan"
_collected: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar("trunkline_declared", default=None)


class Lifespan:
    """A declared lifespan: entered before the door opens, left after the last disconnect."""

    def __init__(self, function: LifespanFunction, where: Declared) -> None:
        self.function = function
        self.where = where

    def enter(self) -> AbstractAsyncContextManager[None]:
        """One run of it."""
        return contextlib.asynccontextmanager(self.function)()


def lifespan(function: LifespanFunction) -> LifespanFunction:
    """Declare what wraps a process's life: an async generator function that yields once.

    What stands before the `yield` runs before the first client is let in, what stands behind it after the
    last disconnect handler. Operations of resources work in it.
    """
    where = caller()
    if not inspect.isasyncgenfunction(function):
        raise DeclarationError(f"{where}: @lifespan takes an async generator function: `async def` with one `yield`")
    declared = Lifespan(function, where)
    function.__dict__[_MARK] = declared  # a module that was imported before is searched for it
    declare(declared)
    return function


def lifespan_of(value: object) -> Lifespan | None:
    """What `lifespan` declared with this function; None for everything else."""
    found = getattr(value, _MARK, None) if inspect.isasyncgenfunction(value) else None
    return found if isinstance(found, Lifespan) else None


def declare(resource: object) -> None:
    """Note a declaration for the program that is being loaded, if one is."""
    collected = _collected.get()
    if collected is not None:
        collected.append(resource)


@contextlib.contextmanager
def collecting() -> Iterator[list[Any]]:
    """While a program is loaded: what it declares is appended to the list."""
    collected: list[Any] = []
    token = _collected.set(collected)
    try:
        yield collected
    finally:
        _collected.reset(token)


@dataclass(slots=True)
class Application:
    """What the files of a program declared, together.

    Attributes:
        sockets: by name, one of each; every file's handlers are in `handlers`.
        handlers: by socket name, then by route key.
        authorizers: by socket name, of sockets that have one.
        collections: by name, each handle with its own grant.
    """

    sockets: dict[str, Websocket] = field(default_factory=dict)
    handlers: dict[str, dict[str, Handler]] = field(default_factory=dict)
    authorizers: dict[str, Handler] = field(default_factory=dict)
    collections: dict[str, list[Collection]] = field(default_factory=dict)
    grants: dict[str, list[Websocket]] = field(default_factory=dict)
    lifespans: list[Lifespan] = field(default_factory=list)

    @classmethod
    def of(cls, declared: Iterable[object]) -> Application:
        """Put declarations together.

        Raises:
            DeclarationError: they contradict each other.
        """
        from trunkline.resources.collection import Collection
        from trunkline.resources.websocket import Websocket

        application = cls()
        seen: set[int] = set()
        for resource in declared:
            if id(resource) in seen:
                continue
            seen.add(id(resource))
            if isinstance(resource, Websocket):
                application._add_socket(resource)
            elif isinstance(resource, Collection):
                application.collections.setdefault(resource.name, []).append(resource)
            elif isinstance(resource, Lifespan):
                application.lifespans.append(resource)
        application._collect_handlers()
        return application

    def _add_socket(self, socket: Websocket) -> None:
        first = self.sockets.setdefault(socket.name, socket)
        if first.options != socket.options:
            raise DeclarationError(
                f"{socket.where}: websocket({socket.name!r}) is declared with other options than at {first.where}"
            )
        self.grants.setdefault(socket.name, []).append(socket)

    def _collect_handlers(self) -> None:
        from trunkline.resources.websocket import AUTHORIZER

        for name, sockets in self.grants.items():
            routes = self.handlers.setdefault(name, {})
            tables = {id(socket.handlers): socket.handlers for socket in sockets}
            for handler in (handler for table in tables.values() for handler in table):
                first = routes.setdefault(handler.route, handler)
                if first is not handler:
                    raise DeclarationError(
                        f"{handler.where}: {handler.what} of websocket({name!r}) is declared twice; "
                        f"the first is at {first.where}"
                    )
            if AUTHORIZER in routes:
                self.authorizers[name] = routes.pop(AUTHORIZER)
            if len(routes) > limits.ROUTES:
                raise DeclarationError(f"websocket({name!r}) has {len(routes)} routes; the limit is {limits.ROUTES}")
