"""The same program in one process and as a function of Lambda: its clients cannot tell one from the other.

The function has a thread and a loop of its own, and reaches connections over the real management API.
"""

import asyncio
import concurrent.futures
import contextlib
import json
import logging
import re
from dataclasses import replace

import pytest

import trunkline
from trunkline import Allow, Limits, collection, testing, websocket
from trunkline.aws.lambda_node import LambdaNode
from trunkline.aws.lambda_program import HandlerFailed, LambdaProgram
from trunkline.config import Settings
from trunkline.gateway.authorizers import LambdaAuthorizer
from trunkline.integrations.lambda_function import LambdaIntegration
from trunkline.model.api import CompiledAuthorizer, CompiledRoute
from trunkline.model.events import Event, Handshake, Identity
from trunkline.model.expressions import compile_selector
from trunkline.resources.application import Application
from trunkline.stores.memory import MemoryStore
from trunkline.testing import loop

ID = re.compile(r"[\w-]{15,18}==?")
SECONDS = 29


class Process:
    """A process of Lambda: a thread with a loop of its own, which handles one event at a time."""

    def __init__(self, *declared, seconds=1.0):
        self.loop = asyncio.new_event_loop()
        self.thread = concurrent.futures.ThreadPoolExecutor(1)
        self.application = Application.of([trunkline.resources.application.lifespan_of(one) or one for one in declared])
        self.node = LambdaNode({}, {})
        self.program = LambdaProgram(self.application, self.node, seconds=seconds)
        self.events = []
        self.answers = []

    def reach(self, socket, address):
        """From now on its connections are those of a node."""
        self.node._sockets[socket] = self.node.connections._endpoints[socket] = (
            f"http://{address[0]}:{address[1]}/{socket}"
        )

    async def __call__(self, event, context=None, seconds_left=SECONDS):
        self.events.append(event)
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self.thread, self._handle, event, seconds_left)
        json.dumps(answer)
        self.answers.append(answer)
        return answer

    def _handle(self, event, seconds_left):
        return self.loop.run_until_complete(self.program.answer(event, seconds_left))

    def run(self, function):
        """Something else in its loop."""
        return self.thread.submit(self.loop.run_until_complete, function()).result()

    def end(self):
        with self.thread:
            self.thread.submit(self._end).result()

    def _end(self):
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.wait(tasks))
        self.node.connections.shut()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


@pytest.fixture(autouse=True)
def aws(monkeypatch):
    monkeypatch.setattr(loop, "_REAL_GRACE", 0.001)  # real sockets are waited for by threads here
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@contextlib.asynccontextmanager
async def in_lambda(*declared, **how):
    """A gateway in front of a function."""
    process = Process(*declared, **how)
    try:
        ((name, handlers),) = process.application.handlers.items()
        async with testing.node([websocket(name)]) as node:
            await node.running.listen(Settings(port=0, admin="off"))
            stage = node.running.gateway.stages[name]
            invoke = LambdaIntegration(testing.Function(process)).invoke
            routes = {key: CompiledRoute(key, invoke, "here:1") for key in handlers}
            stage.api = replace(
                stage.api,
                connect=routes.pop("$connect", None),
                disconnect=routes.pop("$disconnect", None),
                routes=routes,
                select=compile_selector("$request.body.action"),
                ordered=False,
                authorizer=_authorizer(process) if name in process.application.authorizers else None,
            )
            process.reach(name, node.running.address)
            node.process = process
            yield node
    finally:
        process.end()


def _authorizer(process):
    return CompiledAuthorizer(LambdaAuthorizer(testing.Function(process)).decide, "here:1")


@contextlib.asynccontextmanager
async def in_one_process(*declared):
    """A node of the program."""
    async with testing.node(list(declared)) as node:
        yield node


HOMES = [in_one_process, in_lambda]
both = pytest.mark.parametrize("home", HOMES)


