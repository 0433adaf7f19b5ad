"""What Lambda calls: `trunkline.aws.lambda_handler.handler`.

Importing it loads the program that the environment names, once in each process; what it needs of AWS is loaded when the
program first uses it. One event loop lives as long as the process does.

    TRUNKLINE_PROGRAM   its file, such as "chat.py", or its module
    TRUNKLINE_TABLES    JSON: {"connections": "the name of its table"}
    TRUNKLINE_SOCKETS   JSON: {"socket": "https://ID.execute-api.REGION.amazonaws.com/socket"}
"""

from __future__ import annotations

import time

_began = time.perf_counter()  # before everything else is imported

import asyncio  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
from collections.abc import Mapping  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, cast  # noqa: E402

from trunkline.aws import lambda_log  # noqa: E402
from trunkline.aws.lambda_node import LambdaNode  # noqa: E402
from trunkline.aws.lambda_program import HandlerFailed, LambdaProgram  # noqa: E402
from trunkline.errors import ConfigurationError, DeclarationError  # noqa: E402
from trunkline.resources.loading import ProgramFailed, load  # noqa: E402
from trunkline.tracebacks import explain  # noqa: E402

__all__ = ["handler"]

logger = logging.getLogger("trunkline.aws")
_PROGRAM = "TRUNKLINE_PROGRAM"
_ROOT = "LAMBDA_TASK_ROOT"


class _Process:
    """What lives as long as the process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        lambda_log.configure(environment)
        self.loop = asyncio.new_event_loop()
        self._name = environment.get(_PROGRAM, "")
        try:
            self.program = self._loaded(environment)
        except (ConfigurationError, DeclarationError) as error:
            logger.error("the function cannot start: %s", error)  # noqa: TRY400 - the text says it whole
            raise
        except ProgramFailed as failed:
            cause = cast("BaseException", failed.__cause__)
            told = f"{self._name} raised {type(cause).__name__}: {cause}"
            logger.error("the function cannot start: %s\n%s", told, explain(cause))  # noqa: TRY400 - without our frames
            raise ProgramFailed(told) from None
        self._loaded_ms: float | None = (time.perf_counter() - _began) * 1000

    def _loaded(self, environment: Mapping[str, str]) -> LambdaProgram:
        if not self._name:
            raise ConfigurationError(f"{_PROGRAM} is not set; expected the program's file, such as chat.py")
        is_file = self._name.endswith(".py")
        application = load([str(Path(environment.get(_ROOT, "")) / self._name) if is_file else self._name])
        return LambdaProgram(application, LambdaNode.of(environment, application))

    def answer(self, event: Any, context: Any) -> dict[str, Any]:
        if self._loaded_ms is not None:
            self._start(self._loaded_ms)
            self._loaded_ms = None
        left = context.get_remaining_time_in_millis() / 1000
        return self.loop.run_until_complete(self.program.answer(event, left))

    def _start(self, loaded_ms: float) -> None:
        began = time.perf_counter()
        self.loop.run_until_complete(self.program.open())
        entered_ms = (time.perf_counter() - began) * 1000
        logger.info(
            "cold start: %s was loaded in %.0f ms, and its lifespans were entered in %.0f ms",
            self._name, loaded_ms, entered_ms,
        )  # fmt: skip


_process = _Process(os.environ)


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Handle one event, as Lambda asks for it.

    Raises:
        HandlerFailed: the program's handler did.
    """
    try:
        return _process.answer(event, context)
    except HandlerFailed as failed:
        raise failed.with_traceback(None) from None
