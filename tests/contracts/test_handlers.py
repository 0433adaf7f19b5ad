"""The contract for user code: whatever a handler does with asyncio works, before its first suspension and after it.

Every case runs for each kind of handler, ordered and not, on Trunkline's own virtual loop, on asyncio's, and on
uvloop, where times are real and short; and in a process of Lambda, which API Gateway's events come to.
"""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import json
import sys
import threading

import anyio
import pytest

from trunkline import Limits, testing, websocket
from trunkline.aws.lambda_node import LambdaNode
from trunkline.aws.lambda_program import LambdaProgram
from trunkline.resources.application import Application
from trunkline.testing.lambda_node import lambda_node

LOOPS = {"jumping": testing.JumpingLoop, "asyncio": asyncio.SelectorEventLoop}
if sys.platform != "win32":
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop
OWN = list(LOOPS)
LOOPS["in Lambda"] = asyncio.SelectorEventLoop  # the gateway's; the function has its own

TICK = 0.005
NEVER = 30
DEADLINE = 0.1
pytestmark = pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "at once"])
each_kind = pytest.mark.parametrize("kind", ["connect", "message", "disconnect"])
each_moment = pytest.mark.parametrize("moment", ["at once", "later"])


@pytest.fixture(params=LOOPS)
def loop(request):
    return request.param


def run_on(loop, function):
    """Run a coroutine function to its end; what goes wrong in the background fails the test too."""
    background = []
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.get_loop().set_exception_handler(lambda _, about: background.append(about))
        runner.run(function())
    assert background == []


class Process:
    """A process of Lambda: a thread with a loop of its own, which handles one event at a time."""

    def __init__(self, *declared):
        self.background = []
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _, about: self.background.append(about))
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._program = LambdaProgram(Application.of(declared), LambdaNode({}, {}))

    async def __call__(self, event, context):
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._handle, event)

    def _handle(self, event):
        return self.loop.run_until_complete(self._program.answer(event, NEVER))

    def end(self):
        with self._thread:
            self._thread.submit(self._end).result()
        assert self.background == []

    def _end(self):
        for task in (tasks := asyncio.all_tasks(self.loop)):
            task.cancel()
        self.loop.run_until_complete(asyncio.wait(tasks))
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


@contextlib.asynccontextmanager
async def node_of(loop, socket):
    """A node whose handlers run in itself, or in a process of Lambda behind it."""
    if loop != "in Lambda":
        async with testing.node([socket]) as node:
            yield node
        return
    process = Process(socket)
    routes = {handler.route: process for handler in socket.handlers}
    try:
        async with lambda_node(routes, stage="socket", two_way=("$default",)) as node:
            yield node
    finally:
        process.end()


def logged(caplog):
    """What the handlers' home has said; a gateway in front of it says that the function failed."""
    return [record for record in caplog.records if not record.getMessage().startswith("the integration of")]


class Case:
    """A node whose handlers of one kind run a body; all others do nothing, and messages are answered by themselves.

    Attributes:
        results: what the body returned or raised, in order.
        answer: the client's HTTP status of the handshake, or its first message.
    """

    def __init__(self, kind, moment, ordered, body, **bounds):
        self.kind = kind
        self.moment = moment
        self.body = body
        self.results = []
        self.socket = websocket("socket", ordered=ordered, limits=Limits(**bounds))
        for event in ("connect", "message", "disconnect"):
            self.socket.on(event)(getattr(self, f"_{event}"))

    async def _connect(self, ctx):
        await self._perform("connect", ctx)

    async def _message(self, ctx):
        if ctx.req.data == "work":
            await self._perform("message", ctx)
        return ctx.req.data

    async def _disconnect(self, ctx):
        await self._perform("disconnect", ctx)

    async def _perform(self, kind, ctx):
        if kind != self.kind:
            return
        if self.moment == "later":
            await asyncio.sleep(TICK)
        try:
            self.results.append(await self.body())
        except BaseException as error:
            self.results.append(error)
            raise

    async def live(self, loop):
        """A node for one client."""
        async with node_of(loop, self.socket) as node:
            await self.visit(node)
        assert not node.running.gateway.alive
        assert not node.running.gateway.ending

    async def visit(self, node):
        """One client: it connects, has the message handled and another one answered, and leaves."""
        try:
            client = await node.connect("socket")
        except testing.Refused as refused:
            self.answer = refused.status
            return
        self.answer = 101
        if self.kind == "message":
            await client.send("work")
            self.answer = await client.receive()
        await client.send("still here")
        assert await client.receive() == "still here"
        assert (await client.close()).code == 1000


