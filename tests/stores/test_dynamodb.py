"""What only DynamoDB has: requests that are paid for, answers that get lost, items that are more than their document."""

import asyncio
import base64
import contextlib
import threading

import pytest

from trunkline import clock
from trunkline.errors import AlreadyExists, ConfigurationError, Conflict, InvalidDocument, StoreUnavailable
from trunkline.functions.dynamodb_server import DynamoServer, choose_server
from trunkline.stores import open_store
from trunkline.stores.base import Filter
from trunkline.stores.dynamodb import DynamoStore
from trunkline.stores.dynamodb_items import item_of, key_of

THROTTLED = (400, {"__type": "x#ThrottlingException", "message": "slow down"})
BROKEN = (500, {"__type": "x#InternalServerError", "message": "broken"})


@pytest.fixture
def store(dynamodb_store, tmp_path):
    store = open_store(dynamodb_store, tmp_path, ["x"])
    asyncio.run(store.open())
    yield store
    asyncio.run(store.close())


@pytest.fixture(scope="module")
def moto():
    """URL of another DynamoDB: it has what dynalite lacks."""
    server = DynamoServer(*choose_server(None, [], "moto"))
    yield server.url()
    server.close()


class Requests:
    """Those that really go out, tries anew among them."""

    def __init__(self, store):
        self._events = store._client._client().meta.events
        self.made = []
        self.looked_at = 0
        self.sent_back = 0

    def __enter__(self):
        self._events.register("before-send.dynamodb", self._count)
        self._events.register("after-call.dynamodb.Query", self._answered)
        return self

    def __exit__(self, *_):
        self._events.unregister("before-send.dynamodb", self._count)
        self._events.unregister("after-call.dynamodb.Query", self._answered)

    def _count(self, request, **_):
        self.made.append(request.headers["X-Amz-Target"].decode().partition(".")[2])

    def _answered(self, parsed, **_):
        self.looked_at += parsed["ScannedCount"]
        self.sent_back += parsed["Count"]


async def numbered(store, count, path=("x",)):
    await asyncio.gather(*(store.put(path, f"{n:04}", {"n": n}) for n in range(count)))


# What is asked.


async def test_a_document_is_read_and_written_by_one_request_whatever_comes_of_it(store):
    with Requests(store) as requests:
        version = await store.put(("x",), "1", 1, create=True)
        with contextlib.suppress(AlreadyExists):
            await store.put(("x",), "1", 1, create=True)
        await store.put(("x",), "1", 2, if_version=version)
        with contextlib.suppress(Conflict):
            await store.put(("x",), "1", 3, if_version=version)
        await store.get(("x",), "1")
        await store.get(("x",), "none")
        await store.delete(("x",), "1")
    assert requests.made == ["PutItem"] * 4 + ["GetItem"] * 2 + ["DeleteItem"]


async def test_a_query_of_a_small_collection_is_eight_requests_at_a_time(store):
    await numbered(store, 20)
    await numbered(store, 20, ("x", "1", "y"))
    meeting = threading.Barrier(8, timeout=10)
    store._client._client().meta.events.register("before-send.dynamodb.Query", lambda **_: meeting.wait() < 0 or None)
    with Requests(store) as requests:
        assert len(await store.query(("x",), (), after=None, limit=1001)) == 20
        assert len(await store.query_group("x", "y", (), after=None, limit=1001)) == 20
    assert requests.made == ["Query"] * 16
    assert requests.looked_at == 40


async def test_a_query_of_a_subcollection_is_one_request(store):
    await numbered(store, 20, ("x", "1", "y"))
    await numbered(store, 20, ("x", "11", "y"))
    with Requests(store) as requests:
        assert len(await store.query(("x", "1", "y"), (), after="0009", limit=1001)) == 10
    assert requests.made == ["Query"]
    assert requests.looked_at == 10


async def test_a_page_of_a_collection_reads_little_more_than_it_gives(store):
    await numbered(store, 1000)
    with Requests(store) as requests:
        assert [r.id for r in await store.query(("x",), (), after="0099", limit=200)] == [
            f"{n:04}" for n in range(100, 300)
        ]
    assert len(requests.made) <= 12
    assert requests.looked_at <= 400


async def test_a_page_of_a_group_whose_documents_are_below_one_reads_little_more_than_it_gives(store):
    await numbered(store, 1000, ("x", "1", "y"))
    with Requests(store) as requests:
        assert len(await store.query_group("x", "y", (), after=None, limit=200)) == 200
    assert len(requests.made) <= 12
    assert requests.looked_at <= 300


