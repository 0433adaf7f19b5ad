"""The way of an event through data mappings and templates to a backend, and of its answer back."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import DeclarationError, testing
from trunkline.integrations.base import (
    Answered,
    IntegrationError,
    IntegrationTimeout,
    MessageRefused,
    ReplyTooLarge,
)
from trunkline.integrations.function import FunctionBackend
from trunkline.integrations.mapped import MappedIntegration
from trunkline.integrations.mock import MockBackend
from trunkline.integrations.vtl import TemplateWorker
from trunkline.model.deployment import IntegrationDefinition, ResponseDefinition

HEADER = "integration.request.header."
QUERY = "integration.request.querystring."
PATH = "integration.request.path."


class Backend:
    """Keeps what it is asked, and answers the same each time."""

    def __init__(self, status=200, body="", headers=None, error=None, seconds=0.0, failure=None):
        self.asked = []
        self.answer = Answered(status, body, headers or {}, error)
        self.seconds = seconds
        self.failure = failure

    async def call(self, asked):
        self.asked.append(asked)
        await asyncio.sleep(self.seconds)
        if self.failure is not None:
            raise self.failure
        return self.answer


class Renderer:
    """Templates are Python's: `{body}`, `{context[stage]}`; BROKEN does not render."""

    def __init__(self):
        self.values = []

    async def render(self, template, values):
        self.values.append(values)
        if template == "BROKEN":
            raise IntegrationError("the template is broken")
        return template.format(
            body=values.body, context=values.context, stage=values.stage_variables, headers=values.headers,
            query=values.query,
        )  # fmt: skip


def event(data="", kind="message", variables=None, **more):
    made = testing.context(data, event=kind, **more).req
    made.identity.stage_variables = variables
    return made


def connect(**more):
    return event(kind="connect", headers={"X-Key": "k"}, query="room=blue&room=green", **more)


def definition(kind="HTTP", *, responses=(), **more):
    if kind.startswith("HTTP"):
        more = {"uri": "https://api.test/"} | more
    return IntegrationDefinition(kind, responses=tuple(responses), **more)


def integration(backend, kind="HTTP", *, message_bytes=1000, **more):
    return MappedIntegration(definition(kind, **more), backend, Renderer(), message_bytes=message_bytes)


async def asked(event, kind="HTTP", **more):
    """What a backend is asked."""
    backend = Backend()
    await integration(backend, kind, **more).invoke(event)
    return backend.asked[0]


async def replied(backend, event, kind="HTTP", **more):
    """What the client is answered: its body."""
    response = await integration(backend, kind, **more).invoke(event)
    assert response.status == 200
    return response.body


# Data mappings.


async def test_mappings_fill_headers_query_and_path():
    got = await asked(
        event('{"id": "7", "n": 1}', variables={"key": "k1"}),
        parameters={
            HEADER + "X-Id": "route.request.body.id", HEADER + "X-Key": "stageVariables.key", QUERY + "n": "route.request.body.n",
            QUERY + "who": "context.identity.sourceIp", PATH + "id": "route.request.body.id", HEADER + "X-Static": "'s'",
        },
    )  # fmt: skip
    headers = {name: values for name, values in got.headers.items() if name.startswith("X-")}
    assert headers == {"X-Id": ["7"], "X-Key": ["k1"], "X-Static": ["s"]}
    assert got.query == {"n": ["1"], "who": ["127.0.0.1"]}
    assert got.path == {"id": "7"}


async def test_what_is_missing_is_left_out():
    got = await asked(
        event("{}"),
        parameters={
            HEADER + "X-A": "route.request.body.a", QUERY + "b": "stageVariables.b", PATH + "c": "route.request.header.c"
        },
    )  # fmt: skip
    assert "X-A" not in got.headers
    assert (got.query, got.path) == ({}, {})


async def test_of_a_handshake_every_value_can_be_mapped():
    got = await asked(
        connect(),
        parameters={QUERY + "all": "route.request.multivaluequerystring.room", QUERY + "last": "route.request.querystring.room"},
    )  # fmt: skip
    assert got.query == {"all": ["blue", "green"], "last": ["green"]}


