"""A program's authorizer: how it is declared, and what follows from what it returns."""

import asyncio
import json
import math
from dataclasses import FrozenInstanceError
from enum import Enum, IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import Allow, DeclarationError, Limits, clock, testing, websocket
from trunkline.config import Settings
from trunkline.model.authorization import Refused
from trunkline.model.identity_sources import IdentitySource
from trunkline.model.ids import api_id
from trunkline.resources.application import Application
from trunkline.resources.authorizer import PythonAuthorizer
from trunkline.runtime import compile_apis

DENIED = "User is not authorized to access this resource with an explicit deny in an identity-based policy"


def place(function):
    return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"


def guarded(decide, **options):
    """A socket with this authorizer, and what its handlers see of it."""
    socket, seen = websocket("socket", **options), []
    socket.authorizer()(decide)

    @socket.on("connect")
    async def connect(ctx):
        seen.append(("connect", dict(ctx.req.authorizer)))

    @socket.on("message")
    async def message(ctx):
        seen.append(("message", dict(ctx.req.authorizer)))
        return "answer"

    @socket.on("disconnect")
    async def disconnect(ctx):
        seen.append(("disconnect", dict(ctx.req.authorizer)))

    return socket, seen


def returning(value):
    async def authorize(ctx):
        return value

    return authorize


async def refusal(decide):
    """How a client is refused; no handler has run."""
    socket, seen = guarded(decide)
    async with testing.node([socket]) as node:
        with pytest.raises(testing.Refused) as caught:
            await node.connect("socket")
    assert seen == []
    return caught.value


def message(refused):
    return json.loads(refused.body)["message"]


def lambda_answer(arn, effect="Allow", **more):
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": arn}
    return {"principalId": "ann", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}} | more


# Allow.


def test_a_yes_says_who_it_is_what_else_is_known_and_until_when():
    yes = Allow("ann", {"level": 7}, expires_at=2e9)
    assert (yes.principal, yes.context, yes.expires_at) == ("ann", {"level": 7}, 2e9)
    assert Allow("ann") == Allow("ann", {}) != Allow("ben")
    with pytest.raises(FrozenInstanceError):
        yes.principal = "root"


def test_a_yes_is_never_without_a_principal():
    with pytest.raises(TypeError):
        Allow()
    for nobody in ("", None, 7, b"ann", ["ann"], True):
        with pytest.raises(TypeError, match="expected a text that says who it is"):
            Allow(nobody)


class Colour(str, Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 9


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("acme", "acme"), ("", ""), ("é𝄞", "é𝄞"), (7, "7"), (-1, "-1"), (10**30, "1" + "0" * 30), (True, "true"), (False, "false"),
        (2.5, "2.5"), (1.0, "1.0"), (1e21, "1e+21"), (-0.0, "-0.0"), (Colour.RED, "red"), (Level.HIGH, "9"),
    ],
)  # fmt: skip
def test_a_context_arrives_as_texts_in_the_form_that_json_gives_them(value, text):
    assert Allow("ann", {"a": value}).texts() == {"a": text}
    assert type(Allow("ann", {"a": value}).texts()["a"]) is str


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans())
def test_a_number_arrives_as_a_lambda_function_would_send_it(value):
    assert Allow("ann", {"a": value}).texts()["a"] == json.dumps(value)


@pytest.mark.parametrize("value", [None, [], {}, ("a",), b"a", 1j, math.nan, math.inf, object(), {"a"}])
def test_any_other_value_is_refused_where_it_is_given(value):
    with pytest.raises(TypeError, match=r"context\['a'\] is a \w+; expected str, int, bool or a float that is finite"):
        Allow("ann", {"a": value})


@pytest.mark.parametrize("context", [None, "text", [("a", "b")], 7])
def test_a_context_is_a_mapping(context):
    with pytest.raises(TypeError, match="expected a dict of texts, numbers and bools"):
        Allow("ann", context)


def test_a_name_is_a_text_and_not_one_of_api_gateways_own():
    with pytest.raises(TypeError, match="context has the name 7; expected a text"):
        Allow("ann", {7: "x"})
    for name in ("principalId", "integrationLatency"):
        with pytest.raises(ValueError, match=f"context has '{name}', which is API Gateway's own"):
            Allow("ann", {name: "x"})


