"""The declaration of a socket, and what a program does with its connections."""

import asyncio
import enum
import functools
import inspect
import json
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trunkline import (
    BroadcastResult,
    DeclarationError,
    InvalidConnectionId,
    Limits,
    MessageTooLarge,
    SlowConsumer,
    Throttled,
    collection,
    limits,
    testing,
    websocket,
)
from trunkline.connections.base import FanOut
from trunkline.testing.plugin import run_test


async def handler(ctx):
    pass


def place(function):
    return f"{__file__}:{function.__code__.co_firstlineno}"


class Room:
    """A socket that knows who is connected, in the order in which they came."""

    def __init__(self, **options):
        self.socket = websocket("socket", **options).allow("closing", "inspecting")
        self.ids = []

        @self.socket.on("connect")
        async def connect(ctx):
            self.ids.append(ctx.req.connection_id)

    async def fill(self, node, count):
        return [await node.connect("socket") for _ in range(count)]


# Declaring.


@given(st.text(st.sampled_from("abzAZ09_-"), min_size=1, max_size=128))
def test_a_name_is_1_to_128_letters_digits_underscores_and_dashes(name):
    assert websocket(name).name == name


@pytest.mark.parametrize("name", ["", "a" * 129, "a/b", "a b", "é", "a\n", "$default", None, 5])
def test_any_other_name_is_refused_where_it_stands(name):
    with pytest.raises(DeclarationError) as refused:
        websocket(name)
    line = inspect.currentframe().f_lineno - 1
    assert str(refused.value) == (
        f"{__file__}:{line}: websocket({name!r}): a name is 1 to 128 letters, digits, '_' and '-'"
    )


def test_a_selection_expression_that_cannot_be_is_refused_where_it_stands():
    with pytest.raises(DeclarationError) as refused:
        websocket("socket", select="$request.header.x")
    line = inspect.currentframe().f_lineno - 1
    assert str(refused.value).startswith(f"{__file__}:{line}: select='$request.header.x' has a '$' at position 0")


def test_options_are_those_of_api_gateway_unless_given():
    socket = websocket("socket")
    assert (socket.options.select, socket.options.ordered, socket.options.binary) == (
        "$request.body.action", True, False,
    )  # fmt: skip
    assert socket.options.limits == Limits(
        frame_bytes=32_768, message_bytes=131_072, idle_seconds=600, lifetime_seconds=7200, handler_seconds=29
    )
    assert websocket("socket", limits=Limits(idle_seconds=1)).options.limits.idle_seconds == 1


def test_declarations_are_equal_by_name():
    assert websocket("a") == websocket("a", binary=True) == websocket("a").allow("closing")
    assert hash(websocket("a")) == hash(websocket("a").allow("closing"))
    assert websocket("a") != websocket("b")
    assert websocket("a") != "a"
    assert websocket("a") != collection("a")
    assert len({websocket("a"), websocket("a"), collection("a")}) == 2
    assert repr(websocket("a")) == "websocket('a')"


def test_a_decorator_returns_the_function_unchanged():
    socket = websocket("socket")
    for how in (
        {"event": "connect"},
        {"event": "disconnect"},
        {"event": "message"},
        {"event": "message", "route": "bid"},
    ):
        before = dict(vars(handler))
        assert socket.on(how["event"], **({"route": how["route"]} if "route" in how else {}))(handler) is handler
        assert vars(handler) == before
    assert [h.route for h in socket.handlers] == ["$connect", "$disconnect", "$default", "bid"]
    assert {str(h.where) for h in socket.handlers} == {place(handler)}


def plain(ctx):
    pass


async def generator(ctx):
    yield


class Callable:
    async def __call__(self, ctx):
        pass


@pytest.mark.parametrize("function", [plain, generator, lambda ctx: None])
@pytest.mark.parametrize("event", ["connect", "message", "disconnect"])
def test_what_is_no_async_def_is_refused_at_its_declaration(function, event):
    socket = websocket("socket")
    with pytest.raises(DeclarationError) as refused:
        socket.on(event)(function)
    assert str(refused.value) == (
        f"{place(function)}: the {event} handler {function.__name__} of websocket('socket') is not `async def`; "
        "write async def; wrap blocking calls in asyncio.to_thread"
    )
    assert socket.handlers == []


