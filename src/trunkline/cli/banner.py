"""What `trunkline run` prints when the door is open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from trunkline.config import Settings
    from trunkline.resources.permissions import Declared
    from trunkline.runtime import RunningNode

__all__ = ["banner"]


def banner(node: RunningNode, settings: Settings, console: Console | None = None) -> None:
    """Print URLs, routes with file and line, and collections with their grants."""
    out = console or Console(highlight=False, soft_wrap=True)
    host, port = node.address
    if settings.web is not None:
        out.print(f"[bold]page[/]        [cyan]{node.url('').removesuffix('/').replace('ws:', 'http:')}/[/]")
    for name in node.application.sockets:
        out.print(f"[bold]socket[/]      [cyan]{node.url(name)}[/]")
        grid = Table.grid(padding=(0, 2))
        for route, handler in sorted(node.application.handlers[name].items()):
            grid.add_row("            " + route, handler.function.__name__, f"[dim]{_short(handler.where)}[/]")
        out.print(grid)
    for name, handles in sorted(node.application.collections.items()):
        grid = Table.grid(padding=(0, 2))
        for handle in handles:
            if handle.granted or len(handles) == 1:
                words = ", ".join(sorted(handle.granted)) or "nothing allowed"
                grid.add_row(f"[bold]collection[/]  {name}", words, f"[dim]{_short(handle.where)}[/]")
        out.print(grid)
    out.print(f"[bold]documents[/]   {settings.store}")
    if node.admin_address is not None:
        out.print(f"[bold]admin[/]       http://{node.admin_address[0]}:{node.admin_address[1]}/ready")
    out.print(f"[dim]listening at {host}:{port}; stop with Ctrl-C[/]")


def _short(where: Declared) -> str:
    try:
        return f"{Path(where.file).resolve().relative_to(Path.cwd())}:{where.line}"
    except ValueError:
        return str(where)
