"""The declaration of a socket: its handlers, and what the program may do with its connections."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar, overload

from trunkline import limits as numbers
from trunkline.errors import DeclarationError, Throttled
from trunkline.model.api import CONNECT_ROUTE, DEFAULT_ROUTE, DISCONNECT_ROUTE, Limits
from trunkline.model.expressions import compile_selector
from trunkline.model.identity_sources import IdentitySource, parse_identity_sources
from trunkline.resources.application import declare
from trunkline.resources.authorizer import Allow
from trunkline.resources.context import Context, current_node
from trunkline.resources.permissions import SOCKET_WORDS, Declared, caller, check_words, denied

if TYPE_CHECKING:
    from trunkline.connections.base import ConnectionInfo

__all__ = ["AUTHORIZER", "BroadcastResult", "Handler", "SocketOptions", "Websocket", "websocket"]

AUTHORIZER = "$authorizer"  # its key among a socket's handlers; not a route's
MessageHandler: TypeAlias = Callable[[Context], Coroutine[Any, Any, Any]]
_Plain = TypeVar("_Plain", bound=Callable[[Context], Coroutine[Any, Any, None]])
_Replying = TypeVar("_Replying", bound=Callable[[Context], Coroutine[Any, Any, Any]])
_Decision: TypeAlias = Allow | Mapping[str, Any] | Literal[False] | None
_Authorizing = TypeVar("_Authorizing", bound=Callable[[Context], Coroutine[Any, Any, _Decision]])
_EVENTS = {"connect": CONNECT_ROUTE, "disconnect": DISCONNECT_ROUTE, "message": DEFAULT_ROUTE}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")  # what a stage may be called
_BACKOFF_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8)


class HasId(Protocol):
    """A document, as a recipient: its id is a connection id."""

    @property
    def id(self) -> str: ...


Recipient: TypeAlias = str | HasId


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """How a socket behaves; equal for every declaration of one name."""

    select: str = "$request.body.action"
    ordered: bool = True
    binary: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler of a program, where it stands, and where `on` or `authorizer` declared it."""

    route: str
    function: MessageHandler
    where: Declared
    declared: Declared
    identity: tuple[IdentitySource, ...] = ()  # of an authorizer

    @property
    def what(self) -> str:
        """What it is, for messages to people."""
        return "the authorizer" if self.route == AUTHORIZER else f"route {self.route!r}"


@dataclass(frozen=True, slots=True)
class BroadcastResult:
    """What became of a broadcast.

    Attributes:
        sent: how many connections took the message.
        gone: ids of connections that no longer exist.
        failed: why the others did not take it, by id.
    """

    sent: int
    gone: tuple[str, ...]
    failed: Mapping[str, Exception]


