"""Documents, queries and pages of a collection, as a program sees them."""

import asyncio
import base64
import inspect
import json
import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline import (
    AlreadyExists,
    Collection,
    Conflict,
    DeclarationError,
    Document,
    InvalidDocument,
    InvalidQuery,
    collection,
    testing,
    websocket,
)
from trunkline.testing.plugin import run_test

books = collection("books").allow("reading", "writing", "deleting")


def inside_a_node(function):
    """The test runs where the operations of `books` work."""

    async def test():
        async with testing.node([websocket("socket"), books]):
            await function()

    test.__name__ = function.__name__
    return test


async def ids(query):
    return [document.id async for document in query.stream()]


# Declaring.


@given(st.text(st.sampled_from("abzAZ09_-.é漢"), min_size=1, max_size=42))
def test_a_name_is_letters_digits_underscores_dashes_and_dots(name):
    assert collection(name).name == name
    assert collection("a").collection(name).name == name


@pytest.mark.parametrize("name", ["", "a" * 129, "é" * 65, "a/b", "a b", "a\0", "\ud800", None, 5])
def test_any_other_name_is_refused_where_it_stands(name):
    with pytest.raises(DeclarationError) as refused:
        collection(name)
    line = inspect.currentframe().f_lineno - 1
    expected = f"collection({name!r}): a name is 1 to 128 letters, digits, '_', '-' and '.'"
    assert str(refused.value) == f"{__file__}:{line}: {expected}"
    for below in (books, books.doc("1")):
        with pytest.raises(DeclarationError) as refused:
            below.collection(name)
        assert str(refused.value) == expected


def test_declarations_are_equal_by_name():
    assert collection("a") == collection("a").allow("reading")
    assert hash(collection("a")) == hash(collection("a").allow("reading"))
    assert collection("a") != collection("b")
    assert collection("a") != "a"
    assert len({collection("a"), collection("a"), "a"}) == 2
    assert repr(collection("a")) == "collection('a')"
    assert isinstance(collection("a").allow(), Collection)


def test_references_are_equal_by_place():
    assert books.doc("1") == collection("books").doc("1")
    assert hash(books.doc("1")) == hash(collection("books").doc("1"))
    below = books.doc("1").collection("chapters").doc("2")
    assert below == collection("books").doc("1").collection("chapters").doc("2")
    different = [
        books.doc("1"), books.doc("2"), collection("other").doc("1"), below,
        books.doc("2").collection("chapters").doc("2"), books.doc("1").collection("notes").doc("2"), "books/1",
    ]  # fmt: skip
    assert len(set(different)) == len(different)
    assert [one == other for one in different for other in different].count(True) == len(different)
    assert repr(below) == "books/1/chapters/2"


def test_a_reference_knows_its_id_and_its_parent():
    below = books.doc("1").collection("chapters").doc("2")
    assert below.id == "2"
    assert below.parent == books.doc("1")
    assert books.doc("1").parent is None


@pytest.mark.parametrize("id", ["", "a" * 1025, "é" * 513, "a\0", "\ud800", None, 5])
def test_what_cannot_be_an_id_is_refused_at_once(id):
    with pytest.raises(InvalidDocument):
        books.doc(id)
    with pytest.raises(InvalidDocument):
        books.doc("1").collection("chapters").doc(id)


def test_subcollections_have_one_level():
    with pytest.raises(DeclarationError) as refused:
        books.doc("1").collection("chapters").doc("2").collection("notes")
    assert str(refused.value) == "books/1/chapters/2 is in a subcollection, and subcollections have one level"


# One document.


@inside_a_node
async def test_a_document_that_is_not_there_is_none():
    assert await books.doc("1").get() is None
    assert await books.doc("1").fetch() is None
    assert await books.doc("1").delete() is None


@inside_a_node
async def test_what_was_set_is_read_until_it_is_deleted():
    for value in ({"title": "Emma", "n": [1, 2.5, None, True]}, {}, [], "text", 0, False, None):
        await books.doc("1").set(value)
        assert await books.doc("1").get() == value
        assert (await books.doc("1").fetch()).content == value
    await books.doc("1").delete()
    assert await books.doc("1").get() is None


@inside_a_node
async def test_set_replaces_the_whole_document():
    await books.doc("1").set({"a": 1, "b": 2})
    await books.doc("1").set({"b": 3})
    assert await books.doc("1").get() == {"b": 3}


@inside_a_node
async def test_a_value_is_nobodys_but_its_readers():
    value = {"list": [1]}
    await books.doc("1").set(value)
    value["list"].append(2)
    (await books.doc("1").get())["list"].append(3)
    assert await books.doc("1").get() == {"list": [1]}


