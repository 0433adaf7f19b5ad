"""Handlers at work: in which Task, in which order, for how long, and what their client is told."""

import asyncio
import json
import time

import pytest

from trunkline import Limits, limits, testing, websocket
from trunkline.integrations.base import IntegrationError, IntegrationTimeout, MessageRefused, ReplyTooLarge
from trunkline.testing.plugin import run_test
from trunkline.wire.frames import encode_client_message

BOTH = pytest.mark.parametrize("ordered", [True, False])


class Program:
    """One socket; a test writes its `handle`."""

    def __init__(self, *, connect=False, disconnect=False, **options):
        self.socket = websocket("socket", **options).allow("closing")
        self.events = []
        self.ids = []
        for event in ("connect", "message", "disconnect"):
            if event == "message" or {"connect": connect, "disconnect": disconnect}[event]:
                self.socket.on(event)(getattr(self, f"_{event}"))

    async def _connect(self, ctx):
        self.ids.append(ctx.req.connection_id)
        return await self.handle(ctx)

    async def _message(self, ctx):
        self.events.append(ctx.req.data)
        return await self.handle(ctx)

    async def _disconnect(self, ctx):
        self.events.append(ctx.req.close_code)
        return await self.handle(ctx)

    async def handle(self, ctx):
        return None

    def node(self):
        return testing.node([self.socket])


def only(node):
    """The one connection of a node."""
    (connection,) = node.running.gateway.alive
    return connection


async def told(client):
    return (await client.receive_json())["message"]


# The Task.


@BOTH
async def test_a_connection_without_a_message_has_no_task(ordered):
    program = Program(ordered=ordered)
    async with program.node() as node, await node.connect("socket") as client:
        alone = asyncio.all_tasks()
        for n in range(3):
            await client.send(str(n))
            await asyncio.sleep(0.1)
            assert asyncio.all_tasks() == alone
    assert program.events == ["0", "1", "2"]


@pytest.mark.parametrize(("ordered", "count"), [(True, 1), (False, 16)])
async def test_waiting_messages_share_a_task_and_messages_handled_at_once_have_their_own(ordered, count):
    program = Program(ordered=ordered)
    tasks = []

    async def handle(ctx):
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0.1)

    program.handle = handle
    async with program.node() as node, await node.connect("socket") as client:
        client.send_bytes(b"".join(encode_client_message(str(n)) for n in range(16)))
        await asyncio.sleep(5)
    assert len(tasks) == 16
    assert len(set(tasks)) == count


@BOTH
async def test_what_one_message_sets_in_its_context(ordered):
    """The next one sees it, unless both are handled at once."""
    from contextvars import ContextVar

    variable = ContextVar("variable", default=0)
    program = Program(ordered=ordered)

    async def handle(ctx):
        variable.set(variable.get() + 1)
        return str(variable.get())

    program.handle = handle
    async with program.node() as node, await node.connect("socket") as client:
        for _ in range(3):
            await client.send("x")
        assert [await client.receive() for _ in range(3)] == (["1", "2", "3"] if ordered else ["1"] * 3)
    assert variable.get() == 0


# Order and bounds.


@pytest.mark.parametrize("apart", [0, 0.01])
async def test_16_messages_at_most_are_handled_at_once(apart):
    program = Program(ordered=False)
    running = most = 0

    async def handle(ctx):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(5)
        running -= 1

    program.handle = handle
    async with program.node() as node:
        client = await node.connect("socket")
        for n in range(100):
            await client.send(str(n))
            if apart:
                await asyncio.sleep(apart)
        await asyncio.sleep(60)
        await client.close()
    assert program.events == [str(n) for n in range(100)]
    assert most == limits.WAITING_MESSAGES


@BOTH
async def test_messages_before_the_clients_close_are_answered_before_ours(ordered):
    program = Program(ordered=ordered, disconnect=True)

    async def handle(ctx):
        await asyncio.sleep(0.1)
        return ctx.req.data + "!"

    program.handle = handle
    async with program.node() as node:
        client = await node.connect("socket")
        for n in range(3):
            await client.send(str(n))
        assert (await client.close()).code == 1000
        assert [await client.receive() for _ in range(3)] == ["0!", "1!", "2!"]
    assert program.events == ["0", "1", "2", 1000]