async def test_servers_are_told_that_it_is_api_gateway_and_which_api():
    got = await asked(event("{}"))
    assert got.headers == {"User-Agent": ["AmazonAPIGateway_0000000000"], "x-amzn-apigateway-api-id": ["0000000000"]}
    mapped = await asked(event("{}"), parameters={HEADER + "user-agent": "'mine'"})
    assert mapped.headers == {"user-agent": ["mine"], "x-amzn-apigateway-api-id": ["0000000000"]}
    assert (await asked(event("{}"), "MOCK")).headers == {}


@pytest.mark.parametrize("value", ["a\r\nX-Admin: 1", "a\nb", "\r", "a\0", "a\x1b[31m", "\x7f", "\x0b"])
async def test_a_header_with_a_control_character_refuses_the_message_and_reaches_nothing(value):
    backend = Backend()
    made = integration(backend, parameters={HEADER + "X-Id": "route.request.body.id"})
    with pytest.raises(MessageRefused) as refused:
        await made.invoke(event(json.dumps({"id": value})))
    assert str(refused.value) == "what is mapped to the header X-Id has a control character"
    assert refused.value.status == 400
    assert backend.asked == []


async def test_blanks_around_a_headers_value_are_no_part_of_it():
    got = await asked(event('{"id": " \\t7 8\\t9 "}'), parameters={HEADER + "X-Id": "route.request.body.id"})
    assert got.headers["X-Id"] == ["7 8\t9"]


@given(st.text())
def test_no_value_makes_a_header_more_than_one_line(value):
    backend = Backend()
    made = integration(backend, parameters={HEADER + "X-Id": "route.request.body.id"})
    is_refused = any((character < " " and character != "\t") or character == "\x7f" for character in value)
    try:
        asyncio.run(made.invoke(event(json.dumps({"id": value}))))
    except MessageRefused:
        assert is_refused
    else:
        assert not is_refused
        assert backend.asked[0].headers["X-Id"] == [value.strip(" \t")]


# The request's body.


@pytest.mark.parametrize("passthrough", ["WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"])
async def test_a_proxy_takes_the_message_as_it_is(passthrough):
    got = await asked(event(' {"a": 1}\n'), "HTTP_PROXY", templates={"$default": "x"}, passthrough=passthrough)
    assert got.body == ' {"a": 1}\n'


@pytest.mark.parametrize("kind", ["connect", "disconnect"])
@pytest.mark.parametrize("of", ["HTTP", "HTTP_PROXY"])
async def test_on_connect_and_disconnect_there_is_no_body(of, kind):
    assert (await asked(event(kind=kind), of)).body == ""


async def test_on_connect_a_template_makes_one():
    got = await asked(connect(), templates={"$default": "{headers[X-Key]} {query[room]} {context[eventType]}"})
    assert got.body == "k green CONNECT"


TEMPLATES = {"order": "o {body}", "$default": "d {body}", "application/json": "j {body}"}


@pytest.mark.parametrize(
    ("select", "keys", "body"),
    [
        ("${request.body.kind}", "order", "o "), ("${request.body.kind}", "order $default", "o "),
        ("${request.body.other}", "order $default", "d "), ("order", "order $default", "o "), (r"\$default", "order $default", "d "),
        ("$default", "order $default", "d "), ("", "order $default application/json", "d "), ("", "order application/json", "j "),
        ("", "order", ""), ("${request.body.other}", "order application/json", "j "),
    ],
)  # fmt: skip
async def test_which_template_makes_the_body(select, keys, body):
    text = '{"kind": "order"}'
    templates = {key: TEMPLATES[key] for key in keys.split()}
    assert (await asked(event(text), select=select, templates=templates)).body == body + text


