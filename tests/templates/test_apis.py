"""Routes, integrations, authorizers and stages of WebSocket Apis."""

import pytest

from trunkline.errors import ConfigurationError
from trunkline.model.api import Rate

API = """\
Resources:
  Fn:
    Type: AWS::Lambda::Function
    Properties: {FunctionName: fn, Code: {ZipFile: x}, Handler: index.handler, Runtime: python3.12}
  Socket:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: Socket, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
"""
STAGE = """\
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {StageName: dev, ApiId: !Ref Socket}
"""


def integration(uri="!GetAtt Fn.Arn", more=""):
    return f"""\
  Integ:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {{ApiId: !Ref Socket, IntegrationType: AWS_PROXY, IntegrationUri: {uri}{more}}}
"""


def route(key="send", more="", target="!Sub 'integrations/${Integ}'", name="Route"):
    return f"""\
  {name}:
    Type: AWS::ApiGatewayV2::Route
    Properties: {{ApiId: !Ref Socket, RouteKey: {key}, Target: {target}{more}}}
"""


def texts(deployment):
    return [warning.text for warning in deployment.warnings]


PATH = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions"


@pytest.mark.parametrize(
    ("uri", "function"),
    [
        (f"!Sub '{PATH}/${{Fn.Arn}}/invocations'", "fn"),
        (f"!Sub ['{PATH}/${{Target}}/invocations', {{Target: !GetAtt Fn.Arn}}]", "fn"),
        (f"!Sub '{PATH}/${{Fn.Arn}}:live/invocations'", "fn"),
        (f"!Sub '{PATH}/${{Fn.Arn}}:${{!stageVariables.alias}}/invocations'", "fn"),
        (
            f"!Sub '{PATH}/arn:aws:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:${{!stageVariables.fn}}/invocations'",
            "${stageVariables.fn}",
        ),
        (f"!Sub '{PATH}/arn:aws:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:${{Fn}}/invocations'", "fn"),
        (f"!Sub '{PATH}/fn/invocations'", "fn"),
        ("!GetAtt Fn.Arn", "fn"),
        ("!Join ['', [!GetAtt Fn.Arn, ':live']]", "fn"),
        ("!Ref Fn", "fn"),
        ("fn", "fn"),
        ("'123456789012:function:fn:7'", "fn"),
        (
            (
                "!Join ['', ['arn:', !Ref 'AWS::Partition', ':apigateway:', !Ref 'AWS::Region', ':lambda:path/2015-03-31/functions/',"
                " !GetAtt [Fn, Arn], /invocations]]"
            ),
            "fn",
        ),
    ],
)
def test_an_integration_names_its_function_in_every_usual_form(app, uri, function):
    (api,) = app(API + STAGE + integration(uri) + route()).apis
    assert [route.integration.function for route in api.routes] == [function]


@pytest.mark.parametrize("uri", ["https://example.com/x", "arn:aws:sqs:eu-west-1:123456789012:queue"])
def test_a_uri_that_names_no_function_is_warned_about_and_its_route_left_out(app, uri):
    deployment = app(API + STAGE + integration(f"'{uri}'") + route())
    assert deployment.apis[0].routes == ()
    assert texts(deployment) == [f"'{uri}' names no Lambda function: route send is left out"]


@pytest.mark.parametrize(
    "target", ["!Join ['/', [integrations, !Ref Integ]]", "!Sub 'integrations/${Integ}'", "!Sub ['integrations/${I}', {I: !Ref Integ}]"]
)  # fmt: skip
def test_a_target_is_written_in_any_form(app, target):
    (api,) = app(API + STAGE + integration() + route(target=target)).apis
    assert len(api.routes) == 1


def test_a_target_that_is_no_integration_is_an_error_with_its_line(app):
    with pytest.raises(ConfigurationError, match=r"template.yaml:16: .*Target is 'integrations/x'; expected"):
        app(API + STAGE + integration() + route(target="integrations/x"))


def test_a_route_key_twice_is_an_error_with_both_lines(app):
    with pytest.raises(ConfigurationError, match=r"yaml:20: .*route key send is at .*yaml:14 already"):
        app(API + integration() + STAGE + route() + "# more\n" + route(name="Second"))


