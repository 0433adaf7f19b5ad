"""From the bytes of a peer to messages and control frames; strict, bounded, and pulled.

`feed` keeps bytes, `pull` takes a few messages out of them. A caller that pulls no more than it can handle
holds one read of raw bytes and no more. Sizes are checked as declared, before anything of the payload is
kept. Text is checked as it comes, so that invalid UTF-8 fails at its first wrong byte.
"""

from __future__ import annotations

import codecs
from typing import TypeAlias

from trunkline import limits
from trunkline.wire.frames import (
    OP_BINARY,
    OP_CLOSE,
    OP_CONTINUATION,
    OP_PING,
    OP_PONG,
    OP_TEXT,
    is_valid_close_code,
    unmask,
)

__all__ = ["Close", "Failed", "MessageParser", "Ping", "Pong", "WireEvent"]

_FRAMES_PER_PULL = 64  # besides a frame for each message: control frames and fragments
_MIN_FRAGMENTS = 4096
_BYTES_PER_FRAGMENT = 16  # a message in smaller pieces than these on average is refused
_INVALID_UTF8 = "Invalid UTF-8"
_FINAL_TEXT = 0x80 | OP_TEXT
_utf8_decoder = codecs.getincrementaldecoder("utf-8")


class Ping:
    """A ping; its payload is to be sent back."""

    __slots__ = ("payload",)

    def __init__(self, payload: bytes) -> None:
        self.payload = payload


class Pong:
    """A pong."""

    __slots__ = ("payload",)

    def __init__(self, payload: bytes) -> None:
        self.payload = payload


class Close:
    """The peer's close frame; without a code it is 1005. Nothing follows it."""

    __slots__ = ("code", "reason")

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


class Failed:
    """The peer broke a rule: the code and reason to close with. Nothing follows it."""

    __slots__ = ("code", "reason")

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


WireEvent: TypeAlias = str | bytes | Ping | Pong | Close | Failed
"""A text message is a str, a binary message bytes."""


class _Violation(Exception):  # noqa: N818
    """Code and reason of a broken rule."""


def _protocol_error(reason: str) -> _Violation:
    return _Violation(limits.CLOSE_PROTOCOL_ERROR, reason)


