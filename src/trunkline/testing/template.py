"""A template that is served in this process, for tests from outside; its functions are processes, as always."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.config import Settings
from trunkline.errors import ConfigurationError
from trunkline.runtime import shown_address
from trunkline.testing.loop import JumpingLoop

if TYPE_CHECKING:
    from trunkline.served import ServedTemplate

__all__ = ["TestTemplate", "template"]


class TestTemplate:
    """A template under test.

    Attributes:
        served: the template itself.
        output: what the functions have written, each line behind the function's name: "Shout | hello".
    """

    __test__ = False  # pytest would take the name for a test

    def __init__(self, served: ServedTemplate, output: list[str]) -> None:
        self.served = served
        self.output = output

    def url(self, path: str | None = None) -> str:
        """Where clients connect: the path of a stage, such as "dev"; None for the only one, or the first."""
        known = list(self.served.paths)
        if path is not None and path not in known:
            raise ConfigurationError(f"{self.served.file} has no stage {path!r}; there are {', '.join(known)}")
        return f"ws://{shown_address(*self.served.address)}/{known[0] if path is None else path}"


@contextlib.asynccontextmanager
async def template(
    file: str | Path,
    *,
    parameters: Mapping[str, str] | None = None,
    dynamodb: str | None = None,
    node_modules: str | Path | None = None,
) -> AsyncIterator[TestTemplate]:
    """Serve a template at any free port of this machine, for as long as the block lasts.

    Args:
        parameters, dynamodb, node_modules: as `trunkline run` takes them.

    Raises:
        ConfigurationError: the template, or what it needs, cannot be had; or time is virtual here, which processes do
            not know of.
    """
    from trunkline.served import open_template

    if isinstance(asyncio.get_running_loop(), JumpingLoop):
        raise ConfigurationError(
            "the functions of a template are processes and need real time; expected a plain `def` test that calls "
            "asyncio.run(...)"
        )
    modules = None if node_modules is None else str(node_modules)
    settings = Settings(
        port=0, admin="off", parameter=dict(parameters or {}), dynamodb=dynamodb, node_modules=modules
    )  # fmt: skip
    output: list[str] = []
    async with open_template(Path(file), settings, lambda who, line: output.append(f"{who} | {line}")) as served:
        yield TestTemplate(served, output)
