"""The step before `$connect`: who is let in, and to the byte what anybody else is told."""

import asyncio
import contextlib
import json
import logging
import re

import pytest

from trunkline import Limits, limits, testing, websocket
from trunkline.gateway.authorizers import LambdaAuthorizer, authorize
from trunkline.model.api import Authorization, CompiledApi, CompiledAuthorizer
from trunkline.model.functions import Invocation
from trunkline.model.identity_sources import parse_identity_sources
from trunkline.testing import Function, Refused, lambda_node
from trunkline.wire.frames import encode_client_message

DENIED = "User is not authorized to access this resource with an explicit deny in an identity-based policy"
NOT_ALLOWED = "User is not authorized to access this resource because no identity-based policy allows the execute-api:Invoke action"
TOKEN = ["route.request.header.Authorization"]
IDS = re.compile(r'"connectionId":"([\w-]{18}==)", "requestId":"([\w-]{15}=)"')


def policy(resource, effect="Allow"):
    return {
        "Version": "2012-10-17",
        "Statement": [{"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}],
    }


def allow(event, context):
    return {
        "principalId": "user-1",
        "policyDocument": policy(event["methodArn"]),
        "context": {"tenant": "acme", "level": 7, "admin": True, "empty": ""},
    }


def deny(event, context):
    return {"principalId": "user-1", "policyDocument": policy(event["methodArn"], "Deny")}


def one_segment_too_many(event, context):
    return {"principalId": "user-1", "policyDocument": policy(event["methodArn"].replace("$connect", "*/*"))}


def unauthorized(event, context):
    raise ValueError("Unauthorized")


def almost_unauthorized(event, context):
    raise ValueError("unauthorized")


def told_unauthorized(event, context):
    return {"errorMessage": "Unauthorized"}


def failing(event, context):
    raise ValueError("secret")


async def slow(event, context):
    await asyncio.sleep(1000)


def answering(value):
    return lambda event, context: value


def large(event, context):
    return allow(event, context) | {"context": {"a": "x" * 8192}}


def compiled(function, identity=(), where="template.yaml:7"):
    return CompiledAuthorizer(LambdaAuthorizer(function).decide, where, parse_identity_sources(identity))


@contextlib.asynccontextmanager
async def serving(handler, identity=(), routes=(), **options):
    """A node whose stage `test` has this authorizer, and the function."""
    function = handler if isinstance(handler, Function) else Function(handler, name="doorman")
    async with lambda_node(dict(routes), authorizer=compiled(function, identity), **options) as node:
        yield node, function


async def refused(node, **options):
    with pytest.raises(Refused) as caught:
        await node.connect("test", **options)
    return caught.value


def message(refusal):
    """The first member of a refusal's body, whose layout is API Gateway's."""
    told = json.loads(refusal.body)
    assert list(told) == ["message", "connectionId", "requestId"]
    assert told["requestId"] == refusal.headers["x-amz-apigw-id"]
    return told["message"]


# Every outcome, as the bytes on a socket.

HANDSHAKE = [
    "GET /test?x=1 HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
]  # fmt: skip
WITH_TOKEN = ["Authorization: token-1"]
OUTCOMES = {
    "an identity source is missing": (allow, [], "401 Unauthorized", "Unauthorized", 0),
    "an identity source is empty": (allow, ["Authorization:"], "401 Unauthorized", "Unauthorized", 0),
    "the function raises Unauthorized": (unauthorized, WITH_TOKEN, "401 Unauthorized", "Unauthorized", 1),
    "the function answers the error Unauthorized": (told_unauthorized, WITH_TOKEN, "401 Unauthorized", "Unauthorized", 1),
    "the function raises almost that": (almost_unauthorized, WITH_TOKEN, "500 Internal Server Error", "Internal server error", 1),
    "the function raises": (failing, WITH_TOKEN, "500 Internal Server Error", "Internal server error", 1),
    "the function takes too long": (slow, WITH_TOKEN, "500 Internal Server Error", "Internal server error", 1),
    "the function answers null": (answering(None), WITH_TOKEN, "500 Internal Server Error", "", 1),
    "the function answers no policy": (answering({"principalId": "x"}), WITH_TOKEN, "500 Internal Server Error", "", 1),
    "the function answers no valid policy": (answering({"policyDocument": 7}), WITH_TOKEN, "500 Internal Server Error", "", 1),
    "the function answers more than 8 KB": (large, WITH_TOKEN, "500 Internal Server Error", "", 1),
    "the policy denies": (deny, WITH_TOKEN, "403 Forbidden", DENIED, 1),
    "the policy does not allow": (one_segment_too_many, WITH_TOKEN, "403 Forbidden", NOT_ALLOWED, 1),
}  # fmt: skip


def undated(answer):
    return re.sub(r"date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", "date: now\r\n", answer.decode())


async def raw_answer(node, dial, *headers):
    """Everything that comes on a real socket until its end."""
    port = await node.running.gateway.listen("127.0.0.1", 0)
    async with await dial(("127.0.0.1", port)) as client:
        client.send("\r\n".join([*HANDSHAKE, *headers, "", ""]))
        return undated(await client.ended())


def refused_with(status, text, answer):
    """The bytes of a refusal with the ids of this answer."""
    connection, request = IDS.search(answer).groups()
    body = f'{{"message": "{text}", "connectionId":"{connection}", "requestId":"{request}"}}'
    return (
        f"HTTP/1.1 {status}\r\ndate: now\r\ncontent-type: application/json; charset=UTF-8\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\nx-amz-apigw-id: {request}\r\n\r\n{body}"
    )


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_refusal_is_api_gateways_to_the_byte(outcome, on_loop, dial):
    handler, headers, status, text, calls = OUTCOMES[outcome]

    async def run():
        async with serving(handler, TOKEN, limits=Limits(handler_seconds=0.2)) as (node, function):
            return await raw_answer(node, dial, *headers), function.events

    answer, events = on_loop(run)
    assert answer == refused_with(status, text, answer)
    told = [(event["requestContext"]["connectionId"], event["requestContext"]["requestId"]) for event in events]
    assert told == [IDS.search(answer).groups()] * calls


def test_a_function_that_is_not_run_is_500_to_the_byte(on_loop, dial):
    async def run():
        function = Function(allow)
        function.refuse("Rate Exceeded.")
        async with serving(function) as (node, _):
            return await raw_answer(node, dial)

    answer = on_loop(run)
    assert answer == refused_with("500 Internal Server Error", "Internal server error", answer)


PAGE = (
    "<html>\r\n<head><title>400 Bad Request</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n"
    "</body>\r\n</html>\r\n"
)


def test_two_authorization_headers_are_api_gateways_page_and_nobody_is_asked(on_loop, dial):
    async def run():
        async with serving(allow) as (node, function):
            answer = await raw_answer(node, dial, "Authorization: a", "authorization: b")
            assert function.events == []
            return answer

    assert on_loop(run) == (
        f"HTTP/1.1 400 Bad Request\r\ndate: now\r\ncontent-type: text/html\r\ncontent-length: {len(PAGE)}\r\n"
        f"connection: close\r\n\r\n{PAGE}"
    )


def test_who_is_let_in_gets_the_101_of_everyone(on_loop, dial):
    async def run():
        async with serving(allow, TOKEN) as (node, _):
            port = await node.running.gateway.listen("127.0.0.1", 0)
            async with await dial(("127.0.0.1", port)) as client:
                client.send("\r\n".join([*HANDSHAKE, *WITH_TOKEN, "", ""]))
                return undated(await client.reader.readuntil(b"\r\n\r\n"))

    assert on_loop(run) == (
        "HTTP/1.1 101 Switching Protocols\r\ndate: now\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )


async def test_without_an_authorizer_two_authorization_headers_are_told_in_our_words():
    async with lambda_node({}) as node:
        refusal = await refused(node, headers=[("Authorization", "a"), ("Authorization", "b")])
    assert (refusal.status, refusal.body) == (400, b"the request has more than one Authorization\n")


# What the function and the routes see.


class Routes:
    """Functions behind every route, and what they were sent."""

    def __init__(self, connect=None):
        self.connect = Function(connect or answering({"statusCode": 200}))
        self.default = Function(answering({"statusCode": 200, "body": "answer"}))
        self.disconnect = Function(answering({"statusCode": 200}))

    def items(self):
        return {"$connect": self.connect, "$default": self.default, "$disconnect": self.disconnect}.items()

    def __iter__(self):
        return iter(self.items())


SAID = {"tenant": "acme", "level": "7", "admin": "true", "empty": "", "principalId": "user-1"}


async def test_what_it_said_is_in_every_later_event_and_its_latency_in_connect_only():
    async def thoughtful(event, context):
        await asyncio.sleep(0.25)
        return allow(event, context)

    routes = Routes()
    async with serving(thoughtful, routes=routes, two_way=["$default"]) as (node, function):
        async with await node.connect("test") as client:
            await client.send("hello")
            assert await client.receive() == "answer"
    (asked,), (connect,), (message,), (disconnect,) = (
        f.events for f in (function, routes.connect, routes.default, routes.disconnect)
    )
    said = connect["requestContext"]["authorizer"]
    assert list(said.items()) == [*SAID.items(), ("integrationLatency", 250)]
    assert type(said["integrationLatency"]) is int
    assert list(message["requestContext"]["authorizer"].items()) == list(SAID.items())
    assert list(disconnect["requestContext"]["authorizer"].items()) == list(SAID.items())
    assert asked["requestContext"]["requestId"] == connect["requestContext"]["requestId"]
    assert asked["requestContext"]["connectionId"] == message["requestContext"]["connectionId"]


async def test_the_function_is_sent_the_handshake_whole_with_the_arn_of_its_stage():
    async with serving(allow, stage_variables={"phase": "blue"}) as (node, function):
        async with await node.connect(
            "test", query=[("a", "1"), ("a", "2")], headers={"X-Mode": "x"}, subprotocols=["chat"]
        ):
            pass
    (event,) = function.events
    identity = event["requestContext"]
    assert event["type"] == "REQUEST"
    assert event["methodArn"] == f"arn:aws:execute-api:us-east-1:000000000000:{identity['apiId']}/test/$connect"
    assert event["queryStringParameters"] == {"a": "2"}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"]}
    assert event["stageVariables"] == {"phase": "blue"}
    assert (event["headers"]["X-Mode"], event["headers"]["Sec-WebSocket-Protocol"]) == ("x", "chat")
    assert "authorizer" not in identity


async def test_nothing_is_cached():
    async with serving(allow, TOKEN) as (node, function):
        for _ in range(3):
            await node.connect("test", headers={"Authorization": "token-1"})
        assert len(function.events) == 3


@pytest.mark.parametrize(
    ("identity", "options", "asked"),
    [
        (["route.request.querystring.token"], {"query": {"token": "x"}}, True),
        (["route.request.querystring.token"], {"query": {"token": ""}}, False),
        (["route.request.querystring.token"], {"headers": {"token": "x"}}, False),
        (["stageVariables.phase"], {}, True),
        (["stageVariables.other"], {}, False),
        (["context.connectionId", "context.connectedAt", "context.requestTimeEpoch"], {}, True),
        (["context.eventType"], {}, False),
        (["context.connectionId", "context.messageDirection"], {}, False),
        ([""], {}, True),
    ],
)
async def test_every_identity_source_must_be_there_for_the_function_to_be_asked(identity, options, asked):
    async with serving(allow, identity, stage_variables={"phase": "blue"}) as (node, function):
        if asked:
            await node.connect("test", **options)
        else:
            refusal = await refused(node, **options)
            assert (refusal.status, message(refusal)) == (401, "Unauthorized")
        assert len(function.events) == asked


# The order of things.


async def test_an_api_with_an_authorizer_and_no_connect_route_works():
    async with serving(
        allow, routes={"$default": answering({"statusCode": 200, "body": "x"})}, two_way=["$default"]
    ) as (node, _):
        async with await node.connect("test") as client:
            await client.send("hello")
            assert await client.receive() == "x"


@pytest.mark.parametrize("handler", [deny, failing, answering(None), unauthorized])
async def test_who_is_refused_reaches_no_route(handler):
    routes = Routes()
    async with serving(handler, routes=routes) as (node, _):
        await refused(node)
        await asyncio.sleep(60)
    assert [f.events for f in (routes.connect, routes.default, routes.disconnect)] == [[], [], []]


async def test_who_is_let_in_may_still_be_refused_by_the_connect_route():
    routes = Routes(answering({"statusCode": 418, "body": "teapot"}))
    async with serving(allow, routes=routes) as (node, function):
        refusal = await refused(node)
    assert (refusal.status, refusal.body) == (418, b"teapot")
    assert refusal.headers["x-amz-apigw-id"] == function.events[0]["requestContext"]["requestId"]
    assert routes.disconnect.events == []


async def test_what_a_client_sends_meanwhile_waits_for_both_decisions():
    async def thoughtful(event, context):
        await asyncio.sleep(1)
        return allow(event, context)

    routes = Routes()
    async with serving(thoughtful, routes=routes) as (node, _):
        client = node.client()
        handshake = asyncio.create_task(client.handshake("/test"))
        await asyncio.sleep(0.5)
        client.send_bytes(encode_client_message("early"))
        await asyncio.sleep(0.4)
        assert routes.default.events == routes.connect.events == []
        await handshake
        await client.close()
    assert [event["body"] for event in routes.default.events] == ["early"]


@pytest.mark.parametrize("leave", ["vanish", "hang_up"])
@pytest.mark.parametrize("with_connect", [True, False])
async def test_for_a_client_that_leaves_meanwhile_no_connect_handler_starts_and_nothing_is_disconnected(
    leave, with_connect
):
    async def thoughtful(event, context):
        await asyncio.sleep(5)
        return allow(event, context)

    routes = {name: function for name, function in Routes().items() if with_connect or name != "$connect"}
    async with serving(thoughtful, routes=routes) as (node, function):
        client = node.client()
        handshake = asyncio.create_task(client.handshake("/test"))
        await asyncio.sleep(1)
        getattr(client, leave)()
        with contextlib.suppress(testing.Closed):
            await handshake
        await asyncio.sleep(60)
        assert len(function.events) == 1
        assert not node.running.gateway.alive
    assert [function.events for function in routes.values()] == [[]] * len(routes)


async def test_an_authorizer_has_29_seconds_and_the_connect_route_its_own(caplog):
    async def almost_too_long(event, context):
        await asyncio.sleep(28)
        return allow(event, context) if "methodArn" in event else {"statusCode": 200}

    async with serving(almost_too_long, routes=Routes(almost_too_long)) as (node, _):
        loop = asyncio.get_running_loop()
        began = loop.time()
        await node.connect("test", timeout=100)
        assert loop.time() - began == pytest.approx(56)
    assert caplog.text == ""


async def test_an_authorizer_that_takes_longer_is_cut_off_and_told_of(caplog):
    async with serving(slow) as (node, _):
        loop = asyncio.get_running_loop()
        began = loop.time()
        refusal = await refused(node, timeout=100)
        assert 29 <= loop.time() - began <= 31
        assert (refusal.status, message(refusal)) == (500, "Internal server error")
    assert "the handler of authorizer at template.yaml:7 was cancelled after 29 s" in caplog.text


async def test_stopping_waits_for_an_authorizer_and_for_what_follows():
    async def thoughtful(event, context):
        await asyncio.sleep(5)
        return allow(event, context)

    routes = Routes()
    async with serving(thoughtful, routes=routes) as (node, _):
        client = node.client()
        handshake = asyncio.create_task(client.handshake("/test"))
        await asyncio.sleep(1)
        await node.running.gateway.close()
        await handshake
        assert (await client.closed()).code == 1001
    assert [len(f.events) for f in (routes.connect, routes.disconnect)] == [1, 1]


async def test_who_is_cut_off_while_an_authorizer_runs_reaches_no_route():
    routes = Routes()
    async with serving(slow, routes=routes) as (node, _):
        client = node.client()
        handshake = asyncio.create_task(client.handshake("/test"))
        await asyncio.sleep(1)
        await node.running.gateway.close(seconds=2)
        with pytest.raises(testing.Closed):
            await handshake
        await asyncio.sleep(60)
    assert [f.events for f in (routes.connect, routes.disconnect)] == [[], []]


# The subprotocol.


def with_subprotocol(event, context):
    return {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "chat"}}


@pytest.mark.parametrize("connect", [True, False])
async def test_a_subprotocol_is_the_connect_routes_to_choose_and_not_an_authorizers(connect):
    def choosing(event, context):
        chosen = {"Sec-WebSocket-Protocol": "other"}
        return allow(event, context) | {"headers": chosen, "context": chosen}

    routes = {"$connect": with_subprotocol} if connect else {}
    async with serving(choosing, routes=routes) as (node, _):
        client = await node.connect("test", subprotocols=["other", "chat"])
        assert client.subprotocol == ("chat" if connect else None)
        assert ("sec-websocket-protocol" in client.headers) is connect


# Tokens that end. Beyond API Gateway.


def until(moment):
    async def decide(event):
        return Authorization(context={"principalId": "user-1"}, expires_at=moment())

    return CompiledAuthorizer(decide)


async def test_a_token_that_ends_after_two_hours_closes_its_connection_within_five_seconds():
    from trunkline import clock

    routes = Routes()
    bounds = Limits(idle_seconds=3 * 3600, lifetime_seconds=4 * 3600)
    authorizer = until(lambda: clock.now() + 7200)
    async with lambda_node(dict(routes), authorizer=authorizer, limits=bounds, two_way=["$default"]) as node:
        loop = asyncio.get_running_loop()
        began = loop.time()
        client = await node.connect("test")
        await asyncio.sleep(7199 - (loop.time() - began))
        await client.send("hello")
        assert await client.receive() == "answer"
        closed = await client.closed(timeout=10)
        assert (closed.code, closed.reason) == (1008, "Token expired")
        assert 7200 <= loop.time() - began <= 7205
    about = routes.disconnect.events[0]["requestContext"]
    assert (about["disconnectStatusCode"], about["disconnectReason"]) == (1008, "Token expired")
    assert limits.CLOSE_POLICY == 1008


async def test_without_an_end_a_connection_lives_as_long_as_any():
    async with serving(allow, limits=Limits(idle_seconds=1e6)) as (node, _):
        client = await node.connect("test")
        assert (await client.closed(timeout=7300)).code == 1001


async def test_a_context_does_not_end_a_connection_whatever_it_says():
    def said(event, context):
        return allow(event, context) | {"context": {"expires_at": 1, "exp": 1}}

    async with serving(said) as (node, _):
        await (await node.connect("test")).nothing(60)


# What the log is told.


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (failing, "the authorizer at template.yaml:7 failed: the function doorman failed: secret; connection "),
        (
            answering([]),
            "the authorizer at template.yaml:7 failed: it answered what is no authorizer's answer: an answer is an ",
        ),
        (answering({}), "failed: it answered what is no authorizer's answer: it has no policyDocument; connection "),
    ],
)
async def test_what_is_wrong_with_a_function_is_told_once(handler, told, caplog):
    async with serving(handler) as (node, _):
        refusal = await refused(node)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert told in record.getMessage()
    assert record.getMessage().endswith(f"request {refusal.headers['x-amz-apigw-id']}")


