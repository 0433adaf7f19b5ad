"""From a template as data to what the gateway serves."""

import json

import pytest

from trunkline.backends import Backends
from trunkline.compiling import compile_deployment, load_deployment
from trunkline.config import Settings
from trunkline.errors import ConfigurationError
from trunkline.gateway.throttling import Throttling
from trunkline.integrations.base import MessageRefused
from trunkline.model.api import Rate
from trunkline.model.deployment import (
    ApiDefinition,
    AuthorizerDefinition,
    Deployment,
    IntegrationDefinition,
    RouteDefinition,
    StageDefinition,
)
from trunkline.model.functions import InvocationRefused
from trunkline.testing import context
from trunkline.testing.functions import Function


def proxy(function):
    return IntegrationDefinition("AWS_PROXY", function)


ROUTES = (
    RouteDefinition("$connect", proxy("connect")),
    RouteDefinition("send", proxy("send"), two_way=True, where="template.yaml:9"),
)


def api(logical_id="Chat", **given):
    given = {"routes": ROUTES, "stages": (StageDefinition("dev"),), "where": "template.yaml:3"} | given
    return ApiDefinition(logical_id, "chat", f"{logical_id.lower():0<10}", "$request.body.action", **given)


class Noted(Backends):
    """What integrations are made of, noted."""

    def __init__(self):
        super().__init__("us-east-1")
        self.made = []

    def integration(self, definition, function):
        self.made.append((definition, function))
        return super().integration(definition, function)


def compiled(*apis, functions=(), backends=None, **settings):
    named = {function.name: function for function in functions}
    throttling = Throttling({}, lambda: 0.0)
    return compile_deployment(Deployment(apis), named, Settings(**settings), throttling, backends or Noted())


def test_a_stage_is_served_at_its_name_under_the_domain_of_its_api():
    served = compiled(api(), region="eu-west-1", account="111122223333")
    assert list(served) == ["dev"]
    one = served["dev"]
    assert (one.stage, one.domain_name) == ("dev", "chat000000.execute-api.eu-west-1.amazonaws.com")
    assert one.execute_arn == "arn:aws:execute-api:eu-west-1:111122223333"
    assert one.connect.key == "$connect"
    assert one.disconnect is None
    assert (one.routes["send"].two_way, one.routes["send"].where) == (True, "template.yaml:9")


def test_a_second_stage_of_the_same_name_is_told_apart_by_its_api():
    served = compiled(api(), api("Feed"))
    assert {path: one.api_id for path, one in served.items()} == {"dev": "chat000000", "dev-Feed": "feed000000"}
    assert served["dev-Feed"].stage == "dev"


def test_messages_of_one_connection_run_side_by_side_and_limits_can_be_set():
    one = compiled(api(), limit={"idle_seconds": 5.0})["dev"]
    assert (one.ordered, one.best_effort, one.limits.idle_seconds) == (False, True, 5.0)


def test_rates_of_a_stage_and_of_a_route_are_in_force():
    stage = StageDefinition("dev", rate=Rate(1, 1), route_rates={"send": Rate(2, 2)})
    one = compiled(api(stages=(stage,)))["dev"]
    assert one.handshakes.takes("")
    assert not one.handshakes.takes("")
    assert one.routes["send"].rate == Rate(2, 2)


async def test_a_function_may_be_named_by_a_stage_variable():
    routes = (RouteDefinition("send", proxy("${stageVariables.which}-send")),)
    stages = (StageDefinition("dev", {"which": "blue"}),)
    blue = Function(lambda event, context: {"statusCode": 200}, name="blue-send")
    one = compiled(api(routes=routes, stages=stages), functions=[blue])["dev"]
    assert one.stage_variables == {"which": "blue"}
    assert one.routes["send"].invoke.__self__._function.name == "blue-send"


async def test_a_function_that_the_template_does_not_have_is_refused_by_name():
    one = compiled(api())["dev"]
    with pytest.raises(InvocationRefused, match="'send' is no function of the template"):
        await one.routes["send"].invoke.__self__._function.invoke(b"{}")


