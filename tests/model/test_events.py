"""Events, against those that API Gateway really sent in 2026."""

import base64
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import clock
from trunkline.model.events import AuthorizerEvent, Event, Handshake, Identity, MultiDict

HOST = "06dsnuqv44.execute-api.us-east-1.amazonaws.com"
CONNECTED_AT = 1790294513979
CONNECTION_ID = "gbgBLm-0jQAYKEhMmA=="


def identity(**changes):
    return Identity(
        **{
            "connection_id": CONNECTION_ID,
            "api_id": "06dsnuqv44",
            "stage": "probe",
            "domain_name": HOST,
            "source_ip": "92.234.107.50",
            "user_agent": "stackd-native-websocket-lifecycle",
            "connected_at": CONNECTED_AT,
        }
        | changes
    )


@pytest.fixture(autouse=True)
def wall():
    """Sets the wall clock, in milliseconds."""
    previous = clock.set_source(lambda: CONNECTED_AT / 1000)
    yield lambda ms: clock.set_source(lambda: (ms + 0.5) / 1000)
    clock.set_source(previous)


def check(event, expected):
    """Equal, and in the same order at every depth."""
    assert json.dumps(event.event, indent=1) == json.dumps(expected, indent=1)


CLIENT_HEADERS = [
    ("host", HOST),
    ("x-forwarded-for", "10.0.0.1"),
    ("X-Forwarded-Port", "1"),
    ("x-forwarded-proto", "gopher"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("X-Probe", "first"),
    ("sec-websocket-version", "13"),
    ("SEC-WEBSOCKET-KEY", "r//ACwr8d0EKWdSqRqBTiw=="),
    ("sec-websocket-protocol", "a, b"),
    ("sec-websocket-extensions", "permessage-deflate"),
    ("origin", "https://probe.invalid"),
    ("X-Amzn-Trace-Id", "Root=1-6ab5b9f1-4edd49232d0e010d248fb04b"),
    ("user-agent", "stackd-native-websocket-lifecycle"),
    ("authorization", "Bearer x"),
    ("cookie", "a=b"),
    ("x-context", "header value"),
    ("X-Probe", "second"),
]


def context(event, *start, **after_direction):
    """The request context: what differs comes first, and once after the direction."""
    return {
        **dict(start),
        "eventType": event.kind,
        "extendedRequestId": event.request_id,
        "requestTime": "25/Sep/2026:00:01:53 +0000",
        "messageDirection": "IN",
        **after_direction,
        "stage": "probe",
        "connectedAt": CONNECTED_AT,
        "requestTimeEpoch": CONNECTED_AT,
        "identity": {"userAgent": "stackd-native-websocket-lifecycle", "sourceIp": "92.234.107.50"},
        "requestId": event.request_id,
        "domainName": HOST,
        "connectionId": CONNECTION_ID,
        "apiId": "06dsnuqv44",
    }


def test_connect():
    query = "repeat=first&marker=d2%2Fconnect&context=query+value&repeat=second&blank="
    event = Event("CONNECT", identity(), "$connect", handshake=Handshake(CLIENT_HEADERS, query))
    check(
        event,
        {
            "headers": {
                "Authorization": "Bearer x",
                "Cookie": "a=b",
                "Host": HOST,
                "Origin": "https://probe.invalid",
                "Sec-WebSocket-Extensions": "permessage-deflate",
                "Sec-WebSocket-Key": "r//ACwr8d0EKWdSqRqBTiw==",
                "Sec-WebSocket-Protocol": "a, b",
                "Sec-WebSocket-Version": "13",
                "User-Agent": "stackd-native-websocket-lifecycle",
                "X-Amzn-Trace-Id": "Root=1-6ab5b9f1-4edd49232d0e010d248fb04b",
                "x-context": "header value",
                "X-Forwarded-For": "92.234.107.50",
                "X-Forwarded-Port": "443",
                "X-Forwarded-Proto": "https",
                "X-Probe": "second",
            },
            "multiValueHeaders": {
                "Authorization": ["Bearer x"],
                "Cookie": ["a=b"],
                "Host": [HOST],
                "Origin": ["https://probe.invalid"],
                "Sec-WebSocket-Extensions": ["permessage-deflate"],
                "Sec-WebSocket-Key": ["r//ACwr8d0EKWdSqRqBTiw=="],
                "Sec-WebSocket-Protocol": ["a, b"],
                "Sec-WebSocket-Version": ["13"],
                "User-Agent": ["stackd-native-websocket-lifecycle"],
                "X-Amzn-Trace-Id": ["Root=1-6ab5b9f1-4edd49232d0e010d248fb04b"],
                "x-context": ["header value"],
                "X-Forwarded-For": ["92.234.107.50"],
                "X-Forwarded-Port": ["443"],
                "X-Forwarded-Proto": ["https"],
                "X-Probe": ["first", "second"],
            },
            "queryStringParameters": {
                "blank": "",
                "context": "query value",
                "marker": "d2/connect",
                "repeat": "second",
            },
            "multiValueQueryStringParameters": {
                "blank": [""],
                "context": ["query value"],
                "marker": ["d2/connect"],
                "repeat": ["first", "second"],
            },
            "requestContext": context(event, ("routeKey", "$connect")),
            "isBase64Encoded": False,
        },
    )


@pytest.mark.parametrize("query", ["", "&"])
def test_connect_without_a_query_has_no_member_for_it(query):
    event = Event("CONNECT", identity(), "$connect", handshake=Handshake([("Host", HOST)], query))
    assert list(event.event) == ["headers", "multiValueHeaders", "requestContext", "isBase64Encoded"]


def test_connect_without_a_handshake_has_the_gateways_headers():
    built = Event("CONNECT", identity(), "$connect").event
    assert list(built["headers"]) == ["X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"]


def test_connect_names_the_port_and_scheme_of_the_handshake():
    handshake = Handshake([], "", port=8000, scheme="http")
    headers = Event("CONNECT", identity(), "$connect", handshake=handshake).event["headers"]
    assert (headers["X-Forwarded-Port"], headers["X-Forwarded-Proto"]) == ("8000", "http")


def test_connect_gets_a_trace_id_of_its_second():
    made = {Event("CONNECT", identity(), "$connect").event["headers"]["X-Amzn-Trace-Id"] for _ in range(5)}
    assert len(made) == 5
    assert all(re.fullmatch("Root=1-6ab5b9f1-[0-9a-f]{24}", text) for text in made)


@pytest.mark.parametrize("name", ["X-Amzn-Trace-Id", "x-amzn-trace-id"])
def test_a_clients_trace_id_is_the_only_one(name):
    headers = Event("CONNECT", identity(), "$connect", handshake=Handshake([(name, "Root=1-0-0")], "")).event["headers"]
    assert [value for key, value in headers.items() if key.lower() == "x-amzn-trace-id"] == ["Root=1-0-0"]


BODY = '{"marker":"stackd-apigw-590351df5f:d2-route-ready-3","action":"echo"}'


def test_message_of_text():
    event = Event("MESSAGE", identity(), "echo", BODY)
    message_id = event.event["requestContext"]["messageId"]
    check(
        event,
        {
            "requestContext": context(event, ("routeKey", "echo"), ("messageId", message_id)),
            "body": BODY,
            "isBase64Encoded": False,
        },
    )
    assert len(message_id) == 20
    assert base64.urlsafe_b64decode(message_id)[-5:] == base64.urlsafe_b64decode(CONNECTION_ID)[-5:]


@given(st.binary(max_size=50))
def test_message_of_bytes(data):
    event = Event("MESSAGE", identity(), "$default", data)
    message_id = event.event["requestContext"]["messageId"]
    check(
        event,
        {
            "requestContext": context(event, ("routeKey", "$default"), ("messageId", message_id)),
            "body": base64.b64encode(data).decode(),
            "isBase64Encoded": True,
        },
    )


def test_disconnect():
    event = Event("DISCONNECT", identity(), "$disconnect", close_code=1000, close_reason="probe-complete")
    start = ("routeKey", "$disconnect"), ("disconnectStatusCode", 1000)
    check(
        event,
        {
            "headers": {"Host": HOST, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""},
            "multiValueHeaders": {"Host": [HOST], "x-api-key": [""], "X-Forwarded-For": [""], "x-restapi": [""]},
            "requestContext": context(event, *start, disconnectReason="probe-complete"),
            "isBase64Encoded": False,
        },
    )


MESSAGE_KEYS = ["requestContext", "body", "isBase64Encoded"]
DISCONNECT_KEYS = ["headers", "multiValueHeaders", "requestContext", "isBase64Encoded"]


@pytest.mark.parametrize(
    ("kind", "keys", "first"),
    [
        ("CONNECT", DISCONNECT_KEYS, ["routeKey", "authorizer", "eventType"]),
        ("MESSAGE", MESSAGE_KEYS, ["routeKey", "authorizer", "messageId", "eventType"]),
        ("DISCONNECT", DISCONNECT_KEYS, ["routeKey", "disconnectStatusCode", "authorizer", "eventType"]),
    ],
)
def test_the_authorizer_and_the_stage_variables_have_their_places(kind, keys, first):
    who = identity(authorizer={"principalId": "user-1", "level": "7"}, stage_variables={"backend": "blue"})
    event = Event(kind, who, "$connect")
    assert event.authorizer == event.event["requestContext"]["authorizer"] == {"principalId": "user-1", "level": "7"}
    assert event.event["stageVariables"] == {"backend": "blue"}
    at = keys.index("requestContext")
    assert list(event.event) == [*keys[:at], "stageVariables", *keys[at:]]
    assert list(event.event["requestContext"])[: len(first)] == first


# What API Gateway sent with a Lambda authorizer in front of `$connect`: the keys, in their order.

RECORDED_CONTEXT = [
    "eventType", "extendedRequestId", "requestTime", "messageDirection", "stage", "connectedAt", "requestTimeEpoch",
    "identity", "requestId", "domainName", "connectionId", "apiId",
]  # fmt: skip
RECORDED_CONNECT = ["routeKey", "authorizer", *RECORDED_CONTEXT]
RECORDED_MESSAGE = ["routeKey", "authorizer", "messageId", *RECORDED_CONTEXT]
RECORDED_AUTHORIZER = ["_datadog", "scope", "principalId"]
RECORDED_REQUEST = [
    "type", "methodArn", "headers", "multiValueHeaders", "queryStringParameters", "multiValueQueryStringParameters",
    "stageVariables", "requestContext",
]  # fmt: skip
RECORDED_HEADERS = [
    "Authorization", "Connection", "content-length", "Host", "Origin", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
    "Upgrade", "User-Agent", "X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto",
    "X-Mixed-Header", "X-Mode", "X-Probe",
]  # fmt: skip
RECORDED_CLIENT = [
    ("Upgrade", "websocket"), ("Host", HOST), ("Origin", "https://probe.invalid"),
    ("Sec-WebSocket-Key", "kjWxS8V9gMNkwfgeXCwcrA=="), ("Sec-WebSocket-Version", "13"), ("Connection", "Upgrade"),
    ("Authorization", "token-1"), ("X-Probe", "marker"), ("X-Mode", "allow"), ("X-Mixed-Header", "ProbeValue"),
    ("User-Agent", "stackd-native-websocket-lifecycle"),
]  # fmt: skip
ARN = "arn:aws:execute-api:us-east-1:123456789012"


def authorizer_event(headers=RECORDED_CLIENT, query="", **changes):
    connect = Event("CONNECT", identity(**changes), "$connect", handshake=Handshake(headers, query))
    return connect, AuthorizerEvent.of(connect, ARN)


def test_an_authorizers_event_has_the_recorded_keys_in_their_order():
    _, event = authorizer_event(query="marker=x&encoded=a%2Bb+space&repeat=one&repeat=two&tenant=t")
    built = event.event
    assert list(built) == RECORDED_REQUEST
    assert list(built["headers"]) == list(built["multiValueHeaders"]) == RECORDED_HEADERS
    assert list(built["requestContext"]) == ["routeKey", *RECORDED_CONTEXT]
    assert list(built["requestContext"]["identity"]) == ["userAgent", "sourceIp"]


def test_an_authorizers_event():
    connect, event = authorizer_event(query="tenant=acme&repeat=one&repeat=two", stage_variables={"phase": "blue"})
    trace = event.event["headers"]["X-Amzn-Trace-Id"]
    headers = {
        "Authorization": "token-1",
        "Connection": "upgrade",
        "content-length": "0",
        "Host": HOST,
        "Origin": "https://probe.invalid",
        "Sec-WebSocket-Key": "kjWxS8V9gMNkwfgeXCwcrA==",
        "Sec-WebSocket-Version": "13",
        "Upgrade": "websocket",
        "User-Agent": "stackd-native-websocket-lifecycle",
        "X-Amzn-Trace-Id": trace,
        "X-Forwarded-For": "92.234.107.50",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
        "X-Mixed-Header": "ProbeValue",
        "X-Mode": "allow",
        "X-Probe": "marker",
    }
    check(
        event,
        {
            "type": "REQUEST",
            "methodArn": "arn:aws:execute-api:us-east-1:123456789012:06dsnuqv44/probe/$connect",
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": {"tenant": "acme", "repeat": "two"},
            "multiValueQueryStringParameters": {"tenant": ["acme"], "repeat": ["one", "two"]},
            "stageVariables": {"phase": "blue"},
            "requestContext": context(connect, ("routeKey", "$connect")),
        },
    )


def test_what_an_authorizer_is_not_sent_is_an_empty_object():
    _, event = authorizer_event([("Host", HOST)])
    empty = ("queryStringParameters", "multiValueQueryStringParameters", "stageVariables")
    assert [event.event[name] for name in empty] == [{}, {}, {}]
    assert AuthorizerEvent("CONNECT", identity(), "$connect").event["queryStringParameters"] == {}


def test_an_authorizer_is_told_one_content_length_and_one_connection():
    sent = [("Content-Length", "0"), ("Connection", "keep-alive, Upgrade"), ("UPGRADE", "WebSocket"), ("Host", HOST)]
    _, event = authorizer_event(sent)
    named = {name: values for name, values in event.event["multiValueHeaders"].items() if name[0] in "cCuU"}
    assert named == {"Connection": ["upgrade"], "content-length": ["0"], "Upgrade": ["websocket"]}


def test_an_authorizers_event_and_connect_are_of_one_request():
    connect, event = authorizer_event()
    asked, connected = event.event, connect.event
    assert asked["requestContext"]["requestId"] == connected["requestContext"]["requestId"] == event.request_id
    assert asked["requestContext"]["extendedRequestId"] == event.request_id
    assert asked["requestContext"]["connectionId"] == connected["requestContext"]["connectionId"] == CONNECTION_ID
    assert asked["headers"]["X-Amzn-Trace-Id"] == connected["headers"]["X-Amzn-Trace-Id"]
    assert (event.kind, event.route, event.headers["x-mode"]) == ("CONNECT", "$connect", "allow")


@pytest.mark.parametrize(
    ("kind", "latency", "keys", "members"),
    [
        ("CONNECT", 1440, RECORDED_CONNECT, [*RECORDED_AUTHORIZER, "integrationLatency"]),
        ("MESSAGE", None, RECORDED_MESSAGE, RECORDED_AUTHORIZER),
    ],
)
def test_what_an_authorizer_said_stands_where_it_was_recorded(kind, latency, keys, members):
    said = {"_datadog": "eyJ4", "scope": "this is just a string", "principalId": "foo"}
    event = Event(kind, identity(authorizer=said), "$connect", authorizer_ms=latency)
    built = event.event["requestContext"]
    assert list(built) == keys
    assert list(built["authorizer"]) == members
    assert built["authorizer"].get("integrationLatency") == latency
    assert event.authorizer == said


@pytest.mark.parametrize("nothing", [None, {}])
def test_an_authorizer_that_said_nothing_has_its_latency(nothing):
    event = Event("CONNECT", identity(authorizer=nothing), "$connect", authorizer_ms=0)
    assert event.event["requestContext"]["authorizer"] == {"integrationLatency": 0}


@pytest.mark.parametrize("kind", ["CONNECT", "MESSAGE", "DISCONNECT"])
@pytest.mark.parametrize("nothing", [None, {}])
def test_what_is_not_there_is_left_out(kind, nothing):
    event = Event(kind, identity(user_agent=None, authorizer=nothing, stage_variables=nothing), "$connect")
    assert event.authorizer == {}
    assert "stageVariables" not in event.event
    assert "authorizer" not in event.event["requestContext"]
    assert event.event["requestContext"]["identity"] == {"sourceIp": "92.234.107.50"}
    assert "null" not in json.dumps(event.event)


def test_an_empty_user_agent_is_not_left_out():
    event = Event("MESSAGE", identity(user_agent=""), "$default")
    assert event.event["requestContext"]["identity"] == {"userAgent": "", "sourceIp": "92.234.107.50"}


def test_the_request_time_is_that_of_the_event(wall):
    wall(1790294516307)
    about = Event("DISCONNECT", identity(), "$disconnect").event["requestContext"]
    assert (about["requestTimeEpoch"], about["requestTime"]) == (1790294516307, "25/Sep/2026:00:01:56 +0000")
    assert about["connectedAt"] == CONNECTED_AT


def test_the_request_time_is_never_before_the_connection(wall):
    wall(CONNECTED_AT - 60_000)
    assert Event("MESSAGE", identity(), "$default").event["requestContext"]["requestTimeEpoch"] == CONNECTED_AT


def test_an_event_is_built_once_and_only_when_asked_for():
    event = Event("MESSAGE", identity(), "$default", "x")
    assert event._lambda is event._request_id is None
    assert event.event is event.event
    assert event.request_id == event.request_id == event.event["requestContext"]["requestId"]
    assert len(event.request_id) == 16
    assert event.request_id != Event("MESSAGE", identity(), "$default", "x").request_id


def test_what_a_handler_reads():
    handshake = Handshake([("X-A", "1"), ("x-a", "2"), ("Host", HOST)], "q=1&q=2&é=%C3%A9+x&Q=3")
    event = Event("CONNECT", identity(), "$connect", handshake=handshake)
    assert (event.kind, event.route, event.data, event.close_code, event.close_reason) == (
        "CONNECT",
        "$connect",
        "",
        0,
        "",
    )
    assert (event.connection_id, event.source_ip) == (CONNECTION_ID, "92.234.107.50")
    assert (event.headers["x-A"], event.headers.getlist("X-a"), event.headers["HOST"]) == ("2", ["1", "2"], HOST)
    assert (event.query["q"], event.query.getlist("q"), event.query["Q"], event.query["é"]) == (
        "2",
        ["1", "2"],
        "3",
        "é x",
    )


@pytest.mark.parametrize("kind", ["MESSAGE", "DISCONNECT"])
def test_after_connect_there_are_no_headers_and_no_query(kind):
    event = Event(kind, identity(), "$default")
    assert (dict(event.headers), dict(event.query)) == ({}, {})
    assert event.headers.getlist("host") == event.query.getlist("q") == []


@pytest.mark.parametrize(
    ("data", "text", "raw"),
    [("é", "é", b"\xc3\xa9"), (b"\xc3\xa9", "é", b"\xc3\xa9"), ("", "", b""), (b"", "", b"")],
)
def test_a_message_as_text_and_as_bytes(data, text, raw):
    event = Event("MESSAGE", identity(), "$default", data)
    assert event.text() == text
    assert event.bytes() == raw


def test_bytes_that_are_no_text():
    event = Event("MESSAGE", identity(), "$default", b"\xff")
    assert event.bytes() == b"\xff"
    with pytest.raises(UnicodeDecodeError):
        event.text()


@pytest.mark.parametrize("wrap", [str, str.encode])
def test_a_message_as_json(wrap):
    text = '{"a": [1, 2.5, "é", null, true], "n": 123456789012345678901234567890}'
    assert Event("MESSAGE", identity(), "$default", wrap(text)).json() == json.loads(text)


@pytest.mark.parametrize("data", ["", "x", "{", "NaN", b"", b"\xff", b'"\xff"', '{"a": 1} x'])
def test_what_is_no_json_is_a_value_error(data):
    with pytest.raises(ValueError):
        Event("MESSAGE", identity(), "$default", data).json()


def test_a_multi_dict_gives_the_last_value_and_all_of_them():
    pairs = [("a", "1"), ("b", "2"), ("a", "3"), ("A", "4")]
    many = MultiDict(pairs)
    assert (many["a"], many.getlist("a"), many["A"]) == ("3", ["1", "3"], "4")
    assert (list(many), len(many), dict(many)) == (["a", "b", "A"], 3, {"a": "3", "b": "2", "A": "4"})
    assert many.items_in_order() == tuple(pairs)
    assert repr(many) == "MultiDict([('a', '1'), ('b', '2'), ('a', '3'), ('A', '4')])"


def test_a_multi_dict_that_ignores_case():
    many = MultiDict([("Host", "1"), ("HOST", "2")], ignore_case=True)
    assert (many["hOsT"], many.getlist("host"), list(many), len(many)) == ("2", ["1", "2"], ["host"], 1)
    assert many.items_in_order() == (("Host", "1"), ("HOST", "2"))
    assert "hosT" in many
    assert many.get("x") is None


def test_a_multi_dict_without_a_name():
    many = MultiDict()
    assert (len(many), many.getlist("a"), many.get("a", "none"), "a" in many) == (0, [], "none", False)
    with pytest.raises(KeyError):
        many["a"]


def test_a_multi_dict_is_not_changed_by_its_lists():
    many = MultiDict([("a", "1")])
    many.getlist("a").append("2")
    assert many.getlist("a") == ["1"]
    with pytest.raises(TypeError):
        many["a"] = "2"


@pytest.mark.parametrize("kind", ["CONNECT", "MESSAGE", "DISCONNECT"])
def test_an_event_shows_whose_it_is_and_nothing_that_a_client_wrote(kind):
    event = Event(kind, identity(), "$default", "secret", handshake=Handshake([("cookie", "secret")], "token=secret"))
    assert repr(event) == f"<{kind} on '$default' of connection {CONNECTION_ID}>"