async def handshake(node, **how):
    """What came of it: 101 and the subprotocol, or the refusal; ids are left out."""
    try:
        client = await node.connect("socket", **how)
    except testing.Refused as refused:
        return refused.status, ID.sub("ID", refused.body.decode()), refused.headers.get("content-type")
    await client.close()
    return 101, client.subprotocol


async def told_everywhere(what, *declared):
    """What is told in both homes, which is one and the same."""
    told = []
    for home in HOMES:
        async with home(*declared) as node:
            told.append(await what(node))
    assert told[0] == told[1]
    return told[0]


# Handshakes.


def connecting(function):
    socket = websocket("socket")
    socket.on("connect")(function)
    return socket


async def test_who_is_let_in_is_let_in():
    async def connect(ctx):
        pass

    assert await told_everywhere(handshake, connecting(connect)) == (101, None)


async def test_a_subprotocol_is_chosen():
    async def connect(ctx):
        ctx.res.subprotocol = "v1"

    async def offers(node):
        return await handshake(node, subprotocols=["v0", "v1"])

    assert await told_everywhere(offers, connecting(connect)) == (101, "v1")


@pytest.mark.parametrize("body", ["", "no", "é", '{"why": "so"}', b"bytes"])
async def test_a_refusal_arrives_with_its_status_and_body(body):
    async def connect(ctx):
        ctx.res.reject(418, body)

    text = body if isinstance(body, str) else body.decode()
    told = await told_everywhere(handshake, connecting(connect))
    assert told == (418, text, "application/json; charset=UTF-8")


@pytest.mark.parametrize("why", ["raises", "bad subprotocol", "exits"])
async def test_a_connect_handler_that_fails_lets_nobody_in(why, caplog):
    async def connect(ctx):
        if why == "bad subprotocol":
            ctx.res.subprotocol = "no token"
        elif why == "exits":
            raise SystemExit(3)
        else:
            raise ZeroDivisionError

    status, body, _ = await told_everywhere(handshake, connecting(connect))
    assert (status, json.loads(body)["message"]) == (502, "Internal server error")


async def test_bytes_that_are_no_text_refuse_nobody(caplog):
    async def connect(ctx):
        ctx.res.reject(403, b"\xff")

    async with in_lambda(connecting(connect)) as node:
        assert (await handshake(node))[0] == 502
    assert "UnicodeDecodeError" in caplog.text


# Messages.


def replying(function, **options):
    socket = websocket("socket", **options)
    socket.on("message")(function)
    return socket


async def one_reply(node):
    async with await node.connect("socket") as client:
        await client.send("x")
        return ID.sub("ID", await client.receive())


