"""The journal of accepted connections: its format under every kind of damage, its file on a disk that fills up."""

import asyncio
import contextlib
import logging
import os
import resource
import stat
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import ConfigurationError, limits, testing, websocket
from trunkline.gateway import journal as module
from trunkline.gateway.journal import Entry, Journal, Scan, record, scan
from trunkline.model.events import DISCONNECT, Event, Identity
from trunkline.model.ids import ConnectionIds

HEAD = record(module._Head(1))
IDS = ConnectionIds(b"k" * 32)


def identity(connection_id=None, **more):
    known = {
        "connection_id": connection_id or IDS.new(), "api_id": "a1b2c3d4e5", "stage": "chat", "domain_name": "localhost",
        "source_ip": "127.0.0.1", "user_agent": "a test", "connected_at": 1_767_225_600_000,
    }  # fmt: skip
    return Identity(**(known | more))


def entry(connection_id, **more):
    return Entry.of(identity(connection_id, **more), "chat")


def ended(connection_id):
    return module._Ended(connection_id)


def lines(data):
    return data.count(b"\n")


@pytest.fixture
def file(tmp_path):
    return tmp_path / ".trunkline" / "journal"


@pytest.fixture
def begin(file):
    """Open the journal, as each start does; what is still open at the end of the test is let go of."""
    with contextlib.ExitStack() as stack:

        def begin():
            journal = Journal(file)
            journal.open()
            stack.callback(journal._let_go)
            return journal

        yield begin


def crash(journal):
    """The process is gone: its descriptors are closed, and nothing else happens."""
    journal._let_go()


