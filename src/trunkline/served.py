"""A template that is served: its Apis on a gateway of this node, its functions in workers of their own.

What `runtime` is for a program of ours, this is for somebody's template.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.backends import NO_DYNAMODB, Backends
from trunkline.compiling import compile_deployment, load_deployment
from trunkline.connections.local import LocalConnections
from trunkline.errors import ConfigurationError
from trunkline.functions.certificates import Certificates, local_certificates
from trunkline.functions.dynamodb import Tables, tables_for
from trunkline.functions.dynamodb_server import KINDS, choose_server
from trunkline.functions.endpoints import variables
from trunkline.functions.environment import CREDENTIALS, Say, Surroundings
from trunkline.functions.npm import module_folders
from trunkline.functions.packages import hint_of
from trunkline.functions.pool import LocalFunction
from trunkline.gateway.invocations import Invocations
from trunkline.gateway.keys import Key, keys_of
from trunkline.gateway.signatures import Verifier
from trunkline.gateway.stages import Stage, by_host
from trunkline.gateway.throttling import Throttling
from trunkline.model.api import CompiledApi, partition
from trunkline.runtime import connection_ids, gateway_of, open_admin, rates_of

if TYPE_CHECKING:
    from trunkline.config import Settings
    from trunkline.gateway.server import Gateway
    from trunkline.model.deployment import Deployment
    from trunkline.model.functions import FunctionDefinition

__all__ = ["ServedTemplate", "open_template"]

_STATE = ".trunkline"


class ServedTemplate:
    """A template that is served, for as long as `open_template` holds it.

    Attributes:
        file: the template.
        root: the folder that it and its code are in.
        deployment: what it says.
        gateway: its gateway.
        functions: its functions, by physical name.
        paths: what is served, by path; nothing before `listen`.
        address: host and port of the door, once it is open.
        admin_address: those of `/live` and `/ready`, if there are any.
        dynamodb: URL of the DynamoDB that the functions use, if there is one.
        certificates: what the door speaks TLS with.
        backends: what is behind its integrations, other than functions.
    """

    def __init__(
        self, file: Path, deployment: Deployment, gateway: Gateway, settings: Settings, key: Key, say: Say
    ) -> None:
        self.file = file
        self.root = file.resolve().parent if settings.code_root is None else Path(settings.code_root).resolve()
        self.deployment = deployment
        self.gateway = gateway
        self.functions: dict[str, LocalFunction] = {}
        self.paths: dict[str, CompiledApi] = {}
        self.address = (settings.host, settings.port)
        self.admin_address: tuple[str, int] | None = None
        self.dynamodb: str | None = None
        self.certificates: Certificates | None = None
        self._settings = settings
        self._say = say
        self._retired: list[LocalFunction] = []
        self._throttling = Throttling(rates_of(settings), gateway.time)
        self.backends = Backends(settings.region)
        self._scratch = Path()
        self._hints: set[tuple[str, str]] = set()
        self._surroundings: Surroundings | None = None
        self._key = key
        self._open = contextlib.AsyncExitStack()
        self._tables: Tables | None = None

    @property
    def has_tables(self) -> bool:
        """Whether the template's tables could be made."""
        return self._tables is not None

    async def listen(self, scratch: Path) -> None:
        """Open the door. Before it is known where it is, nothing is served: functions have to find the way back.

        Raises:
            ConfigurationError: an address or a table cannot be had.
        """
        settings = self._settings
        await self._have_tables(self.deployment)
        port = await self.gateway.listen(settings.host, settings.port)
        self.address = (settings.host, port)
        self.admin_address = await open_admin(self.gateway, settings, port)
        self._scratch = scratch
        self._deploy(self.deployment)

    async def redeploy(self) -> None:
        """Read the template again and serve what it says now, under open connections.

        Raises:
            ConfigurationError: it cannot be read, or a table cannot be made; what was served before still is.
        """
        deployment = await asyncio.to_thread(load_deployment, self.file, self._settings)
        if deployment.tables != self.deployment.tables:
            await self._have_tables(deployment)
        self._deploy(deployment)

    def changed(self, file: Path) -> list[str]:
        """A file has changed: the functions that have it, or have it in a layer, run anew from the next invocation on.

        Returns:
            Their logical ids.
        """
        found = [one for one in self.functions.values() if _is_code_of(file, one.definition)]
        for function in found:
            function.replace()
        return [one.definition.logical_id for one in found]

    def running(self) -> list[str]:
        """The functions that are at work, by logical id."""
        functions = (*self.functions.values(), *self._retired)
        return sorted({one.definition.logical_id for one in functions if one.is_running})

    async def close(self) -> None:
        """Close every connection, and end every worker and the DynamoDB that was started."""
        await self.gateway.close()
        await asyncio.gather(
            self.backends.close(), *(function.close() for function in (*self.functions.values(), *self._retired))
        )
        await self._open.aclose()

    def _said(self, function: str, line: str) -> None:
        known = self.functions.get(function)
        if known is None:
            self._say(function, line)
            return
        name = known.definition.logical_id
        self._say(name, line)
        hint = hint_of(line, known.definition)
        if hint is not None and (name, hint) not in self._hints:
            self._hints.add((name, hint))
            self._say(name, hint)

    async def _have_tables(self, deployment: Deployment) -> None:
        gone = {table.name for table in self.deployment.tables} - {table.name for table in deployment.tables}
        for name in sorted(gone):
            self._say("dynamodb", f"table {name} is no longer in the template; it stays until the end of the run")
        if self._tables is not None:
            await self._tables.make(deployment.tables)
            return
        if deployment.tables:
            self._tables = await self._open_tables(deployment)
            self.dynamodb = NO_DYNAMODB if self._tables is None else self._tables.url
        elif self._settings.dynamodb not in KINDS:
            self.dynamodb = self._settings.dynamodb

    async def _open_tables(self, deployment: Deployment) -> Tables | None:
        settings, folders = self._settings, module_folders(self._settings.node_modules)
        if settings.dynamodb is None:
            try:
                choose_server(None, folders)
            except ConfigurationError as error:  # what needs no table runs all the same
                self._say("dynamodb", f"{error}. Until then functions find no table")
                return None
        opened = tables_for(
            deployment.tables, dynamodb=settings.dynamodb, folders=folders, region=settings.region, say=self._say
        )
        return await self._open.enter_async_context(opened)

    def _around(self, deployment: Deployment) -> Surroundings:
        folders = module_folders(self._settings.node_modules)
        more = {"NODE_PATH": os.pathsep.join(map(str, folders[1:]))} if folders[1:] else {}
        return Surroundings(
            region=self._settings.region,
            account=self._settings.account,
            environment=more | self._way_back(deployment),
            folder=self._scratch,
            say=self._said,
            node_modules=folders[0] if folders else None,
        )

    def _way_back(self, deployment: Deployment) -> dict[str, str]:
        credentials = {
            "AWS_ACCESS_KEY_ID": self._key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self._key.secret,
            "AWS_SESSION_TOKEN": str(self._key.session_token),
        }
        return credentials | variables(
            host=self._settings.host,
            port=self.address[1],
            region=self._settings.region,
            stages=[(api.api_id, stage.name) for api in deployment.apis for stage in api.stages],
            dynamodb=self.dynamodb,
            ca=None if self.certificates is None else self.certificates.ca,
            bundle=None if self.certificates is None else self.certificates.bundle,
        )

    def _deploy(self, deployment: Deployment) -> None:
        surroundings = self._around(deployment)
        functions: dict[str, LocalFunction] = {}
        for definition in deployment.functions:
            before = self.functions.get(definition.name)
            if before is None or before.definition != definition or surroundings != self._surroundings:
                before = LocalFunction(definition, surroundings)
            functions[definition.name] = before
        self.backends.dynamodb = self.dynamodb
        apis = compile_deployment(deployment, functions, self._settings, self._throttling, self.backends)
        for name, function in self.functions.items():
            if functions.get(name) is not function:
                function.replace()
                self._retired.append(function)
        self.functions.clear()  # the same dict: the Invoke API looks into it
        self.functions.update(functions)
        self.deployment = deployment
        self._surroundings = surroundings
        self._serve(apis)

    def _serve(self, apis: dict[str, CompiledApi]) -> None:
        stages = self.gateway.stages
        for path in stages.keys() - apis.keys():
            del stages[path]  # its open connections go on with what they had
        for path, api in apis.items():
            if path in stages:
                stages[path].api = api
            else:
                stages[path] = Stage(api)
        for api in apis.values():  # two Apis may have stages of one name; calls of functions name theirs by the Host
            stages[by_host(api.api_id, api.stage)] = Stage(api)
        self.paths = apis


