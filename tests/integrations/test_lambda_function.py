"""`AWS_PROXY` towards a function: what its answers come to, at the handshake and for messages."""

import asyncio
import base64
import json

import pytest

from trunkline import testing
from trunkline.integrations.lambda_function import MalformedResponse, read_proxy_response
from trunkline.testing import Function, Refused, lambda_node


def answering(value):
    def function(event, context):
        return value

    return function


def raising(event, context):
    raise ValueError("secret")


async def slow(event, context):
    await asyncio.sleep(100)


REFUSALS = [
    ({"statusCode": 301}, 301, b""),
    ({"statusCode": 400, "body": "bad"}, 400, b"bad"),
    ({"statusCode": 401, "body": ""}, 401, b""),
    ({"statusCode": "403", "body": "no"}, 403, b"no"),
    ({"statusCode": 403, "body": '{"why": "no"}', "headers": {"content-type": "application/json"}}, 403, b'{"why": "no"}'),
    ({"statusCode": 501, "body": base64.b64encode("ü".encode()).decode(), "isBase64Encoded": True}, 501, "ü".encode()),
]  # fmt: skip
MALFORMED = [
    None, "text", 7, [], {"statusCode": None}, {"statusCode": "ok"}, {"statusCode": ""}, {"statusCode": True},
    {"statusCode": 99}, {"statusCode": "99"}, {"statusCode": "²00"}, {"statusCode": "600"}, {"statusCode": 600}, {"statusCode": 200.5}, {"statusCode": 200, "extra": 1}, {"statusCode": 200, "body": {"a": 1}},
    {"statusCode": 200, "body": 1}, {"statusCode": 200, "isBase64Encoded": "true"},
    {"statusCode": 200, "body": "!!", "isBase64Encoded": True}, {"statusCode": 200, "body": "//79", "isBase64Encoded": True},
    {"statusCode": 200, "headers": []}, {"statusCode": 200, "headers": {"a": None}}, {"statusCode": 200, "headers": {"a": {}}},
    {"statusCode": 200, "multiValueHeaders": {"a": "b"}}, {"statusCode": 200, "multiValueHeaders": {"a": [1]}},
]  # fmt: skip


async def refused(function, **options):
    async with lambda_node({"$connect": function}, **options) as node:
        with pytest.raises(Refused) as caught:
            await node.connect("test")
        return caught.value


def frame(message):
    """The three members of an error, without the ids."""
    told = json.loads(message)
    assert list(told) == ["message", "connectionId", "requestId"]
    assert message == (
        f'{{"message": "{told["message"]}", "connectionId":"{told["connectionId"]}", "requestId":"{told["requestId"]}"}}'
    )
    return told["message"]


# The handshake.


@pytest.mark.parametrize("status", [200, 201, 299])
async def test_2xx_accepts_and_its_body_is_ignored(status):
    async with lambda_node({"$connect": answering({"statusCode": status, "body": "ignored"})}) as node:
        client = await node.connect("test")
        await client.nothing()
        assert sorted(client.headers) == ["connection", "date", "sec-websocket-accept", "upgrade"]


@pytest.mark.parametrize("answer", [{}, {"body": "ignored"}, {"headers": {}}, {"statusCode": "200"}])
async def test_a_status_that_is_missing_is_200_and_may_be_text(answer):
    async with lambda_node({"$connect": answering(answer), "$default": answering(answer)}) as node:
        client = await node.connect("test")
        await client.send("hello")
        await client.nothing()


@pytest.mark.parametrize(("answer", "status", "body"), REFUSALS)
async def test_another_status_refuses_with_the_functions_own_body(answer, status, body):
    refusal = await refused(answering(answer))
    assert (refusal.status, refusal.body) == (status, body)
    assert list(refusal.headers) == ["date", "content-type", "content-length", "connection", "x-amz-apigw-id"]