@inside_a_node
async def test_create_writes_only_what_is_not_there():
    await books.doc("1").create({"n": 1})
    with pytest.raises(AlreadyExists, match="books/1 exists already"):
        await books.doc("1").create({"n": 2})
    assert await books.doc("1").get() == {"n": 1}
    await books.doc("1").delete()
    await books.doc("1").create({"n": 3})
    assert await books.doc("1").get() == {"n": 3}


@inside_a_node
async def test_of_many_that_create_one_document_one_succeeds():
    done = await asyncio.gather(*(books.doc("1").create(n) for n in range(20)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in done) == ["AlreadyExists"] * 19 + ["int"]


@inside_a_node
async def test_if_version_writes_only_over_that_version():
    first = await books.doc("1").create({"n": 1})
    read = await books.doc("1").fetch()
    assert read == Document("1", {"n": 1}, first, books.doc("1"))
    second = await books.doc("1").set({"n": 2}, if_version=first)
    assert second != first
    with pytest.raises(Conflict, match=rf"books/1 is at version {second}; expected version {first}"):
        await books.doc("1").set({"n": 3}, if_version=first)
    with pytest.raises(Conflict, match="books/2 does not exist"):
        await books.doc("2").set({"n": 3}, if_version=first)
    assert await books.doc("1").get() == {"n": 2}
    assert await books.doc("2").get() is None


@inside_a_node
async def test_a_counter_under_optimistic_locking_counts_every_increment():
    await books.doc("n").set(0)

    async def increment():
        while True:
            read = await books.doc("n").fetch()
            await asyncio.sleep(0)
            try:
                return await books.doc("n").set(read.content + 1, if_version=read.version)
            except Conflict:
                pass

    await asyncio.gather(*(increment() for _ in range(20)))
    assert await books.doc("n").get() == 20


@inside_a_node
async def test_a_document_expires():
    await books.doc("a").set("a", expires_in=3600)
    await books.doc("b").create("b", expires_in=7200.5)
    await books.doc("c").set("c")
    await asyncio.sleep(3599)
    assert await ids(books.query()) == ["a", "b", "c"]
    await asyncio.sleep(2)
    assert await books.doc("a").get() is None
    assert await books.doc("a").fetch() is None
    assert await ids(books.query()) == ["b", "c"]
    await books.doc("a").create("again")
    await asyncio.sleep(10_000)
    assert await ids(books.query()) == ["a", "c"]


@inside_a_node
async def test_a_write_without_expiry_ends_an_earlier_one():
    await books.doc("a").set("a", expires_in=10)
    await books.doc("a").set("b")
    await asyncio.sleep(100)
    assert await books.doc("a").get() == "b"


@inside_a_node
async def test_an_expiry_is_above_0():
    for seconds in (0, -1, float("nan")):
        for write in (books.doc("1").set, books.doc("1").create):
            with pytest.raises(ValueError, match=f"expires_in={seconds!r}: expected seconds above 0"):
                await write({}, expires_in=seconds)
    assert await books.doc("1").get() is None


@inside_a_node
async def test_what_is_no_json_is_refused_and_changes_nothing():
    await books.doc("1").set("before")
    for value in ({1, 2}, object(), float("nan"), b"bytes", {1: 2}, 10**38, "\ud800", "x" * 500_000):
        with pytest.raises(InvalidDocument):
            await books.doc("1").set(value)
    assert await books.doc("1").get() == "before"


# Subcollections and groups.


async def library():
    """Two books with chapters and a note, and a chapter of a book that is not there."""
    await books.doc("b").set({})
    await books.doc("a").set({})
    for place, n in (("b/2", 1), ("b/1", 2), ("a/1", 3), ("none/é", 4), ("a/z", 5)):
        parent, _, id = place.partition("/")
        await books.doc(parent).collection("chapters").doc(id).set({"n": n})
    await books.doc("a").collection("notes").doc("1").set({"n": 9})
    await collection("others").allow("writing").doc("a").collection("chapters").doc("1").set({"n": 10})


GROUP = ["a/1", "a/z", "b/1", "b/2", "none/é"]


def place(document):
    return f"{document.ref.parent.id}/{document.id}"


@inside_a_node
async def test_a_subcollection_has_its_own_documents():
    await library()
    assert await ids(books.query()) == ["a", "b"]
    assert await ids(books.doc("b").collection("chapters").query()) == ["1", "2"]
    assert await ids(books.doc("a").collection("notes").query()) == ["1"]
    assert await ids(books.doc("b").collection("notes").query()) == []
    assert await books.doc("a").collection("chapters").doc("1").get() == {"n": 3}


@inside_a_node
async def test_a_subcollection_stays_when_its_parent_is_deleted():
    await library()
    await books.doc("b").delete()
    assert await ids(books.doc("b").collection("chapters").query()) == ["1", "2"]


@inside_a_node
async def test_a_group_has_the_subcollections_of_one_name_under_all_parents():
    await library()
    found = [document async for document in books.collection("chapters").query().stream()]
    assert [place(document) for document in found] == GROUP
    assert [document.content["n"] for document in found] == [3, 5, 2, 1, 4]
    assert await ids(books.collection("nothing").query()) == []


@inside_a_node
async def test_a_document_of_a_group_can_be_written_by_its_reference():
    await library()
    async for document in books.collection("chapters").query().where("n", ">", 2).stream():
        await document.ref.set({"n": 0}, if_version=document.version)
    assert await books.doc("a").collection("chapters").doc("1").get() == {"n": 0}
    assert len(await ids(books.collection("chapters").query().where("n", "==", 0))) == 3


# Queries.


@inside_a_node
async def test_documents_come_in_the_order_of_their_ids_bytes():
    shuffled = ["é", "a", "𝄞", "10", "￿", "2", "1", "B"]
    for id in shuffled:
        await books.doc(id).set(id)
    in_order = sorted(shuffled, key=str.encode)
    assert await ids(books.query()) == in_order
    page = await books.query().fetch()
    assert [document.id for document in page.documents] == in_order
    assert page.token is None
    assert page.documents[0] == await books.doc("1").fetch()


OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@pytest.mark.parametrize("op", [*OPERATORS, "startsWith"])
@given(
    values=st.lists(st.one_of(st.integers(-3, 3), st.sampled_from(["a", "ab", "b", ""])), max_size=8), data=st.data()
)
@settings(max_examples=25)
def test_where_compares_values_of_one_type(op, values, data):
    wanted = data.draw(
        st.sampled_from(["a", "ab", ""]) if op == "startsWith" else st.one_of(st.integers(-3, 3), st.just("a"))
    )

    def fulfils(value):
        if op == "startsWith":
            return isinstance(value, str) and value.startswith(wanted)
        if type(value) is not type(wanted):
            return op == "!="
        return OPERATORS[op](value, wanted)

    async def run():
        async with testing.node([websocket("socket"), books]):
            for number, value in enumerate(values):
                await books.doc(str(number)).set({"user": {"name": value}})
            expected = [str(number) for number, value in enumerate(values) if fulfils(value)]
            assert await ids(books.query().where("user.name", op, wanted)) == expected

    run_test(run, {})


@inside_a_node
async def test_filters_are_joined_by_and_and_a_query_is_not_changed_by_them():
    for n in range(10):
        await books.doc(str(n)).set({"n": n, "even": n % 2 == 0})
    everything = books.query()
    low = everything.where("n", "<", 6)
    both = low.where("even", "==", True)
    assert await ids(both) == ["0", "2", "4"]
    assert await ids(both.limit(2)) == ["0", "2"]
    assert await ids(low) == ["0", "1", "2", "3", "4", "5"]
    assert len(await ids(everything)) == 10


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (("a", "~", 1), "expected one of ==, !=, <, <=, >, >=, startsWith"),
        (("", "==", 1), "a field is a name"),
        (("a..b", "==", 1), "a field is a name"),
        (("a", "<", None), "expected a number or text"),
        (("a", "<", True), "expected a number or text"),
        (("a", "startsWith", 1), "expected text"),
        (("a", "==", {1}), "is not JSON"),
        (("a", "==", float("nan")), "nan"),
    ],
)
def test_a_comparison_that_cannot_be_is_refused_at_once(condition, message):
    with pytest.raises(InvalidQuery, match=message):
        books.query().where(*condition)


