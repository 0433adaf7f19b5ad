"""What a handshake must carry before its authorizer is asked."""

import pytest

from trunkline import DeclarationError
from trunkline.model.events import Event, Handshake, Identity
from trunkline.model.identity_sources import IdentitySource, are_present, parse_identity_sources

REFUSED = (
    "Invalid request identity source expression: {}. The sources must be separated by comma, and each source must be "
    "either a request parameter, matching 'route.request.querystring|header.[a-zA-Z0-9._-]+', or a stage variable, "
    "matching 'stageVariables.[a-zA-Z0-9._-]+', or a context parameter, matching 'context.[a-zA-Z0-9._-]+'"
)


def handshake(headers=(), query="", *, variables=None, user_agent="demo/1"):
    identity = Identity(
        connection_id="gbgBLm-0jQAYKEhMmA==",
        api_id="06dsnuqv44",
        stage="probe",
        domain_name="06dsnuqv44.execute-api.us-east-1.amazonaws.com",
        source_ip="203.0.113.50",
        user_agent=user_agent,
        connected_at=1790294513979,
        stage_variables=variables,
    )
    return Event("CONNECT", identity, "$connect", handshake=Handshake(headers, query))


def present(expression, event):
    return are_present(parse_identity_sources([expression]), event)


# Expressions.


@pytest.mark.parametrize(
    ("expression", "place", "name"),
    [
        ("route.request.header.Authorization", "route.request.header", "Authorization"),
        ("route.request.header.x-api.key_1", "route.request.header", "x-api.key_1"),
        ("route.request.querystring.token", "route.request.querystring", "token"),
        ("stageVariables.phase", "stageVariables", "phase"),
        ("context.identity.sourceIp", "context", "identity.sourceIp"),
        ("context.nothing", "context", "nothing"),
    ],
)
def test_a_source_is_a_place_and_a_name(expression, place, name):
    assert parse_identity_sources([expression]) == (IdentitySource(place, name),)


@pytest.mark.parametrize("none", [[], [""], ["", ""], ()])
def test_no_expressions_and_empty_ones_are_no_sources(none):
    assert parse_identity_sources(none) == ()
    assert are_present(parse_identity_sources(none), handshake())


@pytest.mark.parametrize(
    "expression",
    [
        "$request.header.Authorization", "method.request.header.Authorization", "route.request.header.", "invalid",
        "route.request.body.a", "route.request.header.a b", "route.request.header.a,route.request.header.b", "context.",
        "stageVariables", "Context.stage", "route.request.querystring.é", " context.stage", "context.stage\n", " ", None, 7,
    ],
)  # fmt: skip
def test_what_is_no_source_is_refused_in_the_words_of_api_gateway(expression):
    with pytest.raises(DeclarationError) as refused:
        parse_identity_sources(["context.stage", expression])
    assert str(refused.value) == REFUSED.format(expression)


# Headers and the query string.


def test_a_header_is_there_in_any_case_and_a_parameter_in_its_own():
    event = handshake([("aUtHoRiZaTiOn", "x")], "token=x")
    assert present("route.request.header.Authorization", event)
    assert present("route.request.header.AUTHORIZATION", event)
    assert present("route.request.querystring.token", event)
    assert not present("route.request.querystring.Token", event)
    assert not present("route.request.header.token", event)
    assert not present("route.request.querystring.authorization", event)


@pytest.mark.parametrize(
    ("values", "there"), [([], False), ([""], False), (["x"], True), (["", "x"], True), (["x", ""], False)]
)
def test_of_a_repeated_one_the_last_value_counts_and_an_empty_one_is_none(values, there):
    event = handshake([("X-Token", value) for value in values], "&".join(f"token={value}" for value in values))
    assert present("route.request.header.x-token", event) is there
    assert present("route.request.querystring.token", event) is there


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-Forwarded-Proto", "https"), ("x-forwarded-port", "443"), ("X-Forwarded-For", "203.0.113.50")],
)
def test_a_header_that_the_gateway_adds_is_there_as_the_event_shows_it(name, value):
    for event in (handshake(), handshake([(name, "")]), handshake([(name, "of the client")])):
        assert IdentitySource("route.request.header", name).value(event) == value
        assert present(f"route.request.header.{name}", event)


def test_a_handshake_always_has_a_trace_id_and_it_is_that_of_the_event():
    event = handshake()
    given = IdentitySource("route.request.header", "X-Amzn-Trace-Id").value(event)
    assert given == event.event["headers"]["X-Amzn-Trace-Id"]
    assert present("route.request.header.x-amzn-trace-id", event)


def test_a_parameter_is_decoded():
    assert present("route.request.querystring.a.b", handshake(query="a%2Eb=+"))


def test_every_source_must_be_there():
    sources = parse_identity_sources(["route.request.header.a", "route.request.querystring.b"])
    assert are_present(sources, handshake([("a", "1")], "b=2"))
    assert not are_present(sources, handshake([("a", "1")], "c=2"))
    assert not are_present(sources, handshake([("b", "1")], "b=2"))


# Stage variables and the context.


@pytest.mark.parametrize(
    ("variables", "there"), [(None, False), ({}, False), ({"phase": ""}, False), ({"other": "x"}, False), ({"phase": "x"}, True)]
)  # fmt: skip
def test_a_stage_variable_is_there_if_the_stage_has_it(variables, there):
    assert present("stageVariables.phase", handshake(variables=variables)) is there


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connectionId", "gbgBLm-0jQAYKEhMmA=="), ("connectedAt", "1790294513979"), ("apiId", "06dsnuqv44"), ("stage", "probe"),
        ("routeKey", "$connect"), ("domainName", "06dsnuqv44.execute-api.us-east-1.amazonaws.com"),
        ("domainPrefix", "06dsnuqv44"), ("identity.sourceIp", "203.0.113.50"), ("identity.userAgent", "demo/1"),
    ],
)  # fmt: skip
def test_these_names_of_the_context_resolve(name, value):
    event = handshake()
    assert IdentitySource("context", name).value(event) == value
    assert present(f"context.{name}", event)


def test_ids_and_times_of_the_context_resolve():
    event = handshake()
    for name in ("requestId", "extendedRequestId"):
        assert IdentitySource("context", name).value(event) == event.request_id
    assert IdentitySource("context", "requestTimeEpoch").value(event).isdigit()


@pytest.mark.parametrize(
    "name", ["eventType", "messageDirection", "messageId", "requestTime", "authorizer.principalId", "ConnectionId", "other"]
)  # fmt: skip
def test_other_names_of_the_context_are_taken_and_never_resolve(name):
    assert not present(f"context.{name}", handshake())


def test_a_client_that_says_no_user_agent_has_none():
    assert not present("context.identity.userAgent", handshake(user_agent=None))
