"""The log of a function: our records, cleaned as everywhere, on the handler that Lambda's runtime brings.

That one writes the request's id beside each, keeps a record of many lines together, and knows the log format that the
function is configured with.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from trunkline import log

__all__ = ["configure"]

_LEVEL = "AWS_LAMBDA_LOG_LEVEL"  # as a function's LoggingConfig says it


def configure(environment: Mapping[str, str]) -> None:
    """Write what is logged under `trunkline` and `asyncio` to Lambda's log; to standard error where there is none."""
    level = logging.getLevelNamesMapping().get(environment.get(_LEVEL, "").upper(), logging.INFO)
    log.configure(level)
    if not logging.getLogger().handlers:
        return
    handler = _Forwarding()
    handler.addFilter(log._Cleaner())
    for name in ("trunkline", "asyncio"):
        logging.getLogger(name).handlers[:] = [handler]


class _Forwarding(logging.Handler):
    """Hands each record on, as the text that may be written of it."""

    def emit(self, record: logging.LogRecord) -> None:
        clean: dict[str, str] = record.clean  # type: ignore[attr-defined]
        text = clean["message"]
        if "traceback" in clean:
            text = "\n    ".join([text, *clean["traceback"].split("\n")])
        kept = record.__dict__ | {"msg": text, "args": None, "exc_info": None, "exc_text": None, "stack_info": None}
        for handler in logging.getLogger().handlers:
            handler.handle(logging.makeLogRecord(kept))