@pytest.fixture
def perform(loop, ordered, request):
    """Run a body in a handler; returns what it returned, or raises what it raised."""
    arguments = request.node.callspec.params

    def perform(body, **bounds):
        case = Case(arguments["kind"], arguments["moment"], ordered, body, **bounds)
        run_on(loop, lambda: case.live(loop))
        (result,) = case.results
        if isinstance(result, BaseException):
            raise result
        assert case.answer in {101, "work"}
        return result

    return perform


@pytest.fixture
def fail(loop, ordered, request, caplog):
    """Run a body that fails in a handler; returns what the client was told, and what the body raised."""
    arguments = request.node.callspec.params

    def fail(body, **bounds):
        case = Case(arguments["kind"], arguments["moment"], ordered, body, **bounds)
        run_on(loop, lambda: case.live(loop))
        (error,) = case.results
        assert [record.name for record in logged(caplog)] == ["trunkline.handlers"], "it is logged once"
        return case.answer, error

    return fail


TOLD = {"connect": 502, "message": "Internal server error", "disconnect": 101}
TOLD_LATE = {"connect": 504, "message": "Endpoint request timed out", "disconnect": 101}


def message_of(answer):
    """The text of an error that a client got as a message."""
    return json.loads(answer)["message"] if isinstance(answer, str) else answer


# Where a handler runs.


@each_kind
@each_moment
def test_it_runs_in_a_task_of_its_loop(perform, kind, moment):
    async def body():
        task = asyncio.current_task()
        assert isinstance(task, asyncio.Task)
        assert task in asyncio.all_tasks()
        assert not task.done()
        assert task.cancelling() == 0
        assert task.get_loop() is asyncio.get_running_loop()
        return True

    assert perform(body)


# asyncio.timeout and asyncio.wait_for.


@each_kind
@each_moment
def test_a_timeout_expires_and_the_handler_goes_on(perform, kind, moment):
    async def body():
        for _ in range(2):
            try:
                async with asyncio.timeout(TICK):
                    await asyncio.sleep(NEVER)
            except TimeoutError:
                await asyncio.sleep(0)
        return asyncio.current_task().cancelling()

    assert perform(body) == 0


@each_kind
@each_moment
def test_a_timeout_that_does_not_expire_is_nothing(perform, kind, moment):
    async def body():
        async with asyncio.timeout(NEVER) as scope:
            await asyncio.sleep(TICK)
        return scope.expired()

    assert perform(body) is False


@each_kind
@each_moment
def test_a_timeout_of_an_outer_scope_passes_the_inner_one(perform, kind, moment):
    async def body():
        outer = inner = False
        try:
            async with asyncio.timeout(TICK):
                try:
                    async with asyncio.timeout(NEVER):
                        await asyncio.sleep(NEVER)
                except TimeoutError:
                    inner = True
        except TimeoutError:
            outer = True
        return outer, inner

    assert perform(body) == (True, False)


@each_kind
@each_moment
def test_wait_for_waits_so_long(perform, kind, moment):
    async def body():
        cancelled = []

        async def long():
            try:
                await asyncio.sleep(NEVER)
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        try:
            await asyncio.wait_for(long(), TICK)
        except TimeoutError:
            pass
        return cancelled, await asyncio.wait_for(asyncio.sleep(TICK, "in time"), NEVER)

    assert perform(body) == ([True], "in time")


# Tasks of its own.


@each_kind
@each_moment
def test_a_task_group_waits_for_its_tasks(perform, kind, moment):
    async def body():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(TICK * n, n)) for n in (2, 0, 1)]
        return [task.result() for task in tasks]

    assert perform(body) == [2, 0, 1]


