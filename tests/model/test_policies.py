"""IAM policies: which statements apply, what wins, and what is no policy."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.model.policies import Decision, MalformedPolicy, evaluate

ALLOW, DENY, SILENT = Decision.ALLOW, Decision.EXPLICIT_DENY, Decision.IMPLICIT_DENY
INVOKE, MANAGE = "execute-api:Invoke", "execute-api:ManageConnections"
API = "arn:aws:execute-api:us-east-1:123456789012:34jmzjm04l"
CONNECT = f"{API}/prod/$connect"
POST = f"{API}/dev/POST/@connections/{{connectionId}}"


def policy(*statements, **more):
    return {"Version": "2012-10-17", "Statement": list(statements)} | more


def statement(effect="Allow", action="*", resource="*", **more):
    return {"Effect": effect, "Action": action, "Resource": resource} | more


def says(*statements, action=INVOKE, resource=CONNECT, context=None):
    return evaluate(policy(*statements), action, resource, context or {})


# What wins.


def test_what_nobody_allows_is_denied_without_a_word():
    assert says() is SILENT
    assert says(statement(action="s3:GetObject")) is SILENT


def test_one_allow_is_enough():
    assert says(statement(action="s3:GetObject"), statement()) is ALLOW


@pytest.mark.parametrize("turn", [1, -1])
def test_an_explicit_deny_wins_wherever_it_stands(turn):
    assert says(*[statement(), statement("Deny", INVOKE)][::turn]) is DENY


def test_a_deny_of_something_else_changes_nothing():
    assert says(statement(), statement("Deny", MANAGE)) is ALLOW


def test_a_statement_may_stand_alone_or_in_a_list():
    alone = {"Version": "2012-10-17", "Statement": statement()}
    assert evaluate(alone, INVOKE, CONNECT) is evaluate(policy(statement()), INVOKE, CONNECT) is ALLOW


def test_a_policy_may_have_no_version_the_older_one_and_an_id():
    for more in ({}, {"Version": "2008-10-17"}, {"Version": "2012-10-17", "Id": "x"}):
        assert evaluate(more | {"Statement": statement(Sid="y")}, INVOKE, CONNECT) is ALLOW


# Actions.


@pytest.mark.parametrize(
    ("actions", "decision"),
    [
        (INVOKE, ALLOW), ("EXECUTE-api:invoke", ALLOW), ("execute-api:*", ALLOW), ("execute-api:Inv?ke", ALLOW), ("*", ALLOW),
        (["s3:*", INVOKE], ALLOW), (MANAGE, SILENT), ("execute-api:Invok", SILENT), ("execute-api:Invoke2", SILENT),
        ("execute-api:??", SILENT), ("xecute-api:Invoke", SILENT), ("execute-api.Invoke", SILENT),
    ],
)  # fmt: skip
def test_actions_match_without_regard_to_case(actions, decision):
    assert says(statement(action=actions)) is decision


@pytest.mark.parametrize(
    ("actions", "decision"), [(MANAGE, ALLOW), (INVOKE, SILENT), (["s3:*", "execute-api:*"], SILENT)]
)
def test_all_actions_but_some(actions, decision):
    assert says({"Effect": "Allow", "NotAction": actions, "Resource": "*"}) is decision


# Resources.


@pytest.mark.parametrize(
    ("resources", "decision"),
    [
        (CONNECT, ALLOW), ("*", ALLOW), ("**", ALLOW), (f"{API}/*", ALLOW), (f"{API}/prod/*", ALLOW), (f"{API}/*/$connect", ALLOW),
        (f"{API}/pro?/$connect", ALLOW), ("arn:aws:execute-api:*:*:*", ALLOW), ("arn:*:*:*:*:*/prod/*", ALLOW),
        ("arn:aws:execute-api", ALLOW), ("arn:aws:execute-api:us-east-1", ALLOW), (["arn:aws:s3:::x", CONNECT], ALLOW),
        # One segment only: what looks as if it allowed a whole stage does not allow its $connect.
        (f"{API}/prod/*/*", SILENT),
        (f"{API}/PROD/$connect", SILENT), (f"{API}/prod/$connec", SILENT), (f"{API}/prod/$connect/", SILENT), (f"{API}/prod", SILENT),
        (f"{API}/other/*", SILENT), ("arn:aws:execute-api:us-east-1:123456789012:0000000000/*", SILENT),
        ("arn:aws:execute-api:eu-*:*:*", SILENT), ("arn:aws:execute-api:us-east-1:*:*:*", SILENT), ("arn:aws:s3:::*", SILENT),
        # A star does not reach over the colon of an ARN.
        ("arn:aws:*:34jmzjm04l/prod/$connect", SILENT),
        (f"{API}/prod/.connect", SILENT), (f"{API}/prod/[$]connect", SILENT),
    ],
)  # fmt: skip
def test_resources_match_part_by_part_of_an_arn(resources, decision):
    assert says(statement(resource=resources)) is decision


@pytest.mark.parametrize(
    ("resource", "decision"),
    [
        (f"{API}/*", ALLOW), (f"{API}/dev/*", ALLOW), (f"{API}/dev/POST/@connections/*", ALLOW), (POST, ALLOW),
        (f"{API}/*/POST/*", ALLOW), (f"{API}/dev/POST/@connections", SILENT), (f"{API}/dev/GET/@connections/*", SILENT),
        (f"{API}/dev/POST/@connections/gbgHN0-zjQAYKEjhgA==", SILENT), (f"{API}/other/*", SILENT),
    ],
)  # fmt: skip
def test_calls_about_connections_are_allowed_as_api_gateway_was_seen_to_allow_them(resource, decision):
    assert says(statement(action=MANAGE, resource=resource), action=MANAGE, resource=POST) is decision


def test_all_resources_but_some():
    def but(resource):
        return says({"Effect": "Allow", "Action": "*", "NotResource": resource})

    assert but(f"{API}/dev/*") is ALLOW
    assert but(f"{API}/prod/*") is SILENT


def test_what_is_no_arn_is_matched_by_a_star_alone():
    assert says(statement(), resource="x") is ALLOW
    assert says(statement(resource="arn:*"), resource="x") is SILENT


def test_a_pattern_of_many_stars_takes_no_longer_than_its_text():
    pattern, text = f"{API}/" + "*a" * 50 + "b", f"{API}/" + "a" * 2000
    began = time.process_time()
    assert says(statement(resource=pattern), resource=text) is SILENT
    assert says(statement(resource=f"{API}/" + "*a" * 50), resource=text) is ALLOW
    assert time.process_time() - began < 0.1


def slow_match(pattern, text):
    """The meaning of `*` and `?`, plainly."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return slow_match(pattern[1:], text) or (bool(text) and slow_match(pattern, text[1:]))
    return bool(text) and pattern[0] in {"?", text[0]} and slow_match(pattern[1:], text[1:])


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_a_pattern_matches_what_its_stars_and_question_marks_say(pattern, text):
    decision = says(statement(resource=f"{API}/{pattern}"), resource=f"{API}/{text}")
    assert (decision is ALLOW) == slow_match(pattern, text)


