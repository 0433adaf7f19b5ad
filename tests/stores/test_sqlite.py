"""What only SQLite has: a file, a thread, a disk that can be full."""

import asyncio
import os
import re
import sqlite3
import stat
import time

import pytest

from trunkline import clock
from trunkline.errors import Conflict, StoreUnavailable
from trunkline.stores import sqlite
from trunkline.stores.sqlite import SqliteStore


@pytest.fixture
def file(tmp_path):
    return tmp_path / "folder" / "data.sqlite3"


async def opened(file):
    store = SqliteStore(file)
    await store.open()
    return store


async def test_documents_outlive_the_process(file):
    store = await opened(file)
    version = await store.put(("x",), "1", {"a": [1, None]})
    await store.close()
    store = await opened(file)
    record = await store.get(("x",), "1")
    assert (record.value, record.version) == ({"a": [1, None]}, version)
    await store.close()


async def test_only_its_user_may_read_it(file):
    store = await opened(file)
    await store.put(("x",), "1", 1)
    for name in ("data.sqlite3", "data.sqlite3-wal"):
        assert stat.S_IMODE(file.with_name(name).stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    await store.close()


async def test_every_commit_is_synchronous(file):
    store = await opened(file)
    assert store._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    await store.close()


async def test_a_file_that_is_no_database_is_refused(file):
    file.parent.mkdir()
    file.write_bytes(b"this is a letter to my mother" * 100)
    store = SqliteStore(file)
    with pytest.raises(StoreUnavailable) as refused:
        await store.open()
    assert str(refused.value) == (
        f"cannot open the documents in {file}: file is not a database; put a backup in its place, or pass another file "
        "with --store"
    )
    await store.close()


async def with_documents(file, count=2000):
    """A database of so many documents, closed in order."""
    store = await opened(file)
    await asyncio.gather(*(store.put(("x",), f"{n:05}", {"text": "x" * 100}) for n in range(count)))
    await store.close()
    assert not file.with_name("data.sqlite3-wal").exists()


def overwrite(file, position, data):
    with file.open("r+b") as opened:
        opened.seek(position)
        opened.write(data)


PAGE = 4096
DAMAGES = {
    "a page's kind": lambda file: overwrite(file, 5 * PAGE, b"\xff"),
    "a page's count of cells": lambda file: overwrite(file, 6 * PAGE + 3, b"\xff\xff"),
    "a page of zeros": lambda file: overwrite(file, 7 * PAGE, bytes(PAGE)),
    "an end that is missing": lambda file: os.truncate(file, 30 * PAGE),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_a_file_with_a_damaged_page_is_refused_in_one_line_that_says_what_to_do(file, damage):
    await with_documents(file)
    damage(file)
    store = SqliteStore(file)
    with pytest.raises(StoreUnavailable) as refused:
        await store.open()
    line = str(refused.value)
    assert re.fullmatch(
        rf"cannot open the documents in {file}: .+; put a backup in its place, or pass another file with --store", line
    )
    assert "\n" not in line
    await store.close()


async def test_a_large_file_is_not_looked_through_and_its_damaged_page_is_an_error_for_who_reads_it(file, monkeypatch):
    await with_documents(file)
    overwrite(file, 5 * PAGE, b"\xff")
    monkeypatch.setattr(sqlite, "_CHECKED_BYTES", 0)
    store = await opened(file)
    outcomes = await asyncio.gather(*(store.get(("x",), f"{n:05}") for n in range(2000)), return_exceptions=True)
    failed = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert 0 < len(failed) < 100
    assert {type(error) for error in failed} == {StoreUnavailable}
    assert f"cannot read the documents in {file}: database disk image is malformed" == str(failed[0])
    await store.close()


@pytest.mark.parametrize("damage", [b"[", b"\xff"], ids=["no JSON", "no UTF-8"])
async def test_a_document_that_cannot_be_read_any_more_is_a_typed_error(file, damage):
    await with_documents(file, 1)
    overwrite(file, file.read_bytes().index(b'{"text"'), damage)
    store = await opened(file)
    for read in (
        store.get(("x",), "00000"),
        store.query(("x",), (), after=None, limit=1),
        store.query_group("x", "", (), after=None, limit=1),
    ):
        with pytest.raises(StoreUnavailable, match=f"{file}.*(malformed|UTF-8)"):
            await read
    await store.close()


async def test_a_later_format_is_refused(file):
    store = await opened(file)
    await store.close()
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    store = SqliteStore(file)
    with pytest.raises(StoreUnavailable, match="has format 9, and this Trunkline reads format 1"):
        await store.open()
    await store.close()


async def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    store = SqliteStore(tmp_path / "file" / "data.sqlite3")
    with pytest.raises(StoreUnavailable, match="cannot open"):
        await store.open()
    await store.close()


async def test_nothing_works_before_open_or_after_close(file):
    store = SqliteStore(file)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="not open"):
            await store.put(("x",), "1", 1)
        with pytest.raises(StoreUnavailable, match="not open"):
            await store.get(("x",), "1")
        await store.open()
        await store.close()


async def test_a_failed_batch_is_an_error_for_each_writer_and_changes_nothing(file):
    store = await opened(file)
    await store.put(("x",), "1", "old")
    store._writer.execute("PRAGMA max_page_count = 8")
    outcomes = await asyncio.gather(
        *(store.put(("x",), str(n), "new" * 10_000) for n in range(1, 4)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert "database or disk is full" in str(outcomes[0])
    assert (await store.get(("x",), "1")).value == "old"
    store._writer.execute("PRAGMA max_page_count = 100000")
    await store.put(("x",), "1", "new" * 10_000)
    await store.close()


async def test_a_version_that_no_document_can_have_is_a_conflict_and_hurts_nobody_else(file):
    store = await opened(file)
    version = await store.put(("x",), "1", "old")
    for impossible in (2**63, -(2**70), object()):
        good, bad, after = await asyncio.gather(
            store.put(("x",), "2", "good"),
            store.put(("x",), "1", "bad", if_version=impossible),
            store.put(("x",), "3", "good"),
            return_exceptions=True,
        )
        assert type(bad) is Conflict
        assert f"x/1 is at version {version}; expected version {impossible}" in str(bad)
        assert isinstance(good, int)
        assert isinstance(after, int)
    assert (await store.get(("x",), "1")).value == "old"
    await store.close()


async def test_an_error_that_nobody_thought_of_is_one_for_each_writer_and_the_thread_goes_on(file):
    store = await opened(file)
    outcomes = await asyncio.gather(
        store.put(("x",), "1", "good"), store.put(("x",), "\ud800", "bad"), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert "surrogates not allowed" in str(outcomes[0])
    assert await store.get(("x",), "1") is None
    await store.put(("x",), "1", "good")
    await store.close()


async def test_a_cancelled_writer_does_not_hurt_the_others(file):
    store = await opened(file)
    first = asyncio.create_task(store.put(("x",), "1", 1))
    second = asyncio.create_task(store.put(("x",), "2", 2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert (await store.get(("x",), "2")).value == 2
    assert first.cancelled()
    await store.close()


async def test_a_broken_read_is_a_typed_error(file):
    store = await opened(file)
    store._writer.execute("DROP TABLE documents")
    for read in (store.get(("x",), "1"), store.query(("x",), (), after=None, limit=1)):
        with pytest.raises(StoreUnavailable, match="no such table"):
            await read
    await store.close()


async def test_what_has_expired_is_deleted_in_time(file):
    store = await opened(file)
    await store.put(("x",), "1", 1, expires_at=clock.now() + 10)
    await asyncio.sleep(20)
    store._next_expiry = 0
    await store.put(("x",), "2", 2)
    assert store._writer.execute("SELECT id FROM documents").fetchall() == [("2",)]
    await store.close()


async def test_deletes_use_the_primary_key(file):
    from trunkline.stores.sqlite import _DELETE

    store = await opened(file)
    plan = [row[3] for row in store._writer.execute("EXPLAIN QUERY PLAN " + _DELETE, ("[]",))]
    assert any(line.startswith("SEARCH documents USING PRIMARY KEY") for line in plan)
    await store.close()


async def acknowledgements(file):
    """How long each of 1,000 writes of 200 writers takes beside a loop that is always busy, in seconds."""
    taken = []

    async def writer(store, number):
        for round in range(5):
            began = time.perf_counter()
            await store.put(("x",), f"{number}", {"round": round})
            taken.append(time.perf_counter() - began)

    async def burn():
        while True:
            until = time.perf_counter() + 0.001
            while time.perf_counter() < until:
                pass
            await asyncio.sleep(0)

    store = await opened(file)
    busy = asyncio.create_task(burn())
    await asyncio.gather(*(writer(store, number) for number in range(200)))
    busy.cancel()
    await store.close()
    return sorted(taken)


def test_200_writers_beside_a_busy_loop_are_acknowledged_in_time(tmp_path):
    """In real time, on a machine that others use too: the best of three attempts counts."""
    p99s = []
    for attempt in range(3):
        p99s.append(asyncio.run(acknowledgements(tmp_path / f"{attempt}.sqlite3"))[989])
        if p99s[-1] <= 0.050:
            return
    raise AssertionError(f"p99 of {[f'{p99 * 1000:.1f} ms' for p99 in p99s]}; expected at most 50 ms")


def test_after_the_loop_is_gone_the_thread_ends_quietly(file):
    async def leave():
        store = await opened(file)
        writing = asyncio.create_task(store.put(("x",), "1", 1))
        await asyncio.sleep(0)
        writing.cancel()
        return store

    store = asyncio.run(leave())
    asyncio.run(store.close())


def test_a_roll_back_that_fails_too_hides_nothing():
    class Broken:
        def __init__(self, in_transaction):
            self.in_transaction = in_transaction

        def execute(self, _):
            raise sqlite3.OperationalError

    SqliteStore._roll_back(Broken(True))
    SqliteStore._roll_back(Broken(False))
