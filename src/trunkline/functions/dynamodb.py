"""The tables of a template: in a DynamoDB that somebody named, or in one that is started for the run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from trunkline.errors import ConfigurationError
from trunkline.functions.dynamodb_server import KINDS, DynamoServer, choose_server
from trunkline.functions.environment import Say
from trunkline.functions.tables import make_tables
from trunkline.model.tables import TableDefinition

__all__ = ["Tables", "tables_for"]

_SHORTEST_LIFE = 5.0  # what ends sooner after its start would end again
_NONE_NOW = "there are no tables until the next run"
_SLOW = "moto's server holds the tables: it is slow on large ones; dynalite is quick"
_CANNOT = (
    "dynalite was asked for {}, which it does not have: `--dynamodb moto` may have it, after pip install "
    "'trunkline[moto]', or name a DynamoDB that has it with --dynamodb URL"
)


class Tables:
    """The tables of a run.

    Attributes:
        url: of their DynamoDB; it stays the same.
    """

    def __init__(self, region: str, say: Say, url: str | None = None) -> None:
        self.url = url or ""
        self._region = region
        self._say = say
        self._is_named = url is not None
        self._definitions: Sequence[TableDefinition] = ()
        self._server: DynamoServer | None = None
        self._command: tuple[str, list[str]] = ("", [])
        self._began = 0.0
        self._anew: asyncio.Task[None] | None = None
        self._told: set[str] = set()

    async def make(self, definitions: Sequence[TableDefinition]) -> None:
        """Have these tables. Those that are there already, with the same keys, are left as they are.

        Raises:
            ConfigurationError: one of them cannot be made.
        """
        await asyncio.to_thread(make_tables, definitions, self.url, self._region, self._say, named=self._is_named)
        self._definitions = definitions

    async def start(self, name: str, command: list[str]) -> None:
        """Start a DynamoDB of the run's own.

        Raises:
            ConfigurationError: it did not start.
        """
        self._command = (name, command)
        await self._start(0)

    async def close(self) -> None:
        """End it, if it is the run's own."""
        if self._anew is not None:
            self._anew.cancel()
            await asyncio.wait([self._anew])
        if self._server is not None:
            self._server.close()

    async def _start(self, port: int) -> None:
        self._server = DynamoServer(*self._command, port)
        self.url = await asyncio.to_thread(self._server.url)
        self._began = asyncio.get_running_loop().time()
        self._server.watch(self._asked_in_vain, self._ended)

    def _asked_in_vain(self, operation: str) -> None:
        if operation not in self._told:
            self._told.add(operation)
            self._say("dynamodb", _CANNOT.format(operation))

    def _ended(self) -> None:
        self._anew = asyncio.ensure_future(self._run_anew())

    async def _run_anew(self) -> None:
        server, name = self._server, self._command[0]
        assert server is not None
        lived = asyncio.get_running_loop().time() - self._began
        how = server.close()
        for line in server.last_words().splitlines():
            self._say("dynamodb", line)
        if lived < _SHORTEST_LIFE:
            self._say(
                "dynamodb", f"{name} has ended ({how}) soon after its start; there are no tables until the next run"
            )
            return
        self._say("dynamodb", f"{name} has ended ({how}) and all items are lost; it is started anew with empty tables")
        try:
            await self._start(int(self.url.rpartition(":")[2]))
            await self.make(self._definitions)
        except ConfigurationError as error:
            self._say("dynamodb", f"{_NONE_NOW}: {error}")


@contextlib.asynccontextmanager
async def tables_for(
    definitions: Sequence[TableDefinition],
    *,
    dynamodb: str | None = None,
    node: Path | None = None,
    folders: Sequence[Path] = (),
    region: str = "us-east-1",
    say: Say,
) -> AsyncIterator[Tables]:
    """Have tables for as long as the block lasts.

    Args:
        dynamodb: URL of one that runs; dynalite or moto starts that, None what there is. What is started is forgotten
            behind the block; if it ends before, it is started anew.
        node: the program Node; None for what is found.
        folders: each a `node_modules`, where dynalite is looked for.
        region: of the tables.
        say: takes lines for people, from "dynamodb".

    Raises:
        ConfigurationError: there is no DynamoDB, or a table cannot be made in it.
    """
    named = None if dynamodb in KINDS else dynamodb
    tables = Tables(region, say, named)
    try:
        if named is None:
            name, command = choose_server(node, folders, dynamodb)
            if name == "moto" and dynamodb is None:
                say("dynamodb", _SLOW)
            await tables.start(name, command)
        await tables.make(definitions)
        yield tables
    finally:
        await tables.close()
