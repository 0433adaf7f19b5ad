"""The stress clients' own frames: what a server may send is read, and nothing else is."""

import pytest
from stress.frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, Reader, frame, message

from trunkline.wire.messages import MessageParser


def from_server(opcode, payload=b"", first=0x80):
    return frame(opcode, payload, first=first, masked=False)


@pytest.mark.parametrize(
    "data", ["", "hello", "ä" * 100, "x" * 32768, "x" * 32769, "x" * 131072, b"", b"\0\xff" * 40_000]
)
def test_what_a_client_sends_is_what_the_server_reads(data):
    parser = MessageParser()
    parser.feed(message(data))
    assert parser.pull() == [data]


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_messages_are_read_however_their_bytes_come(step):
    pieces = from_server(TEXT, b"ab", first=0) + from_server(PING, b"p") + from_server(CONTINUATION, b"cde")
    data = pieces + from_server(BINARY, b"x" * 70_000) + from_server(CLOSE, b"\x03\xe8")
    reader = Reader()
    found = [arrived for at in range(0, len(data), step) for arrived in reader.feed(data[at : at + step])]
    assert [(arrived.opcode, len(arrived.payload), arrived.frame) for arrived in found] == [
        (PING, 1, 0), (TEXT, 5, 3), (BINARY, 70_000, 70_000), (CLOSE, 2, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        from_server(TEXT, b"x", first=0xC0),
        frame(TEXT, b"x"),
        from_server(3),
        from_server(11),
        from_server(CONTINUATION),
        from_server(TEXT, first=0) + from_server(TEXT),
        from_server(PING, first=0),
        from_server(CLOSE) + from_server(TEXT),
    ],
)
def test_what_no_server_may_send_is_seen(data):
    assert [arrived.opcode for arrived in Reader().feed(data)][-1] is None
