"""The pytest plugin: `async def` tests marked with `trunkline` run on the jumping loop.

`trunkline_mode = "auto"` in pytest's configuration does so for every `async def` test.
"""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

__all__: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """The setting `trunkline_mode`, and an option."""
    parser.getgroup("trunkline").addoption(
        "--trunkline-record-usage", metavar="FILE", help="note there which permissions programs use under test"
    )
    parser.addini("trunkline_mode", "auto: every async test runs on trunkline's jumping loop", default="strict")


def pytest_configure(config: pytest.Config) -> None:
    """The mark `trunkline`, and where uses of permissions are noted."""
    file = config.getoption("--trunkline-record-usage")
    if file is not None:
        from trunkline.resources.usage import Usage, note_in

        note_in(Usage(Path(file)))
    config.addinivalue_line("markers", "trunkline: run this async test on trunkline's jumping loop (virtual time)")


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine function that is ours; None leaves it to others."""
    function = pyfuncitem.obj
    if not inspect.iscoroutinefunction(function) or not _is_ours(pyfuncitem):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    run_test(function, {name: pyfuncitem.funcargs[name] for name in names})
    return True


def run_test(function: Any, arguments: dict[str, Any]) -> None:
    """Run a coroutine function to its end; what went wrong in the background fails it too."""
    from trunkline.testing.loop import JumpingLoop

    background: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.get_loop().set_exception_handler(lambda _, about: background.append(about))
        runner.run(function(**arguments))
    for about in background:
        raise AssertionError(f"in the background: {about['message']}") from about.get("exception")


def _is_ours(item: pytest.Function) -> bool:
    return item.get_closest_marker("trunkline") is not None or item.config.getini("trunkline_mode") == "auto"
