"""The parser beyond Autobahn's cases: limits, bounds, any bytes in any pieces."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trunkline.wire.frames import encode_client_message, encode_message
from trunkline.wire.messages import Failed, MessageParser

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
TOO_BIG = ("Failed", 1009, "Message too long")
BAD_TEXT = ("Failed", 1007, "Invalid UTF-8")
MASKS = st.binary(min_size=4, max_size=4)
MESSAGES = st.lists(st.text(max_size=200) | st.binary(max_size=200), max_size=20)
CONTROLS = st.lists(st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)), max_size=3)


def wrong(reason):
    return ("Failed", 1002, reason)


def split(data):
    """The unmasked frames of an encoded message, each as its bytes."""
    found = []
    while data:
        start = {126: 4, 127: 10}.get(data[1], 2)
        size = data[1] if start == 2 else int.from_bytes(data[2:start], "big")
        found.append(data[: start + size])
        data = data[start + size :]
    return found


def pieces(data, cuts):
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[a:b] for a, b in zip(edges, edges[1:], strict=False)]


# Streams that are mostly right: whole frames, some of them against the rules, and maybe a torn end.
@st.composite
def streams(draw, masked=True):
    data = b""
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["text", "binary", "fragments", "control", "any frame", "close", "bytes"]))
        if kind == "text":
            data += FRAME(TEXT, draw(st.text(max_size=150)).encode(), draw(MASKS) if masked else None)
        elif kind == "binary":
            data += FRAME(BINARY, draw(st.binary(max_size=150)), draw(MASKS) if masked else None)
        elif kind == "fragments":
            payload = draw(st.text(max_size=30)).encode() + draw(st.sampled_from([b"", b"\xed\xa0", b"\xe2\x82"]))
            parts = pieces(payload, draw(st.lists(st.integers(0, 60), max_size=4)))
            for at, part in enumerate(parts):
                final = at == len(parts) - 1
                data += FRAME(CONT if at else TEXT, part, draw(MASKS) if masked else None, fin=final)
                if not final:
                    for opcode, inner in draw(CONTROLS):
                        data += FRAME(opcode, inner, draw(MASKS) if masked else None)
        elif kind == "control":
            data += FRAME(
                *draw(st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))), MASK if masked else None
            )
        elif kind == "any frame":
            first = draw(st.integers(0, 255))
            frame = FRAME(first & 15, draw(st.binary(max_size=130)), draw(st.sampled_from([MASK, None])))
            data += bytes([first]) + frame[1:]
        elif kind == "close":
            payload = draw(st.sampled_from([b"", b"\x03", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xed", b"\x03\xe8\xff"]))
            data += FRAME(CLOSE, payload, MASK if masked else None)
        else:
            data += draw(st.binary(max_size=8))
    return data[: len(data) - draw(st.sampled_from([0, 0, 0, 1, 3, 10]))]


MASK = b"\x37\xfa\x21\x3d"


def FRAME(opcode, payload, mask=MASK, *, fin=True):  # noqa: N802
    size = len(payload)
    head = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    if mask is not None:
        head = bytes([head[0] | 0x80]) + head[1:] + mask
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes([fin << 7 | opcode]) + head + payload


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "server": st.booleans(),
        "binary": st.booleans(),
        "frame_bytes": st.sampled_from([1, 10, 124, 125, 126, 1000]),
        "message_bytes": st.sampled_from([1, 10, 124, 125, 126, 1000]),
    },
)

# What a peer may say.


@given(messages=MESSAGES, cuts=st.lists(st.integers(0, 5000), max_size=8))
def test_a_clients_messages_come_as_they_were_sent(messages, cuts, read):
    data = b"".join(encode_client_message(message) for message in messages)
    assert read(pieces(data, cuts)) == messages


@given(
    messages=MESSAGES, frame_bytes=st.integers(1, 300), cuts=st.lists(st.integers(0, 5000), max_size=8), data=st.data()
)
def test_a_servers_fragments_come_as_messages_with_controls_between(messages, frame_bytes, cuts, data, read):
    sent, expected = b"", []
    for message in messages:
        for frame in split(encode_message(message, frame_bytes=frame_bytes)):
            for opcode, payload in data.draw(CONTROLS):
                sent += FRAME(opcode, payload, None)
                expected.append(("Ping" if opcode == PING else "Pong", payload))
            sent += frame
        expected.append(message)
    assert read(pieces(sent, cuts), server=False) == expected


def test_the_largest_message_of_the_largest_frames(frame, read):
    half = b"x" * 16384
    parts = [frame(BINARY if at == 0 else CONT, half * 2, fin=at == 3) for at in range(4)]
    assert read(parts) == [half * 8]
    assert read([b"".join(parts)]) == [half * 8]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_a_mask_of_zeros_is_a_mask(opcode, size, frame, read):
    expected = "x" * size if opcode == TEXT else b"x" * size
    assert read([frame(opcode, b"x" * size, mask=bytes(4))], frame_bytes=1 << 20) == [expected]


def test_text_after_a_fragmented_message_starts_anew(frame, read):
    parts = [
        frame(TEXT, b"\xc3", fin=False),
        frame(CONT, b"\xa9"),
        frame(TEXT, b"a"),
        frame(BINARY, b"\xc3"),
        frame(TEXT, b"b"),
    ]
    assert read(parts) == ["é", "a", b"\xc3", "b"]


def test_binary_is_not_checked_as_text(frame, read):
    assert read([frame(BINARY, b"\xff", fin=False), frame(CONT, b"\xfe")]) == [b"\xff\xfe"]


def test_a_close_is_read_between_fragments(frame, read):
    assert read([frame(TEXT, b"a", fin=False), frame(CLOSE, b"\x0f\xa0bye"), frame(CONT, b"b")]) == [
        ("Close", 4000, "bye")
    ]


# What it may not.


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("c1 80", "Reserved bits are set"),
        ("a1 80", "Reserved bits are set"),
        ("91 80", "Reserved bits are set"),
        ("81 00", "Frame is not masked"),
        ("88 00", "Frame is not masked"),
        ("83 80", "Opcode is not defined"),
        ("87 80", "Opcode is not defined"),
        ("8b 80", "Opcode is not defined"),
        ("8f 80", "Opcode is not defined"),
        ("09 80", "Control frame is fragmented or too long"),
        ("89 fe", "Control frame is fragmented or too long"),
        ("89 ff", "Control frame is fragmented or too long"),
        ("80 80", "Nothing to continue"),
        ("00 80", "Nothing to continue"),
        ("01 81 00000000 61 81 80", "Message begins inside another"),
        ("01 81 00000000 61 02 80", "Message begins inside another"),
        ("81 fe 007d", "Length is not minimal"),
        ("82 fe 0000", "Length is not minimal"),
        ("82 ff 000000000000ffff", "Length is not minimal"),
        ("82 ff 8000000000010000", "Length is not valid"),
        ("82 ff ffffffffffffffff", "Length is not valid"),
        ("88 81 00000000 03", "Close code is cut short"),
        ("88 82 00000000 03e7", "Close code is not valid"),
    ],
)  # fmt: skip
def test_a_broken_rule_fails_as_soon_as_it_shows(data, reason, read):
    data = bytes.fromhex(data)
    assert read([data]) == [wrong(reason)]
    assert read([data[at : at + 1] for at in range(len(data))]) == [wrong(reason)]
    assert read([data[:-1]]) == []


@pytest.mark.parametrize("opcode", [CONT, TEXT, BINARY, CLOSE, PING, PONG])
def test_a_masked_frame_from_a_server_fails(opcode, frame, read):
    assert read([frame(opcode, b"")[:2]], server=False) == [wrong("Frame is masked")]
    assert read([frame(opcode, b"", mask=bytes(4))], server=False) == [wrong("Frame is masked")]


@pytest.mark.parametrize("payload", [b"\xff", b"\xc3", b"x" * 126 + b"\xed\xa0\x80", b"\xe2\x82"])
@pytest.mark.parametrize("server", [True, False])
def test_invalid_text_fails(payload, server, frame, read):
    mask = b"mask" if server else None
    assert read([frame(TEXT, payload, mask=mask)], server=server) == [BAD_TEXT]
    assert read([frame(TEXT, payload, mask=mask, fin=False), frame(CONT, mask=mask)], server=server) == [BAD_TEXT]
    assert read([frame(CLOSE, b"\x03\xe8" + payload[-9:], mask=mask)], server=server) == [BAD_TEXT]


def test_binary_fails_where_it_is_not_taken(frame, read):
    refused = ("Failed", 1003, "Binary is not supported")
    assert read([b"\x82\x80"], binary=False) == [refused]
    assert read([b"\x02\x80"], binary=False) == [refused]
    texts = [frame(TEXT, b"a"), frame(TEXT, b"b", fin=False), frame(PING), frame(CONT, b"c")]
    assert read([*texts, frame(BINARY)], binary=False) == ["a", ("Ping", b""), "bc", refused]


# Limits: as declared, before the payload comes.


def header(size, opcode=BINARY, *, fin=True):
    length = (
        bytes([0x80 | size])
        if size < 126
        else b"\xfe" + size.to_bytes(2, "big")
        if size < 65536
        else b"\xff" + size.to_bytes(8, "big")
    )
    return bytes([fin << 7 | opcode]) + length


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("limit", [1, 124, 125, 126, 32768, 65536, 100_000])
@pytest.mark.parametrize("name", ["frame_bytes", "message_bytes"])
def test_a_frame_over_a_limit_fails_by_its_header(name, limit, opcode, frame, read):
    options = {"frame_bytes": 1 << 20, "message_bytes": 1 << 20} | {name: limit}
    assert read([header(limit + 1, opcode)], **options) == [TOO_BIG]
    assert read([header(limit, opcode)], **options) == []
    expected = b"x" * limit if opcode == BINARY else "x" * limit
    assert read([frame(opcode, b"x" * limit)], **options) == [expected]


def test_the_defaults_are_api_gateways(read):
    assert read([header(32769)]) == [TOO_BIG]
    assert read([header(32768)]) == []


def test_an_absurd_length_fails_without_room_for_it(read):
    assert read([header((1 << 63) - 1)]) == [TOO_BIG]


@pytest.mark.parametrize("server", [True, False])
def test_the_fragment_that_goes_over_the_message_limit_fails_by_its_header(server, frame, read):
    mask = b"mask" if server else None
    first = frame(TEXT, b"x" * 60, fin=False, mask=mask) + frame(PING, mask=mask)
    over, last = header(41, CONT), header(40, CONT)
    if not server:
        over, last = (bytes([head[0], head[1] & 0x7F]) for head in (over, last))
    options = {"server": server, "message_bytes": 100}
    assert read([first + over], **options) == [("Ping", b""), TOO_BIG]
    assert read([first, last], **options) == [("Ping", b"")]


def test_the_message_limit_is_one_messages(frame, read):
    message = [frame(TEXT, b"x" * 60, fin=False), frame(CONT, b"x" * 40)]
    assert read(message * 3, message_bytes=100) == ["x" * 100] * 3


@pytest.mark.parametrize(("message_bytes", "most"), [(1000, 4096), (65536, 4096), (131072, 8192), (1 << 18, 1 << 14)])
def test_a_message_of_too_many_fragments_fails(message_bytes, most, frame, read):
    start, part, end = frame(BINARY, fin=False), frame(CONT, fin=False), frame(CONT, b"end")
    assert read([start + part * (most - 2) + end] * 2, message_bytes=message_bytes) == [b"end"] * 2
    assert read([start + part * (most - 1) + end], message_bytes=message_bytes) == [TOO_BIG]


def test_an_endless_message_of_one_byte_fragments_fails(frame, read):
    start, part = frame(TEXT, b"x", fin=False), frame(CONT, b"x", fin=False)
    assert read([start, *[part] * 8191]) == []
    assert read([start, *[part] * 8192]) == [TOO_BIG]


# The end.


@pytest.mark.parametrize(
    "last",
    [
        bytes.fromhex("8880 00000000"), bytes.fromhex("8882 00000000 03e8"), b"\x81\x00", b"\x82\xfe\xff\xff",
        bytes.fromhex("8181 00000000 ff"), bytes.fromhex("0181 00000000 ff"), bytes.fromhex("0182 00000000 ff"),
        bytes.fromhex("8182 00000000 ff"), bytes.fromhex("01810000000061 0081 00000000 ff"),
    ],
    ids=["close", "close 1000", "unmasked", "too big", "text", "fragment", "torn fragment", "torn text", "continued"],
)  # fmt: skip
def test_nothing_follows_the_end(last, frame):
    parser = MessageParser()
    more = frame(TEXT, b"a") + frame(PING) + frame(TEXT, b"b", fin=False) + frame(BINARY)
    parser.feed(frame(PING) * 10 + last + more)
    assert type(parser.pull()[-1]).__name__ in {"Close", "Failed"}
    for _ in range(3):
        assert not parser.pending
        assert parser._data == b""
        assert parser.pull() == []
        parser.feed(more)


def test_the_end_behind_a_bound_comes_with_the_next_pull(frame, plain):
    parser = MessageParser()
    parser.feed(frame(TEXT, b"a") + frame(CLOSE) + frame(TEXT, b"b"))
    assert parser.pull(1) == ["a"]
    assert parser.pending
    assert [plain(event) for event in parser.pull(1)] == [("Close", 1005, "")]
    assert not parser.pending


# Bounded pulls.


def test_a_pull_stops_at_its_number_of_messages(frame):
    parser = MessageParser()
    parser.feed(b"".join(frame(TEXT, b"%d" % n) for n in range(40)))
    assert parser.pull() == [str(n) for n in range(16)]
    assert parser.pending
    assert parser.pull(3) == ["16", "17", "18"]
    assert parser.pull(0) == []
    assert parser.pending
    assert parser.pull(21) == [str(n) for n in range(19, 40)]
    assert not parser.pending


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_pull_stops_at_its_bytes_of_payload(opcode, frame):
    parser = MessageParser()
    parser.feed(frame(opcode, b"x" * 100) * 5)
    for count in (2, 2, 1):
        assert len(parser.pull(payload=101)) == count
        assert parser.pending is (count == 2)


def test_a_pull_stops_at_64_controls_more_than_its_messages(frame):
    parser = MessageParser()
    parser.feed(frame(PING) * 200)
    assert [len(parser.pull(messages)) for messages in (16, 1, 16, 16)] == [80, 65, 55, 0]
    assert not parser.pending


@given(
    whole=st.lists(st.tuples(st.sampled_from([TEXT, BINARY, PING, PONG]), st.binary(max_size=5)), max_size=150),
    messages=st.integers(1, 20),
    payload=st.integers(1, 20),
)
@example(whole=[(PING, b"")] * 66, messages=1, payload=1)
@example(whole=[(TEXT, b"")] * 2, messages=1, payload=1)
def test_pulls_are_bounded_and_lose_nothing(whole, messages, payload, plain):
    data = b"".join(FRAME(opcode, inner.hex().encode()) for opcode, inner in whole)
    at_once, bounded = MessageParser(), MessageParser()
    at_once.feed(data)
    bounded.feed(data)
    expected = [plain(event) for event in at_once.pull(1 << 30, 1 << 30)]
    assert len(expected) == len(whole)
    assert not at_once.pending
    got = []
    while True:
        events = bounded.pull(messages, payload)
        texts = [event for event in events if isinstance(event, str | bytes)]
        assert len(texts) <= messages
        assert len(events) <= messages + 64
        assert sum(len(text) for text in texts[:-1]) < payload
        got += [plain(event) for event in events]
        assert bounded.pending is (len(got) < len(expected))
        if not bounded.pending:
            break
    assert got == expected
    assert bounded._data == b""


@given(data=streams(), messages=st.integers(1, 3), options=OPTIONS)
def test_pulls_of_any_stream_lose_nothing(data, messages, options, plain):
    at_once, bounded = MessageParser(**options), MessageParser(**options)
    at_once.feed(data)
    bounded.feed(data)
    expected = [plain(event) for event in at_once.pull(1 << 30, 1 << 30)]
    got = [plain(event) for event in bounded.pull(messages)]
    while bounded.pending:
        got += [plain(event) for event in bounded.pull(messages)]
    assert got == expected
    assert bounded.pull() == []


# Any bytes, in any pieces.


@given(data=streams(), cuts=st.lists(st.integers(0, 600), max_size=10), options=OPTIONS)
def test_any_split_of_a_clients_bytes_gives_the_same_events(data, cuts, options, read):
    whole = read([data], **options)
    assert read(pieces(data, cuts), **options) == whole
    assert read(pieces(data, range(len(data))), **options) == whole


@given(data=streams(masked=False), cuts=st.lists(st.integers(0, 600), max_size=10))
def test_any_split_of_a_servers_bytes_gives_the_same_events(data, cuts, read):
    assert read(pieces(data, cuts), server=False) == read([data], server=False)


@given(data=st.binary(max_size=200), options=OPTIONS)
@example(data=b"\x81\x80\0\0\0\0" * 3, options={})
@example(data=b"\x01\x81\0\0\0\0\xff", options={})
def test_any_bytes_give_events_and_end_at_most_once(data, options, read):
    events = read([data], **options)
    ends = [at for at, event in enumerate(events) if event[0:1] in {("Close",), ("Failed",)}]
    assert ends in ([], [len(events) - 1])


# Memory.


@pytest.mark.parametrize("size", [0, 5, 125, 126, 30_000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING])
def test_after_a_whole_frame_nothing_is_held(opcode, size, frame):
    parser = MessageParser()
    size = min(size, 125) if opcode == PING else size
    for data in (frame(opcode, b"x" * size), frame(opcode, b"x" * size) * 2):
        parser.feed(data)
        assert parser.pull()
        assert parser._data == b""
        assert parser._message is parser._decoder is None


def test_of_a_payload_under_way_only_the_message_is_held(frame):
    parser = MessageParser()
    data = frame(TEXT, b"x" * 30_000)
    for start in range(0, len(data) - 1000, 1000):
        parser.feed(data[start : start + 1000])
        assert parser.pull() == []
        assert parser._data == b""
    assert len(parser._message) < 30_000


def test_a_torn_header_is_held_and_no_more(frame):
    parser = MessageParser()
    parser.feed(frame(TEXT, b"x" * 100) + frame(BINARY, b"x" * 200)[:7])
    assert parser.pull() == ["x" * 100]
    assert len(parser._data) == 7


def test_a_failure_says_what_to_close_with(frame):
    parser = MessageParser()
    parser.feed(frame(TEXT, b"\xff"))
    [failed] = parser.pull()
    assert type(failed) is Failed
    assert (failed.code, failed.reason) == (1007, "Invalid UTF-8")