@pytest.mark.parametrize(
    ("function", "status", "message"),
    [
        (raising, 502, "Internal server error"),
        (answering(None), 500, "Internal server error"),
        (answering({"statusCode": 200, "unknown": 1}), 500, "Internal server error"),
        (slow, 504, "Endpoint request timed out"),
    ],
)
async def test_a_function_that_fails_is_a_5xx_in_awss_words(function, status, message, caplog):
    refusal = await refused(function, seconds=2)
    assert refusal.status == status
    assert frame(refusal.body.decode()) == message
    assert refusal.headers["x-amz-apigw-id"] == json.loads(refusal.body)["requestId"]
    (record,) = caplog.records
    assert record.message.startswith("the integration of $connect failed: the function ")
    assert "Traceback" not in record.message


async def test_a_function_that_is_not_run_is_a_500(caplog):
    function = Function(answering({"statusCode": 200}))
    function.refuse()
    assert (await refused(function)).status == 500
    assert "was not run: Rate Exceeded." in caplog.records[0].message


@pytest.mark.parametrize("key", ["headers", "multiValueHeaders"])
async def test_a_subprotocol_is_echoed_only_if_the_function_returns_it(key):
    def choose(event, context):
        value = "chat" if key == "headers" else ["chat"]
        offered = "Sec-WebSocket-Protocol" in event["headers"]
        return {"statusCode": 200, key: {"SEC-websocket-PROTOCOL": value} if offered else {}}

    async with lambda_node({"$connect": choose}) as node:
        assert (await node.connect("test", subprotocols=["other", "chat"])).subprotocol == "chat"
        assert (await node.connect("test")).subprotocol is None
    async with lambda_node({"$connect": answering({"statusCode": 200})}) as node:
        assert (await node.connect("test", subprotocols=["chat"])).subprotocol is None


async def test_after_a_refusal_there_is_no_disconnect():
    gone = Function(answering(None))
    async with lambda_node({"$connect": answering({"statusCode": 403}), "$disconnect": gone}) as node:
        with pytest.raises(Refused):
            await node.connect("test")
        await asyncio.sleep(1)
    assert gone.events == []


# Messages.


@pytest.mark.parametrize("status", [200, 201, 301, 401, 500, 501])
async def test_a_one_way_route_sends_nothing_whatever_the_status(status):
    async with lambda_node({"$default": answering({"statusCode": status, "body": "x"})}) as node:
        client = await node.connect("test")
        await client.send("hello")
        await client.nothing()


@pytest.mark.parametrize("status", [200, 500])
async def test_a_two_way_route_sends_the_body_as_it_is(status):
    answer = {"statusCode": status, "body": ' {"a":  1}\n'}
    async with lambda_node({"$default": answering(answer)}, two_way={"$default"}) as node:
        client = await node.connect("test")
        await client.send("hello")
        assert await client.receive() == ' {"a":  1}\n'


@pytest.mark.parametrize(
    "answer", [{"statusCode": 200}, {"statusCode": 200, "body": ""}, {"statusCode": 200, "body": None}]
)
async def test_an_empty_body_sends_nothing(answer):
    async with lambda_node({"$default": answering(answer)}, two_way={"$default"}) as node:
        client = await node.connect("test")
        await client.send("hello")
        await client.nothing()


@pytest.mark.parametrize("two_way", [(), ("$default",)])
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (raising, "Internal server error"),
        (answering(None), "Internal server error"),
        (answering({"statusCode": 200, "unknown": 1}), "Internal server error"),
        (slow, "Endpoint request timed out"),
    ],
)
async def test_a_failure_is_an_error_frame_and_the_connection_stays(function, message, two_way):
    routes = {"$default": function, "good": answering({"statusCode": 200, "body": "still here"})}
    async with lambda_node(routes, two_way={*two_way, "good"}, seconds=2) as node:
        client = await node.connect("test")
        await client.send("hello")
        assert frame(await client.receive()) == message
        await client.send_json({"action": "good"})
        assert await client.receive() == "still here"