@pytest.mark.parametrize("where", ["principal", "name", "value"])
def test_what_cannot_be_written_as_utf_8_is_refused(where):
    parts = {"principal": "ann", "name": "a", "value": "b"} | {where: "\ud800"}
    with pytest.raises(UnicodeEncodeError):
        Allow(parts["principal"], {parts["name"]: parts["value"]})


def test_a_yes_has_8_kb_at_most():
    frame = len(json.dumps(["ann", {"a": ""}]))
    Allow("ann", {"a": "x" * (8192 - frame)})
    with pytest.raises(ValueError, match="principal and context are 8,193 bytes; the limit is 8,192"):
        Allow("ann", {"a": "x" * (8193 - frame)})


@pytest.mark.parametrize("end", ["2026", True, b"1", [1]])
def test_an_end_is_a_number(end):
    with pytest.raises(TypeError, match="expected seconds since the epoch"):
        Allow("ann", expires_at=end)


@pytest.mark.parametrize("end", [math.nan, math.inf, -math.inf, 1_790_294_513_979])
def test_an_end_in_milliseconds_or_never_is_refused(end):
    with pytest.raises(ValueError, match="expected seconds since the epoch, not milliseconds"):
        Allow("ann", expires_at=end)


def test_an_end_is_named_so_that_nothing_else_is_taken_for_it():
    with pytest.raises(TypeError):
        Allow("ann", {}, 2e9)


# Letting in.


async def test_who_is_let_in_is_known_in_every_later_event():
    socket, seen = guarded(returning(Allow("ann", {"tenant": "acme", "level": 7, "admin": True})))
    async with testing.node([socket]) as node, await node.connect("socket") as client:
        await client.send("hello")
        assert await client.receive() == "answer"
    said = {"tenant": "acme", "level": "7", "admin": "true", "principalId": "ann"}
    assert seen == [("connect", said), ("message", said), ("disconnect", said)]
    assert list(seen[0][1]) == list(said)


async def test_the_event_of_a_lambda_function_has_it_too_with_the_latency_on_connect():
    socket, told = websocket("socket"), []

    @socket.authorizer()
    async def authorize(ctx):
        await asyncio.sleep(0.5)
        return Allow("ann", {"level": 7})

    @socket.on("connect")
    async def connect(ctx):
        told.append(ctx.req.event["requestContext"]["authorizer"])

    @socket.on("message")
    async def message(ctx):
        told.append(ctx.req.event["requestContext"]["authorizer"])

    async with testing.node([socket]) as node, await node.connect("socket") as client:
        await client.send("hello")
    said = {"level": "7", "principalId": "ann"}
    assert told == [said | {"integrationLatency": 500}, said]


async def test_an_authorizer_reads_headers_query_and_address_and_nothing_that_is_not_decided():
    told = {}

    async def authorize(ctx):
        told.update(
            header=ctx.req.headers["X-Token"], query=ctx.req.query["room"], ip=ctx.req.source_ip, route=ctx.req.route
        )
        told.update(
            authorizer=dict(ctx.req.authorizer), id=ctx.req.connection_id, event=ctx.req.event, data=ctx.req.data
        )
        return Allow("ann")

    socket, _ = guarded(authorize)
    async with testing.node([socket]) as node:
        await node.connect("socket", query={"room": "tea"}, headers={"x-token": "t"}, source_ip="203.0.113.7")
    assert told.pop("event")["methodArn"].endswith("/socket/$connect")
    assert len(told.pop("id")) == 20
    assert told == {
        "header": "t",
        "query": "tea",
        "ip": "203.0.113.7",
        "route": "$connect",
        "authorizer": {},
        "data": "",
    }


async def test_a_socket_needs_no_connect_handler_to_have_an_authorizer():
    socket = websocket("socket")
    socket.authorizer()(returning(Allow("ann")))
    async with testing.node([socket]) as node:
        await node.connect("socket")


async def test_a_lambda_authorizers_answer_is_taken_as_it_is():
    def lambda_handler(event, context):
        effect = "Allow" if event["headers"].get("Authorization") == "secret" else "Deny"
        return lambda_answer(event["methodArn"], effect, context={"level": 7})

    async def authorize(ctx):
        return lambda_handler(ctx.req.event, None)

    socket, seen = guarded(authorize)
    async with testing.node([socket]) as node:
        await node.connect("socket", headers={"Authorization": "secret"})
        with pytest.raises(testing.Refused) as caught:
            await node.connect("socket")
        assert (caught.value.status, message(caught.value)) == (403, DENIED)
    assert seen[0] == ("connect", {"level": "7", "principalId": "ann"})