@each_kind
@each_moment
def test_an_error_of_a_task_group_is_the_handlers_to_catch(perform, kind, moment):
    async def body():
        cancelled = []

        async def long():
            try:
                await asyncio.sleep(NEVER)
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        async def failing():
            await asyncio.sleep(TICK)
            raise ZeroDivisionError

        caught = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(long())
                group.create_task(failing())
        except* ZeroDivisionError as errors:
            caught = [type(error) for error in errors.exceptions]
        await asyncio.sleep(TICK)
        return caught, cancelled

    assert perform(body) == ([ZeroDivisionError], [True])


@each_kind
@each_moment
def test_gather_and_wait(perform, kind, moment):
    async def body():
        gathered = await asyncio.gather(asyncio.sleep(TICK, 1), asyncio.sleep(0, 2))
        done, pending = await asyncio.wait({asyncio.create_task(asyncio.sleep(TICK, 3))})
        return gathered, [task.result() for task in done], pending

    assert perform(body) == ([1, 2], [3], set())


@each_kind
@each_moment
def test_locks_queues_and_events(perform, kind, moment):
    async def body():
        queue, lock, event = asyncio.Queue(1), asyncio.Lock(), asyncio.Event()

        async def produce():
            for n in range(3):
                async with lock:
                    await queue.put(n)
            event.set()

        task = asyncio.create_task(produce())
        got = [await queue.get() for _ in range(3)]
        await event.wait()
        await task
        return got

    assert perform(body) == [0, 1, 2]


# anyio.


@each_kind
@each_moment
def test_anyio_knows_where_it_is(perform, kind, moment):
    async def body():
        assert anyio.get_current_task().id == id(asyncio.current_task())
        await anyio.lowlevel.checkpoint()
        return True

    assert perform(body)


@each_kind
@each_moment
def test_anyios_fail_after_and_move_on_after(perform, kind, moment):
    async def body():
        failed = False
        try:
            with anyio.fail_after(TICK):
                await anyio.sleep(NEVER)
        except TimeoutError:
            failed = True
        with anyio.move_on_after(TICK) as scope:
            await anyio.sleep(NEVER)
        with anyio.fail_after(NEVER):
            await anyio.sleep(TICK)
        return failed, scope.cancelled_caught, asyncio.current_task().cancelling()

    assert perform(body) == (True, True, 0)


@each_kind
@each_moment
def test_anyios_task_group(perform, kind, moment):
    async def body():
        done, cancelled = [], []

        async def work(n):
            await anyio.sleep(TICK * n)
            done.append(n)

        async def long():
            try:
                await anyio.sleep(NEVER)
            finally:
                cancelled.append(True)

        async with anyio.create_task_group() as group:
            group.start_soon(work, 2)
            group.start_soon(work, 1)
        async with anyio.create_task_group() as group:
            group.start_soon(long)
            await anyio.sleep(TICK)
            group.cancel_scope.cancel()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(long)
                await anyio.sleep(TICK)
                raise ZeroDivisionError
        except* ZeroDivisionError:
            done.append("caught")
        return done, cancelled

    assert perform(body) == ([1, 2, "caught"], [True, True])


# Threads.