class Websocket:
    """A socket, or a handle on it with more permissions. Two of the same name are equal.

    Attributes:
        name: its name, which is its stage: clients connect to `/{name}`.
        granted: the words that the program may use; `sending` always.
        where: file and line of the declaration.
    """

    __slots__ = ("granted", "handlers", "name", "options", "where")

    def __init__(
        self,
        name: str,
        options: SocketOptions,
        where: Declared,
        granted: frozenset[str] = frozenset({"sending"}),
        handlers: list[Handler] | None = None,
    ) -> None:
        self.name = name
        self.options = options
        self.where = where
        self.granted = granted
        self.handlers: list[Handler] = [] if handlers is None else handlers
        declare(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Websocket) and other.name == self.name

    def __hash__(self) -> int:
        return hash((Websocket, self.name))

    def __repr__(self) -> str:
        return f"websocket({self.name!r})"

    def allow(self, *words: Literal["sending", "closing", "inspecting"]) -> Websocket:
        """A handle with these permissions besides those it has.

        Raises:
            DeclarationError: a word that is none.
        """
        where = caller()
        granted = self.granted | check_words(repr(self), words, SOCKET_WORDS, where)
        return Websocket(self.name, self.options, where, granted, self.handlers)

    @overload
    def on(self, event: Literal["connect", "disconnect"]) -> Callable[[_Plain], _Plain]: ...

    @overload
    def on(self, event: Literal["message"], *, route: str | None = None) -> Callable[[_Replying], _Replying]: ...

    def on(self, event: str, *, route: str | None = None) -> Callable[[Any], Any]:
        """Declare the handler of an event: an `async def` of one argument, which is returned unchanged.

        `route` names a custom route of "message": the handler of the messages for which the socket's
        selection expression gives exactly this text. Without it, the handler takes every other message.
        What a message handler returns is the reply to its sender; None is none.

        Raises:
            DeclarationError: not an `async def`, an event that is none, or a route declared twice.
        """
        where = caller()
        key = _route_key(self, event, route, where)

        def decorate(function: MessageHandler) -> MessageHandler:
            _check_handler(function, self, event, where)
            self._declare(Handler(key, function, _where(function, where), where))
            return function

        return decorate

    def authorizer(self, *, identity: Sequence[str] = ()) -> Callable[[_Authorizing], _Authorizing]:
        """Declare what decides about every handshake before its connect handler: an `async def` of one argument.

        It lets a client in by returning `Allow(principal, context)`, or a policy that allows it in the form of a
        Lambda authorizer. None and False refuse with 403, `ctx.res.reject(...)` as it says, an exception with 500,
        or with 401 if its text is exactly "Unauthorized". The function is returned unchanged.

        Args:
            identity: what a handshake must have for it to be asked, such as "route.request.header.Authorization";
                without it the client gets 401. See `trunkline.model.identity_sources`.

        Raises:
            DeclarationError: not an `async def`, an expression that is none, or a second authorizer.
        """
        where = caller()
        sources = _identity_sources(identity, self, where)

        def decorate(function: _Authorizing) -> _Authorizing:
            _check_handler(function, self, "authorizer", where)
            self._declare(Handler(AUTHORIZER, function, _where(function, where), where, sources))
            return function

        return decorate

    def _declare(self, handler: Handler) -> None:
        others = [other for other in self.handlers if other.route != handler.route]
        for other in self.handlers:
            # The same line again: its file is run anew, and its socket is of a module that is not.
            if other.route == handler.route and other.declared != handler.declared:
                raise DeclarationError(
                    f"{handler.declared}: {handler.what} of {self!r} is declared twice; the first is at {other.where}"
                )
        self.handlers[:] = [*others, handler]

    async def send(self, connection_id: str, data: str | bytes) -> bool:
        """Send a message: str as text, bytes as binary.

        Returns:
            True if it was put in order on the connection's output (it does not mean received), False if the
            connection is gone.

        Raises:
            InvalidConnectionId, MessageTooLarge, SlowConsumer, Throttled, Unreachable: see `trunkline.errors`.
            NotRunning: see there.
            TypeError: data is neither str nor bytes, or bytes on a socket without `binary=True`.
        """
        if type(data) is not str:
            data = self._check_data(data)
        return await current_node("send").connections.send(self.name, connection_id, data)

    async def close(self, connection_id: str, code: int = numbers.CLOSE_NORMAL, reason: str | None = None) -> bool:
        """Close a connection; its disconnect handler runs. False if it is gone. Needs `closing`."""
        if "closing" not in self.granted:
            raise self._denied("close", "closing")
        if not (code in {1000, 1001, 1008, 1011, 1012, 1013} or 3000 <= code <= 4999):
            raise ValueError(f"close code {code} cannot be sent; expected 1000, 1001, 1008, 1011-1013 or 3000-4999")
        text = numbers.REASON_DELETED if reason is None and code == numbers.CLOSE_NORMAL else reason or ""
        return await current_node("close").connections.close(self.name, connection_id, code, text)

    async def info(self, connection_id: str) -> ConnectionInfo | None:
        """What is known of a connection; None if it is gone. Needs `inspecting`."""
        if "inspecting" not in self.granted:
            raise self._denied("info", "inspecting")
        return await current_node("info").connections.info(self.name, connection_id)

    def url(self) -> str:
        """Where clients connect, such as `ws://127.0.0.1:8000/socket`."""
        return current_node("url").url(self.name)

    async def broadcast(
        self,
        data: str | bytes,
        *,
        to: Iterable[Recipient] | AsyncIterable[Recipient],
        exclude: str | Iterable[str] = (),
        seconds: float | None = None,
    ) -> BroadcastResult:
        """Send one message to many connections; the error of one does not stop the others.

        Args:
            data: the message.
            to: connection ids, or documents whose ids they are.
            exclude: an id, or ids, that are left out.
            seconds: after this, whoever was not reached is in `failed` with a TimeoutError.

        Raises:
            MessageTooLarge is in `failed`; NotRunning and TypeError as for `send`.
        """
        if type(data) is not str:
            data = self._check_data(data)
        if isinstance(to, str):
            raise TypeError(f"to={to!r} is one id; expected ids or documents, such as to=[{to!r}]")
        node = current_node("broadcast")
        left_out = {exclude} if isinstance(exclude, str) else set(exclude)
        loop = asyncio.get_running_loop()
        run = _Broadcast(node.connections.fan_out, self.name, data, None if seconds is None else loop.time() + seconds)
        batch: list[str] = []
        if isinstance(to, AsyncIterable):
            async for recipient in to:
                connection_id = recipient if isinstance(recipient, str) else recipient.id
                if connection_id not in left_out:
                    batch.append(connection_id)
                if len(batch) >= numbers.FAN_OUT_SLICE:
                    await run.slice(batch)
                    await asyncio.sleep(0)
                    batch = []
        else:
            batch = [i for r in to if (i := r if isinstance(r, str) else r.id) not in left_out]
        for start in range(0, len(batch), numbers.FAN_OUT_SLICE):
            if start:
                await asyncio.sleep(0)
            await run.slice(batch[start : start + numbers.FAN_OUT_SLICE])
        return BroadcastResult(run.sent, tuple(run.gone), MappingProxyType(run.failed))

    def _check_data(self, data: object) -> str | bytes:
        if isinstance(data, str):
            return str.__str__(data)  # str() of an enum's member is its name
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data is a {type(data).__name__}; expected str or bytes. For JSON: json.dumps(...)")
        if not self.options.binary:
            raise TypeError(f"{self!r} sends text; declare it with binary=True to send bytes ({self.where})")
        return bytes(data)

    def _denied(self, operation: str, word: str) -> Exception:
        return denied(repr(self), operation, word, self.where, self.granted)


