"""What a handler is given, on the real gateway and made by hand."""

import asyncio
import contextvars

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trunkline import NotRunning, collection, testing, websocket
from trunkline.resources.context import Res, current_node, running_node


async def contexts(event, act, **how):
    """The contexts that the handler of an event gets while `act(client)` happens."""
    seen = []
    socket = websocket("socket", binary=True)

    @socket.on(event)
    async def handler(ctx):
        seen.append(ctx)

    async with testing.node([socket]) as node, await node.connect("socket", **how) as client:
        await act(client)
        await asyncio.sleep(0.1)
    return seen


async def nothing(client):
    pass


async def test_connect_sees_headers_and_query():
    (ctx,) = await contexts(
        "connect",
        nothing,
        query=[("room", "a"), ("room", "b c"), ("empty", "")],
        headers=[("X-Token", "1"), ("x-token", "2"), ("User-Agent", "test")],
        source_ip="127.0.0.9",
    )
    assert ctx.req.query["room"] == "b c", "the last value wins"
    assert ctx.req.query.getlist("room") == ["a", "b c"]
    assert ctx.req.query["empty"] == ""
    assert ctx.req.query.get("ROOM") is None, "parameters are case-sensitive"
    assert ctx.req.query.getlist("nothing") == []
    for name in ("x-token", "X-TOKEN", "X-Token"):
        assert ctx.req.headers[name] == "2"
        assert ctx.req.headers.getlist(name) == ["1", "2"]
    assert "x-TOKEN" in ctx.req.headers
    assert ctx.req.source_ip == "127.0.0.9"
    assert ctx.req.route == "$connect"
    assert ctx.req.data == ""
    assert len(ctx.req.connection_id) == 20
    assert dict(ctx.req.authorizer) == {}


@pytest.mark.parametrize("event", ["message", "disconnect"])
async def test_headers_and_query_are_empty_after_connect_because_aws_sends_none(event):
    async def act(client):
        await client.send("x")

    (ctx,) = await contexts(event, act, query={"room": "a"}, headers={"x-token": "1"})
    assert dict(ctx.req.headers) == dict(ctx.req.query) == {}
    assert ctx.req.headers.getlist("X-Token") == []
    assert ctx.req.route == {"message": "$default", "disconnect": "$disconnect"}[event]


async def test_headers_and_query_cannot_be_written():
    (ctx,) = await contexts("connect", nothing, query={"room": "a"})
    for mapping in (ctx.req.headers, ctx.req.query):
        with pytest.raises(TypeError):
            mapping["room"] = "b"
        with pytest.raises(TypeError):
            del mapping["room"]


async def test_a_message_is_data_text_bytes_and_json():
    async def act(client):
        await client.send('{"é": 1}')
        await client.send(b'{"b": 2}')

    text, binary = await contexts("message", act)
    assert text.req.data == text.req.text() == '{"é": 1}'
    assert text.req.bytes() == '{"é": 1}'.encode()
    assert text.req.json() == {"é": 1}
    assert binary.req.data == binary.req.bytes() == b'{"b": 2}'
    assert binary.req.text() == '{"b": 2}'
    assert binary.req.json() == {"b": 2}


def test_a_message_that_is_not_json_or_not_text_is_a_value_error():
    with pytest.raises(ValueError):
        testing.context("{").req.json()
    with pytest.raises(UnicodeDecodeError):
        testing.context(b"\xff").req.text()


async def test_disconnect_sees_how_the_connection_ended():
    (ctx,) = await contexts("disconnect", lambda client: client.close(4001, "bye"))
    assert (ctx.req.close_code, ctx.req.close_reason, ctx.req.data) == (4001, "bye", "")


async def test_one_connection_has_one_id_in_all_its_events():
    seen = []
    socket = websocket("socket")
    for event in ("connect", "message", "disconnect"):

        @socket.on(event)
        async def handler(ctx):
            seen.append((ctx.req.kind, ctx.req.connection_id))

    async with testing.node([socket]) as node:
        for _ in range(2):
            async with await node.connect("socket") as client:
                await client.send("x")
    assert [kind for kind, _ in seen] == ["CONNECT", "MESSAGE", "DISCONNECT"] * 2
    assert len({id for _, id in seen}) == 2


async def test_the_lambda_event_is_there_for_who_asks():
    async def act(client):
        await client.send("hello")

    (ctx,) = await contexts("message", act)
    event = ctx.req.event
    assert (event["body"], event["isBase64Encoded"]) == ("hello", False)
    assert event["requestContext"]["connectionId"] == ctx.req.connection_id
    assert event["requestContext"]["stage"] == "socket"
    assert ctx.req.event is event


# The answer to the handshake.