@each_kind
@each_moment
def test_a_thread_does_what_blocks(perform, kind, moment):
    variable = contextvars.ContextVar("variable")

    async def body():
        variable.set("mine")
        name, value = await asyncio.to_thread(lambda: (threading.current_thread().name, variable.get()))
        assert name != threading.current_thread().name
        with contextlib.suppress(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        return value

    assert perform(body) == "mine"


@each_kind
@each_moment
def test_a_thread_wakes_what_waits_in_the_handler(perform, kind, moment):
    async def body():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        await asyncio.to_thread(loop.call_soon_threadsafe, future.set_result, "woken")
        return await future

    assert perform(body) == "woken"


# Cancellation.


@each_kind
@each_moment
def test_a_cancellation_from_outside_ends_the_handler_and_nothing_else(fail, kind, moment):
    async def body():
        task = asyncio.current_task()
        asyncio.get_running_loop().call_later(TICK, task.cancel)
        await asyncio.sleep(NEVER)

    answer, error = fail(body)
    assert message_of(answer) == TOLD[kind]
    assert isinstance(error, asyncio.CancelledError)


@each_kind
@each_moment
def test_a_cancellation_can_be_caught_and_taken_back(perform, kind, moment):
    async def body():
        task = asyncio.current_task()
        asyncio.get_running_loop().call_later(TICK, task.cancel)
        try:
            await asyncio.sleep(NEVER)
        except asyncio.CancelledError:
            task.uncancel()
        await asyncio.sleep(TICK)
        return task.cancelling()

    assert perform(body) == 0


@each_kind
@each_moment
def test_what_is_shielded_lives_on(fail, kind, moment):
    done = []

    async def inner():
        await asyncio.sleep(5 * TICK)
        done.append(True)

    async def body():
        task = asyncio.current_task()
        asyncio.get_running_loop().call_later(TICK, task.cancel)
        shielded = asyncio.ensure_future(inner())
        try:
            await asyncio.shield(shielded)
        finally:
            assert not done
            await shielded

    answer, error = fail(body)
    assert message_of(answer) == TOLD[kind]
    assert isinstance(error, asyncio.CancelledError)
    assert done == [True]


@each_kind
@each_moment
def test_a_cancellation_that_never_arrives_does_not_hit_the_next_message(perform, kind, moment):
    async def body():
        asyncio.current_task().cancel()
        return "no suspension follows"

    assert perform(body) == "no suspension follows"


@each_kind
@each_moment
def test_a_deadline_cancels_and_the_next_message_is_handled(fail, kind, moment):
    async def body():
        await asyncio.sleep(NEVER)

    answer, error = fail(body, handler_seconds=DEADLINE)
    assert message_of(answer) == TOLD_LATE[kind]
    assert isinstance(error, asyncio.CancelledError)


@each_kind
@each_moment
def test_a_deadline_reaches_into_a_timeout_and_a_task_group(fail, kind, moment):
    cancelled = []

    async def long():
        try:
            await asyncio.sleep(NEVER)
        finally:
            cancelled.append(True)

    async def body():
        async with asyncio.timeout(NEVER), asyncio.TaskGroup() as group:
            group.create_task(long())
            with anyio.fail_after(NEVER):
                await asyncio.sleep(NEVER)

    answer, error = fail(body, handler_seconds=DEADLINE)
    assert message_of(answer) == TOLD_LATE[kind]
    assert isinstance(error, asyncio.CancelledError)
    assert cancelled == [True]


@each_kind
@each_moment
def test_what_a_handler_does_after_its_deadline_is_still_done(fail, kind, moment):
    done = []

    async def body():
        try:
            await asyncio.sleep(NEVER)
        finally:
            await asyncio.sleep(TICK)
            done.append("cleaned up")

    answer, _ = fail(body, handler_seconds=DEADLINE)
    assert message_of(answer) == TOLD_LATE[kind]
    assert done == ["cleaned up"]


# Errors.


class Stop(BaseException):
    """An error that is no Exception, as pytest's own are."""


ERRORS = [
    ValueError("why"), KeyError("é𝄞"), AssertionError(), TimeoutError(), ExceptionGroup("many", [ValueError(), KeyError()]),
    StopAsyncIteration(), MemoryError(), RecursionError(), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "why"),
    ConnectionResetError(), asyncio.CancelledError("by itself"), asyncio.InvalidStateError(), SystemExit(3), SystemExit("text"),
    Warning("as an error"), EOFError(), Stop("now"), BaseExceptionGroup("all", [SystemExit(1), Stop()]),
]  # fmt: skip


@each_kind
@each_moment
def test_any_error_is_told_logged_and_survived(loop, ordered, kind, moment, caplog):
    errors = iter(ERRORS)
    told = []

    async def body():
        raise next(errors)

    async def visits():
        case = Case(kind, moment, ordered, body)
        async with node_of(loop, case.socket) as node:
            for _ in ERRORS:
                await case.visit(node)
                told.append(message_of(case.answer))
        assert case.results == ERRORS

    run_on(loop, visits)
    assert told == [TOLD[kind]] * len(ERRORS)
    assert len(logged(caplog)) == len(ERRORS)
    for record, error in zip(logged(caplog), ERRORS, strict=True):
        assert type(error).__name__ in record.getMessage()


