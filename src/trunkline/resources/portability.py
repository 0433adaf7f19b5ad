"""What of a program API Gateway would not take: each with its file and line.

What is smaller here than there, such as a limit of ten seconds for handlers, is not among it: it breaks nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from trunkline.errors import DeclarationError
from trunkline.model.api import Limits

if TYPE_CHECKING:
    from trunkline.resources.application import Application

__all__ = ["check_for_aws", "not_on_aws"]

_AWS = Limits()


def check_for_aws(application: Application, limit: Mapping[str, float]) -> None:
    """Refuse a program that API Gateway would not take.

    Args:
        limit: limits of the settings, which go before those that the program declares.

    Raises:
        DeclarationError: all that is wrong with it, a line each.
    """
    found = list(not_on_aws(application, limit))
    if found:
        raise DeclarationError("\n".join(found))


def not_on_aws(application: Application, limit: Mapping[str, float]) -> Iterator[str]:
    """A line for each; see `check_for_aws`."""
    for name, value in _raised(limit):
        yield f"the setting limit raises {name} to {_shown(value)}; {_fixed(name)}"
    for socket in application.sockets.values():
        options = socket.options
        declared = {name: getattr(options.limits, name) for name in Limits.__dataclass_fields__ if name not in limit}
        for name, value in _raised(declared):
            yield f"{socket.where}: {socket!r} raises limit {name} to {_shown(value)}; {_fixed(name)}"
        if options.binary:
            yield f"{socket.where}: {socket!r} has binary=True; API Gateway takes texts only, and closes with 1003"


def _raised(limits: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    return ((name, value) for name, value in limits.items() if value > getattr(_AWS, name))


def _fixed(name: str) -> str:
    return f"API Gateway's is {_shown(getattr(_AWS, name))}, and cannot be raised"


def _shown(number: float) -> str:
    return f"{int(number) if number == int(number) else number:,}"
