"""A framer of our own, independent of the one under test, and a reader of everything a parser says."""

import pytest

from trunkline.wire.messages import MessageParser

MASK = b"\x37\xfa\x21\x3d"


def make_frame(opcode, payload=b"", *, fin=True, rsv=0, mask=MASK):
    size = len(payload)
    length = (
        bytes([size])
        if size < 126
        else b"\x7e" + size.to_bytes(2, "big")
        if size < 65536
        else b"\x7f" + size.to_bytes(8, "big")
    )
    if mask is not None:
        repeated = mask * (size // 4 + 1)
        payload = mask + bytes(a ^ b for a, b in zip(payload, repeated, strict=False))
        length = bytes([length[0] | 0x80]) + length[1:]
    return bytes([fin << 7 | rsv << 4 | opcode]) + length + payload


def make_plain(event):
    """Messages as they are; other events as their name and what they carry."""
    if isinstance(event, str | bytes):
        return event
    return (type(event).__name__, *(getattr(event, name) for name in event.__slots__))


def read_chunks(chunks, *, parser=None, **options):
    parser = parser or MessageParser(**options)
    events = []
    for chunk in chunks:
        parser.feed(chunk)
        events += parser.pull()
        while parser.pending:
            events += parser.pull()
    return [make_plain(event) for event in events]


@pytest.fixture(scope="session")
def frame():
    return make_frame


@pytest.fixture(scope="session")
def plain():
    return make_plain


@pytest.fixture(scope="session")
def read():
    return read_chunks
