"""What is behind a mock: nothing."""

import pytest

from trunkline.integrations.base import Asked, IntegrationError
from trunkline.integrations.mock import MockBackend


@pytest.mark.parametrize(("body", "status"), [('{"statusCode": 200}', 200), ('{"a": [1], "statusCode": 404}', 404)])
async def test_a_mock_answers_with_its_status_and_what_it_was_asked(body, status):
    answered = await MockBackend().call(Asked(body))
    assert (answered.status, answered.body, answered.headers, answered.error) == (status, body, {}, None)


@pytest.mark.parametrize(
    "body",
    ["", "hello", "{}", "[]", "200", '{"statusCode": "200"}', '{"statusCode": 200.5}', '{"statusCode": true}',
     '{"statusCode": null}', '{"statusCode": 200', '{"statuscode": 200}', '{"x": "\\ud800", "statusCode": 200}',
     '{"x": ' + "[" * 100_000],
    ids=lambda body: body[:30],
)  # fmt: skip
async def test_without_a_status_it_is_an_error(body):
    with pytest.raises(IntegrationError, match="no JSON object with a whole number as statusCode") as error:
        await MockBackend().call(Asked(body))
    assert error.value.status == 500
