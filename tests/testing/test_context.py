"""Contexts made by hand: a handler is tested by calling it."""

import pytest

from trunkline import InvalidConnectionId, testing, websocket
from trunkline.model.ids import ConnectionIds


async def test_a_handler_is_tested_by_calling_it():
    socket = websocket("socket")

    @socket.on("message", route="bid")
    async def bid(ctx):
        return ctx.req.json()["amount"] + 1

    assert await bid(testing.context('{"amount": 1}', route="bid")) == 2


def test_a_message_is_what_it_was_made_of():
    ctx = testing.context(b"\1", route="bid", source_ip="10.0.0.1", authorizer={"user": "ann"}, socket="auction")
    assert (ctx.req.kind, ctx.req.data, ctx.req.route, ctx.req.source_ip) == ("MESSAGE", b"\1", "bid", "10.0.0.1")
    assert ctx.req.authorizer == {"user": "ann"}
    assert (ctx.req.close_code, ctx.req.close_reason) == (0, "")
    assert ctx.req.event["requestContext"]["stage"] == "auction"
    assert ctx.req.event["requestContext"]["authorizer"] == {"user": "ann"}


@pytest.mark.parametrize("headers", [{"X-Token": "t"}, [("X-Token", "old"), ("x-token", "t")]])
def test_connect_has_headers_and_query_and_no_data(headers):
    ctx = testing.context("not this", event="connect", headers=headers, query="room=a&room=b%20c")
    assert (ctx.req.kind, ctx.req.route, ctx.req.data) == ("CONNECT", "$connect", "")
    assert ctx.req.headers["x-TOKEN"] == "t"
    assert ctx.req.query["room"] == "b c"
    assert ctx.req.query.getlist("room") == ["a", "b c"]
    ctx.res.reject(403, "no")
    assert ctx.res.response().status == 403


@pytest.mark.parametrize("event", ["message", "disconnect"])
def test_other_events_have_neither_headers_nor_query_as_nowhere(event):
    ctx = testing.context(event=event, headers={"x-token": "t"}, query="room=a")
    assert dict(ctx.req.headers) == dict(ctx.req.query) == {}


def test_disconnect_has_a_close_code_and_reason():
    ctx = testing.context("not this", event="disconnect", close_code=4000, close_reason="bye")
    assert (ctx.req.kind, ctx.req.route, ctx.req.data) == ("DISCONNECT", "$disconnect", "")
    assert (ctx.req.close_code, ctx.req.close_reason) == (4000, "bye")
    assert testing.context(event="disconnect").req.close_code == 1000
    assert testing.context(event="connect", close_code=4000).req.close_code == 0


def test_an_event_that_is_none_is_refused():
    with pytest.raises(KeyError):
        testing.context(event="open")


def test_each_context_is_of_a_connection_of_its_own_unless_it_is_named():
    ids = {testing.context().req.connection_id for _ in range(100)}
    assert len(ids) == 100
    assert {len(id) for id in ids} == {20}
    assert testing.context(connection_id="ann").req.connection_id == "ann"


async def test_in_a_running_node_its_id_is_one_of_that_nodes():
    socket = websocket("socket")
    outside = testing.context().req.connection_id
    async with testing.node([socket]) as node:
        inside = testing.context().req.connection_id
        assert isinstance(node.running.gateway.ids, ConnectionIds)
        assert await socket.send(inside, "x") is False, "gone, and not an error"
        with pytest.raises(InvalidConnectionId, match="is not a connection id"):
            await socket.send(outside, "x")