async def test_an_authorizers_context_variables_are_those_of_its_connection():
    import contextvars

    who = contextvars.ContextVar("who", default="nobody")
    socket = websocket("socket")

    @socket.authorizer()
    async def authorize(ctx):
        who.set(ctx.req.query["name"])
        return Allow("ann")

    @socket.on("message")
    async def message(ctx):
        return who.get()

    async with testing.node([socket]) as node:
        async with await node.connect("socket", query={"name": "ann"}) as ann:
            await ann.send("x")
            assert await ann.receive() == "ann"
    assert who.get() == "nobody"


# Refusing.


@pytest.mark.parametrize("no", [None, False])
async def test_none_and_false_refuse_in_the_words_of_a_policy_that_denies(no, caplog):
    refused = await refusal(returning(no))
    assert (refused.status, message(refused), caplog.text) == (403, DENIED, "")


async def test_an_authorizer_that_forgets_to_return_lets_nobody_in():
    async def forgetful(ctx):
        Allow("ann")

    assert (await refusal(forgetful)).status == 403


@pytest.mark.parametrize("value", [True, 1, "yes", b"yes", [], ["ann"], Allow, object(), 0, ""])
async def test_whatever_else_is_returned_is_an_error_of_the_program(value, caplog):
    refused = await refusal(returning(value))
    assert (refused.status, message(refused)) == (500, "Internal server error")
    assert f"the authorizer returned a {type(value).__name__}; expected Allow(principal, context)" in caplog.text


@pytest.mark.parametrize("value", [{}, {"user": "ann"}, {"principalId": "ann"}, {"isAuthorized": True}])
async def test_a_dict_that_is_no_answer_of_a_lambda_authorizer_lets_nobody_in(value, caplog):
    refused = await refusal(returning(value))
    assert (refused.status, message(refused)) == (500, "Internal server error")
    assert "a dict without policyDocument; to let a client in, return Allow(principal, context)" in caplog.text


@pytest.mark.parametrize("policy", [None, "*", {}, {"Statement": 7}])
async def test_a_malformed_policy_is_told_as_api_gateway_tells_it(policy, caplog):
    refused = await refusal(returning({"principalId": "ann", "policyDocument": policy}))
    assert (refused.status, message(refused)) == (500, "")
    assert "its policyDocument is no policy" in caplog.text


@pytest.mark.parametrize("value", [{1, 2}, object(), b"x", "\ud800"])
async def test_what_json_cannot_say_is_an_error_of_the_program(value, caplog):
    refused = await refusal(returning(lambda_answer("*", context={"a": value})))
    assert (refused.status, message(refused)) == (500, "Internal server error")
    assert "Error: " in caplog.text


@pytest.mark.parametrize("allow", [None, Allow("ann")])
async def test_reject_refuses_with_its_status_and_body_whatever_is_returned(allow):
    async def authorize(ctx):
        ctx.res.reject(418, "teapot")
        ctx.res.subprotocol = "chat"
        return allow

    refused = await refusal(authorize)
    assert (refused.status, refused.body) == (418, b"teapot")
    assert len(refused.headers["x-amz-apigw-id"]) == 16


async def test_an_exception_is_500_and_in_the_log_with_the_programs_traceback(caplog):
    async def authorize(ctx):
        raise ValueError("secret")

    refused = await refusal(authorize)
    assert (refused.status, message(refused)) == (500, "Internal server error")
    assert f"the handler of authorizer at {place(authorize)} raised" in caplog.text
    assert "ValueError: secret" in caplog.text


async def test_the_exception_that_lambda_authorizers_raise_is_401(caplog):
    async def authorize(ctx):
        raise Exception("Unauthorized")

    refused = await refusal(authorize)
    assert (refused.status, message(refused), caplog.text) == (401, "Unauthorized", "")


async def test_an_authorizer_that_takes_too_long_is_cancelled_and_lets_nobody_in():
    cancelled = []

    async def authorize(ctx):
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            cancelled.append(True)
        return Allow("ann")

    socket, seen = guarded(authorize, limits=Limits(handler_seconds=1))
    async with testing.node([socket]) as node:
        with pytest.raises(testing.Refused) as caught:
            await node.connect("socket")
    assert (caught.value.status, message(caught.value), cancelled, seen) == (500, "Internal server error", [True], [])