@pytest.mark.parametrize(
    ("passthrough", "templates", "passes"),
    [
        ("WHEN_NO_MATCH", {}, True), ("WHEN_NO_MATCH", {"other": "x"}, True), ("WHEN_NO_TEMPLATES", {}, True),
        ("WHEN_NO_TEMPLATES", {"other": "x"}, False), ("NEVER", {}, False), ("NEVER", {"other": "x"}, False),
    ],
)  # fmt: skip
async def test_whether_a_message_without_a_template_passes_as_it_is(passthrough, templates, passes):
    backend = Backend()
    made = integration(backend, passthrough=passthrough, templates=templates, select="${request.body.kind}")
    if passes:
        await made.invoke(event("hello"))
        assert backend.asked[0].body == "hello"
    else:
        with pytest.raises(IntegrationError, match=f"has no template for this, and .* is {passthrough}$") as error:
            await made.invoke(event("hello"))
        assert (error.value.status, backend.asked) == (415, [])


async def test_a_template_sees_the_event():
    renderer = Renderer()
    made = MappedIntegration(definition("MOCK", templates={"$default": "x"}), Backend(), renderer)
    sent = event('{"a": 1}', variables={"key": "k1"})
    await made.invoke(sent)
    (values,) = renderer.values
    assert (values.body, values.stage_variables, values.headers, values.query) == ('{"a": 1}', {"key": "k1"}, {}, {})
    assert values.context == sent.event["requestContext"]
    await made.invoke(connect())
    assert (renderer.values[1].headers["X-Key"], renderer.values[1].query) == ("k", {"room": "green"})


@pytest.mark.parametrize("kind", ["connect", "message", "disconnect"])
async def test_a_template_that_does_not_render_fails_and_reaches_nothing(kind):
    backend = Backend()
    with pytest.raises(IntegrationError, match="the template is broken"):
        await integration(backend, templates={"$default": "BROKEN"}).invoke(event(kind=kind))
    assert backend.asked == []


# Time, and what is behind it.


@pytest.mark.parametrize(
    ("kind", "more", "who"),
    [
        ("HTTP", {}, "POST https://api.test/"), ("HTTP_PROXY", {"method": "GET", "uri": "https://api.test/?key=secret"}, "GET https://api.test/"), ("MOCK", {}, "the mock"),
        ("AWS", {"function": "chat"}, "the function chat"), ("AWS", {"action": "dynamodb:PutItem"}, "dynamodb:PutItem"),
    ],
)  # fmt: skip
async def test_a_backend_that_is_too_slow_is_given_up(kind, more, who):
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(IntegrationTimeout) as error:
        await integration(Backend(seconds=100), kind, seconds=2.5, **more).invoke(event())
    assert (str(error.value), error.value.status) == (f"{who} did not answer within 2.5 s", 504)
    assert loop.time() - began == pytest.approx(2.5)


@pytest.mark.parametrize("kind", ["connect", "message", "disconnect"])
@pytest.mark.parametrize("of", ["HTTP", "HTTP_PROXY", "MOCK"])
async def test_a_backend_that_is_not_reached_is_an_error(of, kind):
    backend = Backend(failure=IntegrationError("nobody is there"))
    with pytest.raises(IntegrationError, match="nobody is there"):
        await integration(backend, of).invoke(event(kind=kind))


# The reply.


@pytest.mark.parametrize("status", [200, 301, 404, 500])
async def test_what_a_proxy_answers_is_sent_as_it_is(status):
    response = await integration(Backend(status, ' {"a": 1}\n'), "HTTP_PROXY").invoke(event())
    assert (response.status, response.body) == (status, ' {"a": 1}\n')


async def test_without_an_integration_response_nothing_is_sent():
    assert await replied(Backend(200, "secret"), event()) is None
    assert await replied(Backend(200, "secret"), event(), responses=[ResponseDefinition("404")]) is None


ALL = ("/2.*/", "200", "/4\\d\\d/", "$default")


