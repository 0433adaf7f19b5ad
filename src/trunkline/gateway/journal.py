"""The journal of accepted connections: to whom a node owes a DISCONNECT, also after `kill -9`.

One record a line, the checksum (CRC-32) of what follows it in front:

    5c2a4f10 ["journal",1]
    1f6f1a2b ["opened","R0oX...","chat","a1b2c3d4e5","chat","example.com","203.0.113.7",null,1767225600000,null,null]
    9be51c07 ["ended","R0oX..."]

A record is in the file, by one write(2), before anybody is told what it says, so the death of the process takes none
back. It is not synced: power loss may take the newest. A last line without an end is what a death leaves; a line whose
checksum is wrong is skipped, and those behind it count.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from trunkline.errors import ConfigurationError
from trunkline.gateway.lock import ProcessLock
from trunkline.model.events import Identity

__all__ = ["Entry", "Journal", "Scan", "record", "scan"]

logger = logging.getLogger("trunkline.gateway")

_VERSION = 1
_COMPACT_BYTES = 1024 * 1024  # a smaller file is not worth it


class Entry(msgspec.Struct, array_like=True, tag="opened", gc=False):
    """A connection that was accepted: all that its DISCONNECT event says of it."""

    connection_id: str
    api: str
    api_id: str
    stage: str
    domain_name: str
    source_ip: str
    user_agent: str | None
    connected_at: int
    authorizer: dict[str, Any] | None
    stage_variables: dict[str, str] | None

    @classmethod
    def of(cls, identity: Identity, api: str) -> Entry:
        """That of a connection of the Api of this name."""
        return cls(
            identity.connection_id, api, identity.api_id, identity.stage, identity.domain_name, identity.source_ip,
            identity.user_agent, identity.connected_at, _dict(identity.authorizer), _dict(identity.stage_variables),
        )  # fmt: skip

    def identity(self) -> Identity:
        """Who was at the other end."""
        return Identity(**{name: getattr(self, name) for name in self.__struct_fields__ if name != "api"})


class _Ended(msgspec.Struct, array_like=True, tag="ended"):
    connection_id: str


class _Head(msgspec.Struct, array_like=True, tag="journal"):
    version: int


class Scan(msgspec.Struct):
    """What a journal says.

    Attributes:
        open: the connections that have not ended, by id, in the order in which they were accepted.
        ended: how many records say that one has ended.
        damaged: where lines begin that are no records, in bytes.
        whole: length of the file up to the end of its last line; what stands behind it was never finished.
        version: of the format.
    """

    open: dict[str, Entry]
    ended: int = 0
    damaged: list[int] = msgspec.field(default_factory=list)
    whole: int = 0
    version: int = _VERSION


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry | _Ended | _Head).decode


def record(what: Entry | _Ended | _Head) -> bytes:
    """A line of the file."""
    text = _encode(what)
    return b"%08x %b\n" % (crc32(text), text)


def scan(data: bytes) -> Scan:
    """Read a journal. Whatever the bytes are, it raises nothing and makes up no connection."""
    found = Scan({})
    found.whole = data.rfind(b"\n") + 1
    position = 0
    for line in data[: found.whole].split(b"\n")[:-1]:
        _take(found, line, position)
        position += len(line) + 1
    return found


def _take(found: Scan, line: bytes, position: int) -> None:
    text = line[9:]
    try:
        what = _decode(text) if line[:9] == b"%08x " % crc32(text) else None
    except (msgspec.DecodeError, ValueError, RecursionError):
        what = None
    if isinstance(what, Entry):
        found.open[what.connection_id] = what
    elif isinstance(what, _Ended):
        found.open.pop(what.connection_id, None)
        found.ended += 1
    elif isinstance(what, _Head):
        found.version = max(found.version, what.version)
    else:
        found.damaged.append(position)


class Journal:
    """The journal of one node, which has it to itself from `open` to `close`.

    Args:
        file: it, and a lock file beside it, are made if they are not there, readable by this user only.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = ProcessLock(file.with_name(file.name + ".lock"))
        self._file = -1
        self._size = 0
        self._open: dict[str, Entry] = {}
        self._ended = 0  # records of connections that ended, since the file was last rewritten
        self._unwritten = b""  # such records that found no room
        self._failing = False

    def open(self) -> None:
        """Begin, with what the last run left.

        Raises:
            ConfigurationError: another process has it, it is of a later format, or it cannot be read and written.
        """
        try:
            self._begin()
        except OSError as error:
            self._let_go()
            raise ConfigurationError(
                f"cannot use the journal of connections {self.file}: {error.strerror}; see to that, or pass "
                "--store memory: to go without"
            ) from None
        except ConfigurationError:
            self._let_go()
            raise

    @property
    def is_open(self) -> bool:
        """Whether this process has it."""
        return self._file >= 0

    def entries(self) -> list[Entry]:
        """The connections that have not ended."""
        return list(self._open.values())

    def opened(self, identity: Identity, api: str) -> bool:
        """A connection of the Api of this name is accepted. False: that cannot be written, so it must not be."""
        entry = Entry.of(identity, api)
        if not self._append(record(entry)):
            return False
        self._open[entry.connection_id] = entry
        return True

    def ended(self, connection_id: str) -> None:
        """Its disconnect handler has ended. Of one that it does not know nothing is noted."""
        if self._open.pop(connection_id, None) is None or self._file < 0:
            return
        self._ended += 1
        line = record(_Ended(connection_id))
        if self._size > _COMPACT_BYTES and self._ended > len(self._open):
            self._unwritten += line
            self._compact()
        elif not self._append(line):
            self._unwritten += line

    def close(self) -> None:
        """Let go of it. It stays behind empty if every connection has ended."""
        if self._file >= 0 and not self._open:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)
        self._let_go()

    # Beginning and ending.

    def _begin(self) -> None:
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._lock.take():
            raise ConfigurationError(
                f"another trunkline run uses {self.file.parent}; stop it, or run this one in another folder or with "
                "--store memory:"
            )
        self._file = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600)
        self._resume(self.file.read_bytes())

    def _let_go(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._lock.release()

    def _resume(self, data: bytes) -> None:
        found = scan(data)
        if found.version != _VERSION:
            raise ConfigurationError(
                f"{self.file} has format {found.version}, and this Trunkline reads format {_VERSION}; use the "
                "Trunkline that wrote it, or remove the file: its connections then get no DISCONNECT"
            )
        self._report(found, len(data))
        os.ftruncate(self._file, found.whole)
        self._size = os.lseek(self._file, found.whole, os.SEEK_SET)
        self._open, self._ended = found.open, found.ended
        if not self._size:
            self._write(record(_Head(_VERSION)))

    def _report(self, found: Scan, size: int) -> None:
        if size > found.whole:
            logger.warning(
                "%s: the last record was not finished (%d bytes), as a crash leaves it; it is left out",
                self.file, size - found.whole,
            )  # fmt: skip
        if found.damaged:
            logger.error(
                "%s: damaged lines: %d, the first at byte %d; they are skipped, and the connections that they were "
                "about may get no DISCONNECT, or a second one",
                self.file, len(found.damaged), found.damaged[0],
            )  # fmt: skip

    # Writing.

    def _append(self, line: bytes) -> bool:
        """Whether it is written, and what found no room before with it."""
        if self._file < 0:
            return False
        try:
            self._write(self._unwritten + line if self._unwritten else line)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)  # what there is of it is overwritten by the next
            self._tell(error)
            return False
        self._unwritten = b""
        if self._failing:
            self._failing = False
            logger.warning("%s can be written again; handshakes are accepted", self.file)
        return True

    def _tell(self, error: OSError) -> None:
        if not self._failing:
            self._failing = True
            logger.error(
                "cannot write the journal of connections %s: %s; until it can be written, handshakes are answered "
                "with 503",
                self.file, error.strerror,
            )  # fmt: skip

    def _write(self, data: bytes) -> None:
        _write_all(self._file, data)
        self._size += len(data)

    def _compact(self) -> None:
        """Leave out what has ended: a new file takes the old one's place."""
        data = record(_Head(_VERSION)) + b"".join(map(record, self._open.values()))
        new = self.file.with_name(self.file.name + ".new")
        try:
            descriptor = _written(new, data)
            new.replace(self.file)
        except OSError as error:
            self._tell(error)
        else:
            os.close(self._file)
            self._file, self._size, self._unwritten = descriptor, len(data), b""
        self._ended = 0  # also if it failed: it is tried again when as many more have ended


def _written(file: Path, data: bytes) -> int:
    """A new file with these bytes, open for more."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _write_all(descriptor, data)
    except OSError:
        os.close(descriptor)
        file.unlink()
        raise
    return descriptor


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):  # the disk is nearly full; the rest says whether it is
        written += os.write(descriptor, data[written:])


def _dict(mapping: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if mapping is None else dict(mapping)
