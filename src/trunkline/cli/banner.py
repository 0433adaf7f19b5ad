"""What `trunkline run` prints when the door is open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from trunkline.model.api import CONNECT_ROUTE, DISCONNECT_ROUTE
from trunkline.resources.permissions import COLLECTION_WORDS, SOCKET_WORDS, Word
from trunkline.runtime import rates_of, shown_address

if TYPE_CHECKING:
    from trunkline.config import Settings
    from trunkline.resources.permissions import Declared
    from trunkline.resources.websocket import Handler
    from trunkline.runtime import RunningNode

__all__ = ["banner"]

_LABEL = 12  # the width of the first column
_ORDER = {CONNECT_ROUTE: 0, DISCONNECT_ROUTE: 2}  # a connection's life, with the messages in the middle


class _Row:
    """A line: a label, then cells that stand under those of its like; the last is where it is declared."""

    def __init__(self, kind: str, label: str, *cells: str, where: Declared | None = None) -> None:
        self.kind = kind
        self.label = label
        self.cells = cells
        self.where = "" if where is None else _short(where)

    def text(self, widths: list[int]) -> Text:
        """Padded to columns; a terminal that is too narrow wraps it and cuts nothing off."""
        text = Text(self.label.ljust(_LABEL), style="bold")
        cells = [f"{cell:{width}}" for cell, width in zip(self.cells, widths, strict=True)]
        text.append("  ".join(cells), style="not bold cyan" if self.kind == "url" else "not bold")
        return text.append(f"  {self.where}", style="not bold dim") if self.where else text


def banner(node: RunningNode, settings: Settings, console: Console | None = None) -> None:
    """Print URLs, routes with file and line, and collections with their grants."""
    out = console or Console(highlight=False, soft_wrap=True)
    rows = list(_rows(node, settings))
    for row in rows:
        alike = [other.cells for other in rows if other.kind == row.kind]
        out.print(row.text([max(map(len, column)) if row.where else 0 for column in zip(*alike, strict=True)]))
    host, port = node.address
    out.print(f"[dim]listening at {host}:{port}; stop with Ctrl-C[/]")


def _rows(node: RunningNode, settings: Settings) -> Iterator[_Row]:
    if settings.web is not None:
        yield _Row("url", "page", node.url("").replace("ws:", "http:"))
    for name in node.application.sockets:
        yield from _socket(node, name)
    for name, handles in sorted(node.application.collections.items()):
        for handle in handles:
            if handle.granted or len(handles) == 1:
                yield _Row(
                    "collection", "collection", name, _words(handle.granted, COLLECTION_WORDS), where=handle.where
                )
    yield _Row("store", "documents", _documents(node))
    yield from _bounds(settings)
    if node.admin_address is not None:
        yield _Row("url", "admin", f"http://{shown_address(*node.admin_address)}/ready")


def _bounds(settings: Settings) -> Iterator[_Row]:
    """What it is under that it would not be by itself."""
    if settings.like == "aws":
        yield _Row(
            "bounds", "like", "AWS: handlers run side by side, disconnect is best effort, limits cannot be raised"
        )
    if rates := rates_of(settings):
        yield _Row("bounds", "rates", ", ".join(f"{name}={rate}" for name, rate in rates.items()))


def _socket(node: RunningNode, name: str) -> Iterator[_Row]:
    yield _Row("url", "socket", node.url(name))
    authorizer = node.application.authorizers.get(name)
    if authorizer is not None:
        yield _Row("route", "", "authorizer", authorizer.function.__name__, where=authorizer.where)
    for handler in sorted(node.application.handlers[name].values(), key=_place):
        yield _Row("route", "", handler.route, handler.function.__name__, where=handler.where)
    for handle in node.application.grants[name]:
        if handle.granted > {"sending"}:
            yield _Row("grant", "", "allowed", _words(handle.granted, SOCKET_WORDS), where=handle.where)


def _place(handler: Handler) -> tuple[int, bool, str]:
    return _ORDER.get(handler.route, 1), handler.route.startswith("$"), handler.route


def _words(granted: frozenset[str], table: dict[str, Word]) -> str:
    return ", ".join(word for word in table if word in granted) or "nothing allowed"


def _documents(node: RunningNode) -> str:
    place = getattr(node.store, "place", None)
    if place is not None:
        return f"in {place}"
    file = getattr(node.store, "file", None)
    return "in memory, until this ends" if file is None else f"in {_relative(str(file))}"


def _short(where: Declared) -> str:
    return f"{_relative(where.file)}:{where.line}"


def _relative(file: str) -> str:
    """The shortest way to say it from here."""
    absolute = str(Path(file).resolve())
    try:
        return min(os.path.relpath(absolute), absolute, key=len)
    except ValueError:  # on another drive of Windows
        return absolute
