"""Autobahn's cases, under its numbers, against the parser alone: what it must say of these frames."""

import itertools

import pytest

from trunkline.wire.frames import encode_message

LARGE = {"frame_bytes": 64 << 20, "message_bytes": 64 << 20}
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GREEK = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
UMLAUTS = "Hello-µ@ßöäüàá-UTF-8!!".encode()
BAD = 1007
WRONG = 1002


def fragments(*parts, opcode=TEXT):
    """The frames of one message."""
    last = len(parts) - 1
    return [(opcode if at == 0 else CONT, part, {"fin": at == last}) for at, part in enumerate(parts)]


def octets(payload):
    return fragments(*(payload[at : at + 1] for at in range(len(payload))))


def close(code, reason=b""):
    return (CLOSE, code.to_bytes(2, "big") + reason)


# Each case: its frames as (opcode, payload, options), then the events; an int stands for Failed with that code.
CASES = {}

# 1: framing.
for number, size in enumerate((0, 125, 126, 127, 128, 65535, 65536), 1):
    CASES[f"1.1.{number}"] = [(TEXT, b"*" * size)], ["*" * size]
    CASES[f"1.2.{number}"] = [(BINARY, b"\xfe" * size)], [b"\xfe" * size]
CASES["1.1.8"] = CASES["1.1.7"]  # Autobahn sends it in pieces of 997 octets; here every case is fed in pieces
CASES["1.2.8"] = CASES["1.2.7"]

# 2: pings and pongs.
TEN = [(PING, b"payload-%d" % n) for n in range(10)], [("Ping", b"payload-%d" % n) for n in range(10)]
CASES |= {
    "2.1": ([(PING, b"")], [("Ping", b"")]),
    "2.2": ([(PING, b"Hello, world!")], [("Ping", b"Hello, world!")]),
    "2.3": ([(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")], [("Ping", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")]),
    "2.4": ([(PING, b"\xfe" * 125)], [("Ping", b"\xfe" * 125)]),
    "2.5": ([(PING, b"\xfe" * 126)], [WRONG]),
    "2.6": ([(PING, b"\xfe" * 125)], [("Ping", b"\xfe" * 125)]),
    "2.7": ([(PONG, b"")], [("Pong", b"")]),
    "2.8": ([(PONG, b"unsolicited")], [("Pong", b"unsolicited")]),
    "2.9": ([(PONG, b"unsolicited"), (PING, b"mine")], [("Pong", b"unsolicited"), ("Ping", b"mine")]),
    "2.10": TEN,
    "2.11": TEN,
}

# 3: reserved bits.
HELLO = b"Hello, world!"
CASES |= {
    "3.1": ([(TEXT, HELLO, {"rsv": 1})], [WRONG]),
    **{f"3.{n}": ([(TEXT, HELLO), (TEXT, HELLO, {"rsv": n}), (PING,)], [HELLO.decode(), WRONG]) for n in (2, 3, 4)},
    "3.5": ([(BINARY, b"\x00\xff\xfe", {"rsv": 5})], [WRONG]),
    "3.6": ([(PING, HELLO, {"rsv": 6})], [WRONG]),
    "3.7": ([(CLOSE, b"", {"rsv": 7})], [WRONG]),
}

# 4: opcodes without a meaning.
for section, first in ((1, 3), (2, 11)):
    CASES |= {
        f"4.{section}.1": ([(first,)], [WRONG]),
        f"4.{section}.2": ([(first + 1, b"reserved opcode payload")], [WRONG]),
        f"4.{section}.3": ([(TEXT, HELLO), (first + 2,), (PING,)], [HELLO.decode(), WRONG]),
        f"4.{section}.4": ([(TEXT, HELLO), (first + 3, HELLO), (PING,)], [HELLO.decode(), WRONG]),
        f"4.{section}.5": ([(TEXT, HELLO), (first + 4, HELLO), (PING,)], [HELLO.decode(), WRONG]),
    }