@pytest.mark.parametrize(
    ("value", "reply"),
    [
        ("hello", "hello"),
        ("é𝄞\0", "é𝄞\0"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        ({"statusCode": 403, "body": "x"}, '{"statusCode":403,"body":"x"}'),
        (0, "0"),
        (False, "false"),
        ("x" * 131_072, "x" * 131_072),
    ],
    ids=["text", "others", "object", "proxy", "zero", "false", "largest"],
)
async def test_what_a_handler_returns_is_the_reply(value, reply):
    async def message(ctx):
        return value

    assert await told_everywhere(one_reply, replying(message)) == reply


@pytest.mark.parametrize(
    "value", [b"bytes", object(), "\ud800", "x" * 131_073], ids=["bytes", "object", "half", "large"]
)
async def test_a_reply_that_cannot_be_is_an_error_of_the_handler(value, caplog):
    async def message(ctx):
        return value

    told = await told_everywhere(one_reply, replying(message))
    assert told == '{"message": "Internal server error", "connectionId":"ID", "requestId":"ID"}'


async def test_bytes_cannot_be_sent_even_by_a_socket_that_declares_them(caplog):
    async def message(ctx):
        return b"bytes"

    async with in_lambda(replying(message, binary=True)) as node:
        assert "Internal server error" in await one_reply(node)
    assert "TypeError: the handler returned bytes; API Gateway sends texts only, so return str" in caplog.text


async def test_an_empty_text_is_a_reply_here_and_none_there():
    async def message(ctx):
        return "" if ctx.req.data == "x" else "last"

    heard = []
    for home in HOMES:
        async with home(replying(message)) as node, await node.connect("socket") as client:
            await client.send("x")
            await asyncio.sleep(0.5)
            await client.send("the end")
            heard.append([await client.receive()])
            if heard[-1] == [""]:
                heard[-1].append(await client.receive())
    assert heard == [["", "last"], ["last"]]


async def test_none_is_no_reply():
    async def message(ctx):
        return None if ctx.req.data == "x" else "last"

    async def listens(node):
        async with await node.connect("socket") as client:
            await client.send("x")
            await client.send("y")
            return await client.receive()

    assert await told_everywhere(listens, replying(message)) == "last"


async def test_each_route_has_its_handler_and_a_message_without_one_is_forbidden():
    socket = websocket("socket")

    @socket.on("message", route="bid")
    async def bid(ctx):
        return [ctx.req.route, ctx.req.json()["value"]]

    async def bids(node):
        async with await node.connect("socket") as client:
            await client.send_json({"action": "bid", "value": 7})
            first = await client.receive_json()
            await client.send("nothing")
            return first, (await client.receive_json())["message"]

    assert await told_everywhere(bids, socket) == (["bid", 7], "Forbidden")


async def test_a_handler_reads_the_same_of_every_event():
    seen = []
    socket = websocket("socket")

    def note(ctx):
        req = ctx.req
        about = req.event["requestContext"]
        seen.append([
            req.kind, req.route, req.data, req.source_ip, dict(req.query), req.query.getlist("a"), req.headers.get("x-probe"),
            req.headers.get("user-agent"), req.close_code, req.close_reason, dict(req.authorizer),
            len(req.connection_id), len(req.request_id), sorted(req.event), sorted(about), about["stage"],
            req.identity.user_agent, req.identity.stage,
        ])  # fmt: skip

    @socket.on("connect")
    async def connect(ctx):
        note(ctx)

    @socket.on("message")
    async def message(ctx):
        note(ctx)
        return ctx.req.text()

    @socket.on("disconnect")
    async def disconnect(ctx):
        note(ctx)

    async def visits(node):
        seen.clear()
        how = {"query": [("a", "1"), ("a", "é"), ("b", "")], "headers": {"X-Probe": "yes", "User-Agent": "me"}}
        client = await node.connect("socket", source_ip="127.0.0.7", **how)
        await client.send("hé")
        assert await client.receive() == "hé"
        await client.close(4001, "enough")
        await asyncio.sleep(0.5)
        return list(seen)

    told = await told_everywhere(visits, socket)
    assert [about[0] for about in told] == ["CONNECT", "MESSAGE", "DISCONNECT"]
    assert told[0][4:7] == [{"a": "é", "b": ""}, ["1", "é"], "yes"]
    assert told[2][8:10] == [4001, "enough"]


# What handlers do.


async def test_sending_closing_asking_and_broadcasting_reach_the_same_clients():
    socket = websocket("socket").allow("closing", "inspecting")
    ids = []

    @socket.on("connect")
    async def connect(ctx):
        ids.append(ctx.req.connection_id)

    @socket.on("message")
    async def message(ctx):
        ann, ben, gone = ids
        sent = [await socket.send(ann, "sent"), await socket.send(gone, "sent")]
        info = await socket.info(ann)
        done = await socket.broadcast("to all", to=ids, exclude=ben)
        return [sent, info.source_ip, done.sent, len(done.gone), dict(done.failed), await socket.close(ann)]

    async def talks(node):
        ids.clear()
        ann, ben, cia = [await node.connect("socket") for _ in range(3)]
        await cia.close()
        await ben.send("go")
        answer = await ben.receive_json()
        heard = [await ann.receive() for _ in range(2)]
        closed = await ann.closed()
        return answer, heard, closed.code, closed.reason

    told = await told_everywhere(talks, socket)
    assert told == (
        [[True, False], "127.0.0.1", 1, 1, {}, True],
        ["sent", "to all"],
        1000,
        "Connection Closed Normally",
    )


@both
async def test_what_was_not_allowed_is_denied(home):
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        try:
            await socket.close(ctx.req.connection_id)
        except trunkline.PermissionDenied as denied:
            return str(denied)[:40]

    async with home(socket) as node:
        assert await one_reply(node) == "websocket('socket').close needs 'closing'"[:40]


async def test_a_programs_documents_are_in_its_store():
    notes = collection("notes").allow("reading", "writing")
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        await notes.doc("a").set({"n": 1})
        return await notes.doc("a").get()

    async with in_lambda(socket, notes) as node:
        node.process.node._store = MemoryStore()
        assert await one_reply(node) == '{"n":1}'


# Authorizers.


def asking(function):
    socket = websocket("socket")
    socket.authorizer()(function)

    @socket.on("message")
    async def message(ctx):
        return dict(ctx.req.authorizer)

    return socket


async def let_in(node):
    try:
        return json.loads(await one_reply(node))
    except testing.Refused as refused:
        return refused.status, ID.sub("ID", refused.body.decode())


def refusal(message):
    return f'{{"message": "{message}", "connectionId":"ID", "requestId":"ID"}}'


EXPLICIT = "User is not authorized to access this resource with an explicit deny in an identity-based policy"
IMPLICIT = "User is not authorized to access this resource because no identity-based policy allows the execute-api:Invoke action"


def policy(effect, resource="*", **more):
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    return {"principalId": "me", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}} | more


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (Allow("ann", {"level": 7, "admin": True, "é": "𝄞"}), {"level": "7", "admin": "true", "é": "𝄞", "principalId": "ann"}),
        (Allow("ann", expires_at=4e9), {"principalId": "ann"}),
        (Allow("ann", expires_at=1), (401, refusal("Unauthorized"))),
        (None, (403, refusal(EXPLICIT))),
        (False, (403, refusal(EXPLICIT))),
        (policy("Allow", context={"a": 1.5}), {"a": "1.5", "principalId": "me"}),
        (policy("Deny"), (403, refusal(EXPLICIT))),
        (policy("Allow", "arn:aws:execute-api:us-east-1:1:other/*"), (403, refusal(IMPLICIT))),
        (Exception("Unauthorized"), (401, refusal("Unauthorized"))),
        (Exception("unauthorized"), (500, refusal("Internal server error"))),
        (SystemExit("Unauthorized"), (401, refusal("Unauthorized"))),
        ({"principalId": "me"}, (500, refusal("Internal server error"))),
        ({"policyDocument": object()}, (500, refusal("Internal server error"))),
        (True, (500, refusal("Internal server error"))),
    ],
)  # fmt: skip
async def test_what_an_authorizer_says_means_the_same(said, told, caplog):
    async def authorizer(ctx):
        if isinstance(said, BaseException):
            raise said
        return said

    assert await told_everywhere(let_in, asking(authorizer)) == told