class MessageParser:
    """Parses what one peer sends.

    Args:
        server: whether this end is the server: then frames must be masked, else they must not be.
        frame_bytes: largest frame, by its declared length; beyond it `Failed` with 1009.
        message_bytes: largest message, over all its frames; beyond it `Failed` with 1009.
        binary: whether binary messages are taken; without it they are `Failed` with 1003.

    Attributes:
        pending: the last `pull` stopped at its bounds; another one may give more.
    """

    __slots__ = (
        "_binary", "_data", "_decoder", "_ended", "_final", "_fragments", "_frame_bytes", "_left", "_mask", "_message",
        "_message_bytes", "_opcode", "_pos", "_server", "pending",
    )  # fmt: skip

    def __init__(
        self,
        *,
        server: bool = True,
        frame_bytes: int = limits.FRAME_BYTES,
        message_bytes: int = limits.MESSAGE_BYTES,
        binary: bool = True,
    ) -> None:
        self._server = server
        self._frame_bytes = frame_bytes
        self._message_bytes = message_bytes
        self._binary = binary
        self._data = b""  # what was fed and not yet read, from _pos on
        self._pos = 0
        self._opcode = 0  # of the message under way; 0: none is
        self._message: bytearray | None = None  # its payload so far
        self._decoder: codecs.IncrementalDecoder | None = None
        self._fragments = 0
        self._left = -1  # payload bytes of the frame under way that are still to come; -1: at a header
        self._final = False  # that frame is its message's last
        self._mask = b""
        self._ended = False
        self.pending = False

    def feed(self, data: bytes) -> None:
        """Keep bytes for `pull`. After `Close` or `Failed` they are thrown away."""
        if self._ended:
            return
        rest = self._data[self._pos :]
        self._data = rest + data if rest else data
        self._pos = 0

    def pull(self, messages: int = limits.WAITING_MESSAGES, payload: int = limits.WAITING_BYTES) -> list[WireEvent]:
        """What came, in order: at most so many messages, stopping at so many bytes of payload and at 64 more frames."""
        events: list[WireEvent] = []
        try:
            bounded = self._pull(events, messages, payload)
        except _Violation as violation:
            events.append(Failed(*violation.args))
            self._end()
            return events
        except UnicodeDecodeError:
            events.append(Failed(limits.CLOSE_INVALID_DATA, _INVALID_UTF8))
            self._end()
            return events
        self.pending = bounded and self._pos < len(self._data)
        if not self.pending:
            self._data = self._data[self._pos :]  # an idle connection does not hold what it has read
            self._pos = 0
        return events

    def _pull(self, events: list[WireEvent], messages: int, payload: int) -> bool:
        """Fill `events`; True if it stopped at a bound."""
        data, end = self._data, len(self._data)
        frames = messages + _FRAMES_PER_PULL
        short_text = self._server and self._frame_bytes >= 125 and self._message_bytes >= 125
        while messages > 0 and payload > 0 and frames > 0:
            frames -= 1
            pos = self._pos
            # Nearly every frame is a whole short text from a client: this is its straight way.
            if short_text and end - pos >= 6 and data[pos] == _FINAL_TEXT and not self._opcode:
                size = data[pos + 1] - 0x80
                start = pos + 6
                stop = start + size
                if 0 <= size <= 125 and stop <= end:
                    events.append(unmask(data[start:stop], data[pos + 2 : start]).decode())
                    self._pos = stop
                    messages -= 1
                    payload -= size
                    continue
            before = len(events)
            if not self._read_some(events):
                return False
            if len(events) > before and type(events[-1]) in {str, bytes}:
                messages -= 1
                payload -= len(events[-1])  # type: ignore[arg-type]
            if self._ended:
                return False
        return True

    def _read_some(self, events: list[WireEvent]) -> bool:
        """Read a control frame, or what there is of a data frame; False if that needs more bytes."""
        if self._left < 0:
            header = self._read_header()
            if header is None:
                return False
            opcode, size, start = header
            if opcode >= OP_CLOSE:
                return self._read_control(events, opcode, start, size)
            self._pos = start
            self._left = size
        return self._read_payload(events)

    def _read_header(self) -> tuple[int, int, int] | None:
        """Opcode, size and position of the payload of the next frame; None if its header is not whole."""
        data, pos = self._data, self._pos
        if len(data) - pos < 2:
            return None
        first, second = data[pos], data[pos + 1]
        opcode, size = first & 0x0F, second & 0x7F
        self._check_first_bytes(first, second, opcode, size)
        start = pos + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(data) - start < width:
                return None
            size = int.from_bytes(data[start : start + width], "big")
            if size < (126 if width == 2 else 1 << 16) or size >> 63:
                raise _protocol_error("Length is not minimal" if not size >> 63 else "Length is not valid")
            start += width
        if opcode < OP_CLOSE:
            self._check_size(size)
        if self._server:
            if len(data) - start < 4:
                return None
            mask = data[start : start + 4]
            start += 4
        else:
            mask = b""
        if opcode < OP_CLOSE:
            self._begin_frame(opcode, final=bool(first & 0x80))
        self._mask = mask
        return opcode, size, start

    def _check_first_bytes(self, first: int, second: int, opcode: int, size: int) -> None:
        if first & 0x70:
            raise _protocol_error("Reserved bits are set")
        if bool(second & 0x80) is not self._server:
            raise _protocol_error("Frame is not masked" if self._server else "Frame is masked")
        if opcode >= OP_CLOSE:
            if opcode > OP_PONG:
                raise _protocol_error("Opcode is not defined")
            if not first & 0x80 or size > 125:
                raise _protocol_error("Control frame is fragmented or too long")
        elif opcode > OP_BINARY:
            raise _protocol_error("Opcode is not defined")
        elif opcode == OP_CONTINUATION:
            if not self._opcode:
                raise _protocol_error("Nothing to continue")
        elif self._opcode:
            raise _protocol_error("Message begins inside another")
        elif opcode == OP_BINARY and not self._binary:
            raise _Violation(limits.CLOSE_UNSUPPORTED, limits.REASON_BINARY)

    def _check_size(self, size: int) -> None:
        so_far = 0 if self._message is None else len(self._message)
        most_fragments = max(_MIN_FRAGMENTS, self._message_bytes // _BYTES_PER_FRAGMENT)
        if size > self._frame_bytes or so_far + size > self._message_bytes or self._fragments >= most_fragments:
            raise _Violation(limits.CLOSE_TOO_BIG, limits.REASON_TOO_BIG)

    def _begin_frame(self, opcode: int, *, final: bool) -> None:
        self._final = final
        self._fragments += 1
        if opcode != OP_CONTINUATION:
            self._opcode = opcode

    def _read_control(self, events: list[WireEvent], opcode: int, start: int, size: int) -> bool:
        stop = start + size
        if stop > len(self._data):
            return False
        payload = self._data[start:stop]
        if self._mask:
            payload = unmask(payload, self._mask)
        self._pos = stop
        if opcode == OP_PING:
            events.append(Ping(payload))
        elif opcode == OP_PONG:
            events.append(Pong(payload))
        else:
            events.append(_read_close(payload))
            self._end()
        return True

    def _read_payload(self, events: list[WireEvent]) -> bool:
        """Read what there is of the payload; False if more of it is to come."""
        start = self._pos
        stop = min(start + self._left, len(self._data))
        part = self._data[start:stop]
        if self._mask and part:
            part = unmask(part, self._mask)
            turn = (stop - start) % 4
            if turn:
                self._mask = self._mask[turn:] + self._mask[:turn]
        self._left -= stop - start
        self._pos = stop
        if self._left == 0 and self._final:
            events.append(self._whole(part))
            return True
        self._keep(part)
        if self._left > 0:
            return False
        self._left = -1
        return True

    def _whole(self, part: bytes) -> str | bytes:
        """The message that ends with this part."""
        text = self._opcode == OP_TEXT
        payload: bytes | bytearray = part
        if self._message is not None:
            self._message += part
            payload = self._message
        self._opcode = self._fragments = 0
        self._left = -1
        self._message = self._decoder = None
        return payload.decode() if text else bytes(payload)

    def _keep(self, part: bytes) -> None:
        if self._message is None:
            self._message = bytearray()
        if self._opcode == OP_TEXT:
            if self._decoder is None:
                self._decoder = _utf8_decoder()
            self._decoder.decode(part)  # only to fail at the first wrong byte
            torn = self._decoder.getstate()[0]
            if torn[:1] == b"\xed" and torn[1:] > b"\x9f":  # a surrogate: the decoder waits for its third byte
                raise _Violation(limits.CLOSE_INVALID_DATA, _INVALID_UTF8)
        self._message += part

    def _end(self) -> None:
        self._ended = True
        self.pending = False
        self._data = b""
        self._pos = 0
        self._message = self._decoder = None


def _read_close(payload: bytes) -> Close:
    if not payload:
        return Close(limits.CLOSE_NO_STATUS, "")
    if len(payload) == 1:
        raise _protocol_error("Close code is cut short")
    code = int.from_bytes(payload[:2], "big")
    if not is_valid_close_code(code):
        raise _protocol_error("Close code is not valid")
    return Close(code, payload[2:].decode())
