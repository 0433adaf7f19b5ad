"""Functions that only custom resources name, which nothing here invokes."""

import pytest

SOCKET = """
Resources:
  Socket:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: Socket, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Socket, StageName: dev}}
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Socket, RouteKey: $default, Target: !Sub 'integrations/${Behind}'}
  Behind:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Socket, IntegrationType: AWS_PROXY, IntegrationUri: URI}
  Talk:
    Type: AWS::Lambda::Function
    Properties:
      {Runtime: nodejs20.x, Handler: index.handler, Code: {ZipFile: ""}, Environment: {Variables: {NEXT: TOLD}}}
  Provider:
    Type: AWS::Lambda::Function
    Properties: {Runtime: nodejs20.x, Handler: index.handler, Code: CODE}
  Made: {Type: TYPE, Properties: {ServiceToken: TOKEN}}
"""
CUSTOM = {
    "URI": "!GetAtt Talk.Arn",
    "TOLD": "nobody",
    "CODE": '{ZipFile: ""}',
    "TYPE": "Custom::LogRetention",
    "TOKEN": "!GetAtt Provider.Arn",
}


def template(**changed):
    text = SOCKET
    for name, value in (CUSTOM | changed).items():
        text = text.replace(f" {name}", f" {value}")
    return text


def run(deployment):
    return [function.logical_id for function in deployment.functions]


@pytest.mark.parametrize("kind", ["Custom::LogRetention", "AWS::CloudFormation::CustomResource"])
@pytest.mark.parametrize("token", ["!GetAtt Provider.Arn", "!Sub '${Provider.Arn}:live'", "!Ref Provider"])
def test_a_function_that_only_a_custom_resource_names_is_not_run(app, kind, token):
    deployment = app(template(TYPE=kind, TOKEN=token))
    assert run(deployment) == ["Talk"]
    assert ("Provider", "AWS::Lambda::Function") in deployment.not_run
    assert deployment.warnings == ()


def test_one_of_sam_is_not_run_either(app):
    provider = (
        "AWS::Serverless::Function\n    Properties: {Runtime: nodejs20.x, Handler: index.handler, InlineCode: ''}"
    )
    before, _, after = template().partition("  Provider:\n    Type: ")
    made = after[after.index("  Made:") :]
    deployment = app(f"Transform: AWS::Serverless-2016-10-31{before}  Provider:\n    Type: {provider}\n{made}")
    assert run(deployment) == ["Talk"]
    assert ("Provider", "AWS::Serverless::Function") in deployment.not_run


def test_its_code_need_not_be_there(app):
    deployment = app(template(CODE="nowhere"))
    assert (run(deployment), deployment.warnings) == (["Talk"], ())


@pytest.mark.parametrize(
    "changed",
    [
        {"TOKEN": "arn:aws:sns:eu-west-1:123456789012:topic"},
        {"TOKEN": "!ImportValue Elsewhere"},
        {"TYPE": "AWS::S3::Bucket"},
        {"URI": "!GetAtt Provider.Arn"},
        {"URI": "!Sub 'arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:${!stageVariables.which}'"},
        {"TOLD": "!GetAtt Provider.Arn"},
    ],
)
def test_one_that_something_else_may_invoke_is_run(app, changed):
    assert "Provider" in run(app(template(**changed)))