@pytest.mark.parametrize("n", [0, -1, 1.5, True, None, "1"])
def test_a_limit_is_a_whole_number_above_0(n):
    with pytest.raises(InvalidQuery) as refused:
        books.query().limit(n)
    assert str(refused.value) == f"limit({n!r}): expected a whole number above 0"


# Pages.


async def fill(count, group):
    names = [f"{n:05}" for n in range(count)]
    for name in names:
        place = books.doc(f"p{int(name) // 7:05}").collection("chapters").doc(name) if group else books.doc(name)
        await place.set({"n": int(name)})
    return names, books.collection("chapters").query() if group else books.query()


@given(count=st.integers(0, 30), size=st.integers(1, 12), group=st.booleans(), low=st.integers(0, 10))
@settings(max_examples=50)
def test_pages_together_are_every_document_once(count, size, group, low):
    async def run():
        async with testing.node([websocket("socket"), books]):
            names, query = await fill(count, group)
            query = query.where("n", ">=", low).limit(size)
            seen, token, pages = [], None, 0
            while True:
                page = await query.page_from(token).fetch()
                assert len(page.documents) <= size
                seen += [document.id for document in page.documents]
                pages += 1
                token = page.token
                if token is None:
                    break
                assert len(page.documents) == size, "only the last page may be short"
            assert seen == names[low:]
            assert pages == max(1, -(-len(seen) // size)), "there is no empty page at the end"

    run_test(run, {})


@inside_a_node
async def test_a_page_has_at_most_1000_documents_unless_limit_says_otherwise():
    names, query = await fill(1203, group=False)
    page = await query.fetch()
    assert [document.id for document in page.documents] == names[:1000]
    rest = await query.page_from(page.token).fetch()
    assert [document.id for document in rest.documents] == names[1000:]
    assert rest.token is None
    everything = await query.limit(1203).fetch()
    assert (len(everything.documents), everything.token) == (1203, None)


@pytest.mark.parametrize("group", [False, True])
async def test_a_page_goes_on_behind_its_last_document_whatever_happened_to_it(group):
    async with testing.node([websocket("socket"), books]):
        names, query = await fill(10, group)
        page = await query.limit(4).fetch()
        await page.documents[-1].ref.delete()
        await page.documents[0].ref.delete()
        rest = await query.page_from(page.token).fetch()
        assert [document.id for document in rest.documents] == names[4:]


@pytest.mark.parametrize("group", [False, True])
@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 600])
async def test_a_stream_is_every_document_once(group, count):
    async with testing.node([websocket("socket"), books]):
        names, query = await fill(count, group)
        assert await ids(query) == names
        for limit in (1, 256, 300, 5000):
            assert await ids(query.limit(limit)) == names[:limit]
        if count > 1:
            token = (await query.limit(1).fetch()).token
            assert await ids(query.page_from(token)) == names[1:]
            assert await ids(query.page_from(token).limit(2)) == names[1:3]


