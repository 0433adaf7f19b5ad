"""The table of permissions: every word, every operation, and what is said when one is missing."""

import inspect

import pytest

from trunkline import DeclarationError, PermissionDenied, collection, testing, websocket
from trunkline.resources.collection import DocumentRef, Query
from trunkline.resources.permissions import COLLECTION_WORDS, SOCKET_WORDS, Declared, caller, check_words, denied
from trunkline.resources.websocket import Websocket

COLLECTION_OPERATIONS = {
    "get": lambda handle: handle.doc("1").get(),
    "set": lambda handle: handle.doc("1").set({}),
    "create": lambda handle: handle.doc("2").create({}),
    "delete": lambda handle: handle.doc("1").delete(),
    "fetch": lambda handle: handle.doc("1").fetch(),
    "fetch a page": lambda handle: handle.query().fetch(),
    "stream": lambda handle: anext(handle.query().stream(), None),
    "get below": lambda handle: handle.doc("1").collection("sub").doc("1").get(),
    "set below": lambda handle: handle.doc("1").collection("sub").doc("1").set({}),
    "fetch below": lambda handle: handle.doc("1").collection("sub").query().fetch(),
    "fetch of a group": lambda handle: handle.collection("sub").query().fetch(),
    "stream of a filter": lambda handle: anext(handle.query().where("a", "==", 1).limit(1).stream(), None),
}
WORDS = list(COLLECTION_WORDS)


def line():
    return inspect.currentframe().f_back.f_lineno


def word_of(operation, table):
    return next(word for word, meaning in table.items() if operation.split()[0] in meaning.operations)


@pytest.mark.parametrize("operation", COLLECTION_OPERATIONS)
@pytest.mark.parametrize("missing", WORDS)
async def test_each_document_operation_needs_exactly_its_word(operation, missing):
    handle, where = collection("books").allow(*(word for word in WORDS if word != missing)), line()
    async with testing.node([websocket("socket"), handle]):
        if missing != word_of(operation, COLLECTION_WORDS):
            await COLLECTION_OPERATIONS[operation](handle)
            return
        with pytest.raises(PermissionDenied) as refused:
            await COLLECTION_OPERATIONS[operation](handle)
    text = str(refused.value)
    assert text.startswith(f"collection('books').{operation.split()[0]} needs {missing!r}, ")
    assert f"the declaration at {__file__}:{where} allows " in text
    assert text.endswith("add it there: collection('books').allow('deleting', 'reading', 'writing')")


@pytest.mark.parametrize(("operation", "word"), [("close", "closing"), ("info", "inspecting")])
async def test_closing_and_inspecting_connections_must_be_allowed(operation, word):
    bare, where = websocket("socket"), line()
    async with testing.node([bare]) as node:
        client_id = node.running.gateway.ids.new()
        assert not await getattr(bare.allow(word), operation)(client_id)
        other = "closing" if word == "inspecting" else "inspecting"
        with pytest.raises(PermissionDenied):
            await getattr(bare.allow(other), operation)(client_id)
        with pytest.raises(PermissionDenied) as refused:
            await getattr(bare, operation)(client_id)
    assert str(refused.value) == (
        f"websocket('socket').{operation} needs {word!r}, and the declaration at {__file__}:{where} allows 'sending'; "
        f"add it there: websocket('socket').allow({', '.join(map(repr, sorted([word, 'sending'])))})"
    )


async def test_what_was_not_allowed_is_refused_before_a_node_is_looked_for():
    with pytest.raises(PermissionDenied):
        await collection("books").doc("1").get()
    with pytest.raises(PermissionDenied):
        await websocket("socket").info("x")


async def test_a_refused_write_writes_nothing():
    reader = collection("books").allow("reading")
    async with testing.node([websocket("socket"), reader]):
        with pytest.raises(PermissionDenied):
            await reader.doc("1").set({})
        assert await reader.doc("1").get() is None


