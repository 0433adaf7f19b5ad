"""`trunkline run`: serve a program until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from trunkline import log
from trunkline.config import Settings, parse_limits, settings
from trunkline.errors import ConfigurationError

__all__ = ["run"]


def run(
    programs: Annotated[list[str], typer.Argument(metavar="PROGRAM...", help="Python files or modules.")],
    host: Annotated[str | None, typer.Option(help="Address to listen at [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen at; 0 for any [8000].")] = None,
    store: Annotated[
        str | None, typer.Option(help="Where documents live: sqlite:, sqlite:///FILE or memory: [sqlite:].")
    ] = None,
    web: Annotated[str | None, typer.Option(metavar="DIR", help="Folder of static files to serve.")] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help="Change a limit, such as frame_bytes=65536."),
    ] = None,
    admin: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where /live and /ready are, or off [the port above]."),
    ] = None,
) -> None:
    """Serve a program: its sockets, its handlers, its documents."""
    from trunkline.resources.loading import folder_of

    folder = folder_of(programs[0])
    limits = parse_limits("the command line", limit) if limit else None
    flags = {"host": host, "port": port, "store": store, "web": web, "limit": limits, "admin": admin}
    chosen = settings(folder, flags)
    if chosen.web is not None and not Path(chosen.web).is_dir():
        raise ConfigurationError(f"--web {chosen.web} is not a folder")
    log.configure()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(programs, chosen))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32" or os.environ.get("TRUNKLINE_LOOP") == "asyncio":
        return None
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _serve(programs: list[str], chosen: Settings) -> None:
    from trunkline import runtime
    from trunkline.cli.banner import banner

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        _on_signal(loop, number, stop.set)
    async with runtime.open(programs, store=chosen.store, settings=chosen) as node:
        await node.listen(chosen)
        banner(node, chosen)
        await stop.wait()


def _on_signal(loop: asyncio.AbstractEventLoop, number: int, do: Callable[[], Any]) -> None:
    try:
        loop.add_signal_handler(number, do)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(do))