async def test_reject_records_and_the_handler_goes_on():
    went_on = []
    socket = websocket("socket")

    @socket.on("connect")
    async def connect(ctx):
        ctx.res.reject(403, "first")
        went_on.append(ctx)
        ctx.res.subprotocol = "chat"
        ctx.res.reject(401, b"\xff last")

    async with testing.node([socket]) as node:
        with pytest.raises(testing.Refused) as refused:
            await node.connect("socket", subprotocols=["chat"])
    assert (refused.value.status, refused.value.body) == (401, b"\xff last")
    assert len(went_on) == 1


@given(st.integers(-1000, 1000))
@example(299)
@example(300)
@example(599)
@example(600)
def test_reject_takes_statuses_from_300_to_599(status):
    res = Res()
    if 300 <= status <= 599:
        res.reject(status)
        assert (res.response().status, res.response().body) == (status, "")
    else:
        with pytest.raises(ValueError, match=rf"reject\({status}\): expected an HTTP status from 300 to 599"):
            res.reject(status)
        assert res.response() is None, "a refused refusal changes nothing"


async def test_a_body_that_cannot_be_written_is_the_handlers_error_and_not_a_client_that_waits(caplog):
    socket = websocket("socket")

    @socket.on("connect")
    async def connect(ctx):
        ctx.res.reject(403, "\ud800")

    async with testing.node([socket]) as node:
        with pytest.raises(testing.Refused) as refused:
            await node.connect("socket")
    assert refused.value.status == 502
    assert "surrogates not allowed" in caplog.text


async def test_a_subprotocol_is_told_to_the_client():
    socket = websocket("socket")

    @socket.on("connect")
    async def connect(ctx):
        assert ctx.res.subprotocol is None
        ctx.res.subprotocol = "chat"

    async with testing.node([socket]) as node, await node.connect("socket", subprotocols=["old", "chat"]) as client:
        assert client.subprotocol == "chat"


def test_a_context_whose_answer_nobody_touched_is_a_plain_yes():
    ctx = testing.context(event="connect")
    assert ctx.res.response() is None
    assert ctx.res is ctx.res


# Where operations find their node.


async def test_operations_outside_a_running_node_say_so():
    socket = websocket("socket").allow("closing", "inspecting")
    books = collection("books").allow("reading", "writing", "deleting")
    operations = {
        "send": lambda: socket.send("id", "x"),
        "close": lambda: socket.close("id"),
        "info": lambda: socket.info("id"),
        "broadcast": lambda: socket.broadcast("x", to=[]),
        "get": lambda: books.doc("1").get(),
        "set": lambda: books.doc("1").set({}),
        "create": lambda: books.doc("1").create({}),
        "delete": lambda: books.doc("1").delete(),
        "fetch": lambda: books.query().fetch(),
        "stream": lambda: anext(books.query().stream()),
    }
    for name, operation in operations.items():
        with pytest.raises(NotRunning, match=f"^{name} was called outside a running node; call it from a handler"):
            await operation()
    with pytest.raises(NotRunning, match="^url was called outside"):
        socket.url()


async def test_a_node_is_found_in_its_block_in_its_handlers_and_in_their_tasks_only():
    found = []
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        found.append(current_node("x"))
        found.append(await asyncio.create_task(asyncio.to_thread(current_node, "x")))

    with pytest.raises(NotRunning):
        current_node("x")
    async with testing.node([socket]) as node, await node.connect("socket") as client:
        await client.send("x")
        await asyncio.sleep(0.1)
        assert current_node("x") is node.running
        assert contextvars.Context().run(running_node.get, None) is None
    assert found == [node.running] * 2
    with pytest.raises(NotRunning):
        current_node("x")


async def test_two_nodes_in_one_process_keep_apart():
    socket, books = websocket("socket"), collection("books").allow("reading", "writing")

    @socket.on("message")
    async def message(ctx):
        await books.doc("1").set(ctx.req.data)

    @socket.on("message", route="get")
    async def get(ctx):
        return await books.doc("1").get()

    async with testing.node([socket, books]) as one, await one.connect("socket") as ann:
        async with testing.node([socket, books]) as two, await two.connect("socket") as ben:
            await ann.send("of one")
            await ben.send("of two")
            for client, value in ((ann, "of one"), (ben, "of two")):
                await client.send('{"action":"get"}')
                assert await client.receive() == value
            assert await books.doc("1").get() == "of two", "the inner block's"
        assert await books.doc("1").get() == "of one"


@pytest.mark.parametrize("event", ["connect", "message", "disconnect"])
def test_a_context_shows_whose_it_is_and_nothing_that_a_client_wrote(event):
    ctx = testing.context("secret", event=event, query="token=secret", headers={"cookie": "secret"})
    assert repr(ctx) == f"Context({ctx.req!r})"
    assert ctx.req.connection_id in repr(ctx)
    assert "secret" not in repr(ctx)