# The subprotocol.


async def test_an_authorizer_that_sets_a_subprotocol_is_in_error(caplog):
    async def authorize(ctx):
        ctx.res.subprotocol = "chat"
        return Allow("ann")

    refused = await refusal(authorize)
    assert (refused.status, message(refused)) == (500, "Internal server error")
    assert "the authorizer set ctx.res.subprotocol; only a connect handler chooses one" in caplog.text


async def test_behind_an_authorizer_the_connect_handler_chooses_the_subprotocol():
    socket = websocket("socket")
    socket.authorizer()(returning(Allow("ann")))

    @socket.on("connect")
    async def connect(ctx):
        ctx.res.subprotocol = "chat"

    async with testing.node([socket]) as node:
        assert (await node.connect("socket", subprotocols=["chat"])).subprotocol == "chat"


# Tokens that end.


async def test_a_token_of_two_hours_closes_its_connection_when_it_ends():
    ends = []

    async def authorize(ctx):
        return Allow("ann", expires_at=clock.now() + 7200)

    socket = websocket("socket", limits=Limits(idle_seconds=1e5, lifetime_seconds=1e5))
    socket.authorizer()(authorize)

    @socket.on("disconnect")
    async def disconnect(ctx):
        ends.append((ctx.req.close_code, ctx.req.close_reason))

    async with testing.node([socket]) as node:
        began = clock.now()
        client = await node.connect("socket")
        closed = await client.closed(timeout=7205)
        assert (closed.code, closed.reason) == (1008, "Token expired")
        assert 7200 <= clock.now() - began <= 7205
    assert ends == [(1008, "Token expired")]


@pytest.mark.parametrize("ago", [0, 1, 1e6])
async def test_a_token_that_has_ended_is_401(ago):
    async def authorize(ctx):
        return Allow("ann", expires_at=clock.now() - ago)

    refused = await refusal(authorize)
    assert (refused.status, message(refused)) == (401, "Unauthorized")


async def test_a_lambda_authorizers_answer_has_no_end():
    event = testing.context(event="authorizer").req
    answer = lambda_answer(event.method_arn, context={"exp": 1, "expires_at": 1}, expires_at=1)
    assert (await PythonAuthorizer(returning(answer)).decide(event)).expires_at is None


# Declaring.


def test_the_decorator_returns_the_function_unchanged():
    socket, decide = websocket("socket"), returning(None)
    assert socket.authorizer(identity=["context.stage"])(decide) is decide


async def test_without_its_identity_sources_it_is_not_asked():
    asked = []

    async def authorize(ctx):
        asked.append(ctx)
        return Allow("ann")

    socket = websocket("socket")
    socket.authorizer(identity=["route.request.header.Authorization", "route.request.querystring.token"])(authorize)
    async with testing.node([socket]) as node:
        for options in ({}, {"headers": {"authorization": "a"}}, {"query": {"token": "t"}}):
            with pytest.raises(testing.Refused) as caught:
                await node.connect("socket", **options)
            assert (caught.value.status, message(caught.value)) == (401, "Unauthorized")
        assert asked == []
        await node.connect("socket", headers={"authorization": "a"}, query={"token": "t"})
        assert len(asked) == 1


def plain(ctx):
    return None


async def of_two(ctx, more):
    return None


@pytest.mark.parametrize(
    ("function", "wrong"), [(plain, "is not `async def`"), (of_two, "must take one argument, the Context")]
)
def test_what_cannot_be_an_authorizer_is_refused_at_its_declaration(function, wrong):
    socket = websocket("socket")
    with pytest.raises(DeclarationError) as refused:
        socket.authorizer()(function)
    start = f"{place(function)}: the authorizer handler {function.__name__} of websocket('socket') {wrong}"
    assert str(refused.value).startswith(start)


def test_without_parentheses_it_is_refused():
    with pytest.raises(TypeError):
        websocket("socket").authorizer(returning(None))


def test_an_expression_that_is_none_is_refused_where_it_stands():
    with pytest.raises(DeclarationError) as refused:
        websocket("socket").authorizer(identity=["$request.header.Authorization"])
    where, _, text = str(refused.value).partition(": ")
    assert where.startswith(__file__)
    assert text.startswith(
        "Invalid request identity source expression: $request.header.Authorization. The sources must "
    )


