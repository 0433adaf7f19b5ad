"""A program as a whole."""

import asyncio

import pytest

import trunkline
from trunkline import DeclarationError, Limits, collection, limits, testing, websocket
from trunkline.resources.application import Application, Lifespan, collecting, lifespan_of


async def handler(ctx):
    return "handled"


def test_sockets_collections_and_handlers_are_put_together_by_name():
    one, two = websocket("one"), websocket("two")
    reader, writer = collection("books").allow("reading"), collection("books").allow("writing")
    one.on("message")(handler)
    one.on("connect")(handler)
    two.on("message", route="bid")(handler)
    application = Application.of([one, reader, two, writer, one, "something else"])
    assert application.sockets == {"one": one, "two": two}
    assert {name: sorted(routes) for name, routes in application.handlers.items()} == {
        "one": ["$connect", "$default"],
        "two": ["bid"],
    }
    assert application.handlers["two"]["bid"].function is handler
    assert [handle.granted for handle in application.collections["books"]] == [{"reading"}, {"writing"}]


def test_handlers_on_different_handles_of_one_socket_are_one_program():
    socket = websocket("socket")
    socket.allow("closing").on("connect")(handler)
    socket.on("message")(handler)
    assert set(Application.of([socket]).handlers["socket"]) == {"$connect", "$default"}


def test_two_declarations_of_one_socket_join_their_handlers():
    first, second = websocket("socket"), websocket("socket")
    assert first == second
    first.on("connect")(handler)
    second.on("message")(handler)
    application = Application.of([first, second])
    assert set(application.handlers["socket"]) == {"$connect", "$default"}
    assert application.sockets["socket"] is first


def test_a_route_declared_in_two_places_is_refused_with_both():
    first, second = websocket("socket"), websocket("socket")
    first.on("message", route="bid")(handler)

    async def other(ctx):
        pass

    second.on("message", route="bid")(other)
    with pytest.raises(DeclarationError) as refused:
        Application.of([first, second])
    here, there = (f"{f.__code__.co_filename}:{f.__code__.co_firstlineno}" for f in (other, handler))
    assert str(refused.value) == (
        f"{here}: route 'bid' of websocket('socket') is declared twice; the first is at {there}"
    )


@pytest.mark.parametrize(
    "options",
    [{"select": "$request.body.type"}, {"ordered": False}, {"binary": True}, {"limits": Limits(idle_seconds=1)}],
)
def test_two_declarations_with_different_options_are_refused_with_both(options):
    first, second = websocket("socket"), websocket("socket", **options)
    with pytest.raises(DeclarationError) as refused:
        Application.of([first, second])
    assert str(refused.value) == (
        f"{second.where}: websocket('socket') is declared with other options than at {first.where}"
    )
    assert first.where.file == second.where.file == __file__
    Application.of([second, websocket("socket", **options)])


@pytest.mark.parametrize("spare", [0, 1])
def test_a_socket_has_at_most_300_routes(spare):
    socket = websocket("socket")
    for number in range(limits.ROUTES + spare):
        socket.on("message", route=str(number))(handler)
    if not spare:
        assert len(Application.of([socket]).handlers["socket"]) == 300
        return
    with pytest.raises(DeclarationError, match=r"^websocket\('socket'\) has 301 routes; the limit is 300$"):
        Application.of([socket])


def test_what_is_declared_while_collecting_is_noted_and_nothing_else():
    before = websocket("before")
    with collecting() as outer:
        a = websocket("a")
        with collecting() as inner:
            b = collection("b").allow("reading")
        c = trunkline.lifespan(ticking([]))
    collection("after")
    assert [type(x).__name__ for x in inner] == ["Collection", "Collection"]
    assert inner[-1] is b
    assert outer[0] is a
    assert outer[1].function is c
    assert len(outer) == 2
    assert before not in outer


def test_collecting_ends_when_the_program_fails():
    with pytest.raises(ZeroDivisionError), collecting() as collected:
        raise ZeroDivisionError
    websocket("later")
    assert collected == []


# Lifespans.


def ticking(log, name="life"):
    async def life():
        log.append(f"{name} begins")
        try:
            yield
        finally:
            log.append(f"{name} ends")

    return life


def declared(*functions):
    with collecting() as collected:
        for function in functions:
            assert trunkline.lifespan(function) is function
    return collected


async def test_a_lifespan_begins_before_the_first_connect_and_ends_after_the_last_disconnect():
    log = []
    socket = websocket("socket")

    @socket.on("connect")
    async def connect(ctx):
        log.append("connect")

    @socket.on("disconnect")
    async def disconnect(ctx):
        await asyncio.sleep(1)
        log.append("disconnect")

    application = Application.of([socket, *declared(ticking(log, "outer"), ticking(log, "inner"))])
    async with testing.node(application) as node:
        assert log == ["outer begins", "inner begins"]
        await node.connect("socket")
    assert log == ["outer begins", "inner begins", "connect", "disconnect", "inner ends", "outer ends"]


async def test_operations_work_in_a_lifespan():
    books = collection("books").allow("reading", "writing")
    seen = []

    async def life():
        await books.doc("1").set("begun")
        yield
        seen.append(await books.doc("1").get())

    async with testing.node(Application.of([websocket("socket"), books, *declared(life)])):
        assert await books.doc("1").get() == "begun"
        await books.doc("1").set("over")
    assert seen == ["over"]


async def test_each_run_enters_a_lifespan_anew():
    log = []
    application = Application.of([websocket("socket"), *declared(ticking(log))])
    for _ in range(2):
        async with testing.node(application):
            pass
    assert log == ["life begins", "life ends"] * 2


async def not_a_generator():
    pass


def not_async():
    yield


@pytest.mark.parametrize("function", [not_a_generator, not_async, print, 42])
def test_a_lifespan_is_an_async_generator_function(function):
    with pytest.raises(DeclarationError) as refused:
        trunkline.lifespan(function)
    assert "@lifespan takes an async generator function: `async def` with one `yield`" in str(refused.value)
    assert str(refused.value).startswith(f"{__file__}:")


def test_a_lifespans_declaration_is_found_by_its_function():
    life = ticking([])
    (lifespan,) = declared(life)
    assert isinstance(lifespan, Lifespan)
    assert lifespan_of(life) is lifespan
    assert lifespan.where.file == __file__
    for other in (ticking([]), not_a_generator, 42, None, lifespan):
        assert lifespan_of(other) is None


# Ids.
