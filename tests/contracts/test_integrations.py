"""The contract of seam 1: what `invoke` means, whatever an event goes to."""

import asyncio
import base64
from dataclasses import replace

import pytest

from trunkline import testing, websocket
from trunkline.integrations.base import Answered, IntegrationError, MessageRefused
from trunkline.integrations.lambda_function import LambdaIntegration
from trunkline.integrations.mapped import MappedIntegration
from trunkline.integrations.python import PythonIntegration
from trunkline.integrations.validated import ValidatedIntegration
from trunkline.model.api import CompiledRoute
from trunkline.model.deployment import IntegrationDefinition
from trunkline.testing import Function

SLOW_SECONDS = 2.0


# What is at the other end, for each implementation: the same behaviours, by name.


def python(behaviour):
    """A handler in this process."""

    async def echo(ctx):
        return ctx.req.data

    async def silent(ctx):
        return None

    async def refuse(ctx):
        ctx.res.reject(403, "no")

    async def choose(ctx):
        ctx.res.subprotocol = "v1"

    async def fail(ctx):
        raise ZeroDivisionError("a secret of the server")

    async def slow(ctx):
        await asyncio.sleep(SLOW_SECONDS)
        return ctx.req.data

    return PythonIntegration(locals()[behaviour], binary=True)


def function(behaviour):
    """A Lambda function, by its proxy events."""

    def echo(event, context):
        return {"statusCode": 200, "body": event.get("body")}

    def silent(event, context):
        return {"statusCode": 200}

    def refuse(event, context):
        return {"statusCode": 403, "body": "no"}

    def choose(event, context):
        return {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "v1"}}

    def fail(event, context):
        raise ZeroDivisionError("a secret of the server")

    async def slow(event, context):
        await asyncio.sleep(SLOW_SECONDS)
        return {"statusCode": 200, "body": event["body"]}

    return LambdaIntegration(Function(locals()[behaviour]))


class Server:
    """A backend that behaves so."""

    def __init__(self, behaviour):
        self.behaviour = behaviour

    async def call(self, asked):
        if self.behaviour == "fail":
            raise IntegrationError("it hung up")
        if self.behaviour == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        if self.behaviour == "refuse":
            return Answered(403, "no")
        headers = {"sec-websocket-protocol": ["v1"]} if self.behaviour == "choose" else {}
        return Answered(200, "" if self.behaviour == "silent" else asked.body, headers)


class NoRenderer:
    """For what has no templates."""


def server(behaviour):
    """A server behind HTTP_PROXY."""
    definition = IntegrationDefinition("HTTP_PROXY", uri="http://server.test/")
    return MappedIntegration(definition, Server(behaviour), NoRenderer())


def validated(behaviour):
    """A handler behind a model that takes what is JSON; connects and disconnects have nothing to be judged."""
    return ValidatedIntegration(python(behaviour), "\\$default", {"$default": "{}"})


IMPLEMENTATIONS = {"python": python, "function": function, "server": server, "validated": validated}


@pytest.fixture(params=IMPLEMENTATIONS)
def integration(request):
    """Make an integration that behaves so."""
    return IMPLEMENTATIONS[request.param]


@pytest.fixture
def is_text(request):
    """Whether messages are text alone, as in AWS, and an empty one is none."""
    return request.node.callspec.params["integration"] in {"function", "server"}


@pytest.fixture
def raw(request):
    """Bytes, where an integration gives them back as they are."""
    return {"python": b"\0\xff", "validated": b'"more"'}.get(request.node.callspec.params["integration"], "more")


@pytest.fixture
def said(request):
    """A message that the integration takes."""
    return (lambda text: f'"{text}"') if request.node.callspec.params["integration"] == "validated" else str


def event(kind="message", data="hello"):
    return testing.context(data, event=kind).req


# Messages.


@pytest.mark.parametrize("data", ['"hello"', '"é𝄞"', f'"{"x" * 131_070}"', '{"statusCode":403}', "7", "null"])
async def test_a_reply_is_the_body(integration, data):
    response = await integration("echo").invoke(event(data=data))
    assert (response.status, response.body, type(response.body)) == (200, data, str)