# Conditions.


def when(operator, key, values, given=None, effect="Allow"):
    context = {} if given is None else {key: given}
    return says(statement(effect, Condition={operator: {key: values}}), context=context)


@pytest.mark.parametrize(
    ("operator", "values", "given", "holds"),
    [
        ("StringEquals", "a", "a", True), ("StringEquals", ["b", "a"], "a", True), ("StringEquals", "A", "a", False),
        ("StringEquals", "a", None, False), ("StringNotEquals", "a", "b", True), ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", "a", None, True), ("StringEqualsIgnoreCase", "A", "a", True), ("StringNotEqualsIgnoreCase", "A", "a", False),
        ("StringLike", "a*c", "abc", True), ("StringLike", "a?c", "abbc", False), ("StringNotLike", "a*", "b", True),
        ("Bool", True, "true", True), ("Bool", "true", "false", False), ("Bool", "true", None, False),
        ("IpAddress", "10.0.0.0/8", "10.1.2.3", True), ("IpAddress", ["192.0.2.0/24", "10.1.2.3"], "10.1.2.3", True),
        ("IpAddress", "10.0.0.0/8", "11.0.0.1", False), ("IpAddress", "2001:db8::/32", "2001:db8::1", True),
        ("IpAddress", "10.0.0.0/8", "::1", False), ("NotIpAddress", "10.0.0.0/8", "11.0.0.1", True),
        ("NumericEquals", 1, "1.0", True), ("NumericNotEquals", "1", "2", True), ("NumericLessThan", 2, "1", True),
        ("NumericLessThanEquals", 2, "2", True), ("NumericGreaterThan", 2, "2", False), ("NumericGreaterThanEquals", 2, "2", True),
        ("DateEquals", "2026-11-25T00:00:00Z", "2026-11-25T00:00:00.000Z", True), ("DateNotEquals", "2026-11-25", "2026-11-26", True),
        ("DateLessThan", "2026-11-26T00:00:00Z", "2026-11-25T23:59:59Z", True), ("DateLessThanEquals", "2026-11-26", "2026-11-26", True),
        ("DateGreaterThan", "2026-11-25T01:00:00+01:00", "2026-11-25T00:00:00Z", False),
        ("DateGreaterThanEquals", "1700000000", "2023-11-14T22:13:20Z", True),
        ("StringEqualsIfExists", "a", None, True), ("StringEqualsIfExists", "a", "b", False), ("StringNotEqualsIfExists", "a", None, True),
        ("Null", "true", None, True), ("Null", "true", "x", False), ("Null", False, "x", True), ("Null", "false", None, False),
    ],
)  # fmt: skip
def test_a_condition_holds_or_not_for_an_allow_and_for_a_deny(operator, values, given, holds):
    assert when(operator, "aws:SourceIp", values, given) is (ALLOW if holds else SILENT)
    assert when(operator, "aws:SourceIp", values, given, "Deny") is (DENY if holds else SILENT)


