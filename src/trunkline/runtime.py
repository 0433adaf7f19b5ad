"""The one place that wires a node together. `trunkline.open` is its public name."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, TypeAlias

from trunkline import limits
from trunkline.config import Settings, parse_address
from trunkline.connections.local import LocalConnections
from trunkline.errors import ConfigurationError
from trunkline.gateway.admission import Admission
from trunkline.gateway.journal import Journal
from trunkline.gateway.keys import keys_of
from trunkline.gateway.management import Management
from trunkline.gateway.recovery import recover
from trunkline.gateway.server import Gateway
from trunkline.gateway.signatures import Verifier
from trunkline.gateway.throttling import AWS_RATES, ThrottledConnections, Throttling
from trunkline.integrations.python import PythonIntegration
from trunkline.model.api import (
    CONNECT_ROUTE,
    DISCONNECT_ROUTE,
    CompiledApi,
    CompiledAuthorizer,
    CompiledRoute,
    Rate,
    execute_arn,
)
from trunkline.model.deployment import is_template
from trunkline.model.expressions import compile_selector
from trunkline.model.ids import MAX_EPOCH, ConnectionIds, api_id
from trunkline.resources.application import Application
from trunkline.resources.authorizer import PythonAuthorizer
from trunkline.resources.collection import Collection
from trunkline.resources.context import running_node
from trunkline.resources.loading import declared_in, folder_of, load
from trunkline.resources.portability import check_for_aws
from trunkline.resources.usage import NotingConnections, NotingStore, Usage, noting
from trunkline.resources.websocket import Websocket
from trunkline.stores import open_store

if TYPE_CHECKING:
    from trunkline.connections.base import Connections
    from trunkline.resources.websocket import Handler
    from trunkline.stores.base import Store

__all__ = [
    "Program", "RunningNode", "compile_apis", "connection_ids", "gateway_of", "open", "open_admin", "rates_of",
    "shown_address",
]  # fmt: skip

_STATE = ".trunkline"
_KEY = "id.key"
_KEY_BYTES = 32
_JOURNAL = "journal"
Program: TypeAlias = str | Path | ModuleType | Application | Sequence[str | Path | Websocket | Collection]


class RunningNode:
    """A node that runs: what operations and tests reach it by.

    Attributes:
        application: what the program declared.
        gateway: its gateway.
        connections: the seam of connections.
        store: where its documents live.
        journal: of connections, from `listen` on; None without a state folder.
    """

    def __init__(
        self,
        application: Application,
        gateway: Gateway,
        connections: Connections,
        store: Store,
        journal: Journal | None = None,
    ) -> None:
        self.application = application
        self.gateway = gateway
        self.connections = connections
        self.store = store
        self.journal = journal
        self.address: tuple[str, int] = ("127.0.0.1", 8000)
        self.admin_address: tuple[str, int] | None = None

    def url(self, socket: str) -> str:
        """Where clients connect to a socket."""
        return f"ws://{shown_address(*self.address)}/{socket}"

    async def listen(self, settings: Settings) -> None:
        """Open the door, and the admin address beside it. Connections that a crash cut off have their end before.

        Raises:
            ConfigurationError: an address cannot be had, or another node with a door uses the state folder.
        """
        await self._take_journal()
        port = await self.gateway.listen(settings.host, settings.port)
        self.address = (settings.host, port)
        self.admin_address = await open_admin(self.gateway, settings, port)

    async def _take_journal(self) -> None:
        # Not before there is a door: a script that opens the program beside a server must not end its connections.
        if self.journal is not None and self.gateway.journal is None:
            if not self.journal.is_open:
                self.journal.open()
            self.gateway.journal = self.journal
            await recover(self.gateway, self.journal)


async def open_admin(gateway: Gateway, settings: Settings, port: int) -> tuple[str, int] | None:
    """Open the admin address beside a door at this port; None if it is to be off."""
    if settings.admin == "off":
        return None
    beside = 0 if settings.port in {0, 65535} else port + 1
    host, admin = ("127.0.0.1", beside) if settings.admin is None else parse_address(settings.admin, "--admin")
    return host, await gateway.listen_admin(host, admin)


@contextlib.asynccontextmanager
async def open(  # noqa: A001
    program: Program,
    *,
    store: str = "memory:",
    settings: Settings | None = None,
    serving: bool = False,
) -> AsyncIterator[RunningNode]:
    """Run a program inside this process, without a listener: for tests, notebooks and scripts.

    Inside the block, operations of the program's resources work. On leaving it every connection is closed,
    and every disconnect handler has run.

    Args:
        program: a file or several, a module, or what it declared: sockets and handles on collections.
        store: "memory:", "sqlite:" (in `.trunkline/` beside the program), "sqlite:///FILE" or
            "dynamodb://REGION/PREFIX".
        settings: everything else; its store is not used.
        serving: a door will be opened: no lifespan begins while another such node uses the state folder.

    Raises:
        ConfigurationError, DeclarationError: the program or the store cannot be had.
    """
    chosen = settings or Settings()
    keys = keys_of(chosen)
    application, folder = _application(program)
    apis = _apis(application, chosen)
    state = folder / _STATE
    usage = noting() if chosen.record_usage is None else Usage(Path(chosen.record_usage))
    documents = open_store(store, state, tuple(application.collections))
    if usage is not None:
        documents = NotingStore(documents, usage)
    keeping = store != "memory:"
    ids = connection_ids(state if keeping else None)
    journal = Journal(state / _JOURNAL) if keeping else None
    if serving and journal is not None:
        journal.open()
    try:
        await documents.open()
        context = contextvars.copy_context()
        connections = LocalConnections(ids.origin)
        gateway = gateway_of(apis, ids, connections, chosen, Verifier(keys, chosen.region), context)
        reached: Connections = connections
        if chosen.like == "aws":
            reached = ThrottledConnections(connections, {api.name: api.calls for api in apis})
        if usage is not None:
            reached = NotingConnections(reached, usage)
        node = RunningNode(application, gateway, reached, documents, journal if chosen.like != "aws" else None)
        context.run(running_node.set, node)
        token = running_node.set(node)
        try:
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(gateway.close)  # for a lifespan that fails at its beginning
                for declared in application.lifespans:
                    life = declared.enter()
                    await life.__aenter__()
                    # An error of the block is not the lifespan's: what stands behind its `yield` runs all the same.
                    stack.push_async_callback(life.__aexit__, None, None, None)
                try:
                    yield node
                finally:
                    await gateway.close()
        finally:
            running_node.reset(token)
    finally:
        if journal is not None:
            journal.close()
        await documents.close()
        if usage is not None:
            usage.save()


def gateway_of(
    apis: Sequence[CompiledApi],
    ids: ConnectionIds,
    connections: LocalConnections,
    chosen: Settings,
    verifier: Verifier,
    context: contextvars.Context,
    *,
    foreign: bool = False,
) -> Gateway:
    """A gateway of these Apis and connections, under the rules of the settings; `foreign` as for `Management`."""
    admission = Admission(
        most=chosen.max_connections,
        most_per_address=chosen.max_per_address,
        proxies=chosen.trust_proxy,
        origins=chosen.origin,
    )
    management = Management(
        connections,
        connections,
        ids.origin,
        verifier,
        admission,
        verifying=chosen.verify_signatures,
        hosts=chosen.host_name,
        foreign=foreign,
    )
    web = None if chosen.web is None else Path(chosen.web)
    return Gateway(apis, ids, connections, web=web, admission=admission, management=management, context=context)


def _apis(application: Application, chosen: Settings) -> list[CompiledApi]:
    """What is served: under the rates of the settings, and within what AWS promises if that is asked for."""
    like_aws = chosen.like == "aws"
    if like_aws:
        check_for_aws(application, chosen.limit)
    arn = execute_arn(chosen.region, chosen.account)
    apis = compile_apis(application, chosen.limit, arn=arn, rates=chosen.rate, like_aws=like_aws)
    throttling = Throttling(rates_of(chosen), asyncio.get_running_loop().time)
    return [throttling.applied(api) for api in apis]


def compile_apis(
    application: Application,
    limit: Mapping[str, float],
    *,
    arn: str = execute_arn(),
    rates: Mapping[str, Rate] = MappingProxyType({}),
    like_aws: bool = False,
) -> list[CompiledApi]:
    """One Api for each socket; its stage is the socket's name, and its ARN begins with `arn`.

    Raises:
        ConfigurationError: a rate is of a socket or a route that is not there.
    """
    _check_rates(application, rates)
    apis = []
    for name, socket in application.sockets.items():
        options = socket.options
        handlers = application.handlers[name]
        routes = {
            key: _route(handler, binary=options.binary, rate=rates.get(f"socket.{name}.{key}"))
            for key, handler in handlers.items()
        }
        connect, disconnect = routes.pop(CONNECT_ROUTE, None), routes.pop(DISCONNECT_ROUTE, None)
        custom = any(not key.startswith("$") for key in routes)
        apis.append(
            CompiledApi(
                name=name,
                api_id=api_id(name),
                stage=name,
                select=compile_selector(options.select) if custom else None,
                routes=routes,
                connect=connect,
                disconnect=disconnect,
                authorizer=_authorizer(application.authorizers.get(name)),
                ordered=options.ordered and not like_aws,
                binary=options.binary,
                limits=replace(options.limits, **limit),  # type: ignore[arg-type]
                execute_arn=arn,
                best_effort=like_aws,
                header_bytes=limits.AWS_HEADER_BYTES if like_aws else None,
                rate=rates.get(f"socket.{name}"),
            )
        )
    return apis


def rates_of(settings: Settings) -> dict[str, Rate]:
    """The rates in force, by name."""
    return {**(AWS_RATES if "aws" in {settings.quotas, settings.like} else {}), **settings.rate}


def _check_rates(application: Application, rates: Mapping[str, Rate]) -> None:
    known = [
        f"socket.{name}{route}"
        for name, handlers in application.handlers.items()
        for route in ("", *(f".{key}" for key in handlers if key != DISCONNECT_ROUTE))
    ]
    for name in rates:
        if name.startswith("socket.") and name not in known:
            raise ConfigurationError(f"rate {name!r} is of nothing that this program has; there are {', '.join(known)}")


def connection_ids(state: Path | None) -> ConnectionIds:
    """Ids for this boot. The key and the boot's number are kept in the state folder; None keeps nothing."""
    if state is None:
        return ConnectionIds(secrets.token_bytes(32))
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(state / "lock"):
            key = _read_key(state / _KEY)
            epoch_file = state / "epoch"
            epoch = _read_epoch(epoch_file) + 1
            _write(epoch_file, str(epoch).encode())
    except OSError as error:
        raise ConfigurationError(
            f"cannot keep the key and the count of starts in {state}: {error.strerror}; see to that, or pass "
            "--store memory: to keep nothing"
        ) from None
    return ConnectionIds(key, epoch=epoch)