@pytest.mark.parametrize(
    ("status", "keys", "key"),
    [
        (200, ALL, "200"), (201, ALL, "/2.*/"), (404, ALL, "/4\\d\\d/"), (500, ALL, "$default"), (200, ("$default", "200"), "200"),
        (404, ("$default",), "$default"), (404, ("/40/",), None), (404, ("40",), None),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("kind", "more"), [("HTTP", {}), ("MOCK", {}), ("AWS", {"action": "dynamodb:GetItem"})])
async def test_an_integration_response_is_chosen_by_the_status(kind, more, status, keys, key):
    responses = [ResponseDefinition(each, templates={"$default": each.replace("{", "{{")}) for each in keys]
    assert await replied(Backend(status), event(), kind, responses=responses, **more) == key


@pytest.mark.parametrize(
    ("error", "key"),
    [
        (None, "$default"), ("refused", "refused"), ("was refused twice", "/.*refused.*/"), ("other", "$default"), ("200", "$default"),
    ],
)  # fmt: skip
async def test_of_a_function_it_is_chosen_by_the_error_message(error, key):
    keys = ("/.*refused.*/", "refused", "$default")
    responses = [ResponseDefinition(each, templates={"$default": each}) for each in keys]
    backend = Backend(200, "{}", error=error)
    assert await replied(backend, event(), "AWS", function="chat", responses=responses) == key


async def test_a_function_that_did_not_fail_is_of_no_key_but_the_default():
    for key in ("200", "/.*/", "None"):
        backend = Backend(200, "secret")
        assert await replied(backend, event(), "AWS", function="chat", responses=[ResponseDefinition(key)]) is None


async def test_without_a_template_the_answer_is_sent_as_it_is():
    assert await replied(Backend(200, " x\n"), event(), responses=[ResponseDefinition("$default")]) == " x\n"
    other = ResponseDefinition("$default", "other", {"key": "x"})
    assert await replied(Backend(200, " x\n"), event(), responses=[other]) == " x\n"


@pytest.mark.parametrize(
    ("select", "body"),
    [
        ("${request.body.kind}", "by message"), ("${integration.response.statuscode}", "by status"),
        ("${integration.response.header.X-Kind}", "by header"), ("${integration.response.multivalueheader.X-Kind}", "by headers"),
        ("200", "by status"), ("other", "default"), ("", "default"),
    ],
)  # fmt: skip
async def test_which_template_makes_the_reply(select, body):
    templates = {
        "order": "by message", "200": "by status", "blue": "by header", "[green, blue]": "by headers", "$default": "default"
    }  # fmt: skip
    backend = Backend(200, "x", {"x-kind": ["green", "blue"]})
    response = ResponseDefinition("$default", select, templates)
    assert await replied(backend, event('{"kind": "order"}'), responses=[response]) == body


async def test_a_template_of_a_reply_sees_the_answer_and_the_context():
    response = ResponseDefinition(
        "$default", templates={"application/json": "{body} {context[connectionId]} {stage[a]}"}
    )
    sent = event("a message", variables={"a": "b"})
    assert await replied(Backend(200, "an answer"), sent, responses=[response]) == f"an answer {sent.connection_id} b"


async def test_a_template_of_a_reply_that_does_not_render_fails():
    responses = [ResponseDefinition("$default", templates={"$default": "BROKEN"})]
    for sent in (event(), connect()):
        with pytest.raises(IntegrationError, match="the template is broken"):
            await integration(Backend(), responses=responses).invoke(sent)


@pytest.mark.parametrize("kind", ["HTTP", "HTTP_PROXY"])
async def test_an_empty_body_sends_nothing(kind):
    backend = Backend(200, "")
    assert await replied(backend, event(), kind, responses=[ResponseDefinition("$default")]) is None


@pytest.mark.parametrize("kind", ["HTTP", "HTTP_PROXY"])
async def test_a_reply_over_the_limit_is_too_large(kind):
    responses = [ResponseDefinition("$default")]
    assert await replied(Backend(body="é" * 500), event(), kind, responses=responses) == "é" * 500
    with pytest.raises(ReplyTooLarge) as error:
        await integration(Backend(body="é" * 501), kind, responses=responses).invoke(event())
    assert str(error.value) == "POST https://api.test/ answered 1,002 bytes; the limit message_bytes is 1,000"


# Handshakes and ends.


@pytest.mark.parametrize("status", [200, 301, 403, 500])
async def test_a_handshake_is_accepted_when_its_backend_was_reached_whatever_its_status(status):
    for responses in ([], [ResponseDefinition("$default")]):
        response = await integration(Backend(status, "no"), responses=responses).invoke(connect())
        assert response.status == 200


@pytest.mark.parametrize("status", [200, 204, 403, 500])
async def test_through_a_proxy_the_status_decides_about_a_handshake(status):
    headers = {
        "content-type": ["text/plain"],
        "sec-websocket-protocol": ["a", "b"],
        "set-cookie": ["c"],
        "content-length": [],
    }
    response = await integration(Backend(status, "no", headers), "HTTP_PROXY").invoke(connect())
    assert (response.status, response.body) == (status, "no")
    assert response.headers == {"content-type": "text/plain", "sec-websocket-protocol": "b"}


@pytest.mark.parametrize("kind", ["HTTP", "HTTP_PROXY"])
async def test_what_answers_a_disconnect_is_ignored(kind):
    responses = [ResponseDefinition("$default", templates={"$default": "BROKEN"})]
    backend = Backend(500, "x" * 2000)
    assert await integration(backend, kind, responses=responses).invoke(event(kind="disconnect")) is None
    assert len(backend.asked) == 1


# What cannot be is said when it is declared.


@pytest.mark.parametrize(
    "more",
    [
        {"parameters": {"integration.request.header.X": "nothing"}}, {"parameters": {"header.X": "'x'"}},
        {"select": "$context.stage"}, {"select": "${integration.response.statuscode}"},
        {"responses": [ResponseDefinition("/(/")]}, {"responses": [ResponseDefinition("200", "$x")]},
    ],
)  # fmt: skip
def test_what_is_no_expression_is_a_declaration_error(more):
    with pytest.raises(DeclarationError):
        integration(Backend(), **more)


# With the real templates.


async def test_a_mock_answers_by_its_templates():
    worker = TemplateWorker()
    declared = definition(
        "MOCK",
        select="${request.body.action}",
        templates={"order": '{"statusCode": #if($input.path("$.n") > 9)400#{else}200#end}'},
        responses=[
            ResponseDefinition(
                "200", templates={"$default": '{"for": "$context.connectionId", "n": $input.json("$.statusCode")}'}
            ),
            ResponseDefinition(
                "/4../", "${integration.response.statuscode}", {"400": "too many on $stageVariables.shop"}
            ),
        ],
    )
    try:
        made = MappedIntegration(declared, MockBackend(), worker)
        few, many = (event(f'{{"action": "order", "n": {n}}}', variables={"shop": "s1"}) for n in (9, 10))
        assert json.loads((await made.invoke(few)).body) == {"for": few.connection_id, "n": 200}
        assert (await made.invoke(many)).body == "too many on s1"
    finally:
        await worker.close()


async def test_a_function_is_given_what_a_template_makes_and_its_answer_becomes_another():
    def double(event, context):
        if event["n"] < 0:
            raise ValueError("it is below 0")
        return {"n": event["n"] * 2}

    worker = TemplateWorker()
    function = testing.Function(double)
    declared = definition(
        "AWS",
        function="double",
        templates={"application/json": '{"n": $input.path("$.number"), "who": "$context.connectionId"}'},
        responses=[
            ResponseDefinition("$default", templates={"application/json": 'twice: $input.path("$.n")'}),
            ResponseDefinition("/.*below.*/", templates={"application/json": 'no: $input.path("$.errorMessage")'}),
        ],
    )
    try:
        made = MappedIntegration(declared, FunctionBackend(function), worker)
        sent = event('{"number": 21}')
        assert (await made.invoke(sent)).body == "twice: 42"
        assert function.events == [{"n": 21, "who": sent.connection_id}]
        assert (await made.invoke(event('{"number": -1}'))).body == "no: it is below 0"
    finally:
        await worker.close()