# 5: fragmentation.
TWO = fragments(b"fragment1", b"fragment2")
PINGED = [TWO[0], (PING, b"ping"), TWO[1]], [("Ping", b"ping"), "fragment1fragment2"]
FIVE = fragments(*(b"fragment%d" % n for n in range(1, 6)))
PINGED_TWICE = (
    [*FIVE[:2], (PING, b"pongme 1!"), *FIVE[2:4], (PING, b"pongme 2!"), FIVE[4]],
    [("Ping", b"pongme 1!"), ("Ping", b"pongme 2!"), "fragment1fragment2fragment3fragment4fragment5"],
)
CASES |= {
    "5.1": ([(PING, b"fragment1", {"fin": False}), (CONT, b"fragment2")], [WRONG]),
    "5.2": ([(PONG, b"fragment1", {"fin": False}), (CONT, b"fragment2")], [WRONG]),
    **{f"5.{n}": (TWO, ["fragment1fragment2"]) for n in (3, 4, 5)},
    **{f"5.{n}": PINGED for n in (6, 7, 8)},
    **{f"5.{n}": ([(CONT, b"non-continuation"), (TEXT, HELLO)], [WRONG]) for n in (9, 10, 11)},
    **{f"5.{n}": ([(CONT, b"non", {"fin": False}), (TEXT, HELLO)], [WRONG]) for n in (12, 13, 14)},
    "5.15": ([*TWO, (CONT, b"fragment3", {"fin": False}), (TEXT, b"fragment4")], ["fragment1fragment2", WRONG]),
    "5.16": ([(CONT, b"fragment1", {"fin": False}), *TWO] * 2, [WRONG]),
    "5.17": ([(CONT, b"fragment1"), *TWO] * 2, [WRONG]),
    "5.18": ([TWO[0], (TEXT, b"fragment2")], [WRONG]),
    "5.19": PINGED_TWICE,
    "5.20": PINGED_TWICE,
}

# 6: UTF-8.
BEYOND = b"\xf4\x90\x80\x80"  # would be U+110000
CASES |= {
    "6.1.1": ([(TEXT, b"")], [""]),
    "6.1.2": (fragments(b"", b"", b""), [""]),
    "6.1.3": (fragments(b"", b"middle frame payload", b""), ["middle frame payload"]),
    "6.2.1": ([(TEXT, UMLAUTS)], [UMLAUTS.decode()]),
    "6.2.2": (fragments(UMLAUTS[:13], UMLAUTS[13:]), [UMLAUTS.decode()]),
    "6.2.3": (octets(UMLAUTS), [UMLAUTS.decode()]),
    "6.2.4": (octets(GREEK), [GREEK.decode()]),
    "6.3.1": ([(TEXT, GREEK + b"\xed\xa0\x80edited")], [BAD]),
    "6.3.2": (octets(GREEK + b"\xed\xa0\x80edited"), [BAD]),
    "6.4.1": (fragments(GREEK, BEYOND, b"edited"), [BAD]),
    "6.4.2": (fragments(GREEK + b"\xf4", b"\x90", b"\x80\x80edited"), [BAD]),
    "6.4.3": ([(TEXT, GREEK + BEYOND + b"edited")], [BAD]),
    "6.4.4": ([(TEXT, GREEK + BEYOND + b"edited")], [BAD]),
}


def lonely(first, last):
    return b"".join(bytes([start, 0x20]) for start in range(first, last))


