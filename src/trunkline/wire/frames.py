"""Frames of RFC 6455, section 5: made here, read in `messages.py`."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from trunkline import limits
from trunkline.errors import MessageTooLarge

__all__ = [
    "OP_BINARY",
    "OP_CLOSE",
    "OP_CONTINUATION",
    "OP_PING",
    "OP_PONG",
    "OP_TEXT",
    "check_message_size",
    "encode_client_message",
    "encode_close",
    "encode_frame",
    "encode_message",
    "is_valid_close_code",
    "unmask",
]

OP_CONTINUATION = 0x0
OP_TEXT = 0x1
OP_BINARY = 0x2
OP_CLOSE = 0x8
OP_PING = 0x9
OP_PONG = 0xA

_REASON_BYTES = 123  # a control frame carries 125 bytes; two are the code
_LENGTH_16 = 126
_LENGTH_64 = 127


def _unmask_in_python(data: bytes, mask: bytes) -> bytes:
    """XOR as one big number: what there is without the C extension."""
    size = len(data)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")


unmask: Callable[[bytes, bytes], bytes]
"""The payload under a mask of 4 bytes: the same operation in both directions."""
try:
    from websockets.speedups import apply_mask as unmask
except ImportError:
    unmask = _unmask_in_python

# Headers of unmasked, final frames below 126 bytes, which nearly all are.
_SHORT_TEXT = tuple(bytes((0x80 | OP_TEXT, size)) for size in range(_LENGTH_16))
_SHORT_BINARY = tuple(bytes((0x80 | OP_BINARY, size)) for size in range(_LENGTH_16))


def encode_frame(opcode: int, payload: bytes, *, fin: bool = True, mask: bytes | None = None) -> bytes:
    """One frame; a client's has a mask of 4 bytes."""
    size = len(payload)
    first = (0x80 if fin else 0) | opcode
    masked = 0 if mask is None else 0x80
    if size < _LENGTH_16:
        head = bytes((first, masked | size))
    elif size < 1 << 16:
        head = bytes((first, masked | _LENGTH_16)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, masked | _LENGTH_64)) + size.to_bytes(8, "big")
    return head + payload if mask is None else head + mask + unmask(payload, mask)


def encode_message(data: str | bytes, *, frame_bytes: int = limits.FRAME_BYTES) -> bytes:
    """A server's message, in frames of at most `frame_bytes`: str as text, bytes as binary."""
    if type(data) is str:
        payload = data.encode()
        if len(payload) < _LENGTH_16 and len(payload) <= frame_bytes:
            return _SHORT_TEXT[len(payload)] + payload
        return _encode_long(OP_TEXT, payload, frame_bytes)
    assert isinstance(data, bytes)
    if len(data) < _LENGTH_16 and len(data) <= frame_bytes:
        return _SHORT_BINARY[len(data)] + data
    return _encode_long(OP_BINARY, data, frame_bytes)


def _encode_long(opcode: int, payload: bytes, frame_bytes: int) -> bytes:
    size = len(payload)
    if size <= frame_bytes:
        return encode_frame(opcode, payload)
    frames = [encode_frame(opcode, payload[:frame_bytes], fin=False)]
    for start in range(frame_bytes, size, frame_bytes):
        part = payload[start : start + frame_bytes]
        frames.append(encode_frame(OP_CONTINUATION, part, fin=start + frame_bytes >= size))
    return b"".join(frames)


def check_message_size(data: str | bytes, frame: bytes, message_bytes: int) -> None:
    """Raises MessageTooLarge when a message, encoded as `frame`, is over the limit."""
    # Each 32 KiB carry a header of at most 10 bytes, so only a frame near the limit needs the exact size.
    if len(frame) > message_bytes:
        size = len(data.encode() if isinstance(data, str) else data)
        if size > message_bytes:
            raise MessageTooLarge(f"the message has {size:,} bytes; the limit message_bytes is {message_bytes:,}")


def encode_client_message(data: str | bytes, mask_source: Callable[[int], bytes] = secrets.token_bytes) -> bytes:
    """A client's message as one masked frame."""
    if isinstance(data, str):
        return encode_frame(OP_TEXT, data.encode(), mask=mask_source(4))
    return encode_frame(OP_BINARY, data, mask=mask_source(4))


def encode_close(code: int, reason: str = "", *, mask: bytes | None = None) -> bytes:
    """A close frame. 1005 stands for none: its payload is empty. A reason is cut to 123 bytes of whole characters."""
    if code == limits.CLOSE_NO_STATUS:
        return encode_frame(OP_CLOSE, b"", mask=mask)
    text = reason.encode()
    if len(text) > _REASON_BYTES:
        text = text[:_REASON_BYTES].decode("utf-8", "ignore").encode()
    return encode_frame(OP_CLOSE, code.to_bytes(2, "big") + text, mask=mask)


def is_valid_close_code(code: int) -> bool:
    """Whether a peer may send this code: RFC 6455 section 7.4 and the codes that IANA registered since."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