async def test_a_function_that_is_not_run_is_told_with_the_reason(caplog):
    function = Function(allow, name="doorman")
    function.refuse("Rate Exceeded.")
    async with lambda_node({}, authorizer=compiled(function, where="")) as node:
        assert message(await refused(node)) == "Internal server error"
    assert "the authorizer failed: the function doorman was not run: Rate Exceeded.; connection " in caplog.text


@pytest.mark.parametrize("handler", [deny, one_segment_too_many, unauthorized, allow])
async def test_a_decision_is_no_error_and_is_not_logged(handler, caplog):
    async with serving(handler, ["route.request.querystring.token"]) as (node, _):
        with contextlib.suppress(Refused):
            await node.connect("test", query={"token": "x"})
        await refused(node)
    assert caplog.text == ""


async def test_what_a_decider_raises_by_itself_is_500_and_told_with_its_traceback(caplog):
    async def decide(event):
        raise ZeroDivisionError("ours")

    async with lambda_node({}, authorizer=CompiledAuthorizer(decide, "here:1")) as node:
        refusal = await refused(node)
    assert (refusal.status, message(refusal)) == (500, "Internal server error")
    assert "the handler of authorizer at here:1 raised" in caplog.text
    assert "ZeroDivisionError: ours" in caplog.text