@inside_a_node
async def test_a_stream_reads_no_more_than_it_needs():
    await fill(600, group=False)
    stream = books.query().stream()
    assert (await anext(stream)).id == "00000"
    await books.doc("00400").delete()
    rest = [document.id async for document in stream]
    assert "00400" not in rest, "the second page is read when it is reached"
    assert len(rest) == 598


@inside_a_node
async def test_documents_may_be_deleted_while_they_are_streamed():
    names, query = await fill(600, group=False)
    seen = []
    async for document in query.stream():
        seen.append(document.id)
        await document.ref.delete()
    assert seen == names
    assert await ids(query) == []


def token_of(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "token",
    ["", "x", "é", "!!!!", "A" * 400, 5, token_of("a"), token_of([]), token_of([1]), token_of(["a", "b", "c"]),
     token_of({"a": 1}), token_of([["a"]]), token_of(None), token_of(["\ud800"])],
)  # fmt: skip
@pytest.mark.parametrize("query", [books.query(), books.collection("chapters").query()])
def test_what_is_no_token_is_refused_at_once(query, token):
    with pytest.raises(InvalidQuery) as refused:
        query.page_from(token)
    assert str(refused.value) == (
        f"page_from({str(token)[:40]!r}): expected the token of an earlier page of this query"
    )


def test_a_token_of_a_group_is_none_of_a_collection():
    with pytest.raises(InvalidQuery):
        books.query().page_from(token_of(["a", "b"]))
    with pytest.raises(InvalidQuery):
        books.collection("chapters").query().page_from(token_of(["a"]))


@given(
    st.one_of(
        st.text(),
        st.lists(st.text(), max_size=3).map(token_of),
        st.binary().map(lambda b: base64.urlsafe_b64encode(b).decode()),
    )
)
@settings(max_examples=200)
def test_any_text_is_a_token_that_works_or_is_refused(token):
    async def run():
        async with testing.node([websocket("socket"), books]):
            await fill(3, group=False)
            for query in (books.query(), books.collection("chapters").query()):
                try:
                    page = await query.page_from(token).fetch()
                except InvalidQuery:
                    continue
                assert page.token is None

    run_test(run, {})


@inside_a_node
async def test_a_token_is_plain_text_that_a_url_can_carry():
    for id in ("\x01é", "𝄞", "~" * 100, "last"):
        await books.doc(id).set({})
    token = (await books.query().limit(1).fetch()).token
    while token is not None:
        assert token.isascii()
        assert not set(token) & set("+/ &?#%")
        token = (await books.query().limit(1).page_from(token).fetch()).token


def test_page_from_none_is_the_beginning():
    assert books.query().page_from(None)._token is None
