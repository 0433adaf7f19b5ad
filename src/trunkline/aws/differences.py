"""What AWS weakens of what Trunkline promises, as far as a program touches it: each with its file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.aws.program import AwsProgram, Route, Socket
from trunkline.model.api import CONNECT_ROUTE, DISCONNECT_ROUTE, Limits
from trunkline.resources.permissions import Declared

if TYPE_CHECKING:
    from trunkline.config import Settings

__all__ = ["differences"]

_AWS = Limits()
_ENFORCED = {"handler_seconds"}  # API Gateway takes a shorter timeout
_TAKEN = re.compile(r"[A-Za-z0-9_./-]+")  # AWS documents no form of route keys; these are known to be taken
_IGNORED = ("max_connections", "max_per_address", "trust_proxy")


def differences(program: AwsProgram, settings: Settings) -> tuple[str, ...]:
    """A line for each, in the order of the program.

    Args:
        settings: of the program's folder; some of them mean nothing on AWS.
    """
    found = [line for socket in program.sockets for line in _socket(socket, program, settings)]
    for lifespan in program.application.lifespans:
        where = _relative(lifespan.where, program.folder)
        found.append(
            f"{where}: Lambda does not say when a process ends, so what stands behind this lifespan's `yield` may not "
            "run; and each of the processes that run side by side has one of its own"
        )
    return (*found, *_settings(settings))


def _socket(socket: Socket, program: AwsProgram, settings: Settings) -> Iterator[str]:
    named = f"{socket.where}: websocket({socket.name!r})"
    for route in socket.routes:
        yield from _route(route)
    if socket.options.ordered and any(route.two_way for route in socket.routes):
        yield (
            f"{named} is ordered, which API Gateway knows nothing of: messages of one connection are handled side by "
            "side, and a later one may be done first, or after the disconnect handler began"
        )
    for name in Limits.__dataclass_fields__:
        limit = settings.limit.get(name, getattr(socket.options.limits, name))
        if limit < getattr(_AWS, name) and name not in _ENFORCED:
            yield f"{named} lowers {name} to {limit:,g}; API Gateway has {getattr(_AWS, name):,g} for everybody"
    yield f"{named}: a page of any site may connect; API Gateway does not look at Origin, so an authorizer has to"
    yield from _uses(socket, program)
    if socket.authorizer is not None:
        yield (
            f"{socket.authorizer.where}: API Gateway closes no connection at the end that Allow(expires_at=...) gives; "
            "it lasts for two hours at most"
        )


def _route(route: Route) -> Iterator[str]:
    if route.key == DISCONNECT_ROUTE:
        yield f"{route.where}: a disconnect handler is best effort on AWS: it may never run for a connection"
    elif route.key == CONNECT_ROUTE:
        yield (
            f"{route.where}: on AWS nothing can be sent to a connection before its connect handler has returned: "
            "send answers False"
        )
    elif not route.key.startswith("$") and not _TAKEN.fullmatch(route.key):
        yield (
            f"{route.where}: route {route.key!r} may be refused by API Gateway, which is only known to take letters, "
            "digits, '-', '_', '.' and '/'"
        )


def _uses(socket: Socket, program: AwsProgram) -> Iterator[str]:
    uses = {use for function in program.functions for use in function.uses}
    for use in sorted(uses, key=lambda one: (one.where.file, one.where.line, one.word)):
        if (use.kind, use.name) != ("websocket", socket.name):
            continue
        if use.word == "closing":
            yield f"{use.where}: API Gateway closes with 1000, whatever code and reason close() is given"
        if use.word == "sending":
            yield f"{use.where}: send() is True once API Gateway took it, which promises no order between two messages"


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