@pytest.mark.parametrize("thing", [42, None, Callable(), Callable])
def test_what_is_no_function_is_refused_where_it_is_declared(thing):
    with pytest.raises(DeclarationError, match="is not `async def`") as refused:
        websocket("socket").on("message")(thing)
    assert str(refused.value).startswith(f"{__file__}:{inspect.currentframe().f_lineno - 1}: ")


async def of_none():
    pass


async def of_two(ctx, more):
    pass


async def of_a_keyword(*, ctx):
    pass


@pytest.mark.parametrize("function", [of_none, of_two, of_a_keyword])
def test_a_handler_that_cannot_be_called_with_a_context_is_refused(function):
    with pytest.raises(DeclarationError) as refused:
        websocket("socket").on("message")(function)
    assert str(refused.value) == (
        f"{place(function)}: the message handler {function.__name__} of websocket('socket') "
        "must take one argument, the Context"
    )


async def test_partials_methods_and_wrapped_functions_are_handlers():
    class Greeter:
        async def greet(self, ctx):
            return "method"

    async def with_more(word, ctx, *, end="!"):
        return word + end

    def shouting(function):
        @functools.wraps(function)
        async def wrapper(ctx):
            return (await function(ctx)).upper()

        return wrapper

    socket = websocket("socket")
    socket.on("message", route="method")(Greeter().greet)
    socket.on("message", route="partial")(functools.partial(with_more, "partial"))

    @socket.on("message", route="wrapped")
    @shouting
    async def wrapped(ctx):
        return "wrapped"

    assert socket.handlers[2].where.line == wrapped.__wrapped__.__code__.co_firstlineno, "the user's own function"
    async with testing.node([socket]) as node, await node.connect("socket") as client:
        for route, reply in (("method", "method"), ("partial", "partial!"), ("wrapped", "WRAPPED")):
            await client.send_json({"action": route})
            assert await client.receive() == reply


@pytest.mark.parametrize("event", ["Connect", "", "messages", None, handler])
def test_an_event_that_is_none_is_refused(event):
    with pytest.raises(DeclarationError) as refused:
        websocket("socket").on(event)
    assert "expected 'connect', 'disconnect' or 'message'" in str(refused.value)
    assert str(refused.value).startswith(f"{__file__}:{inspect.currentframe().f_lineno - 2}: ")


@pytest.mark.parametrize("event", ["connect", "disconnect"])
def test_only_messages_have_custom_routes(event):
    with pytest.raises(DeclarationError, match=r"route=\.\.\.\): only messages have custom routes"):
        websocket("socket").on(event, route="bid")


@pytest.mark.parametrize("route", ["", "$default", "$connect", "$", 5])
def test_a_custom_route_is_a_text_that_does_not_start_with_a_dollar(route):
    with pytest.raises(DeclarationError, match=r"does not start with '\$'; leave it out for \$default"):
        websocket("socket").on("message", route=route)


@pytest.mark.parametrize(
    "how", [("connect", {}), ("disconnect", {}), ("message", {}), ("message", {"route": "bid"})], ids=str
)
def test_a_route_declared_twice_is_refused_with_both_places(how):
    event, options = how
    socket = websocket("socket")
    socket.on(event, **options)(handler)
    key = socket.handlers[0].route
    with pytest.raises(DeclarationError) as refused:
        socket.allow("closing").on(event, **options)(of_one)
    line = inspect.currentframe().f_lineno - 1
    assert str(refused.value) == (
        f"{__file__}:{line}: route {key!r} of websocket('socket') is declared twice; the first is at {place(handler)}"
    )
    assert [h.function for h in socket.handlers] == [handler]


async def of_one(ctx):
    pass


def test_a_line_that_runs_again_declares_its_route_anew():
    # So does a program that is loaded twice, on a socket of a module that Python keeps.
    socket = websocket("socket")
    for function in (handler, of_one):
        socket.on("connect")(function)
    assert [h.function for h in socket.handlers] == [of_one]


# Routes.


