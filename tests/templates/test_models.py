"""Models of routes, and what a handshake must have."""

import json

import pytest

from trunkline.errors import ConfigurationError

START = """\
Resources:
  Fn:
    Type: AWS::Lambda::Function
    Properties: {FunctionName: fn, Code: {ZipFile: x}, Handler: index.handler, Runtime: python3.12}
  Socket:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: Socket, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {StageName: dev, ApiId: !Ref Socket}
  Integ:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Socket, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Fn.Arn}
  Bid:
    Type: AWS::ApiGatewayV2::Model
    Properties:
      ApiId: !Ref Socket
      Name: BidModel
      Schema: %s
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Socket
      RouteKey: %s
      Target: !Sub 'integrations/${Integ}'
"""
SELECT = "ModelSelectionExpression: $request.body.kind"
BID = SELECT + "\n      RequestModels: {bid: BidModel, $default: !Ref Bid}"


def template(more, schema="{type: object, required: [price]}", key="send"):
    return START % (schema, key) + f"      {more}\n"


@pytest.fixture
def made(app):
    def made(*given, **how):
        deployment = app(template(*given, **how))
        (api,) = deployment.apis
        (route,) = api.routes
        return route, [f"{warned.where.rpartition(':')[2]}: {warned.text}" for warned in deployment.warnings]

    return made


@pytest.mark.parametrize(
    "schema", ["{type: object, required: [price]}", """'{"type": "object", "required": ["price"]}'"""]
)
def test_a_route_has_the_schemas_of_its_models_by_name_or_by_ref(made, app, schema):
    route, warnings = made(BID, schema=schema)
    assert route.model_select == "$request.body.kind"
    expected = {"type": "object", "required": ["price"]}
    assert {key: json.loads(text) for key, text in route.models.items()} == {"bid": expected, "$default": expected}
    assert warnings == []


def test_a_model_is_no_resource_that_is_not_run(app):
    assert app(template("OperationName: x")).not_run == ()


def test_models_without_an_expression_check_nothing_and_that_is_said(made):
    route, warnings = made("RequestModels: {$default: BidModel}")
    assert (route.model_select, route.models) == ("", {})
    assert warnings == ["26: route send has no ModelSelectionExpression: its models check nothing, in AWS neither"]


def test_an_expression_without_models_checks_nothing(made):
    assert made(SELECT)[0].model_select == ""


@pytest.mark.parametrize("key", ["$connect", "$disconnect"])
def test_what_has_no_body_has_no_model(made, key):
    assert made(BID, key=key)[0].models == {}


@pytest.mark.parametrize("select", ["$default", "\\$default", "bid"])
def test_an_expression_may_be_a_constant(made, select):
    assert made(BID.replace("$request.body.kind", select))[0].model_select == select


@pytest.mark.parametrize(
    ("more", "schema", "message"),
    [
        (BID, "{type: strin}", r"19: .*Model Bid: Schema is no JSON schema of draft 4: type: 'strin' is not valid"),
        (BID, "'{'", r"19: .*Schema is no JSON schema of draft 4: the schema is no JSON"),
        (BID, "{$ref: 'https://a.test/schema'}", r"19: .*\$ref is 'https://a.test/schema'; expected a part of this schema"),
        (BID, "[1]", r"19: .*Schema is no JSON schema"),
        (BID.replace("BidModel", "Other"), "{}", r"27: .*RequestModels of bid is 'Other'; expected the Name of a model of this Api"),
        (BID.replace("BidModel", "{a: b}"), "{}", r"27: .*RequestModels of bid is \{'a': 'b'\}; expected the Name"),
        (BID.replace("$request", "$nothing"), "{}", r"26: .*ModelSelectionExpression: select=.* starts no variable"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_an_error_with_its_line(app, more, schema, message):
    with pytest.raises(ConfigurationError, match=f"template.yaml:{message}"):
        app(template(more, schema))


def test_a_model_that_no_route_has_is_not_read(made):
    assert made("OperationName: x", schema="{type: strin}")[0].models == {}


def test_without_jsonschema_its_install_is_told(app, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(ConfigurationError, match=r"needs jsonschema; it needs: pip install 'trunkline\[aws\]'"):
        app(template(BID))


REQUIRED = """\
RequestParameters:
        route.request.header.Token: {Required: true}
        route.request.querystring.room: {Required: 'true'}
        route.request.querystring.other: {Required: false}
        route.request.querystring.plain: true
"""


def test_connect_has_what_a_handshake_must_have(made):
    route, warnings = made(REQUIRED, key="$connect")
    assert route.required == (
        "route.request.header.Token",
        "route.request.querystring.room",
        "route.request.querystring.plain",
    )
    assert warnings == []


def test_other_routes_require_nothing_and_that_is_said(made):
    route, warnings = made(REQUIRED)
    assert route.required == ()
    assert warnings == ["26: messages have no headers and no query: route send requires nothing"]


def test_what_nobody_can_send_is_an_error_with_its_line(app):
    more = "RequestParameters:\n        method.request.header.x: {Required: true}"
    with pytest.raises(ConfigurationError, match=r"yaml:27: .*has 'method.request.header.x'; expected route.request"):
        app(template(more, key="$connect"))
