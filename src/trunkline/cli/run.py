"""`trunkline run`: serve a program until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline import log
from trunkline.cli.stopping import RELOADING, Interrupted, Stop, ignore_signals
from trunkline.cli.template import serve_template
from trunkline.config import Settings, parse_address, parse_limits, settings
from trunkline.errors import ConfigurationError
from trunkline.model.deployment import is_template

if TYPE_CHECKING:
    from trunkline.model.deployment import Deployment

__all__ = ["run"]


def run(
    programs: Annotated[
        list[str],
        typer.Argument(metavar="PROGRAM", help="Python files or modules, or one SAM or CloudFormation template"),
    ],
    host: Annotated[str | None, typer.Option(metavar="HOST", help="Address to listen at; default 127.0.0.1.")] = None,
    port: Annotated[
        str | None, typer.Option(metavar="PORT", help="Port to listen at, 0 for any; default 8000.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where documents live: sqlite:///FILE, memory: or dynamodb://REGION/PREFIX; "
            "default sqlite:, a file beside the program.",
        ),
    ] = None,
    web: Annotated[str | None, typer.Option(metavar="DIR", help="Folder of static files to serve.")] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help="Change a limit, such as frame_bytes=65536; may be repeated."),
    ] = None,
    admin: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Where /live and /ready are, or off; default 127.0.0.1, the port above."
        ),
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="How the log is written: text or json; default text.")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="The least that is logged: debug, info, warning or error.")
    ] = None,
    grace: Annotated[
        str | None,
        typer.Option(metavar="SECONDS", help="After SIGTERM, how long clients still come in; default 0."),
    ] = None,
    drain: Annotated[
        str | None,
        typer.Option(metavar="SECONDS", help="After that, how long handlers and closes may take; default 30."),
    ] = None,
    max_connections: Annotated[
        str | None, typer.Option(metavar="N", help="Cap of sockets at a time; default none.")
    ] = None,
    max_per_address: Annotated[
        str | None, typer.Option(metavar="N", help="Cap of sockets at a time of one address; default none.")
    ] = None,
    trust_proxy: Annotated[
        list[str] | None,
        typer.Option(metavar="NETWORK", help="Believe the X-Forwarded-For of this proxy; may be repeated."),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Let pages of this origin connect; may be repeated."),
    ] = None,
    verify_signatures: Annotated[
        bool, typer.Option("--verify-signatures", help="Calls to @connections must be signed, from here, too.")
    ] = False,
    keys: Annotated[
        str | None, typer.Option(metavar="FILE", help="The keys that they are signed with; needed by other hosts.")
    ] = None,
    host_name: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Answer calls to @connections under this name; may be repeated."),
    ] = None,
    region: Annotated[
        str | None, typer.Option(metavar="REGION", help="AWS Region of signatures and ARNs; default us-east-1.")
    ] = None,
    account: Annotated[
        str | None, typer.Option(metavar="DIGITS", help="AWS account of ARNs; default 000000000000.")
    ] = None,
    rate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PER_SECOND/BURST", help="Set a rate, such as address.messages=20/40; may be repeated."
        ),
    ] = None,
    quotas: Annotated[
        str | None, typer.Option(metavar="WHOSE", help="aws for the rates of an AWS account; default none.")
    ] = None,
    like: Annotated[
        str | None, typer.Option(metavar="WHAT", help="aws for what API Gateway does, and no more; default none.")
    ] = None,
    record_usage: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Note there which permissions are used, for `trunkline explain`."),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Set a parameter of a template; may be repeated."),
    ] = None,
    import_value: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="What another stack exports to a template; may be repeated."),
    ] = None,
    code_root: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder that a template's code is in; default its own.")
    ] = None,
    dynamodb: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="DynamoDB of a template's functions; dynalite or moto starts that; default what there is.",
        ),
    ] = None,
    node_modules: Annotated[
        str | None, typer.Option(metavar="DIR", help="npm packages that a template's functions find.")
    ] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Install packages that a template needs, of npm and Python, unasked.")
    ] = False,
    reload: Annotated[
        bool, typer.Option("--reload", help="Start anew when a Python file changes; for development.")
    ] = False,
) -> None:
    """Serve a program: its sockets, its handlers, its documents."""
    from trunkline.resources.loading import folder_of

    limits = parse_limits("the command line", limit) if limit else None
    flags: dict[str, object] = {"host": host, "port": port, "store": store, "web": web, "limit": limits, "admin": admin}
    flags |= {"log_format": log_format, "log_level": log_level, "grace": grace, "drain": drain}
    flags |= {"max_connections": max_connections, "max_per_address": max_per_address}
    flags |= {"trust_proxy": trust_proxy or None, "origin": origin or None}
    flags |= {"verify_signatures": verify_signatures or None, "keys": keys, "host_name": host_name or None}
    flags |= {"region": region, "account": account}
    flags |= {"rate": rate or None, "quotas": quotas, "like": like, "record_usage": record_usage}
    flags |= {"import_value": import_value or None, "code_root": code_root}
    flags |= {"parameter": parameter or None, "dynamodb": dynamodb, "node_modules": node_modules}
    template = is_template(programs[0])
    chosen = settings(Path(programs[0]).resolve().parent if template else folder_of(programs[0]), flags)
    _check(programs, chosen)
    given: dict[str, object] = {"--store": store, "--like": like, "--record-usage": record_usage}
    given |= {"--parameter": parameter, "--dynamodb": dynamodb}
    given |= {"--node-modules": node_modules, "--install": install}
    given |= {"--import-value": import_value, "--code-root": code_root}
    _check_kind(template, given, chosen)
    if reload and not template and RELOADING not in os.environ:
        from trunkline.cli.reloading import supervise

        supervise(programs)
        return
    log.configure(chosen.log_level, chosen.log_format)
    deployment = _prepared(Path(programs[0]), chosen, install=install, reload=reload) if template else None
    stop = Stop(chosen.grace + chosen.drain)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            if deployment is not None:
                runner.run(serve_template(Path(programs[0]), deployment, chosen, stop))
            else:
                runner.run(_serve(programs, chosen, stop))
        ignore_signals()
    except Interrupted as interrupted:
        raise typer.Exit(128 + interrupted.args[0]) from None


def _check(programs: list[str], chosen: Settings) -> None:
    """What is better said before a program is run than after it."""
    from trunkline.gateway.keys import keys_of

    for program in programs:
        if programs.count(program) > 1:
            raise ConfigurationError(f"{program} is given more than once")
        if is_template(program):
            _check_template(programs, Path(program))
        elif what := _what_instead(Path(program)):
            raise ConfigurationError(f"{program} is {what}; expected one such as chat.py")
    if chosen.web is not None and not Path(chosen.web).is_dir():
        what = "is a file" if Path(chosen.web).exists() else "does not exist"
        raise ConfigurationError(f"--web {chosen.web} {what}; expected a folder of static files")
    keys_of(chosen)
    if chosen.admin not in {None, "off"}:
        parse_address(str(chosen.admin), "--admin")


_OF_PROGRAMS = {
    "--store": "a template's items live in its tables; expected --dynamodb for another place of theirs",
    "--like": "a template is always run as API Gateway does it; expected --quotas aws for the rates of an account",
    "--record-usage": "a template says in its roles what its functions may do; expected a program",
}
_OF_TEMPLATES = ("--parameter", "--import-value", "--code-root", "--dynamodb", "--node-modules", "--install")


def _check_kind(template: bool, given: Mapping[str, object], chosen: Settings) -> None:
    """An option that would change nothing is refused."""
    for option in given if template else ():
        if given[option] and option in _OF_PROGRAMS:
            raise ConfigurationError(f"{option}: {_OF_PROGRAMS[option]}")
    for option in _OF_TEMPLATES if not template else ():
        if given[option]:
            raise ConfigurationError(f"{option} is for templates of AWS; expected one such as template.yaml")
    for rate in chosen.rate if template else ():
        if rate.startswith("socket."):
            raise ConfigurationError(f"rate {rate!r}: a template says the rates of its stages and routes itself")


def _prepared(template: Path, chosen: Settings, *, install: bool, reload: bool) -> Deployment:
    from trunkline.cli.installing import offer_packages
    from trunkline.compiling import load_deployment

    deployment = load_deployment(template, chosen)
    offer_packages(deployment, chosen, install=install)
    if reload:
        print("--reload: a template and its functions follow their files by themselves")
    return deployment


def _check_template(programs: list[str], template: Path) -> None:
    if len(programs) > 1:
        raise ConfigurationError(f"{template} is a template; expected nothing beside it, got {', '.join(programs)}")
    if not template.is_file():
        what = "is a folder" if template.exists() else "does not exist"
        raise ConfigurationError(f"{template} {what}; expected a template such as template.yaml")


def _what_instead(path: Path) -> str | None:
    """What a path is that would be imported, to no avail, as a module of the same name."""
    if path.is_dir() and not (path / "__init__.py").exists() and not path.with_suffix(".py").exists():
        return "a folder and no Python file"
    return "no Python file" if path.suffix not in {"", ".py"} and path.is_file() else None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32" or os.environ.get("TRUNKLINE_LOOP") == "asyncio":
        return None
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _serve(programs: list[str], chosen: Settings, stop: Stop) -> None:
    from trunkline import runtime
    from trunkline.cli.banner import banner

    async with runtime.open(programs, store=chosen.store, settings=chosen, serving=True) as node:
        await node.listen(chosen)
        stop.opened(node.gateway)
        banner(node, chosen)
        await stop.wait()
        await stop.leave(chosen.grace, chosen.drain)