def test_an_integrations_timeout_is_in_seconds(app):
    (api,) = app(API + STAGE + integration(more=", TimeoutInMillis: 1500") + route()).apis
    assert api.routes[0].integration.seconds == 1.5


SELECTION = ", RouteResponseSelectionExpression: $default"
RESPONSE = """\
  Response:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: {ApiId: !Ref Socket, RouteId: !Ref Route, RouteResponseKey: $default}
"""


@pytest.mark.parametrize(
    ("more", "response", "two_way", "warned"),
    [
        ("", "", False, []),
        (SELECTION, RESPONSE, True, []),
        (
            SELECTION,
            "",
            True,
            ["route send has no RouteResponse, which AWS may want; its answers are sent all the same"],
        ),
        ("", RESPONSE, False, ["route send has no RouteResponseSelectionExpression: its answers are not sent"]),
    ],
)
def test_a_route_with_a_selection_expression_is_two_way(app, more, response, two_way, warned):
    deployment = app(API + STAGE + integration() + route(more=more) + response)
    assert deployment.apis[0].routes[0].two_way is two_way
    assert texts(deployment) == warned


AUTHORIZER = """\
  Auth:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties:
      ApiId: !Ref Socket
      Name: auth
      AuthorizerType: REQUEST
      AuthorizerUri: !Sub 'arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Fn.Arn}/invocations'
      IdentitySource: SOURCES
"""


@pytest.mark.parametrize(
    ("sources", "identity"),
    [
        ("[route.request.header.Auth, stageVariables.x]", ("route.request.header.Auth", "stageVariables.x")),
        ("'route.request.header.Auth, stageVariables.x'", ("route.request.header.Auth", "stageVariables.x")),
        ("!Ref AWS::NoValue", ()),
    ],
)
def test_connect_has_its_authorizer(app, sources, identity):
    more = ", AuthorizationType: CUSTOM, AuthorizerId: !Ref Auth"
    (api,) = app(API + STAGE + integration() + route("$connect", more) + AUTHORIZER.replace("SOURCES", sources)).apis
    assert (api.authorizer.function, api.authorizer.identity) == ("fn", identity)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (
            ", AuthorizationType: AWS_IAM",
            "authorization AWS_IAM of route $connect is not checked here: it takes everyone",
        ),
        (", ApiKeyRequired: true", "API keys are not checked here: route $connect takes everyone"),
    ],
)
def test_what_a_route_says_and_is_not_done_is_warned_about(app, more, text):
    assert texts(app(API + STAGE + integration() + route("$connect", more))) == [text]


def test_custom_authorization_without_an_authorizer_is_an_error(app):
    with pytest.raises(ConfigurationError, match="AuthorizerId names no authorizer of this template"):
        app(API + STAGE + integration() + route("$connect", ", AuthorizationType: CUSTOM, AuthorizerId: x"))


def test_a_stage_has_its_variables_and_rates(app):
    more = ", StageVariables: {a: 1}, DefaultRouteSettings: {ThrottlingRateLimit: '100', ThrottlingBurstLimit: 20}"
    more += ", RouteSettings: {send: {ThrottlingBurstLimit: 0}, other: {LoggingLevel: INFO}}"
    (api,) = app(API + STAGE.replace("dev", f"dev{more}")).apis
    (stage,) = api.stages
    assert (stage.variables, stage.rate) == ({"a": "1"}, Rate(100.0, 20))
    assert stage.route_rates == {"send": Rate(10_000.0, 0)}


def test_a_deployment_with_a_stage_name_makes_a_stage(app):
    deployed = "  Live: {Type: AWS::ApiGatewayV2::Deployment, Properties: {ApiId: !Ref Socket, StageName: v1}}\n"
    (api,) = app(API + deployed).apis
    assert [stage.name for stage in api.stages] == ["v1"]


def test_an_api_without_a_stage_is_warned_about(app):
    assert texts(app(API)) == ["Api Socket has no stage and is not served; expected an AWS::ApiGatewayV2::Stage"]


def test_an_http_api_is_listed_as_not_run(app):
    deployment = app(API.replace("WEBSOCKET", "HTTP") + STAGE + integration() + route("'GET /'"))
    assert deployment.apis == ()
    assert deployment.not_run == (("Socket", "AWS::ApiGatewayV2::Api"),)