@each_kind
@each_moment
def test_an_error_with_a_cause_is_logged_with_it(fail, kind, moment, caplog):
    async def body():
        try:
            raise KeyError("the cause")
        except KeyError as error:
            raise ValueError("the effect") from error

    fail(body)
    assert "KeyError: 'the cause'" in caplog.text
    assert "ValueError: the effect" in caplog.text


@each_kind
@each_moment
def test_an_error_that_iteration_ends_with_is_an_error(fail, kind, moment):
    async def body():
        next(iter(()))

    answer, raised = fail(body)
    assert message_of(answer) == TOLD[kind]
    assert isinstance(raised, RuntimeError)


# Context variables.


class Remembering:
    """Connect sets variables; messages and disconnect note what they see."""

    def __init__(self, ordered):
        self.variable = contextvars.ContextVar("variable")
        self.seen = []
        self.socket = websocket("socket", ordered=ordered)
        self.socket.on("connect")(self._connect)
        self.socket.on("message")(self._message)
        self.socket.on("disconnect")(self._disconnect)

    async def _connect(self, ctx):
        self.variable.set(ctx.req.query["name"])
        await asyncio.sleep(TICK)
        with contextlib.suppress(LookupError):
            self.seen.append(self.variable.get())

    async def _message(self, ctx):
        before = self.variable.get()
        await asyncio.sleep(TICK)
        assert self.variable.get() == before
        in_task = await asyncio.create_task(self._read())
        in_thread = await asyncio.to_thread(self.variable.get)
        return f"{before} {in_task} {in_thread}"

    async def _read(self):
        return self.variable.get()

    async def _disconnect(self, ctx):
        self.seen.append(f"{self.variable.get()} left")


@pytest.mark.parametrize("loop", OWN)
def test_what_connect_sets_is_seen_by_the_connections_messages_and_by_no_other(loop, ordered):
    program = Remembering(ordered)

    async def life():
        async with testing.node([program.socket]) as node:
            ann, ben = await asyncio.gather(*(node.connect("socket", query={"name": name}) for name in ("ann", "ben")))
            for _ in range(2):
                await ann.send("x")
                await ben.send("x")
            for client, name in ((ann, "ann"), (ben, "ben")):
                assert [await client.receive() for _ in range(2)] == [f"{name} {name} {name}"] * 2
            await ann.close()
            await ben.close()

    run_on(loop, life)
    assert sorted(program.seen) == ["ann", "ann left", "ben", "ben left"]
    with pytest.raises(LookupError):
        program.variable.get()


def test_in_lambda_each_event_begins_anew(ordered):
    """A connection's next event may come to another process."""
    variable = contextvars.ContextVar("variable", default="nothing")
    socket = websocket("socket", ordered=ordered)

    @socket.on("connect")
    async def connect(ctx):
        variable.set("of connect")

    @socket.on("disconnect")
    async def disconnect(ctx):
        assert variable.get() == "nothing"

    @socket.on("message")
    async def message(ctx):
        before = variable.get()
        variable.set(ctx.req.data)
        in_task = await asyncio.create_task(reads())
        return f"{before} {in_task} {await asyncio.to_thread(variable.get)}"

    async def reads():
        return variable.get()

    async def life():
        async with node_of("in Lambda", socket) as node, await node.connect("socket") as client:
            for text in "ab":
                await client.send(text)
                assert await client.receive() == f"nothing {text} {text}"

    run_on("in Lambda", life)


def test_what_a_program_sets_before_it_runs_is_seen_by_every_connection(loop, ordered):
    variable = contextvars.ContextVar("variable")
    socket = websocket("socket", ordered=ordered)

    @socket.on("message")
    async def message(ctx):
        return variable.get()

    async def life():
        variable.set("of the program")
        async with node_of(loop, socket) as node, await node.connect("socket") as client:
            await client.send("x")
            assert await client.receive() == "of the program"

    run_on(loop, life)
