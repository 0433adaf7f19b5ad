"""What the functions of a program may do: said, kept for CI, compared with before and with what is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from trunkline.aws.iam import Calls, OfTable, Resource, statements
from trunkline.errors import ConfigurationError
from trunkline.resources.permissions import COLLECTION_WORDS, SOCKET_WORDS

if TYPE_CHECKING:
    from trunkline.aws.program import AwsProgram, Use
    from trunkline.resources.usage import Used

__all__ = ["Grant", "actions_of", "grants_of", "grown", "read_grants", "shown", "unused", "write_grants"]


class Grant(msgspec.Struct, frozen=True, order=True):
    """One action that a function may take on one resource.

    Attributes:
        because: the lines that ask for it; they do not make it another grant.
    """

    function: str
    action: str
    resource: str
    because: tuple[str, ...] = ()

    @property
    def what(self) -> tuple[str, str, str]:
        """What it allows, wherever it was asked for."""
        return self.function, self.action, self.resource


def grants_of(program: AwsProgram) -> list[Grant]:
    """Everything that the functions of a program may do, in order."""
    found = []
    for function in program.functions:
        for statement in statements(function):
            for action in statement.actions:
                because = tuple(f"{use.where} {use.word}" for use in statement.reasons if action in actions_of(use))
                found.append(Grant(function.name, action, shown(statement.resource), because))
    return sorted(found)


def shown(resource: Resource) -> str:
    """A resource, for people."""
    if isinstance(resource, OfTable):
        return f"table of {resource.collection}"
    if isinstance(resource, Calls):
        return f"{resource.verb} @connections of {resource.socket}, any connection"
    return "its own log group"


def actions_of(use: Use) -> list[str]:
    """What a word becomes."""
    word = (COLLECTION_WORDS if use.kind == "collection" else SOCKET_WORDS)[use.word]
    return [action.partition(" ")[0] for action in word.actions]


def write_grants(grants: Iterable[Grant]) -> str:
    """As JSON, a grant a line, so that a comparison of two files is read like the grants."""
    lines = ",\n".join(msgspec.json.encode(grant).decode() for grant in grants)
    return f"[\n{lines}\n]\n"


def read_grants(file: Path) -> list[Grant]:
    """What `write_grants` wrote into a file.

    Raises:
        ConfigurationError: it cannot be read, or holds something else.
    """
    expected = "expected what explain --json wrote"
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Grant])
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}; {expected}") from None
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ConfigurationError(f"{file}: {error}; {expected}") from None


def grown(before: Sequence[Grant], now: Sequence[Grant]) -> tuple[list[Grant], list[Grant]]:
    """Which grants have come since, and which have gone."""
    known, left = {grant.what for grant in before}, {grant.what for grant in now}
    return [one for one in now if one.what not in known], [one for one in before if one.what not in left]


def unused(program: AwsProgram, used: Iterable[Used], folder: Path) -> list[tuple[str, Use]]:
    """The words, each with its function, that nothing which was noted needs.

    Args:
        folder: what the files of `used` are relative to.
    """
    found: set[tuple[str, str, str, Path]] = {
        (one.kind, one.name, one.word, (folder / one.file).resolve()) for one in used
    }
    return list(_unused(program, found))


def _unused(program: AwsProgram, found: set[tuple[str, str, str, Path]]) -> Iterator[tuple[str, Use]]:
    for function in program.functions:
        for use in function.uses:
            if not any((use.kind, use.name, use.word, source) in found for source in function.sources):
                yield function.name, use
