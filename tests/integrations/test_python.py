"""A Python handler as an integration: from an event to a response."""

import dataclasses
import datetime as dt
import enum
import json
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import testing, websocket
from trunkline.integrations.python import PythonIntegration
from trunkline.testing.plugin import run_test


def invoke(value, *, event="message", binary=False):
    """What the gateway is answered when a handler returns a value."""
    answers = []

    async def handler(ctx):
        return value

    async def run():
        about = testing.context("x", event=event).req
        answers.append(await PythonIntegration(handler, binary=binary).invoke(about))

    run_test(run, {})
    return answers[0]


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.text(),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=10,
)


@given(values)
def test_any_json_value_but_none_and_text_is_a_reply_of_json(value):
    answer = invoke(value)
    if value is None:
        assert answer is None
    elif isinstance(value, str):
        assert answer.body == value
    else:
        assert json.loads(answer.body) == value
        assert isinstance(answer.body, str)


@pytest.mark.parametrize("text", ["", "hello", "é𝄞", '{"already": "json"}'])
def test_text_is_as_it_is(text):
    assert (invoke(text).body, invoke(text).status) == (text, 200)


class Colour(str, enum.Enum):
    RED = "red"


class Markup(str):
    __slots__ = ()

    def __str__(self):
        return "something else"


@pytest.mark.parametrize(("value", "text"), [(Colour.RED, "red"), (Markup("<b>"), "<b>")])
def test_a_subclass_of_str_is_its_text(value, text):
    body = invoke(value).body
    assert body == text
    assert type(body) is str


def test_none_is_no_reply():
    assert invoke(None) is None


@pytest.mark.parametrize(
    "value",
    [
        {"statusCode": 200, "body": "x"},
        {"statusCode": 500},
        {"isBase64Encoded": True, "statusCode": 200, "headers": {}, "body": "eA=="},
    ],
)
def test_a_dict_is_never_a_lambda_proxy_response(value):
    answer = invoke(value)
    assert (answer.status, json.loads(answer.body)) == (200, value)


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Struct(msgspec.Struct):
    name: str


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Point(1, 2), '{"x":1,"y":2}'),
        (Struct("é"), '{"name":"é"}'),
        ((1, "a"), '[1,"a"]'),
        (True, "true"),
        (0, "0"),
        ([], "[]"),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), '"2026-01-02T00:00:00Z"'),
        (uuid.UUID(int=0), '"00000000-0000-0000-0000-000000000000"'),
    ],
)
def test_what_msgspec_can_write_is_compact_json(value, text):
    assert invoke(value).body == text


@pytest.mark.parametrize("value", [b"\0\xff", bytearray(b"\0\xff"), memoryview(b"\0\xff")])
def test_bytes_need_a_binary_socket(value):
    body = invoke(value, binary=True).body
    assert body == b"\0\xff"
    assert type(body) is bytes
    with pytest.raises(TypeError, match=r"returned bytes; this socket sends text. Return str, or declare websocket\("):
        invoke(value)


@pytest.mark.parametrize("value", [object(), {1, object()}, {"a": lambda: None}])
def test_what_cannot_be_written_is_an_error_of_the_handler(value):
    with pytest.raises(TypeError):
        invoke(value)


def test_text_that_is_not_unicode_is_an_error_of_the_handler():
    for value in ("\ud800", Markup("\ud800")):
        with pytest.raises(UnicodeEncodeError):
            invoke(value)


@pytest.mark.parametrize("value", ["\ud800", object(), b"bytes"], ids=["surrogate", "object", "bytes"])
async def test_a_reply_that_cannot_be_is_told_logged_and_survived(value, caplog):
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        return value if ctx.req.data == "bad" else "good"

    async with testing.node([socket]) as node, await node.connect("socket") as client:
        await client.send("bad")
        assert (await client.receive_json())["message"] == "Internal server error"
        await client.send("x")
        assert await client.receive() == "good"
    assert "the handler of $default" in caplog.text


@pytest.mark.parametrize("value", [None, "text", b"bytes", {"statusCode": 403}, object()])
@pytest.mark.parametrize("event", ["connect", "disconnect"])
def test_what_connect_and_disconnect_return_is_nothing(value, event):
    assert invoke(value, event=event) is None


async def test_connect_answers_what_it_recorded():
    async def refuses(ctx):
        ctx.res.reject(403, "no")

    async def chooses(ctx):
        ctx.res.subprotocol = "chat"

    event = testing.context(event="connect").req
    refusal = await PythonIntegration(refuses).invoke(event)
    assert (refusal.status, refusal.body) == (403, "no")
    choice = await PythonIntegration(chooses).invoke(event)
    assert (choice.status, choice.body, choice.headers) == (200, None, {"sec-websocket-protocol": "chat"})


@pytest.mark.parametrize("event", ["message", "disconnect"])
async def test_a_refusal_after_connect_means_nothing(event):
    async def handler(ctx):
        ctx.res.reject(403)

    assert await PythonIntegration(handler).invoke(testing.context(event=event).req) is None


async def test_each_event_gets_a_context_of_its_own_and_errors_pass():
    seen = []

    async def handler(ctx):
        seen.append(ctx)
        raise ZeroDivisionError

    integration = PythonIntegration(handler)
    event = testing.context("x").req
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await integration.invoke(event)
    assert seen[0] is not seen[1]
    assert seen[0].req is seen[1].req is event