@pytest.mark.parametrize("data", ["", "hello", "é𝄞\0", b"", b"\0\xff" * 100])
async def test_only_a_handler_here_answers_with_nothing_and_with_bytes(integration, data, is_text, request):
    if request.node.callspec.params["integration"] == "validated":
        with pytest.raises(MessageRefused):
            await integration("echo").invoke(event(data=data))
        return
    response = await integration("echo").invoke(event(data=data))
    expected = (base64.b64encode(data).decode() if isinstance(data, bytes) else data) or None if is_text else data
    assert (response.status, response.body, type(response.body)) == (200, expected, type(expected))


async def test_no_reply_is_no_body(integration):
    response = await integration("silent").invoke(event(data="{}"))
    assert response is None or response.body is None


# Connecting.


async def test_saying_nothing_to_a_handshake_accepts_it(integration):
    response = await integration("silent").invoke(event("connect"))
    assert response is None or 200 <= response.status < 300


async def test_a_refusal_is_its_status_and_body(integration):
    response = await integration("refuse").invoke(event("connect"))
    assert (response.status, response.body) == (403, "no")


async def test_a_choice_of_a_subprotocol_is_a_header(integration):
    response = await integration("choose").invoke(event("connect"))
    assert 200 <= response.status < 300
    assert response.headers["sec-websocket-protocol"] == "v1"


# Disconnecting.


@pytest.mark.parametrize("behaviour", ["silent", "echo"])
async def test_what_is_said_to_a_disconnect_is_nothing(integration, behaviour):
    response = await integration(behaviour).invoke(event("disconnect"))
    assert response is None or response.body is None


# Errors, time and order.


@pytest.mark.parametrize("kind", ["connect", "message", "disconnect"])
async def test_a_failure_is_raised_and_the_next_event_is_taken(integration, kind):
    failing = integration("fail")
    for _ in range(2):
        with pytest.raises(Exception) as failed:
            await failing.invoke(event(kind, "{}"))
        assert not isinstance(failed.value, asyncio.CancelledError)


async def test_events_do_not_wait_for_each_other(integration):
    slow = integration("slow")
    began = asyncio.get_running_loop().time()
    responses = await asyncio.gather(*(slow.invoke(event(data=str(n))) for n in range(50)))
    assert [response.body for response in responses] == [str(n) for n in range(50)]
    assert asyncio.get_running_loop().time() - began < 2 * SLOW_SECONDS


async def test_a_call_that_is_cancelled_ends_at_once_and_the_others_go_on(integration, said):
    slow = integration("slow")
    given_up, kept = (asyncio.create_task(slow.invoke(event(data=said(text)))) for text in ("given up", "kept"))
    await asyncio.sleep(SLOW_SECONDS / 2)
    given_up.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert given_up.cancelled()
    assert (await kept).body == said("kept")


async def test_an_event_may_go_to_several_integrations_one_after_another(integration, said):
    about = event(data=said("hello"))
    before = about.event
    for behaviour in ("echo", "silent", "echo"):
        await integration(behaviour).invoke(about)
    assert about.data == said("hello")
    assert about.event == before


# Behind the gateway.


async def test_it_serves_a_connection(integration, said, raw, caplog):
    async with testing.node([websocket("socket", binary=True)]) as node:
        stage = node.running.gateway.stages["socket"]

        def serve(**behaviours):
            routes = {
                kind: CompiledRoute(f"${kind}", integration(name).invoke, "here:1") for kind, name in behaviours.items()
            }
            stage.api = replace(
                stage.api,
                connect=routes.get("connect"),
                disconnect=routes.get("disconnect"),
                routes={"$default": routes["default"]},
            )

        serve(connect="refuse", default="echo")
        with pytest.raises(testing.Refused) as refused:
            await node.connect("socket")
        assert (refused.value.status, refused.value.body) == (403, b"no")

        serve(connect="choose", default="echo", disconnect="silent")
        client = await node.connect("socket", subprotocols=["v0", "v1"])
        assert client.subprotocol == "v1"
        for data in (said("hello"), raw):
            await client.send(data)
            assert await client.receive() == data

        serve(default="silent")
        await client.send(said("no answer"))
        await client.nothing()
        assert caplog.records == []

        serve(default="fail", disconnect="fail")
        await client.send(said("x"))
        assert (await client.receive_json())["message"] == "Internal server error"
        await client.close()
        await asyncio.sleep(0.1)
        assert [record.name for record in caplog.records] == ["trunkline.handlers"] * 2
