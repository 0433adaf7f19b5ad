"""Integrations of a template, as data."""

import textwrap

import pytest

from trunkline.errors import ConfigurationError
from trunkline.model.deployment import IntegrationDefinition, ResponseDefinition

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
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Socket, RouteKey: send, Target: !Sub 'integrations/${Integ}'}
  Integ:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Socket
"""
RESPONSE = """\
  %s:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties: {ApiId: !Ref Socket, IntegrationId: !Ref Integ, %s}
"""
FUNCTION = "!Sub 'arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Fn.Arn}/invocations'"
HTTP = "IntegrationType: HTTP_PROXY\nIntegrationUri: http://a.test/x\n"


def template(properties, *responses):
    given = textwrap.indent(textwrap.dedent(properties).rstrip() + "\n", " " * 6)
    return START + given + "".join(RESPONSE % (f"Response{n}", each) for n, each in enumerate(responses))


@pytest.fixture
def route(app):
    def route(properties, *responses):
        (api,) = app(template(properties, *responses)).apis
        (route,) = api.routes
        return route

    return route


def without_where(definition):
    return {name: getattr(definition, name) for name in definition.__dataclass_fields__ if name != "where"}


def test_a_mock_has_its_templates_and_responses(route):
    made = route(
        """
        IntegrationType: MOCK
        IntegrationUri: ''
        TemplateSelectionExpression: \\$default
        RequestTemplates: {$default: '{"statusCode": 200}'}
        """,
        "IntegrationResponseKey: '200', ResponseTemplates: {$default: hello}, TemplateSelectionExpression: \\$default",
        "IntegrationResponseKey: /4../",
    )
    definition = made.integration
    assert without_where(definition) == without_where(
        IntegrationDefinition(
            "MOCK",
            select="\\$default",
            templates={"$default": '{"statusCode": 200}'},
            responses=definition.responses,
        )
    )
    assert definition.where.endswith("template.yaml:14")
    assert [without_where(response) for response in definition.responses] == [
        without_where(ResponseDefinition("200", "\\$default", {"$default": "hello"})),
        without_where(ResponseDefinition("/4../")),
    ]
    assert definition.responses[0].where.endswith("template.yaml:23")


def test_an_http_proxy_has_its_url_method_mappings_and_time(route):
    made = route(
        """
        IntegrationType: HTTP_PROXY
        IntegrationUri: https://${stageVariables.host}/rooms/{room}
        IntegrationMethod: put
        PassthroughBehavior: NEVER
        TimeoutInMillis: 1500
        RequestParameters:
          integration.request.header.connectionId: context.connectionId
          integration.request.path.room: route.request.body.room
          integration.request.querystring.all: route.request.body
          integration.request.header.token: route.request.multivaluequerystring.token
          integration.request.header.fixed: "'it is'"
          integration.request.header.user: context.authorizer.principalId
        """
    ).integration
    assert (made.kind, made.uri, made.method) == ("HTTP_PROXY", "https://${stageVariables.host}/rooms/{room}", "PUT")
    assert (made.passthrough, made.seconds, len(made.parameters)) == ("NEVER", 1.5, 6)
    assert made.parameters["integration.request.path.room"] == "route.request.body.room"


def test_a_method_that_may_be_any_is_post(route):
    assert route(HTTP + "IntegrationMethod: ANY").integration.method == "POST"


def test_a_url_may_be_a_stage_variable(route):
    assert route("IntegrationType: HTTP\nIntegrationUri: ${stageVariables.url}").integration.kind == "HTTP"


def test_a_function_is_behind_it_by_name_and_not_as_a_proxy(route):
    made = route(f"IntegrationType: AWS\nIntegrationUri: {FUNCTION}")
    assert (made.integration.kind, made.integration.function, made.integration.action) == ("AWS", "fn", "")


def test_a_function_that_only_such_a_route_has_is_run(app):
    text = template("IntegrationType: AWS\nIntegrationUri: !GetAtt Fn.Arn")
    deployment = app(text)
    assert [function.name for function in deployment.functions] == ["fn"]
    assert deployment.warnings == ()


def test_a_function_that_is_not_run_here_is_warned_about(app):
    (warned,) = app(template("IntegrationType: AWS\nIntegrationUri: other")).warnings
    assert warned.text == "route send has function other, which is not run here: it answers an error"


def test_an_action_of_dynamodb_is_behind_it(route):
    uri = "!Sub 'arn:aws:apigateway:${AWS::Region}:dynamodb:action/PutItem'"
    made = route(f"IntegrationType: AWS\nIntegrationUri: {uri}\nCredentialsArn: arn:aws:iam::1:role/x").integration
    assert (made.kind, made.action, made.function, made.uri) == ("AWS", "dynamodb:PutItem", "", "")


@pytest.mark.parametrize(
    "uri",
    [
        "arn:aws:apigateway:eu-west-1:sqs:path/1/queue",
        "arn:aws:apigateway:eu-west-1:states:action/StartExecution",
        "arn:aws:apigateway:eu-west-1:dynamodb:path/x",
    ],
)
def test_a_service_that_is_not_here_is_warned_about_and_its_route_left_out(app, uri):
    deployment = app(template(f"IntegrationUri: {uri}\nIntegrationType: AWS"))
    assert deployment.apis[0].routes == ()
    (warned,) = deployment.warnings
    assert str(warned).endswith(f"template.yaml:18: nothing here is behind '{uri}': route send is left out")


def test_a_uri_that_names_no_function_is_warned_about_and_its_route_left_out(app):
    (warned,) = app(template("IntegrationUri: https://a.test/x\nIntegrationType: AWS")).warnings
    assert str(warned).endswith("template.yaml:18: 'https://a.test/x' names no Lambda function: route send is left out")


def test_a_vpc_link_is_warned_about_and_its_route_left_out(app):
    deployment = app(template("ConnectionType: VPC_LINK\nIntegrationType: HTTP\nIntegrationUri: arn:aws:elb:x"))
    assert deployment.apis[0].routes == ()
    (warned,) = deployment.warnings
    assert str(warned).endswith("template.yaml:18: nothing here is behind a VPC link: route send is left out")


def test_a_vpc_link_to_a_plain_url_is_tried(route):
    made = route(HTTP + "ConnectionType: VPC_LINK\nConnectionId: x").integration
    assert made.uri == "http://a.test/x"


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ("IntegrationType: GRPC", "18: .*IntegrationType is GRPC; expected one of AWS_PROXY, AWS, HTTP, HTTP_PROXY, MOCK"),
        ("IntegrationType: HTTP", "16: .*IntegrationUri is missing"),
        ("IntegrationType: HTTP\nIntegrationUri: ftp://x", "19: .*IntegrationUri is 'ftp://x'; expected an http or https URL"),
        (HTTP + "TimeoutInMillis: 0", "20: .*TimeoutInMillis is 0; expected 50 to 29000"),
        (HTTP + "PassthroughBehavior: SOMETIMES", "20: .*'SOMETIMES'; expected one of WHEN_NO_MATCH, WHEN_NO_TEMPLATES, NEVER"),
        (HTTP + "RequestTemplates: {a: {b: c}}", "20: .*RequestTemplates of a is a dict; expected a text"),
        (HTTP + "RequestParameters:\n  integration.request.body.x: context.x", "21: .*'integration.request.body.x' is nothing of a request"),
        (HTTP + "RequestParameters:\n  integration.request.header.x: method.request.x", "21: .*header.x is 'method.request.x'; expected route"),
        (HTTP + "RequestParameters:\n  integration.request.header.Content-Length: context.x", "21: .*this header is the gateway's own"),
        (HTTP + "TemplateSelectionExpression: $nothing", r"20: .*the template selection expression '[$]nothing' has a '[$]' at"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_an_error_with_its_line(app, properties, message):
    with pytest.raises(ConfigurationError, match=f"template.yaml:{message}"):
        app(template(properties))


@pytest.mark.parametrize(
    ("responses", "message"),
    [
        (["IntegrationResponseKey: x"] * 2, "24: .*integration response x is at .*:19 already; expected another key"),
        (["IntegrationResponseKey: /(/"], r"21: .*the integration response key /\(/ is no regular expression: missing"),
        (
            ["IntegrationResponseKey: x, TemplateSelectionExpression: $x"],
            r"21: .*expression '\$x' has a '\$' at position 0",
        ),
    ],
)
def test_a_response_that_cannot_be_is_an_error_with_its_line(app, responses, message):
    with pytest.raises(ConfigurationError, match=f"template.yaml:{message}"):
        app(template("IntegrationType: MOCK", *responses))