@pytest.mark.parametrize(
    ("policy", "message"),
    [(policy("Allow", context={"a": []}), ""), (policy("Permit"), ""), (policy("Allow", isAuthorized=True), "")],
)
async def test_what_is_no_answer_of_an_authorizer_is_an_error(policy, message, caplog):
    async def authorizer(ctx):
        return policy

    status, here = await told_in(in_one_process, asking(authorizer))
    assert (status, here) == (500, refusal(""))
    assert await told_in(in_lambda, asking(authorizer)) == (500, refusal("Internal server error"))
    assert "the authorizer at" in caplog.text


async def told_in(home, socket):
    async with home(socket) as node:
        return await let_in(node)


async def test_a_refusal_of_an_authorizer_has_no_words_of_its_own_there():
    async def authorizer(ctx):
        ctx.res.reject(401 if "401" in ctx.req.query else 429, "come back later")

    socket = asking(authorizer)
    assert await told_in(in_one_process, socket) == (429, "come back later")
    assert await told_in(in_lambda, socket) == (403, refusal(EXPLICIT))
    async with in_lambda(socket) as node:
        status, body, _ = await handshake(node, query={"401": ""})
    assert (status, body) == (401, refusal("Unauthorized"))


async def test_an_authorizer_reads_the_handshake():
    async def authorizer(ctx):
        event = ctx.req.event
        return Allow(ctx.req.query["name"], {"probe": ctx.req.headers["x-probe"], "type": event["type"]})

    async def asks(node):
        client = await node.connect("socket", query={"name": "ann"}, headers={"X-Probe": "yes"})
        async with client:
            await client.send("x")
            return await client.receive_json()

    assert await told_everywhere(asks, asking(authorizer)) == {"principalId": "ann", "probe": "yes", "type": "REQUEST"}