class _Broadcast:
    """A broadcast under way: what came of it so far."""

    def __init__(self, fan_out: Any, api: str, data: str | bytes, deadline: float | None) -> None:
        self._fan_out = fan_out
        self._api = api
        self._data = data
        self._deadline = deadline
        self.sent = 0
        self.gone: list[str] = []
        self.failed: dict[str, Exception] = {}

    async def slice(self, ids: list[str]) -> None:
        pauses = iter(_BACKOFF_SECONDS)
        while True:
            if self._deadline is not None and asyncio.get_running_loop().time() >= self._deadline:
                self.failed.update((i, TimeoutError("the broadcast's seconds ran out")) for i in ids)
                return
            done = await self._fan_out(self._api, ids, self._data)
            self.sent += done.sent
            self.gone.extend(done.gone)
            ids = [i for i, error in done.failed.items() if isinstance(error, Throttled)]
            pause = next(pauses, None)
            if pause is None or not ids:
                self.failed.update(done.failed)
                return
            self.failed.update((i, e) for i, e in done.failed.items() if not isinstance(e, Throttled))
            await asyncio.sleep(pause)


def websocket(
    name: str,
    *,
    select: str = "$request.body.action",
    ordered: bool = True,
    binary: bool = False,
    limits: Limits | None = None,
) -> Websocket:
    """Declare a socket.

    Args:
        name: letters, digits, `_` and `-`, at most 128; clients connect to `/{name}`.
        select: which part of a message names its route; see `trunkline.model.expressions`.
        ordered: messages of one connection are handled one at a time, in order.
        binary: binary messages are taken and may be sent; without it they close the connection with 1003.
        limits: sizes and times; AWS's by default.

    Raises:
        DeclarationError: the name or the expression cannot be.
    """
    where = caller()
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DeclarationError(f"{where}: websocket({name!r}): a name is 1 to 128 letters, digits, '_' and '-'")
    try:
        compile_selector(select)
    except DeclarationError as error:
        raise DeclarationError(f"{where}: {error}") from None
    return Websocket(name, SocketOptions(select, ordered, binary, limits or Limits()), where)


def _route_key(socket: Websocket, event: str, route: str | None, where: Declared) -> str:
    if event not in _EVENTS:
        raise DeclarationError(f"{where}: {socket!r}.on({event!r}): expected 'connect', 'disconnect' or 'message'")
    if route is None:
        return _EVENTS[event]
    if event != "message":
        raise DeclarationError(f"{where}: {socket!r}.on({event!r}, route=...): only messages have custom routes")
    if not isinstance(route, str) or not route or route.startswith("$"):
        raise DeclarationError(
            f"{where}: route={route!r}: expected a text that does not start with '$'; leave it out for $default"
        )
    return route


def _identity_sources(identity: Sequence[str], socket: Websocket, where: Declared) -> tuple[IdentitySource, ...]:
    if isinstance(identity, str):
        raise DeclarationError(
            f"{where}: {socket!r}.authorizer(identity={identity!r}): expected a list, such as identity=[{identity!r}]"
        )
    try:
        return parse_identity_sources(identity)
    except DeclarationError as error:
        raise DeclarationError(f"{where}: {error}") from None


def _check_handler(function: object, socket: Websocket, event: str, where: Declared) -> None:
    name = getattr(function, "__name__", repr(function))
    if not inspect.iscoroutinefunction(function):
        raise DeclarationError(
            f"{_where(function, where)}: the {event} handler {name} of {socket!r} is not `async def`; "
            "write async def; wrap blocking calls in asyncio.to_thread"
        )
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        raise DeclarationError(
            f"{_where(function, where)}: the {event} handler {name} of {socket!r} must take one argument, the Context"
        ) from None


def _where(function: object, fallback: Declared) -> Declared:
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return replace(fallback, file=code.co_filename, line=code.co_firstlineno) if code is not None else fallback