async def test_a_reply_over_128_kib_closes_with_1009():
    async with lambda_node(
        {"$default": answering({"statusCode": 200, "body": "x" * 131_073})}, two_way={"$default"}
    ) as node:
        client = await node.connect("test")
        await client.send("hello")
        assert (await client.closed()).code == 1009
    async with lambda_node(
        {"$default": answering({"statusCode": 200, "body": "x" * 131_072})}, two_way={"$default"}
    ) as node:
        client = await node.connect("test")
        await client.send("hello")
        assert len(await client.receive()) == 131_072


async def test_a_body_that_nobody_is_sent_may_be_of_any_size():
    routes = {
        "$default": answering({"statusCode": 200, "body": "x" * 131_073}),
        "good": answering({"statusCode": 200, "body": "here"}),
    }
    async with lambda_node(routes, two_way={"good"}) as node:
        client = await node.connect("test")
        await client.send("hello")
        await client.send_json({"action": "good"})
        assert await client.receive() == "here"


async def test_messages_of_one_connection_run_side_by_side():
    async def wait(event, context):
        await asyncio.sleep(json.loads(event["body"])["seconds"])
        return {"statusCode": 200, "body": event["body"]}

    async with lambda_node({"$default": wait}, two_way={"$default"}) as node:
        client = await node.connect("test")
        await client.send_json({"seconds": 3})
        await client.send_json({"seconds": 1})
        assert [(await client.receive_json())["seconds"] for _ in range(2)] == [1, 3]


async def test_the_answer_to_a_disconnect_is_ignored_and_its_failure_only_logged(caplog):
    for function in (answering(None), answering({"nonsense": 1}), raising):
        async with lambda_node({"$disconnect": function}) as node:
            await (await node.connect("test")).close(1000, "bye")
    (record,) = caplog.records
    assert "the integration of $disconnect failed" in record.message


# The events that a function is given.


async def test_events_have_the_stages_variables_and_one_id_at_the_handshake():
    connect, default, disconnect = (Function(answering({"statusCode": 200})) for _ in range(3))
    routes = {"$connect": connect, "$default": default, "$disconnect": disconnect}
    async with lambda_node(routes, stage_variables={"backend": "blue"}) as node:
        client = await node.connect("test", query={"a": "1"})
        await client.send("hello")
        await client.close(1000, "bye")
    events = [*connect.events, *default.events, *disconnect.events]
    assert [event["stageVariables"] for event in events] == [{"backend": "blue"}] * 3
    assert [event["requestContext"]["eventType"] for event in events] == ["CONNECT", "MESSAGE", "DISCONNECT"]
    assert len({event["requestContext"]["connectionId"] for event in events}) == 1
    assert len({event["requestContext"]["requestId"] for event in events}) == 3


# What a proxy response is.


@pytest.mark.parametrize("answer", MALFORMED)
def test_what_is_no_proxy_response(answer):
    with pytest.raises(MalformedResponse):
        read_proxy_response(json.dumps(answer).encode())


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json(payload):
    with pytest.raises(MalformedResponse, match="not JSON"):
        read_proxy_response(payload)


def test_only_headers_that_a_handshake_takes_are_kept_and_the_last_value_wins():
    answer = {
        "statusCode": 200,
        "headers": {"Content-Type": "text/plain", "X-Other": "x", "Sec-WebSocket-Protocol": 7},
        "multiValueHeaders": {"content-type": ["a", "b"], "set-cookie": ["c"], "empty": []},
    }
    assert read_proxy_response(json.dumps(answer).encode()).headers == {
        "content-type": "b; charset=UTF-8", "sec-websocket-protocol": "7",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("application/json", "application/json; charset=UTF-8"),
        ("text/html; Charset=utf-8", "text/html; Charset=utf-8"),
        ("", ""),
    ],
)
async def test_a_refusing_functions_content_type_has_a_charset(said, sent):
    refusal = await refused(answering({"statusCode": 403, "body": "no", "headers": {"Content-Type": said}}))
    assert refusal.headers["content-type"] == sent


async def test_a_function_double_fails_as_lambda_does():
    invocation = await testing.Function(raising).invoke(b"{}")
    assert invocation.function_error == "Unhandled"
    told = json.loads(invocation.payload)
    assert (told["errorMessage"], told["errorType"]) == ("secret", "ValueError")