def _route(handler: Handler, *, binary: bool, rate: Rate | None) -> CompiledRoute:
    integration = PythonIntegration(handler.function, binary=binary)
    return CompiledRoute(handler.route, integration.invoke, str(handler.where), rate=rate)


def _authorizer(handler: Handler | None) -> CompiledAuthorizer | None:
    if handler is None:
        return None
    return CompiledAuthorizer(PythonAuthorizer(handler.function).decide, str(handler.where), handler.identity)


def _application(program: Program) -> tuple[Application, Path]:
    if isinstance(program, Application):
        return program, Path.cwd()
    if isinstance(program, ModuleType):
        file = getattr(program, "__file__", None)  # a notebook's __main__ has none
        return Application.of(declared_in(program)), Path.cwd() if file is None else Path(file).resolve().parent
    parts = [program] if isinstance(program, str | Path) else list(program)
    names = [str(part) for part in parts if isinstance(part, str | Path)]
    if len(names) == len(parts):
        for name in names:
            if is_template(name):
                raise ConfigurationError(
                    f"{name} is a template of AWS; expected a program. `trunkline run` serves it, and in tests "
                    "trunkline.testing.template"
                )
        return load(names), folder_of(names[0])
    if names:
        raise ConfigurationError(f"a program is files and modules, or declarations; got both: {parts!r}")
    return Application.of(parts), Path.cwd()


