"""The words of `.allow(...)`, the operations that they allow, and what AWS calls those: one table.

The last column is what a deployment grants; `dynamodb:` actions on exactly the collection's table and its
index, `execute-api:ManageConnections` on exactly the verb and stage.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from trunkline.errors import DeclarationError, PermissionDenied

__all__ = ["COLLECTION_WORDS", "SOCKET_WORDS", "Declared", "Word", "caller", "check_words", "denied"]


@dataclass(frozen=True, slots=True)
class Word:
    """A permission: what it allows here, and which IAM actions it becomes."""

    operations: tuple[str, ...]
    actions: tuple[str, ...]


COLLECTION_WORDS: dict[str, Word] = {
    "reading": Word(("get", "fetch", "stream"), ("dynamodb:GetItem", "dynamodb:Query")),
    "writing": Word(("set", "create"), ("dynamodb:PutItem",)),
    "deleting": Word(("delete",), ("dynamodb:DeleteItem",)),
}
SOCKET_WORDS: dict[str, Word] = {
    "sending": Word(("send", "broadcast"), ("execute-api:ManageConnections POST",)),
    "closing": Word(("close",), ("execute-api:ManageConnections DELETE",)),
    "inspecting": Word(("info",), ("execute-api:ManageConnections GET",)),
}


@dataclass(frozen=True, slots=True)
class Declared:
    """Where something was declared."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def caller() -> Declared:
    """The first frame outside this package: the program's line that is being run."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("trunkline."):
        frame = frame.f_back
    return Declared(frame.f_code.co_filename, frame.f_lineno)


def check_words(what: str, words: tuple[str, ...], table: dict[str, Word], where: Declared) -> frozenset[str]:
    """The words as a set.

    Raises:
        DeclarationError: one is not in the table.
    """
    for word in words:
        if word not in table:
            known = ", ".join(repr(known) for known in table)
            raise DeclarationError(f"{where}: {what}.allow({word!r}): expected {known}")
    return frozenset(words)


def denied(what: str, operation: str, word: str, where: Declared, granted: frozenset[str]) -> PermissionDenied:
    """The error for an operation that was not allowed."""
    has = ", ".join(repr(w) for w in sorted(granted)) or "nothing"
    return PermissionDenied(
        f"{what}.{operation} needs {word!r}, and the declaration at {where} allows {has}; "
        f"add it there: {what}.allow({', '.join(repr(w) for w in sorted({*granted, word}))})"
    )