def test_an_integration_that_is_no_proxy_has_its_function_and_each_stages_url():
    backends = Noted()
    routes = (
        RouteDefinition("a", IntegrationDefinition("HTTP", uri="http://${stageVariables.host}/x")),
        RouteDefinition("b", IntegrationDefinition("AWS", function="${stageVariables.which}-b")),
    )
    stages = (
        StageDefinition("dev", {"host": "one.test", "which": "blue"}),
        StageDefinition("live", {"host": "two.test", "which": "green"}),
    )
    blue = Function(lambda event, context: {}, name="blue-b")
    served = compiled(api(routes=routes, stages=stages), functions=[blue], backends=backends)
    assert list(served["live"].routes) == ["a", "b"]
    assert [(one.kind, one.uri, function and function.name) for one, function in backends.made] == [
        ("HTTP", "http://one.test/x", None),
        ("AWS", "", "blue-b"),
        ("HTTP", "http://two.test/x", None),
        ("AWS", "", "green-b"),
    ]


async def test_a_route_with_models_takes_what_they_take():
    answered = Function(lambda event, context: {"statusCode": 200, "body": "taken"}, name="send")
    routes = (
        RouteDefinition("send", proxy("send"), model_select="$default", models={"$default": '{"type": "object"}'}),
    )
    one = compiled(api(routes=routes), functions=[answered])["dev"]
    assert (await one.routes["send"].invoke(context("{}").req)).body == "taken"
    with pytest.raises(MessageRefused):
        await one.routes["send"].invoke(context("[]").req)


def test_connect_has_what_a_handshake_must_have():
    one = compiled(
        api(routes=(RouteDefinition("$connect", proxy("connect"), required=("route.request.header.Token",)),))
    )["dev"]
    assert [(source.place, source.name) for source in one.connect.required] == [("route.request.header", "Token")]
    assert compiled(api())["dev"].connect.required == ()


@pytest.mark.parametrize(
    ("route", "told"),
    [
        (RouteDefinition("x", proxy("x"), model_select="$nothing", models={"a": "{}"}, where="t:4"), "t:4: select="),
        (
            RouteDefinition("x", proxy("x"), model_select="a", models={"a": "["}, where="t:4"),
            "t:4: the schema is no JSON",
        ),
        (RouteDefinition("$connect", proxy("x"), required=("x",), where="t:4"), "t:4: Invalid request identity source"),
        (
            RouteDefinition("x", IntegrationDefinition("MOCK", select="$nothing", where="t:5")),
            r"t:5: .*\$nothing",
        ),
        (
            RouteDefinition("x", IntegrationDefinition("HTTP", uri="http://${stageVariables.h}", where="t:5")),
            r"t:5: IntegrationUri has \$\{stageVariables.h\}, and stage dev has no variable h",
        ),
    ],
)
def test_a_route_that_cannot_be_is_told_with_its_place(route, told):
    with pytest.raises(ConfigurationError, match=f"^{told}"):
        compiled(api(routes=(route,)))


def test_an_authorizer_is_asked_with_its_identity_sources():
    authorizer = AuthorizerDefinition("auth", ("route.request.header.Auth",), "template.yaml:7")
    one = compiled(api(authorizer=authorizer))["dev"]
    assert (one.authorizer.where, len(one.authorizer.identity)) == ("template.yaml:7", 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"authorizer": AuthorizerDefinition("auth", ("$request.header.Auth",), "template.yaml:3")},
        {"select": "$nothing.of.the.kind"},
    ],
)
def test_what_cannot_be_is_told_with_its_place(wrong):
    select = wrong.pop("select", "$request.body.action")
    one = api(**wrong)
    one = ApiDefinition(one.logical_id, one.name, one.api_id, select, one.routes, one.authorizer, one.stages, one.where)
    with pytest.raises(ConfigurationError, match=r"^template\.yaml:3: "):
        compiled(one)


def test_a_template_without_an_api_is_told_what_is_expected(tmp_path):
    (tmp_path / "queue.json").write_text('{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}')
    with pytest.raises(
        ConfigurationError, match=r"queue\.json has no WebSocket Api; expected an AWS::ApiGatewayV2::Api"
    ):
        load_deployment(tmp_path / "queue.json", Settings())


def test_routes_of_an_api_that_is_elsewhere_are_named_where_there_is_no_other(tmp_path):
    file = tmp_path / "routes.json"
    route = {"Type": "AWS::ApiGatewayV2::Route", "Properties": {"ApiId": "abc123", "RouteKey": "$default"}}
    file.write_text(json.dumps({"Resources": {"Route": route}}))
    with pytest.raises(
        ConfigurationError, match=r"has no WebSocket Api; .*; .*routes\.json:1: .*of Api abc123, which is not in"
    ):
        load_deployment(file, Settings())
