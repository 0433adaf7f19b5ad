"""Taking leave of every client: what was received is handled and answered, then comes the close, spread over time."""

import asyncio
import math
import secrets

import pytest

from trunkline import Limits, limits, testing, websocket
from trunkline.gateway.drain import drain
from trunkline.wire.frames import encode_client_message, encode_close


class Program:
    """A socket that takes its time, and what became of its connections."""

    def __init__(self, seconds=0.0, **options):
        self.socket = websocket("socket", **options)
        self.begun, self.handled, self.gone, self.ids = [], [], [], []

        @self.socket.on("connect")
        async def connect(ctx):
            self.ids.append(ctx.req.connection_id)

        @self.socket.on("message")
        async def message(ctx):
            self.begun.append(ctx.req.data)
            await asyncio.sleep(seconds)
            self.handled.append(ctx.req.data)
            return ctx.req.data

        @self.socket.on("disconnect")
        async def disconnect(ctx):
            self.gone.append((ctx.req.close_code, ctx.req.close_reason))

    def node(self):
        return testing.node([self.socket])


def now():
    return asyncio.get_running_loop().time()


async def close(node, seconds=math.inf):
    """Drain a node; returns how long that took."""
    began = now()
    node.running.gateway.draining = True
    await drain(node.running.gateway, 1001, "Going away", seconds)
    return now() - began


async def told(clients):
    """When each client saw its close frame, in seconds from now on."""
    began = now()

    async def one(client):
        with pytest.raises(testing.Closed) as closed:
            await client.receive(timeout=1000)
        assert closed.value.code == 1001
        return now() - began

    return await asyncio.gather(*[one(client) for client in clients])


# Spreading.


async def test_closes_are_spread_evenly_and_in_no_order(monkeypatch):
    monkeypatch.setattr(limits, "CLOSES_PER_SECOND", 20)
    program = Program()
    async with program.node() as node:
        clients = [await node.connect("socket") for _ in range(200)]
        seconds, took = await asyncio.gather(told(clients), close(node, 30))
        assert min(seconds) < 0.1
        assert 9.9 < max(seconds) < 10.1
        in_each = [sum(n <= second < n + 1 for second in seconds) for n in range(10)]
        assert all(19 <= count <= 22 for count in in_each), in_each
        assert list(seconds) != sorted(seconds)
        assert 9.8 < took < 10.2
        assert program.gone == [(1001, "Going away")] * 200


async def test_closes_take_no_more_than_two_thirds_of_the_time(monkeypatch):
    monkeypatch.setattr(limits, "CLOSES_PER_SECOND", 1)
    async with Program().node() as node:
        clients = [await node.connect("socket") for _ in range(60)]
        seconds, took = await asyncio.gather(told(clients), close(node, 6))
        in_each = [sum(n <= second < n + 1 for second in seconds) for n in range(4)]
        assert all(14 <= count <= 17 for count in in_each), in_each
        assert 3.8 < took < 4.2


async def test_few_are_closed_as_fast_as_others_would_take_them():
    async with Program().node() as node:
        clients = [await node.connect("socket") for _ in range(50)]
        seconds, _ = await asyncio.gather(told(clients), close(node, 30))
        assert 0.05 < max(seconds) <= 0.12


async def test_without_a_limit_of_time_all_are_closed_at_once():
    async with Program().node() as node:
        clients = [await node.connect("socket") for _ in range(100)]
        seconds, took = await asyncio.gather(told(clients), close(node))
        assert max(seconds) < 0.02
        assert took < 0.1


async def test_nobody_is_nothing_to_wait_for():
    async with Program().node() as node:
        assert await close(node, 30) == 0
        assert await close(node) == 0


async def test_who_leaves_meanwhile_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(limits, "CLOSES_PER_SECOND", 1)
    program = Program()
    async with program.node() as node:
        clients = [await node.connect("socket") for _ in range(10)]
        closing = asyncio.create_task(close(node, 30))
        await asyncio.sleep(0.5)
        for client in clients:
            client.vanish()
        assert await closing < 1
        assert len(program.gone) == 10


