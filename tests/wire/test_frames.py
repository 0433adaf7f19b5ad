"""Frames, byte for byte."""

import runpy
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import MessageTooLarge
from trunkline.wire import frames
from trunkline.wire.frames import (
    OP_BINARY,
    OP_CLOSE,
    OP_CONTINUATION,
    OP_PING,
    OP_TEXT,
    check_message_size,
    encode_client_message,
    encode_close,
    encode_frame,
    encode_message,
    is_valid_close_code,
    unmask,
)

MASK = b"\x37\xfa\x21\x3d"


def split(data):
    """(fin, opcode, payload) of each unmasked frame."""
    found = []
    while data:
        first, size, start = data[0], data[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        found.append((bool(first & 0x80), first & 0x7F, data[start : start + size]))
        assert len(found[-1][2]) == size
        data = data[start + size :]
    return found


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (encode_frame(OP_TEXT, b"Hello"), "810548656c6c6f"),
        (encode_frame(OP_TEXT, b"Hello", mask=MASK), "818537fa213d7f9f4d5158"),
        (encode_frame(OP_TEXT, b"Hel", fin=False), "010348656c"),
        (encode_frame(OP_CONTINUATION, b"lo"), "80026c6f"),
        (encode_frame(OP_PING, b"Hello"), "890548656c6c6f"),
        (encode_frame(OP_PING, b"", mask=MASK), "898037fa213d"),
        (encode_frame(OP_BINARY, b"", mask=b"\0\0\0\0"), "828000000000"),
    ],
    ids=["text", "masked", "first fragment", "last fragment", "ping", "empty masked", "zero mask"],
)
def test_a_frame_is_the_rfcs_example(made, expected):
    assert made.hex() == expected


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("size", "length"),
    [(0, "00"), (125, "7d"), (126, "7e007e"), (127, "7e007f"), (65535, "7effff"), (65536, "7f0000000000010000")],
)
def test_a_length_is_written_in_its_shortest_form(size, length, masked):
    head = bytearray.fromhex("82" + length)
    payload = bytes(size)
    if masked:
        head[1] |= 0x80
        assert encode_frame(OP_BINARY, payload, mask=bytes(4)) == bytes(head) + bytes(4) + payload
    else:
        assert encode_frame(OP_BINARY, payload) == bytes(head) + payload


@pytest.mark.parametrize(
    "data", ["", "é" * 62, "é" * 63, "x" * 126, b"", b"\xff" * 125, b"\xff" * 126, "x" * 70_000], ids=range(8)
)
def test_a_message_that_fits_is_one_frame(data):
    payload = data.encode() if isinstance(data, str) else data
    opcode = OP_TEXT if isinstance(data, str) else OP_BINARY
    assert encode_message(data, frame_bytes=70_000) == encode_frame(opcode, payload)


@pytest.mark.parametrize(
    ("size", "sizes"),
    [(32768, [32768]), (32769, [32768, 1]), (65536, [32768, 32768]), (131072, [32768] * 4)],
)
def test_a_long_message_is_cut_at_the_frame_limit(size, sizes):
    found = split(encode_message(b"\x01" * size))
    assert [len(payload) for _, _, payload in found] == sizes
    assert [opcode for _, opcode, _ in found] == [OP_BINARY] + [OP_CONTINUATION] * (len(sizes) - 1)
    assert [fin for fin, _, _ in found] == [False] * (len(sizes) - 1) + [True]


@given(data=st.text() | st.binary(max_size=2000), frame_bytes=st.integers(125, 400))
def test_fragments_join_to_the_message(data, frame_bytes):
    found = split(encode_message(data, frame_bytes=frame_bytes))
    joined = b"".join(payload for _, _, payload in found)
    assert (joined.decode() if isinstance(data, str) else joined) == data
    assert max(len(payload) for _, _, payload in found) <= frame_bytes


@pytest.mark.parametrize("data", ["x" * 100, b"x" * 100, "x" * 125], ids=["text", "binary", "the longest"])
def test_no_frame_is_over_a_small_frame_limit(data):
    assert max(len(payload) for _, _, payload in split(encode_message(data, frame_bytes=10))) <= 10