@BOTH
async def test_messages_received_before_the_loss_are_handled_before_the_disconnect(ordered):
    program = Program(ordered=ordered, disconnect=True)
    program.handle = lambda ctx: asyncio.sleep(1)
    async with program.node() as node:
        client = await node.connect("socket")
        client.send_bytes(b"".join(encode_client_message(str(n)) for n in range(40)))
        await asyncio.sleep(0.5)
        client.vanish()
        await asyncio.sleep(60)
        assert program.events == [*map(str, range(40)), 1006]
        assert not node.running.gateway.alive


@BOTH
async def test_a_client_that_reads_no_replies_is_not_handled_further(ordered):
    program = Program(ordered=ordered)

    async def handle(ctx):
        return ctx.req.data * 50_000

    program.handle = handle
    async with program.node() as node:
        client = await node.connect("socket")
        client.stop_reading()
        for n in range(10):
            await client.send(str(n))
            await asyncio.sleep(1)
        stopped = len(program.events)
        assert stopped < 5
        client.go_on_reading()
        assert [(await client.receive())[0] for _ in range(10)] == [str(n) for n in range(10)]
        await client.close()


@BOTH
async def test_a_client_that_reads_no_replies_and_leaves_is_handled_to_the_end(ordered):
    program = Program(ordered=ordered, disconnect=True)

    async def handle(ctx):
        return str(ctx.req.data) * 100_000

    program.handle = handle
    async with program.node() as node:
        client = await node.connect("socket")
        client.stop_reading()
        for n in range(10):
            await client.send(str(n))
        await asyncio.sleep(1)
        client.vanish()
        await asyncio.sleep(1)
        assert program.events == [*map(str, range(10)), 1006]


# Replies.


@BOTH
async def test_a_reply_to_a_connection_that_closes_is_not_sent(ordered):
    program = Program(ordered=ordered, connect=True)

    async def handle(ctx):
        if ctx.req.route == "$connect":
            return None
        assert await program.socket.close(program.ids[0], 4000, "enough")
        return "too late"

    program.handle = handle
    async with program.node() as node:
        client = await node.connect("socket")
        await client.send("x")
        assert (await client.closed()).code == 4000
        with pytest.raises(testing.Closed):
            await client.receive()


async def test_a_reply_of_the_limit_is_sent_and_a_larger_one_is_the_handlers_error(caplog):
    program = Program(limits=Limits(message_bytes=200))

    async def handle(ctx):
        return "x" * int(ctx.req.data)

    program.handle = handle
    async with program.node() as node, await node.connect("socket") as client:
        for size in ("199", "200"):
            await client.send(size)
            assert await client.receive() == "x" * int(size)
        await client.send("201")
        assert await told(client) == "Internal server error"
        await client.send("1")
        assert await client.receive() == "x"
    assert "MessageTooLarge: the message has 201 bytes; the limit message_bytes is 200" in caplog.text


@BOTH
async def test_no_route_is_forbidden_with_an_id_for_the_request(ordered):
    socket = websocket("socket", ordered=ordered)

    @socket.on("message", route="bid")
    async def bid(ctx):
        return "taken"

    async with testing.node([socket]) as node, await node.connect("socket") as client:
        for _ in range(2):
            await client.send("{}")
        answers = [json.loads(await client.receive()) for _ in range(2)]
        assert {answer["message"] for answer in answers} == {"Forbidden"}
        assert len({answer["requestId"] for answer in answers}) == 2


# Errors.


@BOTH
async def test_an_error_is_told_logged_and_ends_nothing(ordered, caplog):
    program = Program(ordered=ordered)

    async def handle(ctx):
        if ctx.req.data == "fail":
            raise ZeroDivisionError("why")
        return "fine"

    program.handle = handle
    async with program.node() as node, await node.connect("socket") as client:
        await client.send("fail")
        assert await told(client) == "Internal server error"
        await client.send("go on")
        assert await client.receive() == "fine"
    assert caplog.text.count("ZeroDivisionError: why") == 1


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(1)])
async def test_a_connect_handler_that_ends_like_its_task_is_502(error, caplog):
    program = Program(connect=True, disconnect=True)

    async def handle(ctx):
        raise error

    program.handle = handle
    async with program.node() as node:
        with pytest.raises(testing.Refused) as refused:
            await node.connect("socket")
        assert refused.value.status == 502
    assert type(error).__name__ in caplog.text
    assert program.events == []