async def test_messages_go_to_their_route_and_the_rest_to_default():
    socket = websocket("socket")

    @socket.on("message", route="bid")
    async def bid(ctx):
        return f"bid {ctx.req.route}"

    @socket.on("message")
    async def default(ctx):
        return f"default {ctx.req.route}"

    async with testing.node([socket]) as node, await node.connect("socket") as client:
        for message in ('{"action":"bid"}', '{"x":1,"action":"bid"}'):
            await client.send(message)
            assert await client.receive() == "bid bid"
        for message in ('{"action":"Bid"}', '{"action":"$default"}', "no json", "[]", '{"action":["bid"]}', "{}"):
            await client.send(message)
            assert await client.receive() == "default $default"


async def test_select_says_which_part_of_a_message_names_its_route():
    socket = websocket("socket", select="${request.body.service}/${request.body.verb}")

    @socket.on("message", route="books/sell")
    async def sell(ctx):
        return "sold"

    async with testing.node([socket]) as node, await node.connect("socket") as client:
        await client.send_json({"service": "books", "verb": "sell"})
        assert await client.receive() == "sold"


# Sending.


async def test_send_is_true_for_who_is_there_and_false_for_who_is_gone():
    room = Room()
    async with testing.node([room.socket]) as node:
        ann, ben = await room.fill(node, 2)
        assert await room.socket.send(room.ids[0], "hello") is True
        assert await ann.receive() == "hello"
        await ben.nothing()
        await ann.close()
        assert await room.socket.send(room.ids[0], "hello") is False
        assert await room.socket.send(node.running.gateway.ids.new(), "hello") is False


async def test_an_id_that_no_gateway_made_is_an_error():
    room = Room()
    async with testing.node([room.socket]):
        for id in ("", "x", "A" * 20, 5, None):
            for operation in (room.socket.send(id, "x"), room.socket.close(id), room.socket.info(id)):
                with pytest.raises(InvalidConnectionId):
                    await operation


async def test_a_message_that_is_too_large_and_a_client_that_does_not_read_are_errors():
    room = Room(limits=Limits(message_bytes=10_000))
    async with testing.node([room.socket]) as node:
        (ann,) = await room.fill(node, 1)
        with pytest.raises(MessageTooLarge, match="10,001 bytes; the limit message_bytes is 10,000"):
            await room.socket.send(room.ids[0], "x" * 10_001)
        ann.stop_reading()
        with pytest.raises(SlowConsumer):
            for _ in range(200):
                await room.socket.send(room.ids[0], "x" * 10_000)
                await asyncio.sleep(0)


class Colour(str, enum.Enum):
    RED = "red"


async def test_text_is_sent_as_it_is_also_of_a_subclass_of_str():
    room = Room()
    async with testing.node([room.socket]) as node:
        (ann,) = await room.fill(node, 1)
        for text in ("", "é𝄞", "x" * 100_000, Colour.RED):
            assert await room.socket.send(room.ids[0], text)
            assert await ann.receive() == (text.value if isinstance(text, Colour) else text)


@pytest.mark.parametrize("data", [b"\0\xff", bytearray(b"\0\xff"), memoryview(b"\0\xff")])
async def test_bytes_need_a_binary_socket(data):
    room = Room(binary=True)
    async with testing.node([room.socket]) as node:
        (ann,) = await room.fill(node, 1)
        assert await room.socket.send(room.ids[0], data)
        assert await ann.receive() == b"\0\xff"
        assert (await room.socket.broadcast(data, to=room.ids)).sent == 1
        assert await ann.receive() == b"\0\xff"
    text = Room()
    async with testing.node([text.socket]) as node:
        (ann,) = await text.fill(node, 1)
        for operation in (text.socket.send(text.ids[0], data), text.socket.broadcast(data, to=text.ids)):
            with pytest.raises(TypeError) as refused:
                await operation
            assert str(refused.value) == (
                f"websocket('socket') sends text; declare it with binary=True to send bytes ({text.socket.where})"
            )
        await ann.nothing()


