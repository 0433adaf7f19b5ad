"""What a Lambda function is: how it is declared, and what it is to the gateway: bytes in, bytes out, or a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from trunkline.model.api import partition

__all__ = ["FunctionDefinition", "Invocation", "InvocationRefused", "Invoker"]


@dataclass(frozen=True, slots=True)
class FunctionDefinition:
    """A Lambda function as somebody declared it.

    Attributes:
        name: its physical name.
        logical_id: what its template calls it.
        runtime: Lambda's identifier, such as `python3.12` or `nodejs20.x`.
        handler: Lambda's, such as `app.handler` or `src/app.handler`.
        code: the folder or zip file of its code; None where `inline` has it.
        inline: its source text, as of `ZipFile` or `InlineCode`.
        layers: folders or zip files, in the order in which they are laid over each other.
        environment: its own variables.
        seconds: its timeout.
        memory_mb: its memory.
        concurrency: how many may run at a time, if that is reserved.
        log_level: the least level of what it logs, as JSON; None where it logs as text.
        log_group: the name of its log group; empty for Lambda's own.
        where: file and line of its declaration, for messages to people.
    """

    name: str
    logical_id: str
    runtime: str
    handler: str
    code: Path | None = None
    inline: str | None = None
    layers: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 3.0
    memory_mb: int = 128
    concurrency: int | None = None
    log_level: str | None = None
    log_group: str = ""
    where: str = ""

    def arn(self, region: str, account: str) -> str:
        """Its ARN."""
        return f"arn:{partition(region)}:lambda:{region}:{account}:function:{self.name}"


class Invocation(msgspec.Struct, eq=False):
    """A function's answer.

    Attributes:
        payload: JSON, or what describes the error.
        function_error: None, or that the function failed: "Unhandled" or "Handled", as Lambda says it.
    """

    payload: bytes
    function_error: str | None = None


class InvocationRefused(Exception):  # noqa: N818
    """The function was not run: throttled, not permitted, or not there. The text says which."""


class Invoker(Protocol):
    """One function, wherever it runs."""

    @property
    def name(self) -> str:
        """The function's name, for messages to people."""

    async def invoke(self, payload: bytes) -> Invocation:
        """Run it with an event.

        Raises:
            InvocationRefused: it was not run.
        """