async def test_a_grant_is_of_its_handle_and_not_of_the_name():
    reader, writer = collection("books").allow("reading"), collection("books").allow("writing")
    assert reader == writer
    async with testing.node([websocket("socket"), reader, writer]):
        await writer.doc("1").set({"title": "Emma"})
        assert await reader.doc("1").get() == {"title": "Emma"}
        with pytest.raises(PermissionDenied):
            await writer.doc("1").get()
        with pytest.raises(PermissionDenied):
            await reader.doc("1").set({})


def test_allow_adds_to_what_a_handle_has_and_leaves_the_handle_as_it_was():
    none = collection("books")
    reading = none.allow("reading")
    both = reading.allow("writing", "writing")
    assert (none.granted, reading.granted, both.granted) == (
        frozenset(), frozenset({"reading"}), frozenset({"reading", "writing"}),
    )  # fmt: skip
    assert websocket("socket").granted == {"sending"}
    assert websocket("socket").allow("closing").allow("inspecting").granted == {"sending", "closing", "inspecting"}


@pytest.mark.parametrize(
    ("declared", "word", "expected"),
    [
        (collection("books"), "sending", "'reading', 'writing', 'deleting'"),
        (collection("books"), "Reading", "'reading', 'writing', 'deleting'"),
        (websocket("socket"), "writing", "'sending', 'closing', 'inspecting'"),
        (websocket("socket"), "", "'sending', 'closing', 'inspecting'"),
    ],
)
def test_a_word_that_is_none_is_refused_where_it_stands(declared, word, expected):
    with pytest.raises(DeclarationError) as refused:
        declared.allow(word)
    assert str(refused.value) == f"{__file__}:{line() - 1}: {declared!r}.allow({word!r}): expected {expected}"


def test_every_operation_of_the_table_exists():
    documents = {*vars(DocumentRef), *vars(Query)}
    for word, meaning in COLLECTION_WORDS.items():
        assert set(meaning.operations) <= documents, word
    for word, meaning in SOCKET_WORDS.items():
        assert set(meaning.operations) <= set(vars(Websocket)), word


def test_every_coroutine_of_a_resource_is_in_the_table():
    def operations(kind):
        return {
            name
            for name, value in vars(kind).items()
            if inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value)
            if not name.startswith("_")
        }

    known = {operation for meaning in COLLECTION_WORDS.values() for operation in meaning.operations}
    assert operations(DocumentRef) | operations(Query) == known
    assert operations(Websocket) == {operation for meaning in SOCKET_WORDS.values() for operation in meaning.operations}


def test_no_operation_and_no_action_belongs_to_two_words():
    for table in (COLLECTION_WORDS, SOCKET_WORDS):
        for column in ("operations", "actions"):
            cells = [cell for meaning in table.values() for cell in getattr(meaning, column)]
            assert len(cells) == len(set(cells))
            assert all(getattr(meaning, column) for meaning in table.values())


def test_no_word_grants_a_scan():
    assert not [a for meaning in COLLECTION_WORDS.values() for a in meaning.actions if "Scan" in a or "*" in a]


def test_caller_is_the_first_line_outside_the_package():
    assert caller() == Declared(__file__, line())
    inside = {"__name__": "trunkline.something", "caller": caller}
    exec("def declare():\n    return caller()", inside)
    assert inside["declare"]() == Declared(__file__, line())


def test_a_place_is_written_as_editors_and_tracebacks_do():
    assert str(Declared("chat.py", 3)) == "chat.py:3"


def test_check_words_returns_a_set():
    where = Declared("chat.py", 3)
    assert check_words("it", ("reading", "reading"), COLLECTION_WORDS, where) == {"reading"}
    assert check_words("it", (), COLLECTION_WORDS, where) == frozenset()


def test_denied_names_what_is_allowed_in_order():
    where = Declared("chat.py", 3)
    assert str(denied("it", "get", "reading", where, frozenset())) == (
        "it.get needs 'reading', and the declaration at chat.py:3 allows nothing; add it there: it.allow('reading')"
    )
    assert "allows 'deleting', 'writing'; add it there: it.allow('deleting', 'reading', 'writing')" in str(
        denied("it", "get", "reading", where, frozenset({"writing", "deleting"}))
    )