@contextlib.asynccontextmanager
async def open_template(
    file: Path, settings: Settings, say: Say, given: Deployment | None = None
) -> AsyncIterator[ServedTemplate]:
    """Serve a template: the door is open inside the block.

    Args:
        given: what the template says, if it has been read already.
        say: takes each line that a function writes, and what the template calls the function.

    Raises:
        ConfigurationError: the template, or what it needs, cannot be had.
    """
    named = keys_of(settings)
    deployment = given or load_deployment(file, settings)
    ids = connection_ids(_folder(file) / _STATE)
    async with contextlib.AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trunkline-")))
        connections = LocalConnections(ids.origin)
        key = _key_of_a_run(settings)
        keys = None if named is None else [*named, key]
        verifier = Verifier(keys, settings.region)
        gateway = gateway_of([], ids, connections, settings, verifier, contextvars.copy_context(), foreign=True)
        served = ServedTemplate(file, deployment, gateway, settings, key, say)
        served.certificates = _certificates(deployment, settings, _folder(file) / _STATE)
        gateway.tls = served.certificates.context
        gateway.invocations = Invocations(
            served.functions,
            Verifier(keys, settings.region, "lambda"),
            gateway.admission,
            arn=f"arn:{partition(settings.region)}:lambda:{settings.region}:{settings.account}",
            verifying=settings.verify_signatures,
            hosts=settings.host_name,
        )
        stack.push_async_callback(served.close)
        await served.listen(scratch)
        yield served


def _key_of_a_run(settings: Settings) -> Key:
    """What the functions of a run sign with. Its id is no secret: some DynamoDBs have other tables for each."""
    return Key(
        CREDENTIALS["aws_access_key_id"],
        secrets.token_urlsafe(30),
        secrets.token_urlsafe(30),
        f"arn:{partition(settings.region)}:sts::{settings.account}:assumed-role/functions/local",
    )


def _certificates(deployment: Deployment, settings: Settings, folder: Path) -> Certificates:
    hosts = [f"{api.api_id}.execute-api.{settings.region}.amazonaws.com" for api in deployment.apis]
    return local_certificates(folder, ["localhost", "127.0.0.1", "::1", *hosts])


def _folder(file: Path) -> Path:
    return file.resolve().parent


def _is_code_of(file: Path, definition: FunctionDefinition) -> bool:
    places = definition.layers if definition.code is None else (definition.code, *definition.layers)
    return any(file.is_relative_to(place.resolve()) for place in places)