CUT = ["c0", "e080", "f08080", "f8808080", "fc80808080", "df", "efbf", "f7bfbf", "fbbfbfbf", "fdbfbfbfbf"]
NONCHARACTERS = [
    f"{z1:02x}{z2:02x}bf{z3:02x}"
    for z1, z2, z3 in itertools.product(range(0xF0, 0xF5), (0x8F, 0x9F, 0xAF, 0xBF), (0xBE, 0xBF))
    if (z1, z2) != (0xF0, 0x8F) and (z1 != 0xF4 or z2 == 0x8F)
]
VALID, INVALID = True, False
# Sections 6.5 to 6.23, from Markus Kuhn's stress test. Whole sections are valid or not but for the marked ones.
SEQUENCES = {
    5: (VALID, [b"hello$world".hex(), *("hello%sworld".encode().hex().replace("2573", c) for c in ("c2a2", "e282ac", "f0a4ada2")), GREEK.hex()]),
    6: (None, [GREEK[:size].hex() for size in range(1, 12)]),
    7: (VALID, ["00", "c280", "e0a080", "f0908080"]),
    8: (INVALID, ["f888808080", "fc8480808080"]),
    9: (VALID, ["7f", "dfbf", "efbfbf", "f48fbfbf"]),
    10: (INVALID, ["f7bfbfbf", "fbbfbfbfbf", "fdbfbfbfbfbf"]),
    11: (None, ["ed9fbf", "ee8080", "efbfbd", "f48fbfbf", "f4908080"]),
    12: (INVALID, ["80", "bf", "80bf", "80bf80", "80bf80bf", "80bf80bf80", "80bf80bf80bf", bytes(range(0x80, 0xBF)).hex()]),
    13: (INVALID, [lonely(*ends).hex() for ends in ((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD))]),
    14: (INVALID, CUT),
    15: (INVALID, ["".join(CUT)]),
    16: (INVALID, ["fe", "ff", "fefeffff"]),
    17: (INVALID, ["c0af", "e080af", "f08080af", "f8808080af", "fc80808080af"]),
    18: (INVALID, ["c1bf", "e09fbf", "f08fbfbf", "f887bfbfbf", "fc83bfbfbfbf"]),
    19: (INVALID, ["c080", "e08080", "f0808080", "f880808080", "fc8080808080"]),
    20: (INVALID, ["eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf"]),
    21: (INVALID, [a + b for a in ("eda080", "edadbf", "edae80", "edafbf") for b in ("edb080", "edbfbf")]),
    22: (VALID, ["efbfbe", "efbfbf", *NONCHARACTERS]),
    23: (VALID, ["efbfb9", "efbfba", "efbfbb", "efbfbc", "efbfbd", "efbfbe", "efbfbf"]),
}  # fmt: skip
MIXED = {(6, number) for number in (2, 5, 7, 9, 11)} | {(11, number) for number in (1, 2, 3, 4)}  # these are valid
for section, (validity, texts) in SEQUENCES.items():
    for number, text in enumerate(texts, 1):
        payload = bytes.fromhex(text)
        valid = (section, number) in MIXED if validity is None else validity
        CASES[f"6.{section}.{number}"] = [(TEXT, payload)], [payload.decode() if valid else BAD]

# 7: closing.
NORMAL = ("Close", 1000, "")
CASES |= {
    "7.1.1": ([(TEXT, HELLO), close(1000)], [HELLO.decode(), NORMAL]),
    "7.1.2": ([close(1000), close(1000)], [NORMAL]),
    "7.1.3": ([close(1000), (PING,)], [NORMAL]),
    "7.1.4": ([close(1000), (TEXT, HELLO)], [NORMAL]),
    "7.1.5": ([TWO[0], close(1000), TWO[1]], [NORMAL]),
    "7.1.6": ([(TEXT, b"BAsd7&jh23" * 26215), (TEXT, HELLO), close(1000), (PING,)], ["BAsd7&jh23" * 26215, HELLO.decode(), NORMAL]),
    "7.3.1": ([(CLOSE, b"")], [("Close", 1005, "")]),
    "7.3.2": ([(CLOSE, b"a")], [WRONG]),
    "7.3.3": ([close(1000)], [NORMAL]),
    "7.3.4": ([close(1000, b"Hello World!")], [("Close", 1000, "Hello World!")]),
    "7.3.5": ([close(1000, b"*" * 123)], [("Close", 1000, "*" * 123)]),
    "7.3.6": ([close(1000, b"*" * 124)], [WRONG]),
    "7.5.1": ([close(1000, GREEK + b"\xed\xa0\x80edited")], [BAD]),
    "7.13.1": ([close(5000)], [WRONG]),
    "7.13.2": ([close(65535)], [WRONG]),
}  # fmt: skip
for number, code in enumerate((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999), 1):
    CASES[f"7.7.{number}"] = [close(code)], [("Close", code, "")]
for number, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), 1):
    CASES[f"7.9.{number}"] = [close(code)], [WRONG]

# 10: automatic fragmentation.
CASES["10.1.1"] = fragments(*(b"*" * min(1300, 65536 - at) for at in range(0, 65536, 1300))), ["*" * 65536]