def test_a_clients_message_is_one_masked_frame():
    assert encode_client_message("Hello", lambda size: MASK[:size]).hex() == "818537fa213d7f9f4d5158"
    assert encode_client_message(b"Hello", lambda size: MASK[:size]).hex() == "828537fa213d7f9f4d5158"


def test_a_clients_mask_is_new_each_time():
    assert len({encode_client_message("Hello")[2:6] for _ in range(50)}) == 50


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (1000, "", b"\x88\x02\x03\xe8"),
        (1001, "Going away", b"\x88\x0c\x03\xe9Going away"),
        (1005, "", b"\x88\x00"),
        (1005, "ignored", b"\x88\x00"),
        (4999, "é", b"\x88\x04\x13\x87\xc3\xa9"),
        (1000, "x" * 123, b"\x88\x7d\x03\xe8" + b"x" * 123),
        (1000, "x" * 124, b"\x88\x7d\x03\xe8" + b"x" * 123),
        (1000, "x" + "é" * 61, b"\x88\x7d\x03\xe8x" + "é".encode() * 61),
        (1000, "é" * 62, b"\x88\x7c\x03\xe8" + "é".encode() * 61),
        (1000, "x" + "𝄞" * 31, b"\x88\x7b\x03\xe8x" + "𝄞".encode() * 30),
    ],
    ids=["bare", "reason", "none", "none has no reason", "utf-8", "123", "124", "full", "half é", "half 𝄞"],
)
def test_a_close_frame(code, reason, expected):
    assert encode_close(code, reason) == expected


def test_a_clients_close_frame_is_masked():
    assert encode_close(1000, "bye", mask=MASK) == encode_frame(OP_CLOSE, b"\x03\xe8bye", mask=MASK)
    assert encode_close(1005, mask=MASK) == encode_frame(OP_CLOSE, b"", mask=MASK)


@given(st.text())
def test_any_reason_fits_and_is_whole_characters(reason):
    payload = encode_close(1000, reason)[2:]
    assert len(payload) <= 125
    assert reason.startswith(payload[2:].decode())


@given(st.sampled_from(["a", "é", "𝄞", b"a"]), st.integers(0, 40_000), st.integers(1, 160_000))
def test_a_message_is_too_large_when_its_bytes_are_over_the_limit_however_it_is_framed(unit, count, limit):
    data = unit * count
    size = len(data.encode() if isinstance(data, str) else data)
    for frame_bytes in (125, 32_768):
        frame = encode_message(data, frame_bytes=frame_bytes)
        if size <= limit:
            check_message_size(data, frame, limit)
        else:
            with pytest.raises(
                MessageTooLarge, match=f"the message has {size:,} bytes; the limit message_bytes is {limit:,}"
            ):
                check_message_size(data, frame, limit)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_536, 131_072])
def test_a_message_of_exactly_the_limit_is_not_too_large(size):
    for data in ("x" * size, b"x" * size):
        frame = encode_message(data)
        check_message_size(data, frame, size)
        if size:
            with pytest.raises(MessageTooLarge):
                check_message_size(data, frame, size - 1)


def test_the_close_codes_a_peer_may_send():
    valid = [code for code in range(65536) if is_valid_close_code(code)]
    assert valid == [1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)]


@given(data=st.binary(max_size=300), mask=st.binary(min_size=4, max_size=4))
def test_unmasking_in_python_equals_unmasking_in_c(data, mask):
    expected = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
    assert unmask(data, mask) == expected
    assert frames._unmask_in_python(data, mask) == expected
    assert unmask(expected, mask) == data


def test_without_the_c_extension_unmasking_is_in_python(monkeypatch):
    monkeypatch.setitem(sys.modules, "websockets.speedups", None)
    names = runpy.run_path(frames.__file__)
    assert names["unmask"] is names["_unmask_in_python"]
    assert names["encode_frame"](OP_TEXT, b"Hello", mask=MASK).hex() == "818537fa213d7f9f4d5158"