async def test_a_connect_handler_that_cancels_itself_and_goes_on_accepts():
    program = Program(connect=True)

    async def handle(ctx):
        if ctx.req.route == "$connect":
            asyncio.current_task().cancel()
            return None
        await asyncio.sleep(0.1)
        return "fine"

    program.handle = handle
    async with program.node() as node, await node.connect("socket") as client:
        await client.send("x")
        assert await client.receive() == "fine", "the cancellation ended with the handler"


@BOTH
async def test_a_task_that_is_cancelled_from_outside_ends_its_handler_and_nothing_else(ordered, caplog):
    program = Program(ordered=ordered)
    tasks = []

    async def handle(ctx):
        tasks.append(asyncio.current_task())
        await asyncio.sleep(1)
        return ctx.req.data

    program.handle = handle
    async with program.node() as node, await node.connect("socket") as client:
        await client.send("one")
        await client.send("two")
        await asyncio.sleep(0.5)
        tasks[0].cancel()
        answers = [await client.receive() for _ in range(2)]
        assert json.loads(answers[0])["message"] == "Internal server error"
        assert answers[1] == "two"
    assert "CancelledError" in caplog.text


@BOTH
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (IntegrationError("it was killed"), "Internal server error"),
        (IntegrationTimeout("it took too long"), "Endpoint request timed out"),
    ],
)
async def test_an_integration_that_fails_is_told_and_logged_in_its_own_words(ordered, error, message, caplog):
    program = Program(ordered=ordered)

    async def handle(ctx):
        if ctx.req.data == "fail":
            raise error
        return "fine"

    program.handle = handle
    async with program.node() as node, await node.connect("socket") as client:
        await client.send("fail")
        assert await told(client) == message
        await client.send("go on")
        assert await client.receive() == "fine"
    (record,) = caplog.records
    assert f" failed: {error}; " in record.getMessage()


@BOTH
async def test_a_refused_message_is_told_in_its_own_words_and_the_next_is_handled(ordered, caplog):
    program = Program(ordered=ordered)

    async def handle(ctx):
        if ctx.req.data == "wrong":
            raise MessageRefused("it is no JSON")
        return "fine"

    program.handle = handle
    async with program.node() as node, await node.connect("socket") as client:
        await client.send("wrong")
        frame = json.loads(await client.receive())
        assert list(frame) == ["message", "connectionId", "messageId"]
        assert frame["message"] == "Bad request body"
        await client.send("right")
        assert await client.receive() == "fine"
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@BOTH
async def test_a_reply_of_an_integration_that_is_too_large_closes_with_1009(ordered, caplog):
    program = Program(ordered=ordered, disconnect=True)

    async def handle(ctx):
        if ctx.req.route == "$default":
            raise ReplyTooLarge("its reply has 200,000 bytes")

    program.handle = handle
    async with program.node() as node:
        client = await node.connect("socket")
        await client.send("x")
        assert (await client.closed()).code == 1009
        with pytest.raises(testing.Closed):
            await client.receive()
    assert program.events == ["x", 1009]
    assert "its reply has 200,000 bytes" in caplog.text


@pytest.mark.parametrize("kind", ["$connect", "$default"])
def test_an_interrupt_of_the_program_ends_the_program(kind):
    program = Program(connect=True)

    async def handle(ctx):
        if ctx.req.route == kind:
            raise KeyboardInterrupt

    async def life():
        async with program.node() as node:
            try:
                client = await node.connect("socket")
                await client.send("x")
                await client.receive()
            finally:
                node.running.gateway.alive.clear()  # nobody waits for it any more

    program.handle = handle
    with pytest.raises(KeyboardInterrupt):
        run_test(life, {})


# Deadlines.


@BOTH
async def test_a_handler_past_its_deadline_is_cancelled_and_told_once(ordered, caplog):
    program = Program(ordered=ordered, limits=Limits(handler_seconds=2))
    cancelled = []

    async def handle(ctx):
        if ctx.req.data != "hang":
            return ctx.req.data
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            cancelled.append(asyncio.get_running_loop().time())
            raise

    program.handle = handle
    async with program.node() as node, await node.connect("socket") as client:
        began = asyncio.get_running_loop().time()
        await client.send("hang")
        assert await told(client) == "Endpoint request timed out"
        await client.send("next")
        assert await client.receive() == "next"
        await client.nothing(5)
    assert 2 <= cancelled[0] - began <= 2.4
    assert len(cancelled) == 1
    assert caplog.text.count("was cancelled after 2 s (limit handler_seconds)") == 1


