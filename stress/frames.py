"""A client's frames of RFC 6455: made, right or wrong, and read. Nothing here is shared with what is tested."""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["BINARY", "CLOSE", "CONTINUATION", "PING", "PONG", "TEXT", "Arrived", "Reader", "frame", "message"]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FRAME_BYTES = 32 * 1024


def frame(
    opcode: int, payload: bytes = b"", *, first: int = 0x80, masked: bool = True, size: int | None = None
) -> bytes:
    """One frame.

    Args:
        first: FIN and the reserved bits.
        size: what its head says, if that is not so.
    """
    length, bit = len(payload) if size is None else size, 0x80 if masked else 0
    if length < 126:
        head = bytes((first | opcode, bit | length))
    elif length < 1 << 16:
        head = bytes((first | opcode, bit | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((first | opcode, bit | 127)) + length.to_bytes(8, "big")
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + _mask(payload, key)


def _mask(payload: bytes, key: bytes) -> bytes:
    whole = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(len(payload), "big")


def message(data: str | bytes) -> bytes:
    """A whole message, in frames that the server takes."""
    opcode, payload = (TEXT, data.encode()) if isinstance(data, str) else (BINARY, data)
    parts = [payload[at : at + FRAME_BYTES] for at in range(0, len(payload), FRAME_BYTES)] or [b""]
    frames = [
        frame(opcode if at == 0 else CONTINUATION, part, first=0x80 if at == len(parts) - 1 else 0)
        for at, part in enumerate(parts)
    ]
    return b"".join(frames)


@dataclass(slots=True)
class Arrived:
    """A message or a control frame; `frame` is its largest frame. Without an opcode it is what is wrong."""

    opcode: int | None
    payload: bytes
    frame: int = 0


class Reader:
    """Takes the bytes of a server apart."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._opcode: int | None = None
        self._parts: list[bytes] = []
        self._over = False

    def feed(self, data: bytes) -> list[Arrived]:
        """What has come with these bytes."""
        self._data += data
        found: list[Arrived] = []
        while (whole := self._next()) is not None:
            found += self._take(*whole)
        return found

    def _next(self) -> tuple[int, int, bytes] | None:
        """First and second byte of a frame that is there, and its payload."""
        data = self._data
        if len(data) < 2:
            return None
        size, start = data[1] & 0x7F, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            return None
        first, second, payload = data[0], data[1], bytes(data[start : start + size])
        del data[: start + size]
        return first, second, payload

    def _take(self, first: int, second: int, payload: bytes) -> list[Arrived]:
        opcode, final = first & 0x0F, bool(first & 0x80)
        if wrong := self._wrong(first, second, opcode, final=final):
            return [Arrived(None, f"{wrong}: {first:#x} {second:#x}".encode())]
        if opcode >= CLOSE:
            self._over = opcode == CLOSE
            return [Arrived(opcode, payload)]
        self._opcode = opcode if self._opcode is None else self._opcode
        self._parts.append(payload)
        if not final:
            return []
        arrived = Arrived(self._opcode, b"".join(self._parts), max(map(len, self._parts)))
        self._opcode, self._parts = None, []
        return [arrived]

    def _wrong(self, first: int, second: int, opcode: int, *, final: bool) -> str:
        """What no server may send."""
        if self._over:
            return "something behind the close frame"
        if first & 0x70 or second & 0x80 or opcode not in {CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG}:
            return "reserved bits, a mask or an opcode"
        if opcode < CLOSE and (opcode == CONTINUATION) == (self._opcode is None):
            return "a message inside another, or a continuation of none"
        return "a control frame in pieces" if opcode >= CLOSE and not final else ""
