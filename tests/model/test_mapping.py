"""What data mappings, template selection expressions and keys of integration responses mean."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import DeclarationError
from trunkline.model.events import CONNECT, DISCONNECT, MESSAGE, Event, Handshake, Identity
from trunkline.model.mapping import Inbound, compile_key, compile_parameters, compile_selection

HEADERS = (("X-Key", "first"), ("x-key", "last"), ("Host", "api.test"), ("Cookie", "a=1"))
QUERY = "room=blue&room=green&empty=&sp%20ace=1"


def identity(**more):
    known = {
        "connection_id": "gbgB6m7sSQAYKEiKEA==", "api_id": "a1b2c3d4e5", "stage": "test", "domain_name": "api.test",
        "source_ip": "192.0.2.7", "user_agent": None, "connected_at": 1_790_000_000_000,
        "authorizer": {"principalId": "user-1", "level": "7"}, "stage_variables": {"backend": "blue", "a.b": "dots"},
    }  # fmt: skip
    return Identity(**(known | more))


def message(data=""):
    return Inbound(Event(MESSAGE, identity(), "$default", data))


def connect(**more):
    return Inbound(Event(CONNECT, identity(**more), "$connect", handshake=Handshake(HEADERS, QUERY)))


def disconnect():
    return Inbound(Event(DISCONNECT, identity(), "$disconnect", close_code=1000, close_reason="bye"))


def values(expression, inbound):
    """What a source gives."""
    (parameter,) = compile_parameters({"integration.request.header.X": expression})
    return parameter.source(inbound)


# Data mappings.


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("route.request.header.X-Key", ["last"]),
        ("route.request.header.x-KEY", ["last"]),
        ("route.request.multivalueheader.X-Key", ["first", "last"]),
        ("route.request.header.X-Forwarded-For", ["192.0.2.7"]),
        ("route.request.header.X-Other", []),
        ("route.request.multivalueheader.X-Other", []),
        ("route.request.querystring.room", ["green"]),
        ("route.request.multivaluequerystring.room", ["blue", "green"]),
        ("route.request.querystring.empty", [""]),
        ("route.request.querystring.Room", []),
        ("route.request.querystring.other", []),
        ("route.request.body", []),
        ("route.request.body.a", []),
        ("stageVariables.backend", ["blue"]),
        ("stageVariables.a.b", ["dots"]),
        ("stageVariables.other", []),
        ("context.connectionId", ["gbgB6m7sSQAYKEiKEA=="]),
        ("context.connectedAt", ["1790000000000"]),
        ("context.identity.sourceIp", ["192.0.2.7"]),
        ("context.identity", ['{"sourceIp":"192.0.2.7"}']),
        ("context.identity.userAgent", []),
        ("context.authorizer.principalId", ["user-1"]),
        ("context.authorizer.principalId.x", []),
        ("context.eventType", ["CONNECT"]),
        ("context.other", []),
        ("'static'", ["static"]),
        ("''", [""]),
        ("'it's\ntwo lines'", ["it's\ntwo lines"]),
        ("'context.connectionId'", ["context.connectionId"]),
    ],
)  # fmt: skip
def test_what_a_source_finds_in_a_handshake(expression, found):
    assert values(expression, connect()) == found


@pytest.mark.parametrize("inbound", [message("{}"), disconnect()], ids=["message", "disconnect"])
@pytest.mark.parametrize(
    "expression",
    ["route.request.header.Host", "route.request.multivalueheader.Host", "route.request.querystring.room",
     "route.request.multivaluequerystring.room"],
)  # fmt: skip
def test_only_a_handshake_has_headers_and_a_query(inbound, expression):
    assert values(expression, inbound) == []


def test_a_handshake_without_a_query_has_no_parameters():
    inbound = Inbound(Event(CONNECT, identity(), "$connect"))
    assert values("route.request.querystring.room", inbound) == []


def test_a_stage_without_variables_has_none():
    assert values("stageVariables.backend", connect(stage_variables=None)) == []


def test_what_a_disconnect_says_can_be_mapped():
    assert values("context.disconnectStatusCode", disconnect()) == ["1000"]
    assert values("context.disconnectReason", disconnect()) == ["bye"]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", ['{"a": {"b": "x", "n": 1.5, "t": [true, null]}, "é": "ü", "a-b_C9$": 1, "empty": ""}']),
        (".a.b", ["x"]), (".a.n", ["1.5"]), (".a.t", ["[true,null]"]), (".a.t[0]", ["true"]), (".a.t[1]", ["null"]),
        (".a.t[2]", []), (".a.t.x", []), (".a[0]", []), (".a.b.c", []), (".A", []), (".é", ["ü"]), (".a-b_C9$", ["1"]),
        (".empty", [""]), (".a", ['{"b":"x","n":1.5,"t":[true,null]}']), (".t", []), ("[0]", []),
    ],
)  # fmt: skip
def test_what_a_path_finds_in_a_message(path, found):
    text = '{"a": {"b": "x", "n": 1.5, "t": [true, null]}, "é": "ü", "a-b_C9$": 1, "empty": ""}'
    assert values(f"route.request.body{path}", message(text)) == found


def test_a_message_may_be_an_array():
    assert values("route.request.body[1].a", message('[0, {"a": "x"}]')) == ["x"]


NO_JSON = ["", "hello", "{", '{"a": NaN}', '{"a": "\\ud800"}', "[" * 100_000, b'{"a": "\xff"}', '{"a": 1} x']


@pytest.mark.parametrize("data", NO_JSON, ids=lambda data: repr(data)[:20])
def test_a_path_finds_nothing_in_what_is_no_json(data):
    assert values("route.request.body.a", message(data)) == []


def test_a_message_that_is_no_json_is_still_mapped_whole():
    assert values("route.request.body", message("hello")) == ["hello"]


def test_bytes_are_mapped_as_base64_and_read_as_json():
    inbound = message(b'{"a": "x"}')
    assert values("route.request.body", inbound) == ["eyJhIjogIngifQ=="]
    assert values("route.request.body.a", inbound) == ["x"]


def test_a_message_is_read_once():
    inbound = message('{"a": []}')
    assert inbound.value is inbound.value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "é"]), inner, max_size=3),
    max_leaves=8,
)


def reached(value, names):
    for name in names:
        if not isinstance(value, dict) or name not in value:
            return []
        value = value[name]
    return [value]


@given(JSON, st.lists(st.sampled_from(["a", "b", "é"]), min_size=1, max_size=3))
def test_a_path_finds_what_python_finds(value, names):
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        found = values("route.request.body." + ".".join(names), message(text))
        expected = reached(value, names)
        if expected and isinstance(expected[0], str):
            assert found == expected
        else:
            assert [json.loads(one) for one in found] == expected


@given(st.text() | st.binary())
def test_any_message_gives_values_or_none(data):
    inbound = message(data)
    for expression in ("route.request.body", "route.request.body.a", "route.request.body[0].a"):
        assert all(isinstance(value, str) for value in values(expression, inbound))


def test_a_parameter_has_a_place_and_a_name():
    parameters = compile_parameters(
        {
            "integration.request.header.X-Id": "context.connectionId",
            "integration.request.querystring.a.b$": "'1'",
            "integration.request.path.id": "'2'",
        }
    )
    assert [(place, name) for place, name, _ in parameters] == [
        ("header", "X-Id"), ("querystring", "a.b$"), ("path", "id"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "expression",
    ["", "x", "route.request.header", "route.request.header.", "route.request.header.a b", "route.request.path.a",
     "route.request.bodya", "route.request.body.", "route.request.body..a", "route.request.body.a[", "route.request.body.a[-1]",
     "route.request.body.a[1234567890]", "route.request.body['a']", "route.request.multivaluebody.a", "stageVariables.", "context",
     "context.", "'open", "'", "$context.connectionId", " context.connectionId"],
)  # fmt: skip
def test_what_is_no_source_is_refused(expression):
    with pytest.raises(DeclarationError) as caught:
        values(expression, connect())
    assert str(caught.value).startswith(f"integration.request.header.X is {expression!r}; expected route.request.body")


@pytest.mark.parametrize(
    "target",
    ["", "integration.request.header", "integration.request.header.", "integration.request.header.a b",
     "integration.request.header.a\r\nb", "integration.request.body.a", "method.request.header.a", "integration.request.header.é"],
)  # fmt: skip
def test_what_is_nothing_of_a_request_is_refused(target):
    with pytest.raises(DeclarationError, match="is nothing of a request; expected integration.request.header.NAME"):
        compile_parameters({target: "'x'"})


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "CONNECTION", "Upgrade", "TE", "Expect"])
def test_how_a_request_is_cut_into_pieces_cannot_be_mapped(name):
    with pytest.raises(DeclarationError, match="this header is the gateway's own"):
        compile_parameters({f"integration.request.header.{name}": "route.request.body.x"})


# Template selection expressions.


def selected(expression, data="", status=200, headers=None):
    return compile_selection(expression, of_response=True)(message(data), status, headers or {})


@pytest.mark.parametrize(
    ("expression", "key"),
    [
        ("${request.body.kind}", "order"), ("$request.body.kind", "order"), ("${request.body.a.b}", "x"),
        ("${request.body.kind}/${request.body.a.b}-v1", "order/x-v1"), ("${request.body.other}", ""),
        ("${request.body.list}", "[1, two]"), ("200", "200"), (r"\$default", "$default"), ("$default", "$default"),
        (r"a\b", r"a\b"), ("two\nlines", "two\nlines"), ("${integration.response.statuscode}", "404"),
        ("$integration.response.statuscode", "404"), ("${integration.response.header.X-Kind}", "last"),
        ("${integration.response.multivalueheader.x-kind}", "[first, last]"), ("${integration.response.header.other}", ""),
        ("${integration.response.multivalueheader.other}", ""),
        ("${integration.response.statuscode}/${request.body.kind}", "404/order"),
    ],
)  # fmt: skip
def test_what_is_selected(expression, key):
    data = '{"kind": "order", "a": {"b": "x"}, "list": [1, "two"]}'
    assert selected(expression, data, 404, {"x-kind": ["first", "last"]}) == key


@pytest.mark.parametrize("data", [*NO_JSON, "[]", "1"], ids=lambda data: repr(data)[:20])
def test_in_what_is_no_json_object_everything_is_missing(data):
    assert selected("a/${request.body.kind}", data) == "a/"
    assert selected("static", data) == "static"


@pytest.mark.parametrize(
    ("expression", "position"),
    [
        ("$", 0), ("$context.stage", 0), ("x$", 1), ("${request.body}", 0), ("${request.body.a", 0), ("${}", 0),
        ("$request.body.", 0), ("$request.body..a", 0), ("${ request.body.a }", 0), ("a${request.header.x}", 1),
        ("$$default", 0), ("${integration.response.body}", 0), ("$integration.response.statuscodes", 0),
    ],
)  # fmt: skip
def test_a_dollar_that_starts_no_variable_is_refused(expression, position):
    with pytest.raises(DeclarationError) as caught:
        selected(expression)
    assert f"{expression!r} has a '$' at position {position} that starts no variable" in str(caught.value)


def test_a_request_is_not_selected_by_the_answer_to_it():
    with pytest.raises(DeclarationError) as caught:
        compile_selection("${integration.response.statuscode}")
    assert str(caught.value).endswith("expected ${request.body.NAME}, or '\\$' for the character itself")
    assert compile_selection("${request.body.a}")(message('{"a": "x"}'), 0, {}) == "x"


@given(st.text(min_size=1), st.text() | st.binary())
def test_any_expression_is_refused_or_gives_a_key(expression, data):
    try:
        select = compile_selection(expression)
    except DeclarationError:
        assert "$" in expression
    else:
        assert isinstance(select(message(data), 0, {}), str)


# Keys of integration responses.


@pytest.mark.parametrize(
    ("key", "text", "means_it"),
    [
        ("200", "200", True), ("200", "2000", False), (r"/4\d\d/", "404", True), (r"/4\d\d/", "4040", False),
        (r"/4\d\d/", "1404", False), ("/.*refused.*/", "it was refused here", True), ("/a|b/", "b", True), ("//", "", True),
        ("//", "x", False), ("/", "/", True), ("/", "", False), ("/x", "/x", True), ("/x", "x", False), ("", "", True),
    ],
)  # fmt: skip
def test_what_a_key_means(key, text, means_it):
    assert compile_key(key)(text) is means_it


def test_a_key_that_is_no_regular_expression_is_refused():
    with pytest.raises(DeclarationError, match=r"the integration response key /\(/ is no regular expression"):
        compile_key("/(/")