def test_a_text_instead_of_a_list_is_refused_with_what_was_meant():
    with pytest.raises(DeclarationError, match=r"expected a list, such as identity=\['context.stage'\]"):
        websocket("socket").authorizer(identity="context.stage")


def test_a_second_authorizer_is_refused_with_both_places():
    first, second, socket = returning(None), plain_async, websocket("socket")
    socket.authorizer()(first)
    with pytest.raises(DeclarationError) as refused:
        socket.allow("closing").authorizer()(second)
    where, _, text = str(refused.value).partition(": ")
    assert where.startswith(__file__)
    assert text == f"the authorizer of websocket('socket') is declared twice; the first is at {place(first)}"


async def plain_async(ctx):
    return None


def test_authorizers_of_one_socket_in_two_files_are_refused_with_both_places():
    first, second = websocket("socket"), websocket("socket")
    first.authorizer()(returning(None))
    second.authorizer()(plain_async)
    with pytest.raises(DeclarationError) as refused:
        Application.of([first, second])
    assert str(refused.value) == (
        f"{place(plain_async)}: the authorizer of websocket('socket') is declared twice; the first is at "
        f"{place(returning(None))}"
    )


def test_a_line_that_runs_again_declares_it_anew():
    socket, functions = websocket("socket"), [returning(None), returning(True)]
    for function in functions:
        socket.authorizer()(function)
    assert Application.of([socket]).authorizers["socket"].function is functions[1]


def test_an_authorizer_is_no_route():
    socket = websocket("socket")
    socket.authorizer()(plain_async)
    socket.on("message")(plain_async)
    application = Application.of([socket])
    assert list(application.handlers["socket"]) == ["$default"]
    assert list(application.authorizers) == ["socket"]


def test_a_declared_authorizer_is_compiled_with_its_place_and_its_sources():
    guarded, open_to_all = websocket("guarded"), websocket("open")
    guarded.authorizer(identity=["", "context.stage"])(plain_async)
    apis = {api.name: api for api in compile_apis(Application.of([guarded, open_to_all]), {})}
    assert apis["open"].authorizer is None
    assert apis["guarded"].authorizer.where == place(plain_async)
    assert apis["guarded"].authorizer.identity == (IdentitySource("context", "stage"),)


async def test_the_arn_that_a_policy_must_allow_is_of_the_region_and_the_account_of_the_settings():
    arns = []

    async def authorize(ctx):
        arns.append(ctx.req.event["methodArn"])
        return lambda_answer("arn:aws:execute-api:eu-west-1:111122223333:*/socket/$connect")

    socket, _ = guarded(authorize)
    async with testing.node([socket], settings=Settings(region="eu-west-1", account="111122223333")) as node:
        await node.connect("socket")
    assert arns == [f"arn:aws:execute-api:eu-west-1:111122223333:{api_id('socket')}/socket/$connect"]


# Calling it in a test.


async def test_an_authorizer_is_tested_by_calling_it():
    async def authorize(ctx):
        if ctx.req.query.get("token") != "42":
            ctx.res.reject(401, "no token")
            return None
        return Allow("ann", {"level": 7})

    assert await authorize(testing.context(event="authorizer", query="token=42")) == Allow("ann", {"level": 7})
    stranger = testing.context(event="authorizer")
    assert await authorize(stranger) is None
    assert (stranger.res.response().status, stranger.res.response().body) == (401, "no token")


def test_a_context_made_by_hand_has_the_event_of_a_lambda_authorizer():
    ctx = testing.context(event="authorizer", headers={"Authorization": "t"}, query="a=1", socket="chat")
    assert ctx.req.event["type"] == "REQUEST"
    assert ctx.req.event["methodArn"] == "arn:aws:execute-api:us-east-1:000000000000:0000000000/chat/$connect"
    assert (ctx.req.headers["authorization"], ctx.req.query["a"], ctx.req.kind) == ("t", "1", "CONNECT")


async def test_a_decision_can_be_asked_for_without_a_node():
    event = testing.context(event="authorizer").req
    with pytest.raises(Refused) as caught:
        await PythonAuthorizer(returning(None)).decide(event)
    assert caught.value.status == 403