@pytest.mark.parametrize("error", [Exception, ValueError, SystemExit, BaseException])
async def test_what_a_decider_raises_as_unauthorized_is_401_and_no_error(error, caplog):
    async def decide(event):
        raise error("Unauthorized")

    async with lambda_node({}, authorizer=CompiledAuthorizer(decide)) as node:
        refusal = await refused(node)
    assert (refusal.status, message(refusal), caplog.text) == (401, "Unauthorized", "")


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit])
async def test_what_is_not_an_authorizers_to_raise_goes_on(error):
    async def invoke(route, event):
        raise error

    api = CompiledApi("test", "id", "test", None, {}, authorizer=compiled(Function(allow)))
    connect = testing.context(event="connect").req
    with pytest.raises(error):
        await authorize(api, connect, invoke)


@pytest.mark.parametrize("payload", [b"", b"\xff", b'{"errorMessage": 7}', b"[" * 5000])
async def test_a_function_that_fails_without_saying_why_is_500(payload):
    class Failing:
        name = "doorman"

        async def invoke(self, sent):
            return Invocation(payload, "Unhandled")

    async with lambda_node({}, authorizer=compiled(Failing())) as node:
        refusal = await refused(node)
    assert (refusal.status, message(refusal)) == (500, "Internal server error")


# A program's socket is asked in the same way.


async def test_a_socket_without_an_authorizer_says_nothing_of_one():
    socket, seen = websocket("test"), []

    @socket.on("connect")
    async def connect(ctx):
        seen.append(ctx.req.event["requestContext"].get("authorizer"))

    async with testing.node([socket]) as node:
        await node.connect("test")
    assert seen == [None]
