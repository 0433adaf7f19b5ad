"""What a Lambda authorizer answers, and what follows from it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import clock, limits
from trunkline.model.authorization import Refused, read_authorizer_output
from trunkline.model.events import AuthorizerEvent, Event, Handshake, Identity

PREFIX = "arn:aws:execute-api:us-east-1:123456789012"
ARN = f"{PREFIX}:06dsnuqv44/probe/$connect"
DENIED = "User is not authorized to access this resource with an explicit deny in an identity-based policy"
NOT_ALLOWED = "User is not authorized to access this resource because no identity-based policy allows the execute-api:Invoke action"


def asked(scheme="https", user_agent="demo/1"):
    identity = Identity(
        connection_id="gbgBLm-0jQAYKEhMmA==",
        api_id="06dsnuqv44",
        stage="probe",
        domain_name="localhost",
        source_ip="203.0.113.50",
        user_agent=user_agent,
        connected_at=1790294513979,
    )
    connect = Event("CONNECT", identity, "$connect", handshake=Handshake([], "", scheme=scheme))
    return AuthorizerEvent.of(connect, PREFIX)


def statement(resource=ARN, effect="Allow", action="execute-api:Invoke", **more):
    return {"Effect": effect, "Action": action, "Resource": resource} | more


def policy(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def answer(**more):
    return {"principalId": "user-1", "policyDocument": policy(statement())} | more


def read(output, event=None):
    payload = output if isinstance(output, bytes) else json.dumps(output).encode()
    return read_authorizer_output(payload, event or asked())


def refused(output, event=None):
    with pytest.raises(Refused) as caught:
        read(output, event)
    return caught.value


# The policy.


@pytest.mark.parametrize(
    "resource",
    [ARN, "*", f"{PREFIX}:*", f"{PREFIX}:06dsnuqv44/*", f"{PREFIX}:06dsnuqv44/probe/*", f"{PREFIX}:06dsnuqv44/*/$connect",
     "arn:aws:execute-api:*:*:06dsnuqv44/pr?be/$connect", [f"{PREFIX}:other/*", ARN]],
)  # fmt: skip
def test_a_policy_that_allows_the_handshake_lets_it_in(resource):
    decision = read(answer(policyDocument=policy(statement(resource))))
    assert (decision.status, decision.context, decision.expires_at) == (200, {"principalId": "user-1"}, None)


@pytest.mark.parametrize(
    "resource",
    [f"{PREFIX}:06dsnuqv44/probe/*/*", f"{PREFIX}:06dsnuqv44/probe/$default", f"{PREFIX}:06dsnuqv44/probe", f"{PREFIX}:other/*",
     "arn:aws:execute-api:eu-west-1:123456789012:06dsnuqv44/*"],
)  # fmt: skip
def test_a_policy_that_does_not_name_the_handshake_refuses_it(resource):
    no = refused(answer(policyDocument=policy(statement(resource))))
    assert (no.status, no.message, no.reason) == (403, NOT_ALLOWED, "")


@pytest.mark.parametrize(
    "document", [policy(), policy(statement(action="execute-api:ManageConnections")), policy(statement(action="s3:*"))]
)
def test_a_policy_that_allows_nothing_of_it_refuses_it(document):
    assert refused(answer(policyDocument=document)).message == NOT_ALLOWED


@pytest.mark.parametrize("order", [1, -1])
def test_an_explicit_deny_wins(order):
    document = policy(*[statement(), statement("*", "Deny")][::order])
    no = refused(answer(policyDocument=document))
    assert (no.status, no.message, no.reason) == (403, DENIED, "")


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, True),
        ({"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
        ({"StringLike": {"aws:UserAgent": "demo/*"}}, True),
        ({"StringLike": {"aws:UserAgent": "other"}}, False),
        ({"DateLessThan": {"aws:CurrentTime": "2026-09-25T00:01:54Z"}}, True),
        ({"DateLessThan": {"aws:CurrentTime": "2026-09-25T00:01:53Z"}}, False),
        ({"NumericEquals": {"aws:EpochTime": "1790294513"}}, True),
    ],
)
def test_conditions_may_ask_for_the_address_the_agent_the_transport_and_the_time(condition, holds):
    output = answer(policyDocument=policy(statement(Condition=condition)))
    previous = clock.set_source(lambda: 1790294513.9)
    try:
        assert read(output).status == 200 if holds else refused(output).message == NOT_ALLOWED
    finally:
        clock.set_source(previous)


def test_what_is_not_known_of_a_handshake_is_asked_in_vain():
    agent = answer(policyDocument=policy(statement(Condition={"StringLike": {"aws:UserAgent": "*"}})))
    assert refused(agent, asked(user_agent=None)).message == NOT_ALLOWED
    secure = answer(policyDocument=policy(statement(Condition={"Bool": {"aws:SecureTransport": "true"}})))
    assert refused(secure, asked(scheme="http")).message == NOT_ALLOWED


# The principal.


@pytest.mark.parametrize(
    ("principal", "text"), [("user-1", "user-1"), ("", ""), ("é𝄞", "é𝄞"), (7, "7"), (7.5, "7.5"), (-1, "-1")]
)
def test_a_principal_is_a_text_or_a_number(principal, text):
    assert read(answer(principalId=principal)).context == {"principalId": text}


def test_a_principal_may_be_null_or_left_out():
    assert read(answer(principalId=None)).context == {}
    assert read({"policyDocument": policy(statement())}).context == {}


@pytest.mark.parametrize("principal", [{"id": "x"}, ["x"], True, False])
def test_any_other_principal_is_malformed(principal):
    assert "principalId" in malformed(answer(principalId=principal))


# The context.


def test_every_value_of_the_context_is_a_text_in_its_order_and_the_principal_behind():
    context = {"tenant": "acme", "level": 7, "admin": True, "banned": False, "rate": 2.5, "empty": "", "é": "𝄞"}
    said = read(answer(context=context)).context
    assert list(said.items()) == [
        ("tenant", "acme"), ("level", "7"), ("admin", "true"), ("banned", "false"), ("rate", "2.5"), ("empty", ""), ("é", "𝄞"),
        ("principalId", "user-1"),
    ]  # fmt: skip


@pytest.mark.parametrize("number", ["1.0", "1e3", "-0.50", "12345678901234567890123", "1E-7"])
def test_a_number_stays_as_it_stands_in_the_json(number):
    payload = json.dumps(answer(context={"n": 0})).replace('"n": 0', f'"n" :  {number} ').encode()
    assert read(payload).context["n"] == number


@pytest.mark.parametrize("nothing", [{}, None, {"gone": None}])
def test_what_is_null_is_left_out(nothing):
    assert read(answer(context=nothing)).context == {"principalId": "user-1"}


def test_the_principal_is_not_what_the_context_says():
    assert read(answer(context={"principalId": "root"})).context == {"principalId": "user-1"}


@pytest.mark.parametrize("context", ["text", 7, True, [], ["a"], {"a": {}}, {"a": []}, {"a": [1]}, {"a": {"b": "c"}}])
def test_a_context_that_is_not_flat_is_malformed(context):
    assert "context" in malformed(answer(context=context))


# What is no answer.


def malformed(output):
    no = refused(output)
    assert (no.status, no.message) == (500, "")
    start = "it answered what is no authorizer's answer: "
    assert no.reason.startswith(start)
    return no.reason.removeprefix(start)


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"", "nothing"), (b"null", "null"), (b"true", "true"), (b"7", "a number or no JSON"), (b'"secret"', "a text"),
        (b"[]", "a list"), (b"{", "an object"), (b"\xff", "a number or no JSON"), (b"[" * 5000, "a list"), (b'{"a": }', "an object"),
        (b' {"a": 1} x', "an object"),
    ],
)  # fmt: skip
def test_what_is_no_object_is_malformed_and_not_shown(payload, shown):
    assert malformed(payload) == f"an answer is an object; got {shown}"


@pytest.mark.parametrize(
    "document",
    [None, {}, "text", [], 7, {"Statement": "x"}, policy({"Effect": "Allow"}), policy(statement(effect="allow")),
     policy(statement(effect="Maybe")), policy(statement(resource="")), json.dumps(policy(statement())), {"statement": []},
     {"Version": "2020-01-01", "Statement": []}],
)  # fmt: skip
def test_what_is_no_policy_is_malformed(document):
    assert malformed(answer(policyDocument=document)).startswith("its policyDocument is no policy: ")


def test_without_a_policy_it_is_malformed():
    assert malformed({"principalId": "user-1"}) == "it has no policyDocument"
    assert malformed({}) == "it has no policyDocument"


@pytest.mark.parametrize("simple", [True, False, None])
def test_the_simple_answer_of_http_apis_is_malformed(simple):
    assert malformed({"isAuthorized": simple, "context": {}}).startswith("it has isAuthorized")
    assert malformed(answer(isAuthorized=simple)).startswith("it has isAuthorized")


def test_a_text_that_is_no_unicode_is_malformed():
    broken = json.dumps(answer(context={"a": "X"})).encode().replace(b'"X"', b'"\xff"')
    assert malformed(broken) == "context['a'] is no valid text"


@pytest.mark.parametrize(("size", "fits"), [(8192, True), (8193, False)])
def test_an_answer_has_8_kb_at_most(size, fits):
    empty = json.dumps(answer(context={"a": ""}))
    payload = json.dumps(answer(context={"a": "x" * (size - len(empty))})).encode()
    assert len(payload) == size
    if fits:
        assert len(read(payload).context["a"]) > 7000
    else:
        assert malformed(payload) == "8,193 bytes; the limit is 8,192"
    assert limits.AUTHORIZER_BYTES == 8192


def test_members_that_are_not_known_are_nothing():
    assert read(answer(usageIdentifierKey="key", other=[1])).context == {"principalId": "user-1"}


def test_a_refusal_is_its_reason_or_what_the_client_is_told():
    assert (str(Refused(401, "Unauthorized")), str(Refused(500, "", "why"))) == ("Unauthorized", "why")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.binary(max_size=80) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_the_bytes_are_nobody_is_let_in_without_a_policy(payload):
    assert refused(payload).status in {403, 500}


@given(st.fixed_dictionaries({}, optional={"principalId": JSON, "policyDocument": JSON, "context": JSON}))
def test_whatever_the_members_are_nobody_is_let_in_without_a_policy(output):
    assert refused(output).status in {403, 500}


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans(), max_size=5))
def test_every_flat_context_arrives_as_texts(context):
    said = read(json.dumps(answer(context=context), ensure_ascii=False).encode()).context
    expected = {name: value if isinstance(value, str) else json.dumps(value) for name, value in context.items()}
    assert said == expected | {"principalId": "user-1"}
