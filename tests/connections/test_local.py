"""The connections of one node, with sinks that keep what they are sent."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.connections.base import ConnectionInfo, FanOut
from trunkline.connections.local import LocalConnections
from trunkline.errors import InvalidConnectionId, MessageTooLarge, SlowConsumer, Unreachable
from trunkline.model.ids import ConnectionIds
from trunkline.testing.plugin import run_test
from trunkline.wire.frames import encode_message

IDS = ConnectionIds(b"k" * 32)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Kept:
    """An open connection that keeps what it is sent."""

    def __init__(self, *, api="socket", message_bytes=100, error=None, taking=True):
        self.api_name = api
        self.message_bytes = message_bytes
        self.error = error
        self.taking = taking
        self.frames = []
        self.closed = []

    def send(self, frame):
        if self.error is not None:
            raise self.error
        if self.taking:
            self.frames.append(frame)
        return self.taking

    def close(self, code, reason):
        self.closed.append((code, reason))
        return len(self.closed) == 1

    def info(self):
        return ConnectionInfo(NOW, NOW, "127.0.0.1", None)


@pytest.fixture
def connections():
    return LocalConnections(IDS.origin)


def add(connections, **how):
    id, sink = IDS.new(), Kept(**how)
    connections.add(id, sink)
    return id, sink


async def test_a_message_is_encoded_for_its_connection(connections):
    id, sink = add(connections)
    for data in ("", "é", b"\0\xff", "x" * 100):
        assert await connections.send("socket", id, data) is True
        assert sink.frames.pop() == encode_message(data)


async def test_a_connection_is_there_until_it_is_removed(connections):
    id, sink = add(connections)
    assert len(connections) == 1
    connections.remove(id)
    connections.remove(id)
    assert len(connections) == 0
    assert await connections.send("socket", id, "x") is False
    assert await connections.close("socket", id, 1000, "") is False
    assert await connections.info("socket", id) is None
    assert sink.frames == sink.closed == []


async def test_a_connection_that_takes_no_more_is_gone(connections):
    id, _ = add(connections, taking=False)
    assert await connections.send("socket", id, "x") is False
    assert await connections.fan_out("socket", [id], "x") == FanOut(0, [id], {})


async def test_close_and_info_reach_the_connection(connections):
    id, sink = add(connections)
    assert await connections.info("socket", id) == ConnectionInfo(NOW, NOW, "127.0.0.1", None)
    assert await connections.close("socket", id, 4000, "bye") is True
    assert await connections.close("socket", id, 4000, "bye") is False
    assert sink.closed == [(4000, "bye")] * 2


async def test_a_connection_of_another_api_is_gone(connections):
    id, sink = add(connections, api="other")
    assert await connections.send("socket", id, "x") is False
    assert await connections.close("socket", id, 1000, "") is False
    assert await connections.info("socket", id) is None
    assert await connections.fan_out("socket", [id], "x") == FanOut(0, [id], {})
    assert sink.frames == sink.closed == []


@pytest.mark.parametrize("id", ["", "x", "A" * 20, "é" * 20, None, 5])
async def test_an_id_that_no_gateway_made_is_an_error(connections, id):
    for operation in (
        connections.send("socket", id, "x"),
        connections.close("socket", id, 1000, ""),
        connections.info("socket", id),
    ):
        with pytest.raises(InvalidConnectionId):
            await operation
    done = await connections.fan_out("socket", [id], "x")
    assert (done.sent, done.gone, type(done.failed[id])) == (0, [], InvalidConnectionId)


@given(st.sampled_from(["a", "é", "𝄞", b"a"]), st.integers(0, 90_000), st.integers(1, 90_000))
def test_the_limit_is_of_the_messages_bytes_exactly(unit, count, limit):
    data = unit * count
    size = len(data.encode() if isinstance(data, str) else data)

    async def run():
        connections = LocalConnections(IDS.origin)
        id, sink = add(connections, message_bytes=limit)
        if size <= limit:
            assert await connections.send("socket", id, data) is True
            assert sink.frames == [encode_message(data)]
            return
        with pytest.raises(
            MessageTooLarge, match=f"the message has {size:,} bytes; the limit message_bytes is {limit:,}"
        ):
            await connections.send("socket", id, data)
        assert sink.frames == []

    run_test(run, {})


async def test_each_connection_has_its_own_limit(connections):
    (small, _), (large, sink) = add(connections, message_bytes=1), add(connections)
    done = await connections.fan_out("socket", [small, large], "xx")
    assert (done.sent, done.gone, type(done.failed[small])) == (1, [], MessageTooLarge)
    assert sink.frames == [encode_message("xx")]


async def test_one_message_to_many_is_one_frame(connections):
    (one, first), (two, second) = add(connections), add(connections)
    text = "x" * 50
    await connections.fan_out("socket", [one, two], text)
    await connections.send("socket", one, text)
    assert first.frames[0] is second.frames[0] is first.frames[1]


async def test_equal_text_and_bytes_are_different_frames(connections):
    id, sink = add(connections)
    for data in ("x", b"x", "", b"", "x"):
        await connections.send("socket", id, data)
    assert sink.frames == [encode_message(data) for data in ("x", b"x", "", b"", "x")]


async def test_a_fan_out_goes_on_past_errors_and_keeps_the_order(connections):
    slow, _ = add(connections, error=SlowConsumer("full"))
    away, _ = add(connections, error=Unreachable("away"))
    there, sink = add(connections)
    gone = [IDS.new(), IDS.new()]
    done = await connections.fan_out("socket", [gone[1], slow, "bad", there, away, gone[0], there], "x")
    assert (done.sent, done.gone) == (2, [gone[1], gone[0]])
    assert {id: type(error) for id, error in done.failed.items()} == {
        slow: SlowConsumer, "bad": InvalidConnectionId, away: Unreachable,
    }  # fmt: skip
    assert sink.frames == [encode_message("x")] * 2


async def test_a_bug_of_ours_is_no_failed_recipient(connections):
    id, _ = add(connections, error=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await connections.fan_out("socket", [id], "x")


async def test_errors_of_a_connection_reach_its_sender(connections):
    id, _ = add(connections, error=SlowConsumer("full"))
    with pytest.raises(SlowConsumer, match="full"):
        await connections.send("socket", id, "x")
