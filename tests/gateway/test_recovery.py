"""The start after a crash: each connection of the last run gets its DISCONNECT, once its handler ends it is noted."""

import asyncio
import contextlib
import contextvars
import logging

import pytest

from trunkline import Limits, collection, testing, websocket
from trunkline.gateway.journal import Journal
from trunkline.gateway.recovery import recover
from trunkline.model.events import Identity


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal")
    journal.open()
    yield journal
    journal._let_go()


def left(journal, *ids, stage="chat", api=None):
    """The last run left these connections open."""
    for connection_id in ids:
        identity = Identity(
            connection_id=connection_id, api_id="a1b2c3d4e5", stage=stage, domain_name="example.com",
            source_ip="203.0.113.7", user_agent="a browser", connected_at=1_767_225_600_000,
            authorizer={"principalId": "ann"}, stage_variables={"colour": "blue"},
        )  # fmt: skip
        assert journal.opened(identity, api or stage)


def open_ids(journal):
    return [entry.connection_id for entry in journal.entries()]


class Program:
    """A socket that notes whose disconnect handlers began and ended."""

    def __init__(self, **options):
        self.socket = websocket("chat", **options)
        self.contexts, self.ended = [], []

        @self.socket.on("disconnect")
        async def disconnect(ctx):
            self.contexts.append(ctx)
            await self.handle(ctx)
            self.ended.append(ctx.req.connection_id)

    async def handle(self, ctx):
        pass

    @property
    def begun(self):
        return [ctx.req.connection_id for ctx in self.contexts]


@contextlib.asynccontextmanager
async def gateway_of(*declared):
    async with testing.node(list(declared)) as node:
        yield node.running.gateway


def errors(caplog):
    return [line.getMessage() for line in caplog.records if line.levelno == logging.ERROR]


async def test_each_connection_gets_its_disconnect_and_is_forgotten(journal, caplog):
    program = Program()
    left(journal, "one", "two", "three")
    async with gateway_of(program.socket) as gateway:
        await recover(gateway, journal)
    assert program.ended == ["one", "two", "three"]
    assert open_ids(journal) == []
    assert caplog.messages == ["connections that were open when the last run ended: 3; they get their DISCONNECT now"]


async def test_nothing_is_said_when_there_are_none(journal, caplog):
    async with gateway_of(Program().socket) as gateway:
        await recover(gateway, journal)
    assert caplog.messages == []


async def test_the_event_is_that_of_a_connection_whose_socket_broke(journal):
    program = Program()
    left(journal, "one")
    async with gateway_of(program.socket) as gateway:
        await recover(gateway, journal)
    request = program.contexts[0].req
    assert (request.close_code, request.close_reason) == (1006, "Connection closed abnormally")
    assert (request.source_ip, request.authorizer) == ("203.0.113.7", {"principalId": "ann"})
    context = request.event["requestContext"]
    assert (context["eventType"], context["disconnectStatusCode"]) == ("DISCONNECT", 1006)
    assert (context["stage"], context["domainName"], context["apiId"]) == ("chat", "example.com", "a1b2c3d4e5")
    assert (context["connectedAt"], context["identity"]["userAgent"]) == (1_767_225_600_000, "a browser")
    assert request.event["stageVariables"] == {"colour": "blue"}


async def test_its_handlers_are_in_a_running_node(journal):
    program = Program()
    people = collection("people").allow("reading", "deleting", "writing")

    async def handle(ctx):
        await people.doc(ctx.req.connection_id).delete()
        assert await program.socket.send(ctx.req.connection_id, "are you there?") is False

    program.handle = handle
    async with gateway_of(program.socket, people) as gateway:
        id = gateway.ids.new()
        left(journal, id)
        await people.doc(id).set({})
        await asyncio.create_task(recover(gateway, journal), context=contextvars.Context())
        assert program.ended == [id]
        assert await people.doc(id).get() is None


async def test_each_has_a_context_of_its_own(journal):
    program = Program()
    variable = contextvars.ContextVar("variable", default=None)
    seen = []

    async def handle(ctx):
        seen.append(variable.get())
        variable.set(ctx.req.connection_id)

    program.handle = handle
    left(journal, "one", "two")
    async with gateway_of(program.socket) as gateway:
        await recover(gateway, journal)
    assert seen == [None, None]