@pytest.mark.parametrize("data", [{"a": 1}, None, 5, ["x"]])
async def test_what_is_neither_str_nor_bytes_is_not_sent(data):
    room = Room(binary=True)
    async with testing.node([room.socket]) as node:
        await room.fill(node, 1)
        for operation in (room.socket.send(room.ids[0], data), room.socket.broadcast(data, to=room.ids)):
            with pytest.raises(
                TypeError, match=f"^data is a {type(data).__name__}; expected str or bytes. For JSON: json"
            ):
                await operation


async def test_nothing_crosses_from_one_socket_to_another():
    room, other = Room(), websocket("other").allow("closing", "inspecting")
    async with testing.node([room.socket, other]) as node:
        (ann,) = await room.fill(node, 1)
        assert await other.send(room.ids[0], "x") is False
        assert await other.close(room.ids[0]) is False
        assert await other.info(room.ids[0]) is None
        assert (await other.broadcast("x", to=room.ids)).gone == tuple(room.ids)
        await ann.nothing()


# Closing, asking, the address.


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        ((), 1000, "Connection Closed Normally"),
        ((1000, "bye"), 1000, "bye"),
        ((1000, ""), 1000, ""),
        ((4000,), 4000, ""),
        ((1001, "é"), 1001, "é"),
        ((3000,), 3000, ""),
        ((4999, "x" * 200), 4999, "x" * 123),
    ],
)
async def test_close_tells_the_client_code_and_reason(arguments, code, reason):
    room = Room()
    async with testing.node([room.socket]) as node:
        (ann,) = await room.fill(node, 1)
        assert await room.socket.close(room.ids[0], *arguments) is True
        closed = await ann.closed()
        assert (closed.code, closed.reason) == (code, reason)
        assert await room.socket.close(room.ids[0]) is False


@given(st.integers(-5000, 6000))
@example(2999)
@example(3000)
@example(4999)
@example(5000)
@example(1005)
def test_only_codes_that_a_server_may_send_close_a_connection(code):
    async def run():
        room = Room()
        async with testing.node([room.socket]) as node:
            gone = node.running.gateway.ids.new()
            if code in {1000, 1001, 1008, 1011, 1012, 1013} or 3000 <= code <= 4999:
                assert await room.socket.close(gone, code) is False
                return
            with pytest.raises(ValueError, match=f"^close code {code} cannot be sent"):
                await room.socket.close(gone, code)

    run_test(run, {})


async def test_info_tells_when_and_who_and_is_none_for_who_is_gone():
    room = Room()
    async with testing.node([room.socket]) as node:
        began = datetime.now(UTC)
        ann = await node.connect("socket", headers={"user-agent": "curl"}, source_ip="10.0.0.1")
        info = await room.socket.info(room.ids[0])
        assert (info.source_ip, info.user_agent) == ("10.0.0.1", "curl")
        assert abs((info.connected_at - began).total_seconds()) < 60
        assert info.connected_at.tzinfo is UTC
        await asyncio.sleep(10)
        await ann.send("x")
        await asyncio.sleep(1)
        active = (await room.socket.info(room.ids[0])).last_active_at
        assert (active - info.connected_at).total_seconds() == pytest.approx(10, abs=0.5)
        await ann.close()
        assert await room.socket.info(room.ids[0]) is None


async def test_url_is_where_clients_connect():
    socket = websocket("auction")
    async with testing.node([socket]) as node:
        assert socket.url() == node.running.url("auction") == "ws://127.0.0.1:8000/auction"


# Replies. What becomes of each type is in tests/integrations/test_python.py.


async def test_what_a_message_handler_returns_is_sent_to_its_sender_only():
    room = Room(binary=True)
    values = {
        "text": "as it is", "bytes": b"\1", "none": None, "dict": {"a": [1, None]}, "number": 5, "empty": "",
        "proxy": {"statusCode": 500, "body": "x"},
    }  # fmt: skip

    @room.socket.on("message")
    async def message(ctx):
        return values[ctx.req.data]

    async with testing.node([room.socket]) as node:
        ann, ben = await room.fill(node, 2)
        for name, expected in values.items():
            await ann.send(name)
            if expected is None:
                await ann.nothing()
            elif isinstance(expected, str | bytes):
                assert await ann.receive() == expected
            else:
                assert json.loads(await ann.receive()) == expected
        await ben.nothing()


# Broadcasting.


