"""What is behind integrations: made when it is needed, shared, and ended."""

import asyncio
import importlib.util

import pytest

from trunkline import testing
from trunkline.backends import NO_DYNAMODB, Backends
from trunkline.errors import ConfigurationError, DeclarationError
from trunkline.integrations.base import IntegrationError
from trunkline.model.deployment import IntegrationDefinition, ResponseDefinition
from trunkline.testing.functions import Function

REPLY = (ResponseDefinition("$default", templates={"$default": "$context.routeKey: $input.body"}),)


def definition(kind, **given):
    return IntegrationDefinition(kind, **({"responses": REPLY} | given))


def ran(backends, *invocations):
    """What each integration answers to a message, in real time; the backends are closed behind them."""

    async def run():
        try:
            return [(await one.invoke(testing.context(said).req)).body for one, said in invocations]
        finally:
            await backends.close()

    return asyncio.run(run())


@pytest.fixture
def backends():
    return Backends("eu-west-1")


def test_nothing_is_made_before_it_is_needed(backends):
    assert (backends.worker, backends.client) == (None, None)
    asyncio.run(backends.close())


def test_mocks_and_functions_share_a_worker_and_have_no_client(backends):
    function = Function(lambda event, context: {"had": event["a"]}, name="fn")
    mock = backends.integration(definition("MOCK", templates={"$default": '{"statusCode": 200}'}), None)
    worker = backends.worker
    asked = backends.integration(definition("AWS", function="fn"), function)
    assert backends.worker is worker
    assert backends.client is None
    assert ran(backends, (mock, "x"), (asked, '{"a": 1}')) == ['$default: {"statusCode": 200}', '$default: {"had": 1}']
    assert (backends.worker, worker.pid) == (None, None)


def test_servers_and_dynamodb_share_a_client(backends):
    backends.integration(definition("HTTP", uri="http://127.0.0.1:1/"), None)
    client = backends.client
    backends.integration(definition("HTTP_PROXY", uri="http://127.0.0.1:1/"), None)
    backends.integration(definition("AWS", action="dynamodb:GetItem"), None)
    assert backends.client is client
    asyncio.run(backends.close())
    assert backends.client is None


def test_where_there_is_no_dynamodb_that_is_told_to_whoever_asks(backends):
    put = backends.integration(definition("AWS", action="dynamodb:PutItem"), None)
    with pytest.raises(IntegrationError, match=rf"dynamodb:PutItem at {NO_DYNAMODB} did not answer"):
        ran(backends, (put, "{}"))


@pytest.mark.parametrize("kind", ["HTTP", "HTTP_PROXY"])
def test_what_cannot_be_is_an_error(backends, kind):
    with pytest.raises(DeclarationError, match="the method is 'BREW'"):
        backends.integration(definition(kind, uri="http://127.0.0.1:1/", method="BREW"), None)


@pytest.mark.parametrize(
    ("more", "is_needed"),
    [({"responses": ()}, False), ({}, True), ({"responses": (), "templates": {"$default": "x"}}, True)],
)
def test_without_airspeed_templates_are_refused_before_anything_is_served(backends, monkeypatch, more, is_needed):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    about = definition("MOCK", where="template.yaml:7", **more)
    if is_needed:
        with pytest.raises(ConfigurationError, match=r"template\.yaml:7: mapping templates need airspeed; install it"):
            backends.integration(about, None)
    else:
        backends.integration(about, None)
    asyncio.run(backends.close())