def shown_address(host: str, port: int) -> str:
    """An address as it stands in a URL that can be opened here."""
    shown = "127.0.0.1" if host in {"", "0.0.0.0", "::"} else host  # noqa: S104
    return f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read_key(file: Path) -> bytes:
    key = _read_or_make(file, lambda: secrets.token_bytes(_KEY_BYTES))
    if len(key) != _KEY_BYTES:
        raise ConfigurationError(
            f"{file} has {len(key)} bytes; the key of connection ids has {_KEY_BYTES}. Put the right file back, or "
            "remove it: a new key is made, and ids made under the old one are no longer recognised"
        )
    return key


def _read_epoch(file: Path) -> int:
    text = _read_or_make(file, lambda: b"0")
    if not text.isdigit() or not int(text) < MAX_EPOCH:
        raise ConfigurationError(
            f"{file} holds {text[:40]!r}; expected the number of the last start, below {MAX_EPOCH}. Remove "
            f"{file.name} and {_KEY}: a new key keeps ids unique"
        )
    return int(text)


def _read_or_make(file: Path, make: Callable[[], bytes]) -> bytes:
    if not file.exists():
        _write(file, make())
    return file.read_bytes()


def _write(file: Path, data: bytes) -> None:
    """Durably, and never half: a new file takes the old one's name."""
    new = file.with_name(file.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(file)