async def recipients(kind, node, room):
    """The same recipients, in every form."""
    if kind == "list":
        return list(room.ids)
    if kind == "generator":
        return (id for id in room.ids)
    if kind == "set":
        return set(room.ids)
    if kind == "async generator":

        async def ids():
            for id in room.ids:
                yield id

        return ids()
    members = collection("members").allow("reading", "writing")
    for id in room.ids:
        await members.doc(id).set({})
    if kind == "stream":
        return members.query().stream()
    return (await members.query().fetch()).documents


@pytest.mark.parametrize("kind", ["list", "generator", "set", "async generator", "stream", "documents"])
@pytest.mark.parametrize("count", [0, 3])
async def test_a_broadcast_reaches_everyone_in_whatever_form_they_are_given(kind, count):
    room = Room()
    async with testing.node([room.socket]) as node:
        clients = await room.fill(node, count)
        result = await room.socket.broadcast("hello", to=await recipients(kind, node, room))
        assert result == BroadcastResult(count, (), {})
        assert [await client.receive() for client in clients] == ["hello"] * count
        for client in clients:
            await client.nothing()


@pytest.mark.parametrize("kind", ["list", "async generator"])
@pytest.mark.parametrize("many", [False, True])
async def test_who_is_excluded_is_left_out(kind, many):
    room = Room()
    async with testing.node([room.socket]) as node:
        ann, ben, cia = await room.fill(node, 3)
        exclude = iter(room.ids[:2]) if many else room.ids[0]
        result = await room.socket.broadcast("hello", to=await recipients(kind, node, room), exclude=exclude)
        assert result.sent == (1 if many else 2)
        assert await cia.receive() == "hello"
        await ann.nothing()
        await (ben.nothing() if many else ben.receive())


async def test_to_is_required_and_is_not_one_id():
    room = Room()
    async with testing.node([room.socket]) as node:
        await room.fill(node, 1)
        with pytest.raises(TypeError):
            await room.socket.broadcast("hello")
        with pytest.raises(TypeError, match=r"is one id; expected ids or documents, such as to=\["):
            await room.socket.broadcast("hello", to=room.ids[0])


@pytest.mark.parametrize("kind", ["list", "async generator"])
async def test_the_error_of_one_does_not_stop_the_others(kind):
    room = Room(limits=Limits(message_bytes=500_000))
    async with testing.node([room.socket]) as node:
        slow, gone, ann = await room.fill(node, 3)
        slow.stop_reading()
        with pytest.raises(SlowConsumer):
            while True:
                await room.socket.send(room.ids[0], "x" * 400_000)
                await asyncio.sleep(0)
        await gone.close()
        room.ids[1:1] = ["nobody's"]
        result = await room.socket.broadcast("x" * 400_000, to=await recipients(kind, node, room))
        assert len(await ann.receive()) == 400_000
        assert (result.sent, result.gone) == (1, (room.ids[2],))
        assert {id: type(error) for id, error in result.failed.items()} == {
            room.ids[0]: SlowConsumer,
            "nobody's": InvalidConnectionId,
        }
        with pytest.raises(TypeError):
            result.failed["x"] = None
        slow.vanish()


async def test_a_message_that_is_too_large_fails_for_each():
    room = Room(limits=Limits(message_bytes=5))
    async with testing.node([room.socket]) as node:
        await room.fill(node, 2)
        result = await room.socket.broadcast("123456", to=room.ids)
        assert [type(result.failed[id]) for id in room.ids] == [MessageTooLarge] * 2
        assert result.sent == 0


@pytest.mark.parametrize("count", [256, 257, 1000])
@pytest.mark.parametrize("kind", ["list", "async generator"])
async def test_a_broadcast_yields_to_the_loop_every_256_sends(kind, count):
    room = Room()
    turns = 0

    async def turning():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with testing.node([room.socket]) as node:
        room.ids = [node.running.gateway.ids.new() for _ in range(count)]
        to = await recipients(kind, node, room)
        task = asyncio.create_task(turning())
        await asyncio.sleep(0)
        result = await room.socket.broadcast("hello", to=to)
        task.cancel()
    assert result.gone == tuple(room.ids), "all of them, in order"
    assert turns >= (count - 1) // 256


