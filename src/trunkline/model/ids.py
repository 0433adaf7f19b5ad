"""Connection ids, message ids, request ids, and ids of Apis.

A connection id is 13 bytes, written as 20 characters of URL-safe base64 with padding (the form that
API Gateway uses). The bytes are a keyed permutation of

    node (12 bits) | boot epoch (24) | counter (36) | check (32, all zero)

so that ids are unique by construction, unpredictable without the key, and an altered id is recognised
without a look-up: after decryption its check bits are not zero (chance 2**-32).

The permutation is a Feistel network of two 52-bit halves whose round function is keyed BLAKE2s: six
rounds, two more than Luby and Rackoff need against an adversary who may also choose ids.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass
from hashlib import blake2s, sha256

from trunkline.errors import InvalidConnectionId

__all__ = ["MAX_EPOCH", "ConnectionIds", "Origin", "api_id", "message_id", "request_id"]

_ID_BYTES = 13
_ID_CHARS = 20
_HALF_BITS = 52
_HALF_MASK = (1 << _HALF_BITS) - 1
_ROUNDS = 6
_COUNTER_BITS = 36
_CHECK_BITS = 32
_EPOCH_BITS = 24
_NODE_BITS = 12
MAX_EPOCH = (1 << _EPOCH_BITS) - 1


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an id was made: its node, that node's boot epoch, and the count within it."""

    node: int
    epoch: int
    counter: int


class ConnectionIds:
    """Makes connection ids for one boot of one node, and recognises every id made under the same key.

    Args:
        key: 32 secret bytes, shared by the nodes of a cluster.
        node: number of this node, 0 to 4095.
        epoch: number of this boot, 0 to 2**24 - 1; persisted before use, never used twice.
    """

    __slots__ = ("_counter", "_prefix", "_rounds")

    def __init__(self, key: bytes, *, node: int = 0, epoch: int = 0) -> None:
        if not 0 <= node < 1 << _NODE_BITS:
            raise ValueError(f"node is {node}; expected 0 to {(1 << _NODE_BITS) - 1}")
        if not 0 <= epoch <= MAX_EPOCH:
            raise ValueError(f"epoch is {epoch}; expected 0 to {MAX_EPOCH}")
        self._rounds = tuple(blake2s(key=key, person=b"trunk%03d" % r) for r in range(_ROUNDS))
        self._prefix = node << _EPOCH_BITS | epoch
        self._counter = 0

    def new(self) -> str:
        """The next id."""
        self._counter += 1
        plain = (self._prefix << _COUNTER_BITS | self._counter) << _CHECK_BITS
        left, right = plain >> _HALF_BITS, plain & _HALF_MASK
        for state in self._rounds:
            left, right = right, left ^ _round(state, right)
        return _encode((left << _HALF_BITS | right).to_bytes(_ID_BYTES, "big"))

    def origin(self, connection_id: str) -> Origin:
        """Where an id was made.

        Raises:
            InvalidConnectionId: no gateway with this key made it.
        """
        value = int.from_bytes(_decode(connection_id), "big")
        left, right = value >> _HALF_BITS, value & _HALF_MASK
        for state in reversed(self._rounds):
            left, right = right ^ _round(state, left), left
        plain = left << _HALF_BITS | right
        if plain & (1 << _CHECK_BITS) - 1:
            raise _invalid(connection_id)
        plain >>= _CHECK_BITS
        prefix = plain >> _COUNTER_BITS
        counter = plain & (1 << _COUNTER_BITS) - 1
        return Origin(prefix >> _EPOCH_BITS, prefix & (1 << _EPOCH_BITS) - 1, counter)


def message_id(connection_id: str) -> str:
    """A new message id: as on AWS, its last 5 bytes are those of its connection's id."""
    return _encode(os.urandom(_ID_BYTES - 5) + _decode(connection_id)[-5:])


def request_id() -> str:
    """A new request id: 11 random bytes as 16 characters."""
    return _encode(os.urandom(11))


def _round(state: blake2s, half: int) -> int:
    state = state.copy()
    state.update(half.to_bytes(7, "big"))
    return int.from_bytes(state.digest()[:7], "big") & _HALF_MASK


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode("ascii")


def _decode(connection_id: str) -> bytes:
    if len(connection_id) != _ID_CHARS or not connection_id.isascii():
        raise _invalid(connection_id)
    try:
        raw = base64.urlsafe_b64decode(connection_id)
    except binascii.Error:
        raise _invalid(connection_id) from None
    # Base64 has several spellings of the same bytes; only the one that we write is an id.
    if _encode(raw) != connection_id or len(raw) != _ID_BYTES:
        raise _invalid(connection_id)
    return raw


def _invalid(connection_id: str) -> InvalidConnectionId:
    return InvalidConnectionId(
        f"{connection_id[:64]!r} is not a connection id; expected one that a handler got as ctx.req.connection_id"
    )


def api_id(name: str) -> str:
    """The id of an Api: ten lower-case letters and digits, the same for the same name."""
    number = int.from_bytes(sha256(name.encode()).digest()[:8], "big")
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    out = ""
    for _ in range(10):
        number, rest = divmod(number, 36)
        out += digits[rest]
    return out
