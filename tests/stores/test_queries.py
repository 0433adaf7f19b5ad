"""Queries at their edges, one by one: what the contract's random walk reaches only now and then."""

import asyncio

import pytest

from trunkline import clock
from trunkline.stores import open_store
from trunkline.stores.base import Filter

SMALL = [Filter("n", "<", 10)]


@pytest.fixture(params=["memory:", "sqlite:", "dynamodb:"])
def opened(request, tmp_path):
    url = request.getfixturevalue("dynamodb_store") if request.param == "dynamodb:" else request.param

    async def opened():
        store = open_store(url, tmp_path, ["x", "other", "nothing"])
        await store.open()
        return store

    return opened


async def numbered(store, count, path=("x",)):
    await asyncio.gather(*(store.put(path, f"{n:04}", {"n": n}) for n in range(count)))


async def test_the_pages_of_a_collection_are_all_of_it(opened):
    store = await opened()
    await numbered(store, 7)
    seen, after = [], None
    while records := await store.query(("x",), (), after=after, limit=3):
        seen += [record.id for record in records]
        after = records[-1].id
    assert seen == [f"{n:04}" for n in range(7)]
    await store.close()


async def test_the_pages_of_a_collection_group_are_all_of_it(opened):
    store = await opened()
    expected = [(parent, id) for parent in ("1", "2", "é") for id in ("a", "b", "c")]
    for parent, id in expected:
        await store.put(("x", parent, "y"), id, 0)
    await store.put(("x", "1", "other"), "a", 0)
    await store.put(("other", "1", "y"), "a", 0)
    for limit in (1, 2, 4):
        seen, after = [], None
        while records := await store.query_group("x", "y", (), after=after, limit=limit):
            seen += [(record.path[1], record.id) for record in records]
            after = seen[-1]
        assert seen == expected
    await store.close()


async def test_a_position_may_be_of_a_document_that_is_gone(opened):
    store = await opened()
    for parent in ("1", "3"):
        await store.put(("x", parent, "y"), "b", 0)
    found = await store.query_group("x", "y", (), after=("2", "z"), limit=5)
    assert [record.path[1] for record in found] == ["3"]
    assert await store.query_group("x", "y", (), after=("3", "b"), limit=5) == []
    assert await store.query_group("x", "y", (), after=("4", ""), limit=5) == []
    await store.close()


async def test_what_has_expired_is_in_no_result_and_takes_no_place_in_one(opened):
    store = await opened()
    for number in range(6):
        expires_at = clock.now() + 1 if number % 2 else None
        await store.put(("x",), f"{number}", {"n": number}, expires_at=expires_at)
        await store.put(("x", "1", "y"), f"{number}", {"n": number}, expires_at=expires_at)
    await asyncio.sleep(2)
    for filters in ((), SMALL):
        assert [r.id for r in await store.query(("x",), filters, after=None, limit=2)] == ["0", "2"]
        assert [r.id for r in await store.query_group("x", "y", filters, after=None, limit=2)] == ["0", "2"]
    assert await store.get(("x",), "1") is None
    await store.close()


@pytest.mark.parametrize("limit", [1, 9, 10, 11, 1000])
async def test_a_filter_finds_the_same_however_much_is_asked_for(opened, limit):
    store = await opened()
    await numbered(store, 600)
    await numbered(store, 600, ("x", "1", "y"))
    expected = [f"{n:04}" for n in range(min(limit, 10))]
    assert [r.id for r in await store.query(("x",), SMALL, after=None, limit=limit)] == expected
    assert [r.id for r in await store.query_group("x", "y", SMALL, after=None, limit=limit)] == expected
    await store.close()


async def test_a_collection_that_nobody_wrote_is_empty(opened):
    store = await opened()
    assert await store.get(("nothing",), "1") is None
    assert await store.query(("nothing",), (), after=None, limit=5) == []
    assert await store.query_group("nothing", "y", (), after=None, limit=5) == []
    await store.delete(("nothing",), "1")
    await store.close()
