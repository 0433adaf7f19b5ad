"""A function behind mappings and templates: what it is given, and what its answers and failures are."""

import json

import pytest

from trunkline.integrations.base import Asked, IntegrationError
from trunkline.integrations.function import FunctionBackend
from trunkline.model.functions import Invocation
from trunkline.testing import Function


def echo(event, context):
    return event


def fail(event, context):
    raise ValueError("a secret of mine")


class Failing:
    """A function whose failure has this payload."""

    name = "failing"

    def __init__(self, payload):
        self.payload = payload

    async def invoke(self, payload):
        return Invocation(self.payload, "Unhandled")


@pytest.mark.parametrize(("body", "event"), [('{"a": 1}', {"a": 1}), ('"text"', "text"), ("[1]", [1]), ("", {})])
async def test_a_function_is_given_the_body_and_may_answer_anything(body, event):
    function = Function(echo)
    answered = await FunctionBackend(function).call(Asked(body))
    assert function.events == [event]
    assert (answered.status, json.loads(answered.body), answered.error) == (200, event, None)


@pytest.mark.parametrize("body", ["hello", "{", " ", '{"a": "\\ud800"}', "[" * 100_000], ids=lambda body: body[:10])
async def test_what_is_no_json_runs_no_function(body):
    function = Function(echo)
    with pytest.raises(IntegrationError, match="the function echo was not run: functions take JSON, and this is none"):
        await FunctionBackend(function).call(Asked(body))
    assert function.events == []


async def test_a_function_that_fails_answers_with_its_error_message():
    answered = await FunctionBackend(Function(fail)).call(Asked("{}"))
    assert (answered.status, answered.error) == (200, "a secret of mine")
    assert json.loads(answered.body)["errorType"] == "ValueError"


@pytest.mark.parametrize(
    ("payload", "error"),
    [(b"killed", "killed"), (b'{"errorType": "X"}', '{"errorType": "X"}'), (b'{"errorMessage": 1}', '{"errorMessage": 1}'),
     (b"\xff", "\ufffd"), (b'{"errorMessage": ""}', "")],
)  # fmt: skip
async def test_a_failure_without_an_error_message_is_its_payload(payload, error):
    assert (await FunctionBackend(Failing(payload)).call(Asked())).error == error


async def test_a_function_that_is_not_run_is_an_error():
    function = Function(echo)
    function.refuse()
    with pytest.raises(IntegrationError, match="the function echo was not run: Rate Exceeded."):
        await FunctionBackend(function).call(Asked())
