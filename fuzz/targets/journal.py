"""The journal: whatever a file holds, reading it raises nothing; whatever is done to a real one, no connection is made up."""

from trunkline.gateway.journal import Entry, record, scan
from trunkline.gateway.journal import _Ended as Ended

from .pieces import head


def check(data):
    """The bytes as a file; and as what happens to a file of real records."""
    _check_any(data)
    _check_any(b"".join(_checked(line) for line in data.split(b"\n")))
    _check_damaged(data)


def _checked(text):
    """A line whose checksum is right: what only an attacker with the file in hand writes."""
    from zlib import crc32

    return b"%08x %b\n" % (crc32(text), text)


def _check_any(data):
    found = scan(data)
    assert found.whole == data.rfind(b"\n") + 1
    assert found.damaged == sorted(set(found.damaged))
    assert all(position < found.whole for position in found.damaged)
    for connection_id, entry in found.open.items():
        identity = entry.identity()
        assert identity.connection_id == connection_id
        assert scan(record(entry)).open == {connection_id: entry}, "what was read is not written as it was"


def _check_damaged(data):
    """Byte 0: how many are open. Bytes 1 to 3: which byte changes, and to what. Then: texts that a client sent."""
    (count, high, low, value), text = head(data, 4)
    opened = [_entry(number, text) for number in range(count % 8 + 1)]
    ended = [entry.connection_id for entry in opened[::3]]
    file = b"".join([*map(record, opened), *(record(Ended(name)) for name in ended)])
    expected = {entry.connection_id: entry for entry in opened if entry.connection_id not in ended}
    assert scan(file).open == expected
    assert scan(file).damaged == []
    for at in range((high << 8 | low) % len(file), len(file), 61):
        for torn in (file[:at], file[:at] + bytes([value]) + file[at + 1 :], file[at:]):
            made_up = [name for name, entry in scan(torn).open.items() if entry not in opened]
            assert made_up == [], "a connection is made up"


def _entry(number, text):
    said = text.decode("latin-1")
    attributes = {"said": said} if number % 2 else None
    return Entry(f"id-{number}", said[:9], "api", "stage", said, said[::-1], said, number, attributes, attributes)