# How many cases each section of Autobahn has. 8 is not used; 9 is mass, 12 and 13 are compression.
SECTIONS = {
    "1.1": 8, "1.2": 8, "2": 11, "3": 7, "4.1": 5, "4.2": 5, "5": 20,
    "6.1": 3, "6.2": 4, "6.3": 2, "6.4": 4, "6.5": 5, "6.6": 11, "6.7": 4, "6.8": 2, "6.9": 4, "6.10": 3, "6.11": 5,
    "6.12": 8, "6.13": 5, "6.14": 10, "6.15": 1, "6.16": 3, "6.17": 5, "6.18": 5, "6.19": 5, "6.20": 7, "6.21": 8,
    "6.22": 34, "6.23": 7, "7.1": 6, "7.3": 6, "7.5": 1, "7.7": 13, "7.9": 9, "7.13": 2, "10.1": 1,
}  # fmt: skip


def test_every_case_of_sections_1_to_7_and_10_is_here():
    expected = [f"{section}.{number}" for section, count in SECTIONS.items() for number in range(1, count + 1)]
    assert len(expected) == 247
    assert sorted(CASES) == sorted(expected)


def simple(events):
    """A failure by its code alone: its words are not Autobahn's."""
    return [event[1] if event[0:1] == ("Failed",) else event for event in events]


def made(frame, frames):
    return [frame(opcode, *rest[:1], **(rest[1] if len(rest) > 1 else {})) for opcode, *rest in frames]


def pieces(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("case", CASES)
def test_case(case, frame, read):
    frames, events = CASES[case]
    whole = b"".join(made(frame, frames))
    assert simple(read([whole], **LARGE)) == events
    assert simple(read(made(frame, frames), **LARGE)) == events
    assert simple(read(pieces(whole, 997 if len(whole) > 10_000 else 3), **LARGE)) == events
    assert simple(read(pieces(whole, 1), **LARGE)) == events


@pytest.mark.parametrize("case", CASES)
def test_case_sent_by_a_server(case, frame, read):
    frames, events = CASES[case]
    whole = b"".join(
        frame(opcode, *rest[:1], **(rest[1] if len(rest) > 1 else {}), mask=None) for opcode, *rest in frames
    )
    assert simple(read([whole], server=False, **LARGE)) == events
    assert simple(read(pieces(whole, 997 if len(whole) > 10_000 else 1), server=False, **LARGE)) == events


@pytest.mark.parametrize("case", [case for case, (_, events) in CASES.items() if BAD in events and case[:2] == "6."])
def test_invalid_text_in_fragments_of_one_octet(case, frame, read):
    frames, _ = CASES[case]
    payload = b"".join(rest[0] for _, *rest in frames)
    assert simple(read(made(frame, octets(payload)), **LARGE)) == [BAD]


@pytest.mark.parametrize("sent", [0, 1, 2])
@pytest.mark.parametrize("case", ["6.4.1", "6.4.2"])
def test_a_fragment_fails_before_the_message_ends(case, sent, frame, read):
    frames, _ = CASES[case]
    assert simple(read(made(frame, frames)[:sent], **LARGE)) == ([BAD] if sent == 2 else [])


@pytest.mark.parametrize(
    ("case", "good"), [("6.3.1", 12), ("6.4.3", 12), ("6.4.4", 12), ("6.20.1", 1), ("6.18.2", 1), ("6.16.1", 0)]
)
def test_a_frame_fails_at_its_first_wrong_octet(case, good, frame, read):
    [(opcode, payload)], _ = CASES[case]
    data = frame(opcode, payload + b"and more")
    assert read([data[: 6 + good]], **LARGE) == []
    assert simple(read([data[: 6 + good + 1]], **LARGE)) == [BAD]
    assert simple(read(pieces(data[: 6 + good + 1], 1), **LARGE)) == [BAD]


@pytest.mark.parametrize("number", range(7, 10))
def test_close_codes_that_iana_registered_since(number, frame, read):
    code = 1005 + number
    assert read([frame(*close(code))]) == [("Close", code, "")]


def test_case_10_1_1_backwards(read):
    data = encode_message("*" * 65536, frame_bytes=1300)
    assert data.startswith(b"\x01\x7e\x05\x14")
    assert len(data) == 65536 + 4 * 51
    assert read([data], server=False) == ["*" * 65536]
