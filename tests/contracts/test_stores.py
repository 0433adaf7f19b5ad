"""The contract of seam 2: every store means the same, which is what a dict model says."""

import asyncio
import contextlib
import json
import math

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from trunkline import clock
from trunkline.errors import AlreadyExists, Conflict, InvalidDocument
from trunkline.stores import open_store
from trunkline.stores.base import Filter

STORES = ["memory:", "sqlite:", "dynamodb:"]
COLLECTIONS = ["x", "y", "soon", "nothing"]

texts = st.text(st.characters(codec="utf-8"), max_size=8)
numbers = st.one_of(
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.integers(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100).filter(
        lambda x: x == 0 or abs(x) > 1e-100
    ),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
names = st.sampled_from(["a", "b", "é", "𝄞", "c.d"])
documents = st.one_of(values, st.dictionaries(names, values, max_size=4))
ids = st.one_of(
    st.sampled_from(["1", "2", "10", "a", "é", "z", "𝄞", "￿"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5),
)
paths = st.sampled_from([("x",), ("y",), ("x", "1", "sub"), ("x", "é", "sub"), ("x", "1", "other"), ("y", "1", "sub")])
fields = st.sampled_from(["a", "b", "é", "a.b", "b.é"])
filters = st.lists(
    st.one_of(
        st.builds(Filter, fields, st.sampled_from(["==", "!="]), values),
        st.builds(Filter, fields, st.sampled_from(["<", "<=", ">", ">="]), st.one_of(numbers, texts)),
        st.builds(Filter, fields, st.just("startsWith"), texts),
    ),
    max_size=2,
)
seconds = st.one_of(st.none(), st.sampled_from([0.5, 1, 5, 100]))


def plain(value):
    """What JSON makes of a value: the model's own words for the table of meaning."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**38:
        return int(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    return value


def canonical(value):
    """Equal texts for the same JSON value, and for no other."""
    return json.dumps(plain(value), sort_keys=True)


def fulfils(document, condition):
    found = [plain(document)]
    for name in condition.field.split("."):
        found = [found[0][name]] if found and isinstance(found[0], dict) and name in found[0] else []
    wanted = plain(condition.value)
    if condition.op == "!=":
        return not found or canonical(found[0]) != canonical(wanted)
    if not found:
        return False
    if condition.op == "==":
        return canonical(found[0]) == canonical(wanted)
    if isinstance(found[0], str) and isinstance(wanted, str):
        one, other = found[0].encode(), wanted.encode()
    elif type(found[0]) in {int, float} and type(wanted) in {int, float}:
        one, other = found[0], wanted
    else:
        return False
    if condition.op == "startsWith":
        return one.startswith(other)
    return {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}[condition.op]


class StoreMachine(RuleBasedStateMachine):
    """Drives a store and a dict side by side."""

    url = ""
    folder = None
    versions = Bundle("versions")

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.time = 1_000_000.0
        self.previous = clock.set_source(lambda: self.time)
        self.model = {}  # (path, id) -> (value, version, expires_at)
        self.store = open_store(self.url, self.folder, COLLECTIONS)
        self.folder_count = 0

    @initialize()
    def begin(self):
        self.call(self.store.open())
        for path in [("x",), ("y",), ("x", "1", "sub"), ("x", "é", "sub"), ("x", "1", "other"), ("y", "1", "sub")]:
            for record in self.call(self.store.query(path, (), after=None, limit=10_000)):
                self.call(self.store.delete(path, record.id))

    def teardown(self):
        self.call(self.store.close())
        self.runner.close()
        clock.set_source(self.previous)

    def call(self, coroutine):
        return self.runner.run(coroutine)

    def live(self, path, id):
        entry = self.model.get((path, id))
        return entry if entry and (entry[2] is None or entry[2] > self.time) else None

    @rule(target=versions, path=paths, id=ids, value=documents, expires_in=seconds)
    def set(self, path, id, value, expires_in):
        expires_at = None if expires_in is None else self.time + expires_in
        version = self.call(self.store.put(path, id, value, expires_at=expires_at))
        self.model[path, id] = (value, version, expires_at)
        return version

    @rule(target=versions, path=paths, id=ids, value=documents, expires_in=seconds)
    def create(self, path, id, value, expires_in):
        expires_at = None if expires_in is None else self.time + expires_in
        there = self.live(path, id)
        with pytest.raises(AlreadyExists) if there else contextlib.nullcontext():
            version = self.call(self.store.put(path, id, value, create=True, expires_at=expires_at))
            self.model[path, id] = (value, version, expires_at)
        return self.model[path, id][1]

    @rule(path=paths, id=ids, value=documents, version=versions)
    def set_if_version(self, path, id, value, version):
        there = self.live(path, id)
        fits = there is not None and there[1] == version
        with contextlib.nullcontext() if fits else pytest.raises(Conflict):
            new = self.call(self.store.put(path, id, value, if_version=version))
            assert new != version
            self.model[path, id] = (value, new, None)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), value=documents)
    def set_if_this_version(self, data, value):
        path, id = data.draw(st.sampled_from(sorted(self.model)))
        self.set_if_version(path, id, value, self.model[path, id][1])

    @rule(path=paths, id=ids)
    def delete(self, path, id):
        self.call(self.store.delete(path, id))
        self.model.pop((path, id), None)

    @rule(
        value=st.one_of(
            st.just(math.nan), st.just(math.inf), st.just(10**38), st.just({1: 2}), st.just(b"x"), st.just("\ud800")
        )
    )
    def refuse(self, value):
        with pytest.raises(InvalidDocument):
            self.call(self.store.put(("x",), "1", {"a": value}))

    @rule(seconds=st.sampled_from([0.5, 1, 10]))
    def pass_time(self, seconds):
        self.time += seconds

    @rule(path=paths, id=ids)
    def get(self, path, id):
        record, there = self.call(self.store.get(path, id)), self.live(path, id)
        assert (record is None) == (there is None)
        if record:
            assert (record.path, record.id, record.version) == (path, id, there[1])
            assert canonical(record.value) == canonical(there[0])

    @rule(path=paths, filters=filters, limit=st.integers(1, 5))
    def query(self, path, filters, limit):
        expected = sorted(
            (id.encode(), canonical(self.model[p, id][0]), self.model[p, id][1])
            for p, id in self.model
            if p == path and self.live(p, id) and all(fulfils(self.model[p, id][0], f) for f in filters)
        )
        found, after = [], None
        while page := self.call(self.store.query(path, filters, after=after, limit=limit)):
            assert len(page) <= limit
            found += [(r.id.encode(), canonical(r.value), r.version) for r in page]
            after = page[-1].id
        assert found == expected

    @rule(root=st.sampled_from(["x", "y"]), filters=filters, limit=st.integers(1, 5))
    def query_group(self, root, filters, limit):
        expected = sorted(
            (p[1].encode(), id.encode(), canonical(self.model[p, id][0]))
            for p, id in self.model
            if len(p) == 3 and p[0] == root and p[2] == "sub" and self.live(p, id)
            and all(fulfils(self.model[p, id][0], f) for f in filters)
        )  # fmt: skip
        found, after = [], None
        while page := self.call(self.store.query_group(root, "sub", filters, after=after, limit=limit)):
            found += [(r.path[1].encode(), r.id.encode(), canonical(r.value)) for r in page]
            after = (page[-1].path[1], page[-1].id)
        assert found == expected

    @invariant()
    def types_are_json(self):
        record = self.call(self.store.get(("x",), "1"))
        assert record is None or type(record.version) is int


@pytest.fixture(params=STORES)
def url(request):
    return request.getfixturevalue("dynamodb_store") if request.param == "dynamodb:" else request.param


def test_a_store_means_what_a_dict_means(url, tmp_path):
    machine = type("Machine", (StoreMachine,), {"url": url, "folder": tmp_path})
    examples = 10 if url.startswith("dynamodb:") else 60  # each step is some requests
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


async def opened(url, folder):
    store = open_store(url, folder, COLLECTIONS)
    await store.open()
    return store


async def test_a_value_is_not_shared_with_its_writer(url, tmp_path):
    store = await opened(url, tmp_path)
    value = {"list": [1]}
    await store.put(("x",), "1", value)
    value["list"].append(2)
    first = await store.get(("x",), "1")
    first.value["list"].append(3)
    assert (await store.get(("x",), "1")).value == {"list": [1]}
    await store.close()


async def test_a_document_of_400_kb_fits_and_one_byte_more_does_not(url, tmp_path):
    store = await opened(url, tmp_path)
    # DynamoDB counts the names of what it keeps with it, and the id.
    most = 400 * 1024 - (60 if url.startswith("dynamodb:") else 2)
    await store.put(("x",), "1", "x" * most)
    with pytest.raises(InvalidDocument, match="409,601 bytes.*409,600"):
        await store.put(("x",), "1", "x" * (400 * 1024 - 1))
    assert len((await store.get(("x",), "1")).value) == most
    await store.close()


async def test_many_writers_at_once_all_get_their_own_answer(url, tmp_path):
    store = await opened(url, tmp_path)

    async def write(number):
        return await store.put(("x",), f"{number % 50}", number, create=True)

    outcomes = await asyncio.gather(*map(write, range(200)), return_exceptions=True)
    assert sum(isinstance(o, int) for o in outcomes) == 50
    assert sum(isinstance(o, AlreadyExists) for o in outcomes) == 150
    await store.close()


async def test_of_two_writers_at_one_version_one_wins(url, tmp_path):
    store = await opened(url, tmp_path)
    version = await store.put(("x",), "1", 0)
    outcomes = await asyncio.gather(
        *(store.put(("x",), "1", n, if_version=version) for n in range(5)), return_exceptions=True
    )
    assert sum(isinstance(o, Conflict) for o in outcomes) == 4
    assert (await store.get(("x",), "1")).value == outcomes.index(next(o for o in outcomes if isinstance(o, int)))
    await store.close()


async def test_writes_of_one_batch_keep_their_order(url, tmp_path):
    store = await opened(url, tmp_path)
    await asyncio.gather(
        store.put(("x",), "1", 1), store.delete(("x",), "1"), store.put(("x",), "2", 2), store.put(("x",), "2", 3)
    )
    assert await store.get(("x",), "1") is None
    assert (await store.get(("x",), "2")).value == 3
    await store.close()


async def test_what_expires_while_it_waits_is_not_counted(url, tmp_path):
    store = await opened(url, tmp_path)
    await store.put(("soon", "gone", "x"), "1", 0, expires_at=clock.now() + 1)
    for number in range(1100):
        await store.put(("x", "1", "y") if number % 2 else ("x",), f"{number}", 0, expires_at=clock.now() + 1)
        await asyncio.sleep(0.01)
    await store.put(("x",), "last", 0)
    assert [r.id for r in await store.query(("x",), (), after="last", limit=5)] == []
    assert await store.query_group("x", "y", (), after=("2", "0"), limit=5) == []
    await asyncio.sleep(1)
    assert [r.id for r in await store.query(("x",), (), after=None, limit=5)] == ["last"]
    await store.delete(("nothing",), "1")
    await store.close()


async def test_a_filter_that_passes_over_many_documents_finds_the_last(url, tmp_path):
    store = await opened(url, tmp_path)
    await asyncio.gather(*(store.put(("x",), f"{n:04}", {"n": n}) for n in range(600)))
    await asyncio.gather(*(store.put(("x", f"{n:04}", "y"), "1", {"n": n}) for n in range(600)))
    condition = [Filter("n", ">=", 598)]
    assert [r.id for r in await store.query(("x",), condition, after=None, limit=5)] == ["0598", "0599"]
    assert [r.path[1] for r in await store.query_group("x", "y", condition, after=None, limit=5)] == ["0598", "0599"]
    assert len(await store.query(("x",), [], after="0299", limit=400)) == 300
    await store.close()