async def test_what_does_not_fulfil_a_filter_is_not_sent(store):
    await numbered(store, 1000)
    with Requests(store) as requests:
        found = await store.query(("x",), [Filter("n", ">=", 990)], after=None, limit=100)
    assert [record.id for record in found] == [f"{n:04}" for n in range(990, 1000)]
    assert requests.looked_at == 1000
    assert requests.sent_back == 10
    assert len(requests.made) <= 24


async def test_a_search_for_one_document_does_not_read_all(store):
    await numbered(store, 1000)
    with Requests(store) as requests:
        assert len(await store.query(("x",), [Filter("n", ">=", 3)], after=None, limit=1)) == 1
    assert len(requests.made) == 8
    assert requests.looked_at <= 8 * 64


async def test_a_limit_may_be_larger_than_any_that_dynamodb_takes(store):
    await numbered(store, 3, ("x", "1", "y"))
    assert len(await store.query(("x",), (), after=None, limit=10**12)) == 0
    assert len(await store.query(("x", "1", "y"), [Filter("n", ">=", 1)], after=None, limit=10**12)) == 2


async def test_documents_of_400_kb_are_read_page_by_page(store):
    await asyncio.gather(*(store.put(("x", "1", "y"), str(n), "x" * 400_000) for n in range(5)))
    with Requests(store) as requests:
        assert [r.id for r in await store.query(("x", "1", "y"), (), after=None, limit=9)] == list("01234")
    assert 2 <= len(requests.made) <= 3


# Values.

VALUES = [
    None, True, False, 0, 1, -1, 2.5, -2.5, 10**37 + 1, 10**38 - 1, 1e37, 1e100, -1e100, 1e-100, 0.1, "", "a", "ab", "é",
    "𝄞", "￿", "x" * 2000, [], [1], [1, "a"], {}, {"b": 1}, {"b": {"c": "a"}}, {"": 1},
]  # fmt: skip
OPERATORS = ["==", "!=", "<", "<=", ">", ">=", "startsWith"]


async def test_every_comparison_with_every_kind_of_value_is_as_in_memory(store, tmp_path):
    memory = open_store("memory:", tmp_path)
    for number, value in enumerate(VALUES):
        for one in (store, memory):
            await one.put(("x", "1", "y"), f"{number:02}", {"a": value})
            await one.put(("x", "1", "y"), f"{number:02} itself", value)
    for wanted in VALUES:
        for op in OPERATORS:
            if op in {"==", "!="} or isinstance(wanted, str) or (op != "startsWith" and type(wanted) in {int, float}):
                for field in ("a", "a.b", "b"):
                    filters = [Filter(field, op, wanted)]
                    found = await store.query(("x", "1", "y"), filters, after=None, limit=100)
                    expected = await memory.query(("x", "1", "y"), filters, after=None, limit=100)
                    assert [(r.id, r.value) for r in found] == [(r.id, r.value) for r in expected], filters


@pytest.mark.parametrize(
    "value",
    [
        {"deep": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]},
        {"a": {"": 1}, "n": 1},
        {"x" * 1025: 1, "n": 1},
        {"list": [0] * 100_000, "n": 1},
        {"n": 1, "rest": ["é" * 1000] * 100},
    ],
    ids=["deep", "an empty name", "a long name", "many", "much"],
)
async def test_what_dynamodb_has_no_types_for_is_kept_as_text_and_found_all_the_same(store, value):
    await store.put(("x",), "1", value)
    assert (await store.get(("x",), "1")).value == value
    found = await store.query(("x",), [Filter("n", "==" if "n" in value else "!=", 1)], after=None, limit=5)
    assert [record.value for record in found] == [value]


async def test_a_document_that_is_over_400_kb_as_dynamodb_counts_is_refused_and_changes_nothing(store):
    await store.put(("x",), "1", "before")
    with pytest.raises(InvalidDocument, match="too large for DynamoDB, which counts 400 KB with its id"):
        await store.put(("x",), "1", "x" * (400 * 1024 - 2))
    assert (await store.get(("x",), "1")).value == "before"


async def test_an_expiry_is_kept_to_the_fraction_and_for_time_to_live_in_whole_seconds(store):
    at = clock.now() + 0.25
    await store.put(("x",), "1", 1, expires_at=at)
    await store.put(("x",), "2", 1, expires_at=float("inf"))
    read = store._client._client().get_item
    table = store._tables["x"]
    item = read(TableName=table, Key=key_of(("x",), "1"), ConsistentRead=True)["Item"]
    assert float(item["expires"]["N"]) == at
    assert at <= int(item["expires_at"]["N"]) < at + 1
    item = read(TableName=table, Key=key_of(("x",), "2"), ConsistentRead=True)["Item"]
    assert "expires_at" not in item
    await asyncio.sleep(0.3)
    assert await store.get(("x",), "1") is None
    assert await store.get(("x",), "2") is not None


