"""What AWS weakens of what Trunkline promises, as far as a program touches it: each with its file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from trunkline.aws.program import AwsProgram, Route, Socket, Use
from trunkline.model.api import DISCONNECT_ROUTE, Limits
from trunkline.resources.permissions import Declared

if TYPE_CHECKING:
    from trunkline.config import Settings

__all__ = ["differences"]

_Told: TypeAlias = tuple[Declared, str]
_AWS = Limits()
_ENFORCED = {"handler_seconds"}  # API Gateway takes a shorter timeout
_TAKEN = re.compile(r"[A-Za-z0-9_./-]+")  # AWS documents no form of route keys; these are known to be taken
_KNOWN = "which is only known to take letters, digits, '-', '_', '.' and '/'"
_UNORDERED = (
    "which API Gateway knows nothing of: messages of one connection are handled side by side, and a later one may be "
    "done first, or after the disconnect handler began"
)
_ORIGIN = "a page of any site may connect; API Gateway does not look at Origin, so an authorizer has to"
_EXPIRY = "API Gateway closes no connection at the end that Allow(expires_at=...) gives; it lasts for two hours at most"
_LIFESPAN = (
    "Lambda does not say when a process ends, so what stands behind this lifespan's `yield` may not run; and each of "
    "the processes that run side by side has one of its own"
)
_OF_WORDS = {
    "closing": "API Gateway closes with 1000, whatever code and reason close() is given",
    "sending": (
        "send() is True once API Gateway took it, which promises no order between two messages; a client that reads "
        "slowly is Throttled after pauses, not SlowConsumer at once"
    ),
}
_IGNORED = ("max_connections", "max_per_address", "trust_proxy")


def differences(program: AwsProgram, settings: Settings) -> tuple[str, ...]:
    """A line for each, in the order of the program's lines; those of settings last.

    Args:
        settings: of the program's folder; some of them mean nothing on AWS.
    """
    found = [told for socket in program.sockets for told in _socket(socket, program, settings)]
    found += [(_relative(one.where, program.folder), _LIFESPAN) for one in program.application.lifespans]
    found.sort(key=lambda told: (told[0].file, told[0].line))
    return (*(f"{where}: {text}" for where, text in found), *_settings(settings))


def _socket(socket: Socket, program: AwsProgram, settings: Settings) -> Iterator[_Told]:
    named = f"websocket({socket.name!r})"
    if socket.options.ordered and any(route.two_way for route in socket.routes):
        yield socket.where, f"{named} is ordered, {_UNORDERED}"
    for name in Limits.__dataclass_fields__:
        limit = settings.limit.get(name, getattr(socket.options.limits, name))
        if limit < getattr(_AWS, name) and name not in _ENFORCED:
            most = f"{getattr(_AWS, name):,g}"
            there = f"incoming messages may have {most}" if name == "message_bytes" else f"API Gateway has {most}"
            yield socket.where, f"{named} lowers {name} to {limit:,g}; {there} for everybody"
    yield socket.where, f"{named}: {_ORIGIN}"
    yield from _uses(socket, program)
    if socket.authorizer is not None:
        yield socket.authorizer.where, _EXPIRY
    for route in socket.routes:
        yield from _route(route)


def _route(route: Route) -> Iterator[_Told]:
    if route.key == DISCONNECT_ROUTE:
        yield route.where, "a disconnect handler is best effort on AWS: it may never run for a connection"
    elif not route.key.startswith("$") and not _TAKEN.fullmatch(route.key):
        yield route.where, f"route {route.key!r} may be refused by API Gateway, {_KNOWN}"


def _uses(socket: Socket, program: AwsProgram) -> Iterator[_Told]:
    for use in sorted({use for function in program.functions for use in function.uses}, key=_by_line):
        if (use.kind, use.name) == ("websocket", socket.name) and use.word in _OF_WORDS:
            yield use.where, _OF_WORDS[use.word]


def _by_line(use: Use) -> tuple[str, int, str]:
    return use.where.file, use.where.line, use.word


def _settings(settings: Settings) -> Iterator[str]:
    if settings.web is not None:
        yield f"the setting web serves {settings.web}, which API Gateway does not: put the page somewhere else"
    for name in settings.rate:
        if not name.startswith("socket."):
            yield f"the setting rate has {name}, which API Gateway does not count"
    for name in _IGNORED:
        if getattr(settings, name):
            yield f"the setting {name} means nothing on AWS"
    if settings.origin:
        yield "the setting origin means nothing on AWS: API Gateway does not look at Origin"


def _relative(where: Declared, folder: Path) -> Declared:
    file = Path(where.file).resolve()
    return Declared(file.relative_to(folder).as_posix(), where.line) if file.is_relative_to(folder) else where