async def test_broadcasts_at_the_same_time_reach_each_recipient_in_their_order():
    room = Room()
    async with testing.node([room.socket]) as node:
        clients = await room.fill(node, 300)
        await asyncio.gather(*(room.socket.broadcast(str(n), to=room.ids) for n in range(5)))
        for client in clients:
            assert [await client.receive() for _ in range(5)] == ["0", "1", "2", "3", "4"]


class Throttling:
    """The node's connections, over a rate for the first so many times of some."""

    def __init__(self, connections, refusals):
        self.connections = connections
        self.refusals = refusals
        self.calls = []

    async def fan_out(self, api, ids, data):
        self.calls.append((asyncio.get_running_loop().time(), list(ids)))
        refused = [id for id in ids if self.refusals.get(id, 0) > 0]
        for id in refused:
            self.refusals[id] -= 1
        done = await self.connections.fan_out(api, [id for id in ids if id not in refused], data)
        return FanOut(done.sent, done.gone, done.failed | {id: Throttled("over the rate") for id in refused})


async def test_a_broadcast_backs_off_when_it_is_throttled_and_tries_again():
    room = Room()
    async with testing.node([room.socket]) as node:
        ann, ben, cia = await room.fill(node, 3)
        gone = node.running.gateway.ids.new()
        throttling = node.running.connections = Throttling(
            node.running.connections, {room.ids[0]: 1, room.ids[1]: 3, gone: 2}
        )
        result = await room.socket.broadcast("hello", to=[*room.ids, gone, "nobody's"])
        assert (result.sent, result.gone) == (3, (gone,))
        assert {id: type(error) for id, error in result.failed.items()} == {"nobody's": InvalidConnectionId}
        for client in (ann, ben, cia):
            assert await client.receive() == "hello"
            await client.nothing()
    began = throttling.calls[0][0]
    assert [ids for _, ids in throttling.calls[1:]] == [
        [room.ids[0], room.ids[1], gone],
        [room.ids[1], gone],
        [room.ids[1]],
    ]
    assert [at - began for at, _ in throttling.calls] == pytest.approx([0, 0.05, 0.15, 0.35])


async def test_who_stays_throttled_has_failed():
    room = Room()
    async with testing.node([room.socket]) as node:
        await room.fill(node, 2)
        throttling = node.running.connections = Throttling(node.running.connections, {room.ids[1]: 1000})
        result = await room.socket.broadcast("hello", to=room.ids)
    assert result.sent == 1
    assert {id: type(error) for id, error in result.failed.items()} == {room.ids[1]: Throttled}
    assert len(throttling.calls) == 6
    assert throttling.calls[-1][0] - throttling.calls[0][0] == pytest.approx(1.55)


async def test_who_is_not_reached_in_time_has_failed_with_a_timeout():
    room = Room()

    async def slowly():
        for number in range(300):
            if number == 256:
                await asyncio.sleep(10)
            yield room.ids[number]

    async with testing.node([room.socket]) as node:
        room.ids = [node.running.gateway.ids.new() for _ in range(300)]
        result = await room.socket.broadcast("hello", to=slowly(), seconds=5)
        assert result.gone == tuple(room.ids[:256])
        assert list(result.failed) == room.ids[256:]
        assert {str(error) for error in result.failed.values()} == {"the broadcast's seconds ran out"}
        assert {type(error) for error in result.failed.values()} == {TimeoutError}
        assert (await room.socket.broadcast("hello", to=room.ids, seconds=5)).failed == {}
        assert list((await room.socket.broadcast("hello", to=room.ids, seconds=0)).failed) == room.ids


async def test_seconds_end_the_backing_off():
    room = Room()
    async with testing.node([room.socket]) as node:
        await room.fill(node, 1)
        throttling = node.running.connections = Throttling(node.running.connections, {room.ids[0]: 1000})
        result = await room.socket.broadcast("hello", to=room.ids, seconds=0.1)
    assert [type(error) for error in result.failed.values()] == [TimeoutError]
    assert len(throttling.calls) == 2


def test_the_slice_of_a_broadcast_is_256():
    assert limits.FAN_OUT_SLICE == 256