async def test_100_run_at_once_and_each_is_noted_as_it_ends(journal):
    program = Program()
    seen = []

    async def handle(ctx):
        seen.append((len(program.begun) - len(program.ended), len(open_ids(journal)) + len(program.ended)))
        await asyncio.sleep(int(ctx.req.connection_id) % 7 + 1)

    program.handle = handle
    left(journal, *(str(n) for n in range(450)))
    async with gateway_of(program.socket) as gateway:
        await recover(gateway, journal)
    assert max(running for running, _ in seen) == 100
    assert {total for _, total in seen} == {450}
    assert sorted(program.ended, key=int) == [str(n) for n in range(450)]


async def test_a_handler_that_raises_is_logged_and_has_ended(journal, caplog):
    program = Program()

    async def handle(ctx):
        if ctx.req.connection_id == "one":
            raise ValueError("a mistake")
        if ctx.req.connection_id == "two":
            raise SystemExit
        if ctx.req.connection_id == "three":
            asyncio.current_task().cancel()
            await asyncio.sleep(1)
        if ctx.req.connection_id == "four":
            raise asyncio.CancelledError

    program.handle = handle
    left(journal, "one", "two", "three", "four", "five")
    async with gateway_of(program.socket) as gateway:
        await recover(gateway, journal)
    assert program.ended == ["five"]
    assert open_ids(journal) == []
    told = errors(caplog)
    assert len(told) == 4
    assert "the handler of $disconnect at" in told[0]
    assert "connection one" in told[0]
    assert told[0].endswith("ValueError: a mistake")


@pytest.mark.parametrize("stubborn", [False, True])
async def test_a_handler_is_cancelled_at_its_deadline_and_has_ended(journal, caplog, stubborn):
    program = Program(limits=Limits(handler_seconds=3))

    async def handle(ctx):
        with contextlib.suppress(asyncio.CancelledError) if stubborn else contextlib.nullcontext():
            await asyncio.sleep(1000)

    program.handle = handle
    left(journal, "one")
    began = asyncio.get_running_loop().time()
    async with gateway_of(program.socket) as gateway:
        await recover(gateway, journal)
        assert asyncio.get_running_loop().time() - began == pytest.approx(3)
    assert open_ids(journal) == []
    (told,) = errors(caplog)
    assert "was cancelled after 3 s (limit handler_seconds); connection one" in told


async def test_a_time_out_of_the_handlers_own_is_an_error_of_its_own(journal, caplog):
    program = Program()

    async def handle(ctx):
        raise TimeoutError("the database is slow")

    program.handle = handle
    left(journal, "one")
    async with gateway_of(program.socket) as gateway:
        await recover(gateway, journal)
    (told,) = errors(caplog)
    assert told.endswith("TimeoutError: the database is slow")


async def test_a_start_that_is_broken_off_leaves_the_unfinished_for_the_next(journal, caplog):
    program = Program()

    async def handle(ctx):
        await asyncio.sleep(0 if ctx.req.connection_id == "one" else 10)

    program.handle = handle
    left(journal, "one", *(str(n) for n in range(150)))
    async with gateway_of(program.socket) as gateway:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await recover(gateway, journal)
        assert program.ended == ["one"]
        assert open_ids(journal) == [str(n) for n in range(150)]
        assert errors(caplog) == []
        await recover(gateway, journal)
    assert sorted(program.ended[1:], key=int) == [str(n) for n in range(150)]
    assert open_ids(journal) == []


async def test_a_handler_that_ends_in_spite_of_the_breaking_off_is_noted(journal):
    program = Program()

    async def handle(ctx):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(10)

    program.handle = handle
    left(journal, *(str(n) for n in range(150)))
    async with gateway_of(program.socket) as gateway:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await recover(gateway, journal)
    assert len(program.ended) == 100
    assert len(open_ids(journal)) == 50


async def test_a_handler_that_the_end_of_the_process_broke_off_has_not_ended(journal):
    program = Program()

    async def handle(ctx):
        raise GeneratorExit  # what a coroutine gets that nobody waits for any more

    program.handle = handle
    left(journal, "one")
    async with gateway_of(program.socket) as gateway:
        with pytest.raises(BaseExceptionGroup):
            await recover(gateway, journal)
    assert open_ids(journal) == ["one"]


@pytest.mark.parametrize(("stage", "api"), [("gone", "gone"), ("chat", "another"), ("quiet", "quiet")])
async def test_who_has_no_disconnect_handler_now_is_forgotten_and_told(journal, caplog, stage, api):
    program = Program()
    left(journal, "one", "two", stage=stage, api=api)
    left(journal, "three")
    async with gateway_of(program.socket, websocket("quiet")) as gateway:
        await recover(gateway, journal)
    assert program.ended == ["three"]
    assert open_ids(journal) == []
    assert caplog.messages[1:] == [
        f"connections of {api!r} among them: 2; they get none, because the program has no disconnect handler for it now"
    ]
