"""What a function may do on AWS: the words that its file asks for, as statements of IAM.

Nothing here is wider than the words. Two resources end in `*`, because AWS has no finer form: the id of a connection
cannot be known before, and the streams of a log group are made as they are needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from trunkline.resources.permissions import COLLECTION_WORDS, SOCKET_WORDS

if TYPE_CHECKING:
    from trunkline.aws.program import Function, Use

__all__ = ["Calls", "Logs", "OfTable", "Resource", "Statement", "statements"]

Verb: TypeAlias = Literal["POST", "DELETE", "GET"]


@dataclass(frozen=True, slots=True)
class OfTable:
    """A collection's table."""

    collection: str


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls to `@connections` of a socket's stage, with one verb, about any connection."""

    socket: str
    verb: Verb


@dataclass(frozen=True, slots=True)
class Logs:
    """The streams of the function's own log group."""

    function: str


Resource: TypeAlias = OfTable | Calls | Logs


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a role's policy.

    Attributes:
        actions: in order.
        reasons: what asks for it; none for a function's own log.
    """

    resource: Resource
    actions: tuple[str, ...]
    reasons: tuple[Use, ...] = ()


def statements(function: Function) -> tuple[Statement, ...]:
    """Everything that a function may do: its log first, then each resource that its file names."""
    return (_log(function), *_collections(function), *_sockets(function))


def _log(function: Function) -> Statement:
    return Statement(Logs(function.name), ("logs:CreateLogStream", "logs:PutLogEvents"))


def _collections(function: Function) -> Iterator[Statement]:
    uses = [use for use in function.uses if use.kind == "collection"]
    for name in sorted({use.name for use in uses}):
        reasons = tuple(use for use in uses if use.name == name)
        actions = sorted({action for use in reasons for action in COLLECTION_WORDS[use.word].actions})
        if actions:
            yield Statement(OfTable(name), tuple(actions), reasons)


def _sockets(function: Function) -> Iterator[Statement]:
    for use in function.uses:
        if use.kind == "websocket":
            for action in SOCKET_WORDS[use.word].actions:
                name, _, verb = action.partition(" ")
                yield Statement(Calls(use.name, _verb(verb)), (name,), (use,))


def _verb(text: str) -> Verb:
    assert text in {"POST", "DELETE", "GET"}
    return text  # type: ignore[return-value]