@pytest.mark.parametrize(
    ("operator", "values", "given"),
    [
        ("StringSounds", "a", "a"), ("stringequals", "a", "a"), ("ForAnyValue:StringEquals", "a", "a"), ("NullIfExists", "true", "a"),
        ("IfExists", "a", "a"), ("StringEquals", "${aws:username}", "a"), ("StringLike", "${aws:username}*", "a"),
        ("IpAddress", "everywhere", "10.0.0.1"), ("IpAddress", "10.0.0.0/8", "nowhere"), ("NumericEquals", "one", "1"),
        ("DateLessThan", "tomorrow", "2026-11-25"), ("NumericLessThan", [5, "one"], "1"),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated_allows_nothing_and_denies(operator, values, given):
    assert when(operator, "aws:SourceIp", values, given) is SILENT
    assert when(operator, "aws:SourceIp", values, given, "Deny") is DENY


def test_a_variable_in_a_resource_allows_nothing_and_denies():
    resource = f"{API}/${{aws:username}}/*"
    assert says(statement(resource=resource)) is SILENT
    assert says(statement("Deny", resource=resource)) is DENY
    assert says({"Effect": "Allow", "Action": "*", "NotResource": resource}) is SILENT


def test_every_condition_has_to_hold():
    both = {"StringEquals": {"a": "1", "b": "2"}, "Null": {"c": "true"}}
    assert says(statement(Condition=both), context={"a": "1", "b": "2"}) is ALLOW
    assert says(statement(Condition=both), context={"a": "1", "b": "3"}) is SILENT
    assert says(statement(Condition=both), context={"a": "1", "b": "2", "c": ""}) is SILENT


def test_a_condition_that_does_not_hold_is_not_saved_by_one_that_cannot_be_evaluated():
    no_and_unknown = {"StringEquals": {"a": "1"}, "StringSounds": {"a": "1"}}
    assert says(statement("Deny", Condition=no_and_unknown), context={"a": "2"}) is SILENT


def test_the_case_of_a_key_does_not_count():
    assert says(statement(Condition={"StringEquals": {"AWS:sourceip": "x"}}), context={"aws:SourceIp": "x"}) is ALLOW


def test_an_empty_condition_is_none():
    assert says(statement(Condition={})) is ALLOW


# What is no policy.


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "a policy is an object; got NoneType"), ([], "a policy is an object; got list"), ("{}", "a policy is an object; got str"),
        ({}, "a policy has a Statement"), (policy(Statement="x"), "a policy has a Statement"),
        (policy(statements=[]), "a policy has 'statements'; known are Id, Statement, Version"),
        (policy(statement(), Version="2012-10-18"), "Version is '2012-10-18'; expected 2012-10-17 or 2008-10-17"),
        (policy("x"), "a Statement is an object; got str"), (policy({}), "Effect is None; expected Allow or Deny"),
        (policy(statement("allow")), "Effect is 'allow'; expected Allow or Deny"),
        (policy(statement(Conditions={})), "a Statement has 'Conditions'; known are Action, Condition, Effect"),
        (policy(statement(Principal="*")), "a Statement has 'Principal'"),
        (policy({"Effect": "Allow", "Resource": "*"}), "a Statement has Action or NotAction, and not both"),
        (policy(statement(NotAction="*")), "a Statement has Action or NotAction, and not both"),
        (policy({"Effect": "Allow", "Action": "*"}), "a Statement has Resource or NotResource, and not both"),
        (policy(statement(action=[])), r"Action is \[\]; expected a text or a list of texts"),
        (policy(statement(action="")), "Action is ''; expected a text"), (policy(statement(action=5)), "Action is 5; expected a text"),
        (policy(statement(resource=["*", 5])), "Resource is .*; expected a text"),
        (policy(statement(resource="prod/$connect")), r"a Resource is 'prod/\$connect'; expected an ARN or \*"),
        (policy(statement(Condition="x")), "Condition is 'x'; expected operators"),
        (policy(statement(Condition={"Null": "x"})), "Condition is .*; expected operators"),
        (policy(statement(Condition={"Null": {"a": None}})), "a value of Null is None; expected a text, a number, true or false"),
        (policy(statement(Condition={"Null": {"a": [{}]}})), r"a value of Null is \[{}\]; expected a text"),
    ],
)  # fmt: skip
def test_what_is_no_policy_is_told(document, message):
    with pytest.raises(MalformedPolicy, match=message):
        evaluate(document, INVOKE, CONNECT)


def test_one_bad_statement_spoils_the_policy_though_another_denies():
    with pytest.raises(MalformedPolicy):
        says(statement("Deny"), {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["Allow", "Deny", "*", CONNECT]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Version", "Statement", "Effect", "Action", "Resource", "Condition", "Null"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_document_is_a_decision_or_no_policy(document):
    try:
        assert evaluate(document, INVOKE, CONNECT) in Decision
    except MalformedPolicy:
        pass