async def test_an_authorizer_that_takes_too_long_lets_nobody_in(caplog):
    async def authorizer(ctx):
        await asyncio.sleep(30)

    socket = websocket("socket", limits=Limits(handler_seconds=0.1))
    socket.authorizer()(authorizer)
    assert await told_in(in_lambda, socket) == (500, refusal("Internal server error"))
    assert "the handler of authorizer at" in caplog.text
    assert "was cancelled after 0.1 s" in caplog.text


# Lifespans.


@pytest.fixture
def process():
    """Makes processes, and ends them."""
    made = []

    def make(*declared, **how):
        made.append(Process(*declared, **how))
        return made[-1]

    yield make
    for each in made:
        each.end()


def event(data="x", *, socket="socket", kind="MESSAGE", route="$default"):
    identity = Identity(
        connection_id="gbgBLm-0jQAYKEhMmA==", api_id="0000000000", stage=socket, domain_name="localhost",
        source_ip="127.0.0.1", user_agent=None, connected_at=1790294513979,
    )  # fmt: skip
    return Event(kind, identity, route, data, handshake=Handshake((), "")).event


async def test_a_lifespan_is_entered_at_the_first_event_and_never_left(process):
    seen = []

    @trunkline.lifespan
    async def life():
        seen.append("entered")
        task = asyncio.create_task(asyncio.sleep(1000))
        yield
        task.cancel()
        seen.append("left")

    async def message(ctx):
        seen.append("handled")

    function = process(replying(message), life)
    assert seen == []
    for _ in range(2):
        await function(event())
    assert seen == ["entered", "handled", "handled"]


async def test_a_lifespan_runs_in_a_task_that_lives_on(process):
    """What `asyncio.timeout`, task groups and anyio's scopes need."""
    tasks = []

    @trunkline.lifespan
    async def life():
        tasks.append(asyncio.current_task())
        async with asyncio.TaskGroup() as group:
            tasks.append(group.create_task(asyncio.sleep(1000)))
            yield

    async def message(ctx):
        return [task.done() for task in tasks]

    function = process(replying(message), life)
    for _ in range(2):
        assert (await function(event()))["body"] == "[false,false]"


async def test_a_lifespan_that_fails_is_told_and_tried_again_with_the_next_event(process, caplog):
    seen = []

    @trunkline.lifespan
    async def life():
        seen.append("tried")
        if len(seen) == 1:
            raise ZeroDivisionError("why")
        yield

    async def message(ctx):
        return "handled"

    function = process(replying(message), life)
    with pytest.raises(HandlerFailed, match="the program's lifespan failed; the log above says how"):
        await function(event())
    assert "a lifespan of the program failed" in caplog.text
    assert "ZeroDivisionError: why" in caplog.text
    assert await function(event()) == {"statusCode": 200, "body": "handled"}
    assert seen == ["tried", "tried"]


# What a handler leaves running.


async def test_what_a_handler_leaves_running_for_a_moment_is_done_before_the_answer(process, caplog):
    done = []

    async def later():
        await asyncio.sleep(0.05)
        done.append(True)

    async def message(ctx):
        keep.append(asyncio.create_task(later()))
        return len(done)

    keep = []
    function = process(replying(message))
    assert (await function(event()))["body"] == "0"
    assert done == [True]
    assert caplog.records == []