def test_a_route_whose_function_is_not_in_the_template_is_warned_about(app):
    deployment = app(API + STAGE + integration("other") + route())
    assert texts(deployment) == ["route send has function other, which is not run here: it answers an error"]


def of_another_api(name, key="send"):
    return route(key, name=name).replace("!Ref Socket", "abcdef1234")


def test_routes_of_an_api_that_is_not_in_the_template_are_warned_about_with_the_line_of_the_first(app):
    deployment = app(API + STAGE + integration() + route() + of_another_api("One") + of_another_api("Two", "$default"))
    (warning,) = deployment.warnings
    assert warning.text == "routes send, $default are of Api abcdef1234, which is not in this template, and not served"
    assert warning.where.endswith("yaml:19")
    assert [one.key for one in deployment.apis[0].routes] == ["send"]


def test_a_single_route_of_an_api_that_is_not_in_the_template_is_warned_about(app):
    deployment = app(API + STAGE + integration() + of_another_api("One"))
    assert texts(deployment) == ["route send is of Api abcdef1234, which is not in this template, and not served"]


@pytest.mark.parametrize(
    "http",
    [
        "AWS::ApiGatewayV2::Api, Properties: {Name: Web, ProtocolType: HTTP}",
        "AWS::Serverless::HttpApi",
    ],
)
def test_a_route_of_an_http_api_of_the_template_is_not_warned_about(app, http):
    web = f"  Web: {{Type: {http}}}\n" + route("'GET /'").replace("!Ref Socket", "!Ref Web")
    assert texts(app("Transform: AWS::Serverless-2016-10-31\n" + API + STAGE + integration() + web)) == []


def test_an_api_id_is_the_same_each_time_and_differs_between_apis(app):
    second = API.split("  Socket:")[1].replace("Name: Socket", "Name: Other")
    text = API + STAGE + "  Other:" + second
    first, other = app(text).apis
    assert first.api_id == app(text).apis[0].api_id != other.api_id


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (API.replace("Name: Socket", "DisableExecuteApiEndpoint: true") + STAGE, "DisableExecuteApiEndpoint is not done here"),
        (API + STAGE + route().replace(", Target: !Sub 'integrations/${Integ}'", ""), "route send has no Target and is left out"),
        (API + STAGE.replace("dev", "dev, AccessLogSettings: {Format: x}"), "the access log of stage dev is not written here"),
    ],
)  # fmt: skip
def test_what_is_not_done_is_warned_about(app, text, warning):
    assert texts(app(text)) == [warning]


CUSTOM = ", AuthorizationType: CUSTOM, AuthorizerId: !Ref Auth"
AUTHORIZED = API + STAGE + integration() + route("$connect", CUSTOM) + AUTHORIZER.replace("SOURCES", "[]")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (API.replace(", RouteSelectionExpression: $request.body.action", ""), "yaml:7: .*RouteSelectionExpression is missing"),
        (API + STAGE + integration(more=", TimeoutInMillis: 0") + route(), "yaml:13: .*TimeoutInMillis is 0; expected 50 to 29000"),
        (AUTHORIZED.replace("AuthorizerType: REQUEST", "AuthorizerType: JWT"), "yaml:22: .*AuthorizerType is JWT; expected REQUEST"),
        (AUTHORIZED.replace("AuthorizerUri: !Sub 'arn:aws", "AuthorizerUri: 'https:aws").replace(":lambda:path", ":x"), "yaml:23: .*AuthorizerUri is 'https:"),
        (API + STAGE + STAGE.replace("Stage:", "Again:"), "yaml:13: .*stage dev is at .*yaml:8 already; expected another name"),
        (API + STAGE.replace("dev", "a/b"), "yaml:10: .*StageName is 'a/b'; expected letters, digits, - and _"),
        (API + STAGE.replace("dev", "dev, RouteSettings: {send: x}"), "yaml:10: .*RouteSettings.send is 'x'; expected a mapping"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_an_error_with_its_line(app, text, message):
    with pytest.raises(ConfigurationError, match=message):
        app(text)
