"""What clients, handlers and the runner write down: one JSON object a line, in a file for each process.

Times are those of CLOCK_MONOTONIC, which all processes of one machine share. A record is written before what it tells
of can have an effect (`client-sent` before the bytes are out), or after it must have had it (`client-open` after the
101 was read), so that "A came before B" is never said of what came the other way round.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

__all__ = ["KINDS", "Record", "RecordError", "Recorder", "read"]

KINDS = {
    # A client, by its name; its connection's id is found by the connect handler's record of that name.
    "client-connecting": "nothing is sent yet",
    "client-open": "the 101 was read",
    "client-refused": "another answer was read: status",
    "client-sent": "a message is about to be sent: seq, size, crc, binary",
    "client-received": "form (reply, send, broadcast, error, timeout, unknown), message or seq, owner, frame, ...",
    "client-closing": "its close frame is about to be sent: code, reason",
    "client-broke": "something illegal is about to be sent: the code that it should be closed with",
    "client-paused": "it reads nothing for a while",
    "client-deaf": "it reads no more",
    "client-vanished": "it is about to leave without a close frame",
    "client-close-received": "the server's close frame was read, and all that stood before it: code, reason",
    "client-closed": "its socket is gone: clean, if by FIN",
    # A handler; the first and the last line of it.
    "connect-begin": "client, ordered, connected_at",
    "connect-end": "accepted",
    "message-begin": "seq, size, crc, binary, connected_at",
    "message-end": "seq, outcome (returned, raised, cancelled); of a reply size, crc, binary",
    "disconnect-begin": "code, reason, connected_at",
    "disconnect-end": "",
    # Whoever sends to a connection or closes it.
    "send-begin": "connection, message, size, crc, binary",
    "send-true": "connection, message",
    "send-false": "connection, message",
    "send-error": "connection, message, error",
    "broadcast-begin": "message, targets, size, crc, binary",
    "broadcast-end": "message, gone, failed",
    "close-begin": "connection, code, reason",
    "close-true": "connection, code, reason",
    "close-false": "connection, code, reason",
    # The runner, about the process `node`.
    "node-started": "",
    "node-listening": "its door is open",
    "node-term": "SIGTERM is about to be sent",
    "node-killed": "SIGKILL was sent at `at`; it was dead by `until`",
    "node-exited": "status",
    # What was there when everybody had left.
    "id-used": "a connection of an earlier round",
    "document-left": "the document that its connect handler wrote, and its disconnect handler would have removed",
}


class Record(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One line. `at` and `until` are nanoseconds; which fields a kind has, `KINDS` tells."""

    at: int
    process: str
    kind: str
    client: str | None = None
    connection: str | None = None
    node: str | None = None
    seq: int | None = None
    message: str | None = None
    form: str | None = None
    owner: str | None = None
    size: int | None = None
    crc: int | None = None
    binary: bool = False
    frame: int | None = None
    code: int | None = None
    reason: str | None = None
    status: int | None = None
    error: str | None = None
    outcome: str | None = None
    accepted: bool = False
    ordered: bool = True
    clean: bool = False
    connected_at: int | None = None
    targets: list[str] | None = None
    gone: list[str] | None = None
    failed: dict[str, str] | None = None
    until: int | None = None


class RecordError(Exception):
    """A file has a line that is no record."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


class Recorder:
    """Appends the records of one process.

    Args:
        durable: each record is one write(2), so the death of the process takes none back.
    """

    def __init__(self, file: Path, process: str, *, durable: bool = False) -> None:
        self.process = process
        self._file: BinaryIO = file.open("ab", buffering=0 if durable else 1 << 16)

    def note(self, kind: str, *, at: int | None = None, **fields: Any) -> int:
        """Write a record; returns its time, which is now unless given."""
        now = time.monotonic_ns() if at is None else at
        self._file.write(_encode(Record(at=now, process=self.process, kind=kind, **fields)) + b"\n")
        return now

    def flush(self) -> None:
        """What was noted is in the file."""
        self._file.flush()

    def close(self) -> None:
        """The end."""
        self._file.close()


def read(files: Iterable[Path]) -> list[Record]:
    """The records of files, in order of time.

    Raises:
        RecordError: a line is no record. The last line of a file may lack its end, as `kill -9` leaves it.
    """
    found = [record for file in files for record in _lines(file)]
    found.sort(key=lambda record: record.at)  # stable: within a process its own order stands
    return found


def _lines(file: Path) -> Iterator[Record]:
    lines = file.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            record = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RecordError(f"{file}:{number}: {error}: {line[:200]!r}") from None
        if record.kind not in KINDS:
            raise RecordError(f"{file}:{number}: there is no kind {record.kind!r}")
        yield record
