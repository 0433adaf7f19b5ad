"""What the management API answers, byte for byte."""

import re
import uuid
from datetime import UTC, datetime

import pytest

from trunkline import clock, errors
from trunkline.connections.base import ConnectionInfo
from trunkline.gateway import answers
from trunkline.gateway.answers import Answer
from trunkline.gateway.keys import Key
from trunkline.model.policies import Decision

DATE = r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
ID = r"[A-Za-z0-9_-]{15}="
TRACE = r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}"


def lines(answer, **how):
    head, _, body = answer.encoded(**how).partition(b"\r\n\r\n")
    assert body == (b"" if how.get("head_only") else answer.body)
    return head.decode("ascii").split("\r\n")


def check(answer, *expected, **how):
    found = lines(answer, **how)
    assert len(found) == len(expected)
    for line, pattern in zip(found, expected, strict=True):
        assert re.fullmatch(pattern, line), f"{line!r} is not {pattern!r}"


JSON = "Content-Type: application/json"


# Heads, as they were captured.


def test_a_message_that_was_sent():
    check(
        Answer(200), "HTTP/1.1 200 OK", f"Date: {DATE}", JSON, "Content-Length: 0", "Connection: keep-alive",
        f"x-amzn-RequestId: {UUID}", f"x-amz-apigw-id: {ID}", f"X-Amzn-Trace-Id: {TRACE}",
    )  # fmt: skip


def test_a_connection_that_is_being_closed():
    check(
        Answer(204), "HTTP/1.1 204 No Content", f"Date: {DATE}", JSON, "Connection: keep-alive",
        f"x-amzn-RequestId: {UUID}", f"x-amz-apigw-id: {ID}", f"X-Amzn-Trace-Id: {TRACE}",
    )  # fmt: skip


def test_a_connection_that_is_gone():
    check(
        answers.gone(), "HTTP/1.1 410 Gone", f"Date: {DATE}", JSON, "Content-Length: 0", "Connection: keep-alive",
        f"x-amzn-RequestId: {UUID}", "x-amzn-ErrorType: GoneException", f"x-amz-apigw-id: {ID}",
    )  # fmt: skip


def test_an_error_with_a_message():
    check(
        answers.forbidden(), "HTTP/1.1 403 Forbidden", f"Date: {DATE}", JSON, "Content-Length: 23", "Connection: keep-alive",
        f"x-amzn-RequestId: {UUID}", "x-amzn-ErrorType: ForbiddenException", f"x-amz-apigw-id: {ID}",
    )  # fmt: skip
    assert answers.forbidden().body == b'{"message":"Forbidden"}'


def test_a_body_that_is_too_large_is_answered_by_the_door_alone():
    answer = answers.too_large()
    answer.close = True
    check(answer, "HTTP/1.1 413 Request Entity Too Large", f"Date: {DATE}", "Content-Length: 0", "Connection: close")


def test_a_head_has_the_length_of_a_body_that_is_not_sent():
    assert "Content-Length: 23" in lines(answers.forbidden(), head_only=True)


def test_the_last_answer_says_so():
    answer = Answer(200)
    answer.close = True
    assert "Connection: close" in lines(answer)


def test_every_answer_has_ids_of_its_own():
    seen = {lines(Answer(200))[number] for _ in range(100) for number in (5, 6, 7)}
    assert len(seen) == 300
    found = [uuid.UUID(lines(Answer(200))[5].split(": ")[1]) for _ in range(100)]
    assert {(one.version, one.variant) for one in found} == {(4, uuid.RFC_4122)}


def test_a_trace_begins_with_the_time():
    before = clock.set_source(lambda: 0x6AB5BEDA + 0.9)
    try:
        assert lines(Answer(200))[-1].startswith("X-Amzn-Trace-Id: Root=1-6ab5beda-")
    finally:
        clock.set_source(before)


# What is known of a connection.


def info(user_agent):
    at = datetime(2026, 9, 25, 0, 22, 29, 887_999, UTC)
    return ConnectionInfo(at, at.replace(second=30, microsecond=5_000), "203.0.113.50", user_agent)


def test_a_connection_is_described_in_api_gateways_layout():
    assert answers.described(info("my-client/1.0")).body.decode() == (
        '{\n  "identity" : {\n    "sourceIp" : "203.0.113.50",\n    "userAgent" : "my-client/1.0"\n  },\n'
        '  "connectedAt" : "2026-09-25T00:22:29.887Z",\n  "lastActiveAt" : "2026-09-25T00:22:30.005Z"\n}'
    )


def test_a_client_that_did_not_say_what_it_is_has_no_user_agent():
    assert b'"identity" : {\n    "sourceIp" : "203.0.113.50"\n  },' in answers.described(info(None)).body
    assert b'"userAgent" : ""' in answers.described(info("")).body


def test_what_a_client_calls_itself_is_a_text():
    assert (
        answers.described(info('a"\\\x01\xe9')).body.decode().splitlines()[3] == '    "userAgent" : "a\\"\\\\\\u0001é"'
    )


def test_of_one_that_is_gone_nothing_is_known():
    assert answers.described(None).status == 410


# What goes wrong.


@pytest.mark.parametrize(
    ("error", "status", "kind", "body"),
    [
        (errors.InvalidConnectionId("x"), 400, "BadRequestException", b'{"message":"Invalid connectionId: a\\"\xc3\xa9"}'),
        (errors.MessageTooLarge("x"), 413, "", b""),
        (errors.SlowConsumer("x"), 429, "LimitExceededException", b'{"message":"The WebSocket client side buffer is full"}'),
        (errors.Throttled("x"), 429, "LimitExceededException", b'{"message":"Too Many Requests"}'),
        (errors.Unreachable("x"), 503, "ServiceUnavailableException", b'{"message":"Service Unavailable"}'),
    ],
)  # fmt: skip
def test_what_keeps_a_message_from_its_connection(error, status, kind, body):
    answer = answers.failure(error, 'a"é')
    assert (answer.status, answer.kind, answer.body) == (status, kind, body)


def test_an_id_that_cannot_be_written_is_answered_all_the_same():
    assert answers.failure(errors.InvalidConnectionId("x"), "\ud800").body == b'{"message":"Invalid connectionId: ?"}'


def test_something_broken_is_told_in_fixed_words():
    answer = answers.internal_error()
    assert (answer.status, answer.body) == (500, b'{"message": "Internal server error"}')


ARN = "arn:aws:execute-api:us-east-1:********0000:34jmzjm04l/dev/GET/@connections/{connectionId}"
SENTENCE = f'{{"Message":"User: arn:me is not authorized to perform: execute-api:ManageConnections on resource: {ARN} '


@pytest.mark.parametrize(
    ("token", "decision", "why"),
    [
        ("t", Decision.IMPLICIT_DENY, "because no session policy allows the execute-api:ManageConnections action"),
        ("t", Decision.EXPLICIT_DENY, "with an explicit deny in a session policy"),
        (
            None,
            Decision.IMPLICIT_DENY,
            "because no identity-based policy allows the execute-api:ManageConnections action",
        ),
        (None, Decision.EXPLICIT_DENY, "with an explicit deny in an identity-based policy"),
    ],
)
def test_who_is_known_and_may_not_is_told_why(token, decision, why):
    answer = answers.denied(Key("a", "b", token, "arn:me"), "execute-api:ManageConnections", ARN, decision)
    assert (answer.status, answer.kind) == (403, "AccessDeniedException")
    assert answer.body.decode() == SENTENCE + why + '"}'
