"""Proxy events, read: those that API Gateway really sent, and every event of ours back from what we write for it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import clock
from trunkline.model.events import AuthorizerEvent, Event, Handshake, Identity
from trunkline.model.proxy_events import NotAnEvent, read_proxy_event

HOST = "06dsnuqv44.execute-api.us-east-1.amazonaws.com"
ID = "gbgBLm-0jQAYKEhMmA=="
CONNECTED_AT = 1790294513979


def context(kind, **more):
    """A request context as API Gateway sent it in 2026."""
    return {
        "routeKey": {"CONNECT": "$connect", "MESSAGE": "echo", "DISCONNECT": "$disconnect"}[kind],
        "eventType": kind,
        "extendedRequestId": "EOn94FuooAMEdJg=",
        "requestTime": "25/Sep/2026:00:01:53 +0000",
        "messageDirection": "IN",
        "stage": "probe",
        "connectedAt": CONNECTED_AT,
        "requestTimeEpoch": CONNECTED_AT,
        "identity": {"userAgent": "a probe", "sourceIp": "92.234.107.50"},
        "requestId": "EOn94FuooAMEdJg=",
        "domainName": HOST,
        "connectionId": ID,
        "apiId": "06dsnuqv44",
    } | more


CONNECT = {
    "headers": {
        "Host": HOST, "User-Agent": "a probe", "X-Amzn-Trace-Id": "Root=1-6ab5b9f1-4edd49232d0e010d248fb04b",
        "X-Forwarded-For": "92.234.107.50", "X-Forwarded-Port": "443", "X-Forwarded-Proto": "https", "X-Probe": "b",
    },
    "multiValueHeaders": {
        "Host": [HOST], "User-Agent": ["a probe"], "X-Amzn-Trace-Id": ["Root=1-6ab5b9f1-4edd49232d0e010d248fb04b"],
        "X-Forwarded-For": ["92.234.107.50"], "X-Forwarded-Port": ["443"], "X-Forwarded-Proto": ["https"],
        "X-Probe": ["a", "b"],
    },
    "queryStringParameters": {"context": "query value", "repeat": "second"},
    "multiValueQueryStringParameters": {"context": ["query value"], "repeat": ["first", "second"]},
    "requestContext": context("CONNECT"),
    "isBase64Encoded": False,
}  # fmt: skip
MESSAGE = {
    "requestContext": context("MESSAGE", messageId="gbgBLq-08QAYKEhMmA=="),
    "body": '{"action":"echo"}',
    "isBase64Encoded": False,
}
DISCONNECT = {
    "headers": {"Host": HOST, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""},
    "multiValueHeaders": {"Host": [HOST], "x-api-key": [""], "X-Forwarded-For": [""], "x-restapi": [""]},
    "requestContext": context("DISCONNECT", disconnectStatusCode=1000, disconnectReason="probe-complete"),
    "isBase64Encoded": False,
}


# What API Gateway sends.


@pytest.mark.parametrize("raw", [CONNECT, MESSAGE, DISCONNECT], ids=["connect", "message", "disconnect"])
def test_who_it_is_about_stands_in_every_event(raw):
    event = read_proxy_event(raw)
    assert event.event is raw
    assert (event.kind, event.route) == (raw["requestContext"]["eventType"], raw["requestContext"]["routeKey"])
    assert (event.connection_id, event.request_id, event.source_ip) == (ID, "EOn94FuooAMEdJg=", "92.234.107.50")
    who = event.identity
    assert (who.api_id, who.stage, who.domain_name) == ("06dsnuqv44", "probe", HOST)
    assert (who.user_agent, who.connected_at, who.stage_variables) == ("a probe", CONNECTED_AT, None)
    assert event.authorizer == {}


def test_a_handshake_has_its_headers_and_its_query():
    event = read_proxy_event(CONNECT)
    assert event.headers.getlist("x-probe") == ["a", "b"]
    assert event.headers["HOST"] == HOST
    assert event.headers["x-forwarded-for"] == "92.234.107.50"
    assert event.query.getlist("repeat") == ["first", "second"]
    assert event.query["context"] == "query value"
    assert (event.handshake.port, event.handshake.scheme) == (443, "https")


def test_a_header_that_stands_among_the_single_ones_alone_is_there_too():
    raw = CONNECT | {"headers": CONNECT["headers"] | {"x-added-on-the-way": "1"}}
    assert read_proxy_event(raw).headers["x-added-on-the-way"] == "1"


def test_a_header_that_stands_among_the_repeated_ones_alone_is_there_too():
    raw = CONNECT | {"headers": {}}
    assert read_proxy_event(raw).headers.getlist("X-Probe") == ["a", "b"]


def test_a_handshake_without_headers_and_query_has_none():
    event = read_proxy_event({"requestContext": context("CONNECT"), "isBase64Encoded": False})
    assert (len(event.headers), len(event.query)) == (0, 0)
    assert (event.handshake.port, event.handshake.scheme) == (443, "https")


def test_a_message_is_its_body():
    event = read_proxy_event(MESSAGE)
    assert (event.data, event.json()) == ('{"action":"echo"}', {"action": "echo"})
    assert (len(event.headers), len(event.query)) == (0, 0)


def test_a_message_in_base64_is_bytes():
    assert read_proxy_event(MESSAGE | {"body": "AP8=", "isBase64Encoded": True}).data == b"\0\xff"


def test_a_message_without_a_body_is_an_empty_text():
    assert read_proxy_event({"requestContext": context("MESSAGE")}).data == ""


def test_a_disconnect_has_its_code_and_reason_and_no_headers():
    event = read_proxy_event(DISCONNECT)
    assert (event.close_code, event.close_reason, event.data) == (1000, "probe-complete", "")
    assert len(event.headers) == 0


def test_what_an_authorizer_said_is_texts_and_its_time_apart():
    said = {"scope": "a text", "principalId": "foo", "integrationLatency": 1440}
    event = read_proxy_event(CONNECT | {"requestContext": context("CONNECT", authorizer=said)})
    assert (event.authorizer, event.authorizer_ms) == ({"scope": "a text", "principalId": "foo"}, 1440)
    said = {"level": 7, "admin": True, "gone": None}
    event = read_proxy_event(MESSAGE | {"requestContext": context("MESSAGE", authorizer=said)})
    assert event.authorizer == {"level": "7", "admin": "true"}


def test_nulls_of_former_years_are_not_there():
    about = context("DISCONNECT", disconnectStatusCode=None, disconnectReason=None, authorizer=None, domainName=None)
    about["identity"] = {"userAgent": None, "sourceIp": None, "accountId": None}
    raw = {"requestContext": about, "headers": None, "stageVariables": None, "body": None}
    event = read_proxy_event(raw)
    assert (event.close_code, event.close_reason, event.authorizer) == (0, "", {})
    assert (event.source_ip, event.identity.user_agent, event.identity.domain_name) == ("", None, "")
    about = context("MESSAGE", identity=None)
    assert read_proxy_event({"requestContext": about}).source_ip == ""


def test_what_an_authorizer_is_asked_is_an_event_of_its_own():
    arn = "arn:aws:execute-api:us-east-1:123456789012:06dsnuqv44/probe/$connect"
    raw = CONNECT | {"type": "REQUEST", "methodArn": arn, "stageVariables": {}}
    event = read_proxy_event(raw)
    assert isinstance(event, AuthorizerEvent)
    assert (event.method_arn, event.event) == (arn, raw)
    assert (event.query["context"], event.request_id) == ("query value", "EOn94FuooAMEdJg=")


def test_stage_variables_stay():
    event = read_proxy_event(MESSAGE | {"stageVariables": {"colour": "red"}})
    assert event.identity.stage_variables == {"colour": "red"}


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (None, "it has no requestContext"),
        ([], "it has no requestContext"),
        ({"Records": []}, "it has no requestContext"),
        ({"requestContext": "text"}, "it has no requestContext"),
        ({"requestContext": {"http": {"method": "GET"}}}, "its requestContext has no 'eventType'"),
        ({"requestContext": {"eventType": "CONNECT"}}, "its requestContext has no '"),
        ({"requestContext": context("CONNECT", eventType="REPLY")}, "its eventType is 'REPLY'; expected CONNECT, MESS"),
    ],
)
def test_what_is_no_event_of_a_websocket_is_said_to_be_none(raw, why):
    with pytest.raises(NotAnEvent, match=why):
        read_proxy_event(raw)


# The way there and back.

words = st.text(st.characters(codec="utf-8"), max_size=8)
tables = st.dictionaries(words, words, max_size=3)
names = st.sampled_from(
    ["host", "X-Probe", "x-probe", "cookie", "Connection", "X-Forwarded-For", "content-length", "é"]
)
identities = st.builds(
    Identity,
    connection_id=st.just(ID),
    api_id=words,
    stage=words,
    domain_name=words,
    source_ip=words,
    user_agent=st.none() | words,
    connected_at=st.integers(0, 4_000_000_000_000),
    authorizer=st.none() | tables,
    stage_variables=st.none() | tables,
)
handshakes = st.builds(
    Handshake,
    st.lists(st.tuples(names, words), max_size=5),
    st.sampled_from(["", "a=1", "b=2&a=1&b=%C3%A9&c="]),
    port=st.integers(1, 65535),
    scheme=st.sampled_from(["http", "https"]),
)
milliseconds = st.none() | st.integers(0, 29_000)
connects = st.builds(
    Event, st.just("CONNECT"), identities, st.just("$connect"), handshake=handshakes, authorizer_ms=milliseconds
)
events = st.one_of(
    connects,
    st.builds(AuthorizerEvent.of, connects, st.just("arn:aws:execute-api:us-east-1:123456789012")),
    st.builds(Event, st.just("MESSAGE"), identities, words, words | st.binary(max_size=8)),
    st.builds(
        Event, st.just("DISCONNECT"), identities, st.just("$disconnect"), close_code=st.integers(0, 4999),
        close_reason=words,
    ),
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def wall():
    previous = clock.set_source(lambda: CONNECTED_AT / 1000)
    yield
    clock.set_source(previous)


@given(events)
def test_every_event_of_ours_comes_back_from_its_proxy_event(event):
    raw = json.loads(json.dumps(event.event))
    found = read_proxy_event(raw)
    assert type(found) is type(event)
    for name in ("kind", "route", "data", "close_code", "close_reason", "authorizer", "request_id", "authorizer_ms"):
        if not (isinstance(event, AuthorizerEvent) and name in {"authorizer", "authorizer_ms"}):
            assert getattr(found, name) == getattr(event, name), name
    for name in ("connection_id", "api_id", "stage", "domain_name", "source_ip", "user_agent", "connected_at"):
        assert getattr(found.identity, name) == getattr(event.identity, name), name
    assert (found.identity.stage_variables or {}) == (event.identity.stage_variables or {})
    assert {name: found.query.getlist(name) for name in found.query} == {n: event.query.getlist(n) for n in event.query}


@given(events)
def test_and_what_comes_back_would_be_written_the_same_again(event):
    raw = json.loads(json.dumps(event.event))
    found = read_proxy_event(raw)
    found._lambda = None
    again = json.loads(json.dumps(found.event))
    for written in (raw, again):
        written["requestContext"].pop("messageId", None)  # new each time
    assert json.dumps(again, indent=1) == json.dumps(raw, indent=1)