async def test_an_item_that_is_no_document_is_a_typed_error(store):
    table = store._tables["x"]
    put = store._client._client().put_item
    for number, content in enumerate([{}, {"json": {"S": "["}}, {"value": {"SS": ["a"]}}, {"value": {"N": "1"}}]):
        version = {} if number == 3 else {"version": {"N": "1"}}
        put(TableName=table, Item=key_of(("x",), "1") | {"id": {"S": "1"}} | version | content)
        with pytest.raises(StoreUnavailable, match=f"table {table}: an item of it is no document"):
            await store.get(("x",), "1")
        with pytest.raises(StoreUnavailable, match=f"table {table}: an item of it is no document"):
            await store.query(("x",), (), after=None, limit=5)


# Ids that are longer than a key.

LONG = "x" * 995


async def test_ids_that_are_longer_than_a_key_keep_their_order(store, tmp_path):
    memory = open_store("memory:", tmp_path)
    parents = ["a", "x" * 990, "x" * 991, "x" * 992, LONG, LONG + "é", "x" * 1024, "y"]
    ids = ["1", "2" * 28, "2" * 40, *(f"{n}" + "é" * 500 for n in range(4)), "z" * 1024]
    for parent in parents:
        for id in ids:
            for one in (store, memory):
                await one.put(("x", parent, "y"), id, {"of": [parent, id]})
    for limit in (2, 1000):
        for parent in parents:
            assert await paged(store, parent, limit) == await paged(memory, parent, limit)
    for one in (store, memory):
        for id in ids[::2]:
            await one.delete(("x", LONG, "y"), id)
    assert (await store.get(("x", LONG, "y"), ids[3])).value == {"of": [LONG, ids[3]]}
    for limit in (3, 1000):
        assert await grouped(store, limit) == await grouped(memory, limit)


async def paged(store, parent, limit):
    seen, after = [], None
    while records := await store.query(("x", parent, "y"), (), after=after, limit=limit):
        seen += [(record.path, record.id, record.value) for record in records]
        after = records[-1].id
    return seen


async def grouped(store, limit):
    seen, after = [], None
    while records := await store.query_group("x", "y", (), after=after, limit=limit):
        seen += [(record.path, record.id, record.value) for record in records]
        after = (records[-1].path[1], records[-1].id)
    return seen


# Writes.


async def test_a_write_whose_handler_was_cancelled_is_done_before_the_next_one_of_its_document(store):
    first = asyncio.ensure_future(store.put(("x",), "1", "first"))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(store.put(("x",), "1", "second"))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    await second
    assert (await store.get(("x",), "1")).value == "second"


async def test_a_write_that_is_under_way_is_finished_before_the_store_is_closed(dynamodb_store, tmp_path):
    store = open_store(dynamodb_store, tmp_path, ["x"])
    await store.open()
    write = asyncio.ensure_future(store.put(("x",), "1", 1))
    await asyncio.sleep(0)
    await store.close()
    assert write.done() or await write
    again = open_store(dynamodb_store, tmp_path, ["x"])
    await again.open()
    assert (await again.get(("x",), "1")).value == 1
    await again.close()


async def test_a_store_that_is_closed_says_so(dynamodb_store, tmp_path):
    store = open_store(dynamodb_store, tmp_path, ["x"])
    await store.close()
    with pytest.raises(StoreUnavailable, match="the store is not open"):
        await store.get(("x",), "1")
    with pytest.raises(StoreUnavailable, match="the store is not open"):
        await store.put(("x",), "1", 1)


async def test_a_collection_without_a_table_is_a_typed_error(store):
    for operation in (store.get(("z",), "1"), store.put(("z",), "1", 1), store.query(("z",), (), after=None, limit=1)):
        with pytest.raises(StoreUnavailable, match="collection 'z' has no table here; declare it in a file"):
            await operation


def there(body, **more):
    """A failed condition, as DynamoDB tells it with the item that is there."""
    item = body["Item"] | more | {"sk": {"B": base64.b64encode(b"1").decode()}}
    return 400, {"__type": "x#ConditionalCheckFailedException", "message": "no", "Item": item}


async def test_a_write_that_was_done_though_its_answer_was_lost_is_no_conflict(dynamodb_says):
    store = dynamodb_says.store()
    for options in ({"create": True}, {"if_version": 5}):
        dynamodb_says(BROKEN, there)
        version = await store.put(("x",), "1", 1, **options)
        assert dynamodb_says.asked[-1][1]["Item"]["version"] == {"N": str(version)}
    assert len(dynamodb_says.asked) == 4
    await store.close()