@contextlib.contextmanager
def room_for(size):
    """No file takes more bytes than these; as on a full disk, what still fits of a write is written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# What an entry says.

texts = st.text(st.characters(codec="utf-8"), max_size=20)
identities = st.builds(
    identity,
    connection_id=texts,
    api_id=texts,
    stage=texts,
    domain_name=texts,
    source_ip=texts,
    user_agent=st.none() | texts,
    connected_at=st.integers(0, 2**53),
    authorizer=st.none() | st.dictionaries(texts, texts | st.integers(-(2**53), 2**53) | st.booleans(), max_size=3),
    stage_variables=st.none() | st.dictionaries(texts, texts, max_size=3),
)


@given(identities)
def test_an_entry_comes_back_as_the_same_disconnect(who):
    def disconnect(identity):
        event = Event(DISCONNECT, identity, "$disconnect", close_code=1006, close_reason=limits.REASON_ABNORMAL)
        event._request_id = "the same"
        built = event.event
        del built["requestContext"]["requestTimeEpoch"], built["requestContext"]["requestTime"]
        return built

    (found,) = scan(record(Entry.of(who, "chat"))).open.values()
    assert found.api == "chat"
    back = found.identity()
    assert {name: getattr(back, name) for name in Identity.__slots__} == {
        name: getattr(who, name) for name in Identity.__slots__
    }
    assert disconnect(back) == disconnect(who)


# The format. A history is a list of ids, each with whether it ended.

histories = st.lists(st.tuples(st.sampled_from([f"id {n}" for n in range(6)]), st.booleans()), max_size=12)


def written(history):
    """The records, and who is open after each of them."""
    records, states, open = [HEAD], [{}], {}
    for connection_id, over in history:
        if over:
            open.pop(connection_id, None)
            records.append(record(ended(connection_id)))
        else:
            open[connection_id] = entry(connection_id)
            records.append(record(open[connection_id]))
        states.append(dict(open))
    return records, states


@given(histories)
def test_what_is_written_is_read(history):
    records, states = written(history)
    data = b"".join(records)
    assert scan(data) == Scan(states[-1], ended=sum(over for _, over in history), whole=len(data))


@given(histories, st.data())
def test_cut_at_any_byte_it_says_what_the_whole_records_say(history, data):
    records, states = written(history)
    whole = b"".join(records)
    length = data.draw(st.integers(0, len(whole)))
    found = scan(whole[:length])
    complete = lines(whole[:length])
    assert found.open == (states[complete - 1] if complete else {})
    assert found.whole == sum(map(len, records[:complete]))
    assert found.damaged == []


@given(histories, st.data())
def test_flipped_bits_make_up_no_connection_and_change_none(history, data):
    records, _ = written(history)
    whole = bytearray(b"".join(records))
    for position in data.draw(st.lists(st.integers(0, len(whole) * 8 - 1), min_size=1, max_size=4, unique=True)):
        whole[position // 8] ^= 1 << position % 8
    found = scan(bytes(whole))
    known = {connection_id: entry(connection_id) for connection_id, _ in history}
    assert found.open.items() <= known.items()
    assert found.damaged or found.whole < len(whole), "and it is seen"


@given(histories, st.data())
def test_one_damaged_line_costs_what_it_said_and_no_more(history, data):
    records, _ = written(history)
    hurt = data.draw(st.integers(0, len(records) - 1))
    at = data.draw(st.integers(0, len(records[hurt]) - 2))
    before = b"".join(records[:hurt])
    line = bytearray(records[hurt])
    line[at] = (line[at] + 1) % 256 if (line[at] + 1) % 256 != 10 else 11
    found = scan(before + bytes(line) + b"".join(records[hurt + 1 :]))
    assert found.damaged == [len(before)]
    assert found.open == scan(before + b"".join(records[hurt + 1 :])).open


@given(st.binary())
def test_garbage_is_no_connection(data):
    assert scan(data).open == {}


@given(st.binary() | st.text().map(str.encode))
def test_garbage_under_a_right_checksum_is_a_damaged_line(text):
    text = text.replace(b"\n", b"")
    assert scan(b"%08x %b\n" % (zlib.crc32(text), text)).damaged == [0]


@pytest.mark.parametrize(
    "text",
    [b'["opened","id"]', b'["opened",1,2,3,4,5,6,7,8,9,10]', b'["closed","id"]', b"{}", b"[" * 100_000, b'["ended"]'],
)
def test_json_that_is_no_record_is_a_damaged_line(text):
    assert scan(b"%08x %b\n" % (zlib.crc32(text), text)).damaged == [0]


def test_a_checksum_has_one_spelling():
    line = next(line for n in range(99) if (line := record(ended(str(n))))[:8].upper() != line[:8])
    assert scan(line[:8].upper() + line[8:]).damaged == [0]


# The file.


def test_what_was_open_at_a_crash_is_open_at_the_next_start(begin):
    journal = begin()
    one, two, three = (identity() for _ in range(3))
    for who in (one, two, three):
        assert journal.opened(who, "chat")
    journal.ended(two.connection_id)
    crash(journal)
    assert [found.connection_id for found in begin().entries()] == [one.connection_id, three.connection_id]


def test_a_record_is_in_the_file_before_anybody_is_told(begin, file):
    journal = begin()
    who = identity()
    journal.opened(who, "chat")
    assert file.read_bytes() == HEAD + record(Entry.of(who, "chat"))
    journal.ended(who.connection_id)
    assert file.read_bytes().endswith(record(ended(who.connection_id)))


def test_it_goes_on_behind_what_the_last_run_left(begin, file):
    journal = begin()
    journal.opened(identity("one"), "chat")
    crash(journal)
    journal = begin()
    journal.opened(identity("two"), "chat")
    journal.ended("one")
    crash(journal)
    assert list(scan(file.read_bytes()).open) == ["two"]
    assert file.read_bytes().count(b"journal") == 1


def test_closed_in_order_it_is_empty(begin, file):
    journal = begin()
    journal.opened(identity("one"), "chat")
    journal.ended("one")
    journal.close()
    assert file.read_bytes() == b""
    assert begin().entries() == []


def test_closed_too_early_it_keeps_who_has_not_ended(begin):
    journal = begin()
    journal.opened(identity("one"), "chat")
    journal.close()
    assert [found.connection_id for found in begin().entries()] == ["one"]


def test_after_its_end_it_takes_nothing_and_says_so(begin):
    journal = begin()
    journal.opened(identity("one"), "chat")
    journal.close()
    journal.ended("one")
    assert journal.opened(identity("two"), "chat") is False
    journal.close()
    assert [found.connection_id for found in begin().entries()] == ["one"], "it is owed its DISCONNECT"


def test_the_end_of_one_that_it_does_not_know_is_not_noted(begin, file):
    begin().ended("nobody")
    assert file.read_bytes() == HEAD


def test_only_its_user_may_read_it(begin, file):
    before = os.umask(0)
    try:
        begin()
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    for one in file.parent.iterdir():
        assert stat.S_IMODE(one.stat().st_mode) == 0o600, one.name


def test_an_unfinished_last_line_is_left_out_and_told(begin, file, caplog):
    journal = begin()
    journal.opened(identity("one"), "chat")
    journal.opened(identity("two"), "chat")
    crash(journal)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    journal = begin()
    assert [found.connection_id for found in journal.entries()] == ["one"]
    assert f"{file}: the last record was not finished" in caplog.text
    assert scan(file.read_bytes()).whole == file.stat().st_size
    journal.opened(identity("three"), "chat")
    crash(journal)
    assert list(scan(file.read_bytes()).open) == ["one", "three"]
    assert scan(file.read_bytes()).damaged == []


def test_a_damaged_line_is_skipped_and_told(begin, file, caplog):
    journal = begin()
    for name in ("one", "two", "three"):
        journal.opened(identity(name), "chat")
    crash(journal)
    file.write_bytes(file.read_bytes().replace(b'"two"', b'"owt"'))
    assert [found.connection_id for found in begin().entries()] == ["one", "three"]
    (told,) = [line.getMessage() for line in caplog.records if line.levelno == logging.ERROR]
    at = file.read_bytes().index(b'"owt"') - len('00000000 ["opened",')
    assert told.startswith(f"{file}: damaged lines: 1, the first at byte {at}; they are skipped, ")


def test_a_later_format_is_refused_and_not_touched(begin, file):
    file.parent.mkdir()
    file.write_bytes(record(module._Head(2)))
    with pytest.raises(ConfigurationError, match="journal has format 2, and this Trunkline reads format 1; use the"):
        begin()
    assert file.read_bytes() == record(module._Head(2))
    file.unlink()
    begin()


@pytest.mark.parametrize("obstacle", ["folder", "journal", "journal.lock"])
def test_a_place_that_cannot_be_had_is_refused_by_name(begin, file, obstacle):
    if obstacle == "folder":
        file.parent.write_text("a file")
    else:
        (file.parent / obstacle).mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=f"cannot use the journal of connections {file}: .*--store memory:"):
        begin()


def test_a_second_node_on_the_same_folder_is_refused_until_the_first_has_ended(begin, file):
    first = begin()
    for _ in range(2):
        with pytest.raises(ConfigurationError) as refused:
            begin()
    assert str(refused.value) == (
        f"another trunkline run uses {file.parent}; stop it, or run this one in another folder or with --store memory:"
    )
    first.opened(identity("one"), "chat")
    first.close()
    assert len(begin().entries()) == 1


# A full disk.


def test_what_finds_no_room_is_refused_told_once_and_not_half_written(begin, file, caplog):
    journal = begin()
    journal.opened(identity("one"), "chat")
    before = file.read_bytes()
    with room_for(len(before) + 20):
        assert [journal.opened(identity(), "chat") for _ in range(3)] == [False] * 3
        assert file.read_bytes() == before
    (told,) = caplog.messages
    assert told.startswith(f"cannot write the journal of connections {file}: File too large; until it can be written, ")
    assert [found.connection_id for found in journal.entries()] == ["one"]


def test_when_there_is_room_again_it_goes_on_and_says_so(begin, file, caplog):
    journal = begin()
    with room_for(len(HEAD) + 20):
        journal.opened(identity("one"), "chat")
    assert journal.opened(identity("two"), "chat") is True
    assert journal.opened(identity("three"), "chat") is True
    assert caplog.messages[1:] == [f"{file} can be written again; handshakes are accepted"]
    crash(journal)
    assert list(scan(file.read_bytes()).open) == ["two", "three"]
    assert scan(file.read_bytes()).damaged == []


def test_ends_that_find_no_room_are_written_with_the_next_record(begin, file):
    journal = begin()
    for name in ("one", "two", "three"):
        journal.opened(identity(name), "chat")
    with room_for(file.stat().st_size + 3):
        journal.ended("one")
        journal.ended("two")
    assert len(scan(file.read_bytes()).open) == 3
    journal.opened(identity("four"), "chat")
    assert list(scan(file.read_bytes()).open) == ["three", "four"]
    journal.opened(identity("five"), "chat")
    assert file.read_bytes().count(b'"ended"') == 2


def test_a_piece_that_cannot_be_taken_back_is_overwritten(begin, file, monkeypatch):
    journal = begin()
    with room_for(len(HEAD) + 20):
        monkeypatch.setattr(os, "ftruncate", lambda *_: os.write(-1, b""))
        journal.opened(identity("one"), "chat")
        monkeypatch.undo()
    assert scan(file.read_bytes()).whole < file.stat().st_size
    journal.opened(identity("two"), "chat")
    assert file.read_bytes() == HEAD + record(entry("two"))


def test_a_disk_that_is_full_at_the_start_is_told(begin, file):
    with room_for(3), pytest.raises(ConfigurationError, match="cannot use the journal .*: File too large"):
        begin()
    assert begin().entries() == []


def test_a_disk_that_breaks_at_the_end_ends_it_all_the_same(begin, monkeypatch):
    journal = begin()
    monkeypatch.setattr(os, "ftruncate", lambda *_: os.write(-1, b""))
    journal.close()
    monkeypatch.undo()
    assert begin().entries() == []


# Its size.


def churn(journal, connections, at_once):
    """So many connections come and go, so many at a time; the largest size that the file had."""
    alive, largest = [], 0
    for number in range(connections):
        alive.append(f"connection {number}")
        journal.opened(identity(alive[-1]), "chat")
        if len(alive) > at_once:
            journal.ended(alive.pop(0))
        largest = max(largest, journal.file.stat().st_size)
    return alive, largest


def test_its_size_is_bounded_by_what_is_open(begin, file, monkeypatch):
    monkeypatch.setattr(module, "_COMPACT_BYTES", 4096)
    journal = begin()
    alive, largest = churn(journal, 2000, at_once=50)
    one = len(record(entry("connection 1999"))) + len(record(ended("connection 1999")))
    assert largest < 4096 + 2 * 51 * one
    crash(journal)
    assert list(scan(file.read_bytes()).open) == alive
    assert [name.name for name in file.parent.iterdir() if name.name.endswith(".new")] == []


def test_while_more_is_open_than_ended_it_is_left_alone(begin, file, monkeypatch):
    monkeypatch.setattr(module, "_COMPACT_BYTES", 0)
    journal = begin()
    for number in range(4):
        journal.opened(identity(f"{number}"), "chat")
    journal.ended("0")
    journal.ended("1")
    assert lines(file.read_bytes()) == 1 + 4 + 2
    journal.ended("2")
    assert file.read_bytes() == HEAD + record(entry("3"))
    journal.opened(identity("4"), "chat")
    assert list(scan(file.read_bytes()).open) == ["3", "4"]


def test_a_crash_before_the_new_file_has_taken_the_old_ones_place_costs_nothing(begin, file, monkeypatch):
    monkeypatch.setattr(module, "_COMPACT_BYTES", 0)
    journal = begin()
    for name in ("one", "two"):
        journal.opened(identity(name), "chat")
    journal.ended("one")
    file.with_name("journal.new").write_bytes(HEAD + record(entry("two"))[:9])
    crash(journal)
    journal = begin()
    assert [found.connection_id for found in journal.entries()] == ["two"]
    journal.ended("two")
    assert file.read_bytes() == HEAD


def test_without_room_for_the_new_file_the_old_one_stays(begin, file, monkeypatch, caplog):
    monkeypatch.setattr(module, "_COMPACT_BYTES", 0)
    journal = begin()
    for number in range(6):
        journal.opened(identity(f"{number}"), "chat")
    size = file.stat().st_size
    with room_for(len(HEAD) + 10):
        for number in range(4):
            journal.ended(f"{number}")
    assert file.stat().st_size == size
    assert len(caplog.messages) == 1
    assert not file.with_name("journal.new").exists()
    journal.opened(identity("6"), "chat")
    assert list(scan(file.read_bytes()).open) == ["4", "5", "6"]
    journal.ended("4")
    journal.ended("5")
    journal.ended("6")
    assert lines(file.read_bytes()) < 6, "it is tried again"


# What a gateway tells it.


def recording(**handlers):
    """A socket whose handlers note their ids, and do what they are given to do."""
    socket = websocket("chat")
    events = []

    for event in ("connect", "disconnect"):

        @socket.on(event)
        async def handler(ctx, event=event):
            events.append((event, ctx.req.connection_id))
            await handlers.get(event, _nothing)(ctx)

    return socket, events


async def _nothing(ctx):
    pass


@contextlib.asynccontextmanager
async def journalled(sockets, journal):
    """A node in memory, with a journal."""
    async with testing.node(sockets) as node:
        node.running.gateway.journal = journal
        yield node


def open_ids(journal):
    return [found.connection_id for found in journal.entries()]


def watched(client, look):
    """A list of what `look` saw each time before the client was told something."""
    seen = []
    deliver = client._transport._deliver

    def watching(data):
        seen.append((data[:12], look()))
        deliver(data)

    client._transport._deliver = watching
    return seen


async def test_a_connection_is_in_the_journal_from_before_its_101_until_its_disconnect_handler_has_ended(begin, file):
    journal = begin()
    during = []

    async def disconnect(ctx):
        during.append(open_ids(journal))

    socket, events = recording(disconnect=disconnect)
    async with journalled([socket], journal) as node:
        client = node.client()
        seen = watched(client, lambda: list(scan(file.read_bytes()).open))
        await client.handshake("/chat")
        who = events[0][1]
        assert seen == [(b"HTTP/1.1 101", [who])]
        (found,) = journal.entries()
        assert (found.api, found.stage, found.source_ip, found.domain_name) == (
            "chat",
            "chat",
            "127.0.0.1",
            "localhost",
        )
        await client.close()
    assert during == [[who]]
    assert list(scan(file.read_bytes()).open) == []


async def test_a_connection_is_in_the_journal_though_its_client_left_before_the_101(begin):
    journal = begin()
    during = []

    async def connect(ctx):
        await asyncio.sleep(1)

    async def disconnect(ctx):
        during.append(open_ids(journal))

    socket, events = recording(connect=connect, disconnect=disconnect)
    async with journalled([socket], journal) as node:
        client = node.client()
        handshake = asyncio.create_task(client.handshake("/chat"))
        await asyncio.sleep(0.5)
        client.hang_up()
        with pytest.raises(testing.Closed):
            await handshake
        assert open_ids(journal) == []
        await asyncio.sleep(1)
    assert [event for event, _ in events] == ["connect", "disconnect"]
    assert during == [[events[0][1]]]
    assert open_ids(journal) == []


@pytest.mark.parametrize("wrong", ["raises", "rejects"])
async def test_who_was_not_accepted_is_not_in_it(begin, file, wrong, caplog):
    async def connect(ctx):
        ctx.res.reject(403) if wrong == "rejects" else 1 / 0

    socket, _ = recording(connect=connect)
    async with journalled([socket], begin()) as node:
        with pytest.raises(testing.Refused):
            await node.connect("chat")
    assert file.read_bytes() == HEAD


@pytest.mark.parametrize("wrong", ["raises", "takes too long"])
async def test_a_disconnect_handler_that_fails_has_ended(begin, wrong, caplog):
    journal = begin()

    async def disconnect(ctx):
        await asyncio.sleep(1000 if wrong == "takes too long" else 0)
        1 / 0

    socket, _ = recording(disconnect=disconnect)
    async with journalled([socket], journal) as node:
        client = await node.connect("chat")
        await client.close()
        await asyncio.sleep(20)
        assert len(open_ids(journal)) == (wrong == "takes too long")
        await asyncio.sleep(20)
        assert open_ids(journal) == []


async def test_a_disconnect_handler_that_was_broken_off_has_not_ended(begin):
    journal = begin()

    async def disconnect(ctx):
        raise GeneratorExit  # what a coroutine gets that nobody waits for any more

    socket, _ = recording(disconnect=disconnect)
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(type(context["exception"])))
    async with journalled([socket], journal) as node:
        await (await node.connect("chat")).close()
        await asyncio.sleep(1)
    assert len(open_ids(journal)) == 1


async def test_a_socket_without_a_disconnect_handler_needs_no_journal(begin, file):
    socket = websocket("chat")

    @socket.on("message")
    async def message(ctx):
        return "x"

    async with journalled([socket], begin()) as node:
        async with await node.connect("chat") as client:
            await client.send("x")
            assert await client.receive() == "x"
    assert file.read_bytes() == HEAD


async def test_without_room_in_the_journal_a_handshake_is_answered_503_and_its_disconnect_handler_runs(begin, file):
    journal = begin()
    socket, events = recording()
    async with journalled([socket], journal) as node:
        first = await node.connect("chat")
        with room_for(file.stat().st_size + 20):
            with pytest.raises(testing.Refused) as refused:
                await node.connect("chat")
        assert (refused.value.status, refused.value.body) == (503, b'{"message": "Service Unavailable"}')
        assert refused.value.headers["content-type"].startswith("application/json")
        await asyncio.sleep(0.1)
        assert [event for event, _ in events] == ["connect", "connect", "disconnect"]
        assert events[1][1] == events[2][1] != events[0][1]
        second = await node.connect("chat")
        assert len(open_ids(journal)) == 2
        for client in (first, second):
            await client.close()
    assert open_ids(journal) == []


async def test_without_room_one_who_has_left_already_gets_its_disconnect(begin, file):
    async def connect(ctx):
        await asyncio.sleep(1)

    socket, events = recording(connect=connect)
    async with journalled([socket], begin()) as node:
        client = node.client()
        handshake = asyncio.create_task(client.handshake("/chat"))
        await asyncio.sleep(0.5)
        client.hang_up()
        with pytest.raises(testing.Closed):
            await handshake
        with room_for(file.stat().st_size):
            await asyncio.sleep(1)
    assert [event for event, _ in events] == ["connect", "disconnect"]


async def test_without_room_a_client_that_does_not_read_is_cut(begin, file):
    socket, events = recording()
    async with journalled([socket], begin()) as node:
        client = node.client()
        client._transport.client_reads(False)
        with room_for(file.stat().st_size):
            handshake = asyncio.create_task(client.handshake("/chat"))
            await asyncio.sleep(1)
        assert [event for event, _ in events] == ["connect"]
        await asyncio.sleep(3)
        assert [event for event, _ in events] == ["connect", "disconnect"]
        with pytest.raises(testing.Closed):
            await handshake


def test_it_is_open_from_its_opening_until_it_is_let_go_of(file):
    journal = Journal(file)
    assert not journal.is_open
    journal.open()
    assert journal.is_open
    journal._let_go()
    assert not journal.is_open
