"""Which permissions are used is noted, with the line that used them."""

import inspect
import json

import pytest

import trunkline
from trunkline import collection, testing, websocket
from trunkline.config import Settings
from trunkline.errors import ConfigurationError
from trunkline.resources import usage
from trunkline.resources.usage import Usage, Used, note_in, noting, read_usage
from trunkline.runtime import open as open_program

HERE = __file__


def program():
    people = collection("people").allow("reading", "writing", "deleting")
    socket = websocket("socket").allow("closing", "inspecting")

    @socket.on("connect")
    async def connect(ctx): ...

    return people, socket


def line():
    return inspect.currentframe().f_back.f_lineno


async def used(tmp_path, use):
    """What is noted of an operation, and the line that it stands in."""
    file = tmp_path / "usage.json"
    people, socket = program()
    async with testing.node([people, socket], settings=Settings(record_usage=str(file))) as node:
        client = await node.connect("socket")
        at = await use(people, socket, next(iter(node.running.connections._connections._sinks)))
        client.hang_up()
    found = read_usage(file)
    assert {(one.file, one.line) for one in found} <= {(HERE, at)}
    return [(one.kind, one.name, one.word) for one in found]


async def get(people, socket, id):
    await people.doc("a").get(); return line()  # fmt: skip  # noqa: E702


async def stream(people, socket, id):
    async for _ in people.query().stream(): ...  # fmt: skip  # noqa: E701
    return line() - 1


async def group(people, socket, id):
    await people.collection("notes").query().fetch(); return line()  # fmt: skip  # noqa: E702


async def put(people, socket, id):
    await people.doc("a").set({}); return line()  # fmt: skip  # noqa: E702


async def delete(people, socket, id):
    await people.doc("a").delete(); return line()  # fmt: skip  # noqa: E702


async def send(people, socket, id):
    await socket.send(id, "x"); return line()  # fmt: skip  # noqa: E702


async def broadcast(people, socket, id):
    await socket.broadcast("x", to=[id]); return line()  # fmt: skip  # noqa: E702


async def close(people, socket, id):
    await socket.close(id); return line()  # fmt: skip  # noqa: E702


async def info(people, socket, id):
    await socket.info(id); return line()  # fmt: skip  # noqa: E702


async def nothing(people, socket, id):
    return 0


@pytest.mark.parametrize(
    ("use", "noted"),
    [
        (get, ("collection", "people", "reading")),
        (stream, ("collection", "people", "reading")),
        (group, ("collection", "people", "reading")),
        (put, ("collection", "people", "writing")),
        (delete, ("collection", "people", "deleting")),
        (send, ("websocket", "socket", "sending")),
        (broadcast, ("websocket", "socket", "sending")),
        (close, ("websocket", "socket", "closing")),
        (info, ("websocket", "socket", "inspecting")),
        (nothing, None),
    ],
)
async def test_the_line_that_uses_a_word_is_noted(tmp_path, use, noted):
    assert await used(tmp_path, use) == ([] if noted is None else [noted])


def test_what_was_noted_before_stays_and_files_are_relative_to_the_records_own(tmp_path):
    file = tmp_path / "usage.json"
    earlier = {"kind": "collection", "name": "a", "word": "reading", "file": "chat.py", "line": 3}
    file.write_text(json.dumps([earlier]))
    found = Usage(file)
    found.note("websocket", "s", "sending")
    found._found.add(Used("websocket", "s", "sending", found._relative(tmp_path / "app" / "x.py"), 1))
    found.save()
    assert [(one.file, one.line) for one in read_usage(file)][0] == ("chat.py", 3)
    assert "app/x.py" in {one.file for one in read_usage(file)}


async def test_nodes_that_say_nothing_note_what_is_used_where_the_process_does(tmp_path):
    assert noting() is None
    note_in(Usage(tmp_path / "usage.json"))
    try:
        people, socket = program()
        async with open_program([people, socket]):
            await people.doc("a").get()
    finally:
        note_in(None)
    assert [one.word for one in read_usage(tmp_path / "usage.json")] == ["reading"]


@pytest.mark.parametrize("text", ["", "{}", '[{"kind": "table"}]'])
def test_a_record_that_is_none_is_refused(tmp_path, text):
    file = tmp_path / "usage.json"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"usage\.json: .*; expected what run --record-usage wrote"):
        Usage(file)


def test_a_record_that_is_not_there_can_be_begun_and_not_read(tmp_path):
    with pytest.raises(ConfigurationError, match="No such file"):
        read_usage(tmp_path / "none.json")
    Usage(tmp_path / "none.json")


def test_a_record_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(ConfigurationError, match="the record of used permissions, .*: No such file"):
        Usage(tmp_path / "nowhere" / "usage.json").save()


async def test_denied_is_not_used(tmp_path):
    people, socket = collection("people"), program()[1]
    async with testing.node([people, socket], settings=Settings(record_usage=str(tmp_path / "usage.json"))):
        with pytest.raises(trunkline.PermissionDenied):
            await people.doc("a").get()
    assert usage.read_usage(tmp_path / "usage.json") == []


async def test_a_store_whose_uses_are_noted_is_where_it_is(tmp_path):
    (tmp_path / "chat.py").write_text('from trunkline import websocket\nsocket = websocket("socket")\n')
    settings = Settings(record_usage=str(tmp_path / "usage.json"))
    async with testing.node(tmp_path / "chat.py", store="sqlite:", settings=settings) as node:
        assert node.running.store.file == tmp_path / ".trunkline" / "data.sqlite3"