async def test_a_handshake_that_is_decided_meanwhile_ends_with_1001():
    socket, events = websocket("socket"), []

    @socket.on("connect")
    async def connect(ctx):
        await asyncio.sleep(3)

    @socket.on("disconnect")
    async def disconnect(ctx):
        events.append(ctx.req.close_code)

    async with testing.node([socket]) as node:
        client = node.client()
        handshake = asyncio.create_task(client.handshake("/socket"))
        await asyncio.sleep(0.1)
        took = await close(node, 30)
        await handshake
        assert (await client.closed()).code == 1001
        assert events == [1001]
        assert 2.8 < took < 3.2


# What was received.


async def test_what_was_received_is_handled_and_answered_before_the_close():
    program = Program(seconds=0.1)
    async with program.node() as node:
        client = await node.connect("socket")
        texts = [str(n) for n in range(100)]
        client.send_bytes(b"".join(map(encode_client_message, texts)))
        await asyncio.sleep(0.05)
        assert program.begun == ["0"], "16 wait, the others are raw bytes"
        took = await close(node, 30)
        assert program.handled == texts
        assert [await client.receive() for _ in texts] == texts
        assert (await client.closed()).code == 1001
        assert 9.9 < took < 10.2


async def test_unordered_messages_are_handled_before_the_close_too():
    program = Program(seconds=0.5, ordered=False)
    async with program.node() as node:
        client = await node.connect("socket")
        texts = [str(n) for n in range(40)]
        client.send_bytes(b"".join(map(encode_client_message, texts)))
        await asyncio.sleep(0.1)
        await close(node, 30)
        assert sorted(program.handled, key=int) == texts
        assert sorted([await client.receive() for _ in texts], key=int) == texts
        assert program.gone == [(1001, "Going away")]


async def test_half_a_message_is_not_waited_for():
    program = Program()
    async with program.node() as node:
        client = await node.connect("socket")
        client._close_sent = True  # what it sent would be the other half
        client.send_bytes(encode_client_message("whole") + encode_client_message("half")[:-1])
        assert await client.receive() == "whole"
        assert await close(node, 30) < limits.CLOSE_SECONDS + 1.1
        assert program.handled == ["whole"]
        assert program.gone == [(1001, "Going away")]


async def test_a_message_that_comes_before_the_answer_to_our_close_is_handled():
    program = Program(seconds=0.1)
    async with program.node() as node:
        client = await node.connect("socket")
        client.stop_reading()  # it has not seen our close yet
        closing = asyncio.create_task(close(node, 30))
        await asyncio.sleep(0.5)
        for text in "abc":
            await client.send(text)
        await asyncio.sleep(0.5)
        client.go_on_reading()
        await closing
        assert program.handled == ["a", "b", "c"]
        assert program.gone == [(1001, "Going away")]
        with pytest.raises(testing.Closed):
            await client.receive()


async def test_messages_before_the_answer_to_our_close_are_handled_though_their_handler_is_slow():
    program = Program(seconds=0.5)
    async with program.node() as node:
        client = await node.connect("socket")
        client.stop_reading()
        closing = asyncio.create_task(close(node, 30))
        await asyncio.sleep(0.5)
        texts = [str(n) for n in range(40)]
        client.send_bytes(b"".join(map(encode_client_message, texts)))
        client.go_on_reading()
        await closing
        assert program.handled == texts
        assert program.gone == [(1001, "Going away")]


async def test_more_than_one_read_before_the_answer_to_our_close_is_handled():
    program = Program(seconds=0.1)
    async with program.node() as node:
        client = await node.connect("socket")
        client.stop_reading()
        closing = asyncio.create_task(close(node, 30))
        await asyncio.sleep(0.5)
        texts = [f"{n:03}".ljust(10_000, "x") for n in range(100)]
        client.send_bytes(b"".join(map(encode_client_message, texts)))
        client.go_on_reading()
        await closing
        assert program.handled == texts