async def test_a_conflict_says_what_is_there(dynamodb_says):
    store = dynamodb_says.store()
    item = item_of(("x",), "1", "1", 7, None)
    dynamodb_says(there({"Item": item}))
    with pytest.raises(AlreadyExists, match="^x/1 exists already$"):
        await store.put(("x",), "1", 1, create=True)
    with pytest.raises(Conflict, match="^x/1 is at version 7; expected version 5$"):
        await store.put(("x",), "1", 1, if_version=5)
    dynamodb_says(there({"Item": item_of(("x",), "1", "1", 7, clock.now() - 1)}))
    with pytest.raises(Conflict, match="^x/1 does not exist; expected version 5$"):
        await store.put(("x",), "1", 1, if_version=5)
    dynamodb_says((400, {"__type": "x#ConditionalCheckFailedException", "message": "no"}))
    with pytest.raises(Conflict, match="^x/1 does not exist, or is at another version; expected version 5$"):
        await store.put(("x",), "1", 1, if_version=5)
    await store.close()


async def test_a_conflict_says_what_is_there_in_a_dynamodb_that_tells_it(moto, tmp_path):
    """dynalite does not."""
    store = open_store(f"dynamodb://us-east-1/told-?endpoint={moto}", tmp_path, ["x"])
    await store.open()
    first = await store.put(("x",), "1", 1)
    with pytest.raises(AlreadyExists, match="^x/1 exists already$"):
        await store.put(("x",), "1", 2, create=True)
    with pytest.raises(Conflict, match=f"^x/1 is at version {first}; expected version {first + 1}$"):
        await store.put(("x",), "1", 2, if_version=first + 1)
    await store.put(("x",), "2", 1, expires_at=clock.now() - 1)
    with pytest.raises(Conflict, match="^x/2 does not exist; expected version 5$"):
        await store.put(("x",), "2", 2, if_version=5)
    assert (await store.get(("x",), "1")).value == 1
    await store.close()


@pytest.mark.parametrize("version", [0, -1, True, 10**40, "text", float("nan"), [1]])
async def test_what_is_no_version_is_the_version_of_no_document(store, version):
    await store.put(("x",), "1", 1)
    with pytest.raises(Conflict):
        await store.put(("x",), "1", 2, if_version=version)


# Lambda's way in.


async def test_with_tables_of_its_own_nothing_is_made_or_asked_before_it_is_used(dynamodb_says):
    store = DynamoStore({"x": "table-x"}, region="us-east-1", endpoint=dynamodb_says.url)
    await store.open()
    assert store._client._made is None
    dynamodb_says((200, {}))
    assert await store.get(("x",), "1") is None
    assert [operation for operation, _ in dynamodb_says.asked] == ["GetItem"]
    await store.close()


async def test_the_region_of_the_function_is_the_tables(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    store = DynamoStore({"x": "table-x"})
    assert store._client._client().meta.endpoint_url == "https://dynamodb.eu-north-1.amazonaws.com"
    await store.close()


# URLs.


def test_a_url_names_region_prefix_and_endpoint():
    store = DynamoStore.of("dynamodb://eu-west-1/chat-", ["people", "rooms"])
    assert store._tables == {"people": "chat-people", "rooms": "chat-rooms"}
    assert store.place == "DynamoDB of eu-west-1"
    assert DynamoStore.of("dynamodb://eu-west-1", ["people"])._tables == {"people": "people"}
    assert (
        DynamoStore.of("dynamodb://eu-west-1/?endpoint=http://[::1]:8000", []).place == "DynamoDB at http://[::1]:8000"
    )


@pytest.mark.parametrize(
    "url",
    [
        "dynamodb:", "dynamodb://", "dynamodb:///x", "dynamodb://Europe/x", "dynamodb://eu-west-1/a/b",
        "dynamodb://eu-west-1/a?endpoint=", "dynamodb://eu-west-1/a?endpoint=localhost:8000", "dynamodb://eu-west-1/a?x=1", "dynamodb://eu-west-1/a?endpoint=http://me:secret@host",
        "dynamodb://eu-west-1/a#b", "dynamodb://eu-west-1/é", "dynamodb://[/x",
    ],
)  # fmt: skip
def test_another_url_is_refused(url, tmp_path):
    with pytest.raises(ConfigurationError, match="expected dynamodb://REGION/PREFIX, with .endpoint=URL"):
        open_store(url, tmp_path)


@pytest.mark.parametrize(("prefix", "name"), [("", "x"), ("", "xy"), ("x-", "é"), ("x" * 200, "y" * 100)])
def test_a_name_that_no_table_can_have_is_refused(prefix, name):
    with pytest.raises(
        ConfigurationError, match="expected 3 to 255 of A-Z, a-z, 0-9, '_', '-' and '.': change the prefix"
    ):
        DynamoStore.of(f"dynamodb://eu-west-1/{prefix}", [name])
