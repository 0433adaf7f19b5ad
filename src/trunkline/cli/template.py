"""`trunkline run template.yaml`: somebody's application of API Gateway, Lambda and DynamoDB, served as it stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rich.console import Console
from rich.text import Text

from trunkline.errors import ConfigurationError
from trunkline.log import escape

if TYPE_CHECKING:
    from trunkline.cli.stopping import Stop
    from trunkline.config import Settings
    from trunkline.model.deployment import Deployment, RouteDefinition
    from trunkline.served import ServedTemplate

__all__ = ["serve_template"]

_COLOURS = ("cyan", "magenta", "green", "blue", "yellow")
_LABEL = 14  # the width of the first column
_SHOWN = 6  # of a list in the banner
_WIDEST = 44  # a column that is wider pushes what follows off the screen
_Row: TypeAlias = tuple[str, tuple[str, ...], str]


async def serve_template(file: Path, deployment: Deployment, chosen: Settings, stop: Stop) -> None:
    """Serve it, as it was read, until it is told to stop; what changes below its folder is taken up."""
    from trunkline.served import open_template

    terminal = Console(highlight=False, soft_wrap=True)
    async with open_template(file, chosen, _speaker(terminal), deployment) as served:
        stop.opened(served.gateway, served.running)
        watching = asyncio.create_task(_watch(served, terminal))
        await asyncio.sleep(0)  # it watches from before the banner on
        _banner(served, chosen, terminal)
        try:
            await stop.wait()
        finally:
            watching.cancel()
        await stop.leave(chosen.grace, chosen.drain)


def _speaker(terminal: Console) -> Callable[[str, str], None]:
    """Prints what functions write, each line behind the function's name."""
    colours: dict[str, str] = {}

    def say(function: str, line: str) -> None:
        colour = colours.setdefault(function, _COLOURS[len(colours) % len(_COLOURS)])
        terminal.print(Text.assemble((f"{function} | ", colour), escape(line)))

    return say


async def _watch(served: ServedTemplate, terminal: Console) -> None:
    try:
        await _follow(served, terminal)
    except Exception as error:  # noqa: BLE001 - whatever it is, what is served goes on
        terminal.print(Text(f"changes are no longer noticed: {_why_unwatched(error)}", style="red"))


def _why_unwatched(error: Exception) -> str:
    polling = "WATCHFILES_FORCE_POLLING=1 in the environment does without it"
    return (
        f"{str(error).rstrip('.')}; start anew to serve them, and if this is the system's limit of watches, {polling}"
    )


async def _follow(served: ServedTemplate, terminal: Console) -> None:
    import watchfiles

    from trunkline.cli.reloading import names_of

    class Sources(watchfiles.DefaultFilter):
        ignore_dirs = (*watchfiles.DefaultFilter.ignore_dirs, ".trunkline", ".aws-sam")

    async for changes in watchfiles.awatch(served.root, watch_filter=Sources(), step=50):
        files = sorted({Path(path) for _, path in changes})
        if served.file.resolve() in files:
            await _redeploy(served, terminal)
        anew = sorted({name for file in files for name in served.changed(file)})
        if anew:
            terminal.print(Text(f"{names_of(changes)} changed: {', '.join(anew)} run anew", style="dim"))


async def _redeploy(served: ServedTemplate, terminal: Console) -> None:
    try:
        await served.redeploy()
    except ConfigurationError as error:
        terminal.print(Text(f"{error}; what was served before still is", style="red"))
    else:
        terminal.print(Text(f"{served.file.name} changed: deployed anew, connections stay", style="dim"))


def _banner(served: ServedTemplate, chosen: Settings, out: Console) -> None:
    from trunkline.runtime import shown_address

    address = shown_address(*served.address)
    rows = [*_rows(served, chosen, address)]
    if served.admin_address is not None:
        rows.append(("admin", (f"http://{shown_address(*served.admin_address)}/ready",), ""))
    for label, cells, where in rows:
        widths = [min(_width(rows, label, column), _WIDEST) for column in range(len(cells))]
        text = "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True))
        row = Text.assemble((label.ljust(_LABEL), "bold"), (text, "cyan" if label == "socket" else ""))
        out.print(row.append(f"  {where}", style="dim") if where else row)
    for warned in served.deployment.warnings:
        out.print(Text.assemble(("warning".ljust(_LABEL), "yellow"), str(warned)))
    out.print(Text(f"listening at {address}; stop with Ctrl-C", style="dim"))


def _rows(served: ServedTemplate, chosen: Settings, address: str) -> Iterator[_Row]:
    deployment = served.deployment
    if chosen.web is not None:
        yield "page", (f"http://{address}/",), ""
    for path, api in served.paths.items():
        yield "socket", (f"ws://{address}/{path}",), ""
        (definition,) = [one for one in deployment.apis if one.logical_id == api.name]
        if definition.authorizer is not None:
            yield "", (f"authorizer -> {definition.authorizer.function}",), definition.authorizer.where
        for route in definition.routes:
            yield "", (f"{route.key} -> {_behind(route)}{' and back' if route.two_way else ''}",), route.where
    for function in deployment.functions:
        yield "function", (function.name, function.runtime), function.where
    for table in deployment.tables:
        yield "table", (table.name, f"in {served.dynamodb}" if served.has_tables else "not there"), table.where
    if deployment.not_run:
        yield "not run here", (_few(deployment),), ""


def _behind(route: RouteDefinition) -> str:
    """What a route leads to, as its stages are told it."""
    integration = route.integration
    if integration.kind == "AWS_PROXY":
        return integration.function
    if integration.uri:
        url = integration.uri.partition("?")[0]  # what comes behind may be a key
        return f"{integration.kind} {integration.method} {url}"
    return " ".join(filter(None, (integration.kind, integration.function, integration.action)))


def _width(rows: list[_Row], label: str, column: int) -> int:
    return max((len(cells[column]) for kind, cells, where in rows if kind == label and where), default=0)


def _few(deployment: Deployment) -> str:
    names = [f"{name} ({kind})" for name, kind in deployment.not_run]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