async def test_a_client_that_is_late_to_read_our_close_is_not_cut_while_it_sends():
    program = Program()
    async with program.node() as node:
        client = await node.connect("socket")
        client.stop_reading()
        closing = asyncio.create_task(close(node, 30))
        texts = [str(n) for n in range(20)]
        for text in texts:
            await asyncio.sleep(0.5)
            await client.send(text)
        client.go_on_reading()
        await closing
        assert program.handled == texts
        assert program.gone == [(1001, "Going away")]


async def test_a_client_that_never_stops_sending_before_its_answer_is_cut():
    program = Program(seconds=0.1, limits=Limits(handler_seconds=5))
    async with program.node() as node:
        client = await node.connect("socket")
        client._close_sent = True
        client.send_bytes(encode_client_message("x" * 10_000) * 10_000)
        await asyncio.sleep(1)
        assert 10 < await close(node) < 14
        assert 100 < len(program.handled) < 200
        assert program.gone == [(1001, "Going away")]


async def test_who_hurries_waits_for_no_message_before_the_answer(monkeypatch):
    program = Program(seconds=0.1)
    async with program.node() as node:
        client = await node.connect("socket")
        client.stop_reading()
        closing = asyncio.create_task(close(node, 30))
        await asyncio.sleep(0.5)
        client.send_bytes(encode_client_message("x" * 10_000) * 1000)
        await asyncio.sleep(1)
        node.running.gateway.hurried = True
        assert await closing < 5


async def test_what_comes_behind_the_answer_to_our_close_is_nobodys():
    program = Program()
    async with program.node() as node:
        client = await node.connect("socket")
        closing = asyncio.create_task(close(node, 30))
        await client.closed()
        client.send_bytes(encode_client_message("late"))
        await closing
        assert program.handled == []


# Clients that close, and clients that do not.


async def test_a_close_behind_messages_that_wait_is_told_as_the_clients():
    program = Program(seconds=1)
    async with program.node() as node:
        client = await node.connect("socket")
        close_frame = encode_close(4000, "enough", mask=secrets.token_bytes(4))
        client._close_sent = True
        client.send_bytes(b"".join(map(encode_client_message, "abcdefghijklmnopqrst")) + close_frame)
        await asyncio.sleep(0.1)
        assert len(program.begun) == 1
        await close(node, 30)
        assert "".join(program.handled) == "abcdefghijklmnopqrst"
        assert (await client.closed()).code == 4000
        assert program.gone == [(4000, "enough")]


async def test_a_close_that_crosses_ours_ends_it():
    program = Program(seconds=1)
    async with program.node() as node:
        client = await node.connect("socket")
        await client.send("a")
        await asyncio.sleep(0.5)
        closing = asyncio.create_task(close(node, 30))
        await asyncio.sleep(0.1)
        closed = await client.close(4000, "enough")
        assert closed.code in {1001, 4000}
        assert await closing < 1
        assert program.handled == ["a"]
        assert len(program.gone) == 1


async def test_a_client_that_never_reads_is_cut_after_the_closing_handshakes_two_seconds():
    program = Program()
    async with program.node() as node:
        client = await node.connect("socket")
        client.stop_reading()
        took = await close(node, 30)
        assert limits.CLOSE_SECONDS <= took <= limits.CLOSE_SECONDS + 1.1
        assert program.gone == [(1001, "Going away")]


async def test_a_client_that_has_not_read_its_answers_is_cut_too():
    program = Program(binary=True, limits=Limits(message_bytes=10**6, frame_bytes=10**6))
    async with program.node() as node:
        client = await node.connect("socket")
        client.stop_reading()
        client.send_bytes(encode_client_message(b"x" * 900_000) * 5)
        await asyncio.sleep(1)
        began = now()
        await close(node, 60)
        assert now() - began <= limits.SLOW_SECONDS + limits.HANDLER_SECONDS + limits.CLOSE_SECONDS
        assert program.gone == [(1001, "Going away")]


