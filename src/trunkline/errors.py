"""What can go wrong, as one tree.

    TrunklineError
    ├── DeclarationError        the program declares something that cannot be (exit code 2)
    ├── ConfigurationError      a setting, flag or path is wrong (exit code 2)
    ├── NotRunning              an operation outside a running node
    ├── PermissionDenied        the declaration does not allow this operation
    ├── SendError               a message or a request about a connection was not taken
    │   ├── InvalidConnectionId     not an id that any gateway made
    │   ├── MessageTooLarge         over the message limit
    │   ├── SlowConsumer            the connection's output queue is full
    │   ├── Throttled               over a rate
    │   └── Unreachable             the connection's node did not answer in time
    └── StoreError              a document operation failed
        ├── AlreadyExists           create() of a document that is there
        ├── Conflict                if_version does not match
        ├── InvalidDocument         not JSON, too large, or a bad id
        ├── InvalidQuery            an operator, a value, a limit or a token is wrong
        └── StoreUnavailable        the database is full, broken or away

A connection that is gone is not an error: `send` and `close` answer False, `info` answers None.
"""

from __future__ import annotations

__all__ = [
    "AlreadyExists",
    "ConfigurationError",
    "Conflict",
    "DeclarationError",
    "InvalidConnectionId",
    "InvalidDocument",
    "InvalidQuery",
    "MessageTooLarge",
    "NotRunning",
    "PermissionDenied",
    "SendError",
    "SlowConsumer",
    "StoreError",
    "StoreUnavailable",
    "Throttled",
    "TrunklineError",
    "Unreachable",
]


class TrunklineError(Exception):
    """Base of everything Trunkline raises on purpose."""


class DeclarationError(TrunklineError):
    """The program declares something that cannot be."""


class ConfigurationError(TrunklineError):
    """A setting, a flag or a path is wrong."""


class NotRunning(TrunklineError):  # noqa: N818
    """An operation was called outside a running node."""


class PermissionDenied(TrunklineError):  # noqa: N818
    """The declaration does not allow this operation."""


class SendError(TrunklineError):
    """A message, or a request about a connection, was not taken."""


class InvalidConnectionId(SendError):  # noqa: N818
    """Not an id that any gateway of this cluster made (HTTP 400)."""


class MessageTooLarge(SendError):  # noqa: N818
    """The message is over `Limits.message_bytes` (HTTP 413)."""


class SlowConsumer(SendError):  # noqa: N818
    """The connection's output queue is full: its client does not read (HTTP 429)."""


class Throttled(SendError):  # noqa: N818
    """Over a configured rate (HTTP 429)."""


class Unreachable(SendError):  # noqa: N818
    """The connection's node did not answer in time, so nothing is known (HTTP 503)."""


class StoreError(TrunklineError):
    """A document operation failed; nothing was changed."""


class AlreadyExists(StoreError):  # noqa: N818
    """`create` met a document that is already there."""


class Conflict(StoreError):  # noqa: N818
    """The document is not at the version that `if_version` named."""


class InvalidDocument(StoreError):  # noqa: N818
    """The value is not JSON, is too large, or the id cannot be one."""


class InvalidQuery(StoreError):  # noqa: N818
    """An operator, a value, a limit or a page token is wrong."""


class StoreUnavailable(StoreError):  # noqa: N818
    """The database is full, broken or away."""