@BOTH
async def test_each_message_has_the_whole_time(ordered):
    program = Program(ordered=ordered, limits=Limits(handler_seconds=2))

    async def handle(ctx):
        await asyncio.sleep(1.5)
        return ctx.req.data

    program.handle = handle
    async with program.node() as node, await node.connect("socket") as client:
        for n in range(5):
            await client.send(str(n))
        answers = [await client.receive(20) for _ in range(5)]
        assert (answers if ordered else sorted(answers)) == [str(n) for n in range(5)]


async def test_time_in_which_a_client_does_not_read_is_not_its_handlers():
    program = Program(limits=Limits(handler_seconds=2))

    async def handle(ctx):
        return ctx.req.data * 100_000

    program.handle = handle
    async with program.node() as node:
        client = await node.connect("socket")
        client.stop_reading()
        await client.send("1")
        await client.send("2")
        await asyncio.sleep(60)
        client.go_on_reading()
        assert [(await client.receive())[0] for _ in range(2)] == ["1", "2"]
        await client.close()


@BOTH
@pytest.mark.parametrize("after", ["returns", "fails"])
async def test_a_handler_that_outlives_its_cancellation_answers_no_more(ordered, after, caplog):
    program = Program(ordered=ordered, limits=Limits(handler_seconds=1))

    async def handle(ctx):
        if ctx.req.data == "hang":
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                await asyncio.sleep(0.5)
                if after == "fails":
                    raise ZeroDivisionError("why") from None
        return ctx.req.data

    program.handle = handle
    async with program.node() as node, await node.connect("socket") as client:
        await client.send("hang")
        assert await told(client) == "Endpoint request timed out"
        await asyncio.sleep(1)
        await client.send("next")
        assert await client.receive() == "next"
    assert caplog.text.count("ZeroDivisionError: why") == (after == "fails")


@pytest.mark.parametrize("then", ["ends", "goes on", "forgets it"])
async def test_a_connect_handler_past_its_deadline_is_504(then):
    program = Program(connect=True, disconnect=True, limits=Limits(handler_seconds=1))

    async def handle(ctx):
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            if then == "ends":
                raise
            if then == "forgets it":
                asyncio.current_task().uncancel()
            await asyncio.sleep(0.1)

    program.handle = handle
    async with program.node() as node:
        with pytest.raises(testing.Refused) as refused:
            await node.connect("socket")
        assert refused.value.status == 504
        assert json.loads(refused.value.body)["message"] == "Endpoint request timed out"
        assert not node.running.gateway.alive
    assert program.events == []


async def test_a_disconnect_handler_past_its_deadline_ends_all_the_same(caplog):
    program = Program(disconnect=True, limits=Limits(handler_seconds=1))

    async def handle(ctx):
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            return

    program.handle = handle
    async with program.node() as node:
        await (await node.connect("socket")).close()
        await asyncio.sleep(2)
        assert not node.running.gateway.ending
    assert "the handler of $disconnect" in caplog.text


# The end of a Task.


async def test_a_task_that_ends_while_it_waits_for_its_client_ends_the_connection_too():
    program = Program(disconnect=True)

    async def handle(ctx):
        return str(ctx.req.data) * 100_000

    program.handle = handle
    async with program.node() as node:
        client = await node.connect("socket")
        client.stop_reading()
        await client.send("1")
        await client.send("2")
        await asyncio.sleep(0.1)
        only(node)._runner.cancel()
        await asyncio.sleep(1)
        assert program.events[-1] == 1006
        assert not node.running.gateway.alive


async def test_a_node_that_gives_up_begins_no_further_message(caplog):
    program = Program(disconnect=True)
    program.handle = lambda ctx: asyncio.sleep(100)
    async with program.node() as node:
        client = await node.connect("socket")
        for n in range(5):
            await client.send(str(n))
        await asyncio.sleep(1)
        await node.running.gateway.close(seconds=1)
        await asyncio.sleep(1)
        assert (await client.closed()).code == 1006
        assert not node.running.gateway.alive
    assert program.events == ["0"], "neither the next message nor the disconnect"
    assert "the time to drain is over; connections that have not had their DISCONNECT: 1" in caplog.text


async def test_handling_costs_no_time_of_the_loop():
    program = Program()
    async with program.node() as node, await node.connect("socket") as client:
        began = time.perf_counter()
        client.send_bytes(b"".join(encode_client_message("x") for _ in range(1000)))
        await client.send("end")
        while program.events[-1:] != ["end"]:
            await asyncio.sleep(0)
        assert time.perf_counter() - began < 2