async def test_what_runs_for_longer_is_told_once_and_goes_on_with_later_events(process, caplog):
    keep, steps = [], []

    async def ticking():
        while True:
            await asyncio.sleep(0.01)
            steps.append(True)

    async def message(ctx):
        if ctx.req.data == "start":
            keep.append(asyncio.create_task(ticking()))
        else:
            await asyncio.sleep(0.05)
        return len(steps)

    function = process(replying(message), seconds=0.05)
    await function(event("start"))
    await function(event("start"))
    before = int((await function(event()))["body"])
    after = int((await function(event()))["body"])
    assert after > before > 0
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert re.search(r"the handler of \$default at .*test_lambda_program.py:\d+ left .*ticking \(.*\) running: on Lambda it",
                     record.getMessage())  # fmt: skip


async def test_what_a_lifespan_runs_is_not_waited_for(process, caplog):
    keep = []

    @trunkline.lifespan
    async def life():
        keep.append(asyncio.create_task(asyncio.sleep(1000)))
        yield

    async def message(ctx):
        return "at once"

    function = process(replying(message), life, seconds=1000)
    assert (await function(event()))["body"] == "at once"
    assert caplog.records == []


# Time.


async def test_a_handler_that_runs_when_lambda_would_end_it_is_cancelled_and_its_client_told(process, caplog):
    done = []

    async def message(ctx):
        try:
            await asyncio.sleep(1000)
        finally:
            done.append("cleaned up")

    function = process(replying(message))
    answer = await function(event(), seconds_left=1.2)
    assert answer["statusCode"] == 504
    assert json.loads(answer["body"])["message"] == "Endpoint request timed out"
    assert done == ["cleaned up"]
    assert "was cancelled after 0.2 s" in caplog.text


async def test_a_handler_that_will_not_be_cancelled_holds_up_nobody(process, caplog):
    async def message(ctx):
        if ctx.req.data == "x":
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.5)
                    return None
        return "next"

    function = process(replying(message, limits=Limits(handler_seconds=0.05)), seconds=0.05)
    assert (await function(event()))["statusCode"] == 504
    assert (await function(event("y")))["body"] == "next"


# What is no event of the program's.


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ({"Records": []}, "it has no requestContext; expected an event of an API Gateway WebSocket Api"),
        (event(socket="other"), "it is of the stage 'other', and a stage has its socket's name; there are socket"),
        (event(route="bid"), r"websocket\('socket'\) has no handler of bid in this program"),
        (event(kind="CONNECT") | {"type": "REQUEST"}, r"websocket\('socket'\) has no authorizer in this program"),
    ],
)
async def test_what_is_no_event_of_the_programs_is_said_to_be_none(process, raw, why, caplog):
    async def message(ctx):
        pytest.fail("it is no event of this handler")

    with pytest.raises(HandlerFailed, match=why):
        await process(replying(message))(raw)
    assert re.search(f"an event was not handled: {why}", caplog.text)


async def test_an_error_is_logged_with_its_traceback_and_told_to_lambda_in_brief(process, caplog):
    async def message(ctx):
        raise ValueError("a secret")

    with pytest.raises(HandlerFailed) as failed:
        await process(replying(message))(event())
    assert re.fullmatch(r"route '\$default' at .*:\d+ raised ValueError; the log above has more", str(failed.value))
    assert "ValueError: a secret" in caplog.text
    assert "connection gbgBLm-0jQAYKEhMmA==, request " in caplog.text
    assert caplog.messages[0].count("File ") == 1, "only the program's frames"


async def test_a_disconnect_is_answered_with_nothing(process):
    socket = websocket("socket")

    @socket.on("disconnect")
    async def disconnect(ctx):
        return "nobody hears this"

    assert await process(socket)(event(kind="DISCONNECT", route="$disconnect")) == {"statusCode": 200}