# Those who insist, and those who take too long.


async def test_who_hurries_waits_for_no_handler():
    program = Program(seconds=20)
    async with program.node() as node:
        clients = [await node.connect("socket") for _ in range(10)]
        for client in clients:
            await client.send("a")
        await asyncio.sleep(0.1)
        seconds = asyncio.create_task(told(clients))
        closing = asyncio.create_task(close(node, 30))
        await asyncio.sleep(5)
        assert not seconds.done()
        node.running.gateway.hurried = True
        assert max(await seconds) < 5.05
        assert program.handled == []
        await closing
        assert program.gone == [(1001, "Going away")] * 10


async def test_who_hurries_has_no_spreading(monkeypatch):
    monkeypatch.setattr(limits, "CLOSES_PER_SECOND", 1)
    async with Program().node() as node:
        clients = [await node.connect("socket") for _ in range(10)]
        node.running.gateway.hurried = True
        seconds, took = await asyncio.gather(told(clients), close(node, 30))
        assert max(seconds) < 0.02
        assert took < 0.1


async def test_a_handler_that_outlasts_the_time_is_cut_off_and_told(caplog):
    program = Program(seconds=20)
    async with program.node() as node:
        clients = [await node.connect("socket") for _ in range(3)]
        for client in clients:
            await client.send("a")
        quiet = await node.connect("socket")
        await asyncio.sleep(0.1)
        took = await close(node, 5)
        assert 5 <= took < 5.1
        for client in clients:
            await client.closed()
        await quiet.closed()
        await asyncio.sleep(30)
    assert (program.begun, program.handled) == (["a"] * 3, [])
    assert program.gone == [(1001, "Going away")], "only the one without a handler"
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == "the time to drain is over; connections that have not had their DISCONNECT: 3"


async def test_what_is_left_stays_in_the_journal(caplog, tmp_path):
    program = Program(seconds=20)
    (tmp_path / "data").mkdir()
    async with program.node() as node:
        kept = []

        class Journal:
            def opened(self, identity, api):
                return True

            def ended(self, id):
                kept.append(id)

        node.running.gateway.journal = Journal()
        client = await node.connect("socket")
        await client.send("a")
        await asyncio.sleep(0.1)
        await close(node, 1)
        assert kept == []
        await client.closed()
    (message,) = caplog.messages
    assert message.endswith("DISCONNECT: 1; the journal keeps them for the next start")


async def test_a_disconnect_handler_that_outlasts_the_time_is_cut_off_and_told(caplog):
    socket, events = websocket("socket"), []

    @socket.on("disconnect")
    async def disconnect(ctx):
        events.append("begun")
        await asyncio.sleep(20)
        events.append("ended")

    async with testing.node([socket]) as node:
        client = await node.connect("socket")
        assert 5 <= await close(node, 5) < 5.1
        await client.closed()
        await asyncio.sleep(30)
    assert events == ["begun"]
    assert caplog.messages == ["the time to drain is over; connections that have not had their DISCONNECT: 1"]


async def test_no_time_at_all_cuts_everyone_off(caplog):
    program = Program()
    async with program.node() as node:
        clients = [await node.connect("socket") for _ in range(3)]
        assert await close(node, 0) == 0
        for client in clients:
            await client.closed()
    assert program.gone == []
    assert caplog.messages[0].endswith("DISCONNECT: 3")


async def test_the_limit_of_handlers_bounds_the_wait_where_nothing_else_does():
    program = Program(seconds=1000, limits=Limits(handler_seconds=5))
    async with program.node() as node:
        client = await node.connect("socket")
        await client.send("a")
        await asyncio.sleep(0.1)
        assert 4 < await close(node) < 7
        assert '"message": "Endpoint request timed out"' in await client.receive()
        assert program.gone == [(1001, "Going away")]
