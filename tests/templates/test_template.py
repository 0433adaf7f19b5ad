"""From a template to what it says."""

import pytest

from trunkline.errors import ConfigurationError

CLOUDFORMATION = """\
Parameters:
  TableName:
    Type: String
    Default: chat-connections
Resources:
  Socket:
    Type: AWS::ApiGatewayV2::Api
    Properties:
      Name: Socket
      ProtocolType: WEBSOCKET
      RouteSelectionExpression: $request.body.action
  ConnectRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Socket
      RouteKey: $connect
      AuthorizationType: NONE
      Target: !Join ['/', [integrations, !Ref ConnectInteg]]
  ConnectInteg:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Socket
      IntegrationType: AWS_PROXY
      IntegrationUri:
        Fn::Sub: arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Connect.Arn}/invocations
  Live:
    Type: AWS::ApiGatewayV2::Deployment
    DependsOn: [ConnectRoute]
    Properties: {ApiId: !Ref Socket}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {StageName: Prod, ApiId: !Ref Socket, DeploymentId: !Ref Live}
  Connections:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Ref TableName
      AttributeDefinitions: [{AttributeName: connectionId, AttributeType: S}]
      KeySchema: [{AttributeName: connectionId, KeyType: HASH}]
      ProvisionedThroughput: {ReadCapacityUnits: 5, WriteCapacityUnits: "5"}
      SSESpecification: {SSEEnabled: true}
  Connect:
    Type: AWS::Lambda::Function
    Properties:
      Code: connect
      Handler: app.handler
      Runtime: nodejs12.x
      MemorySize: 256
      Role: !GetAtt Role.Arn
      Environment:
        Variables:
          TABLE_NAME: !Ref TableName
          ROLE: !GetAtt Role.Arn
  Role:
    Type: AWS::IAM::Role
    Properties: {AssumeRolePolicyDocument: {}}
  Permission:
    Type: AWS::Lambda::Permission
    DependsOn: Socket
    Properties: {Action: lambda:InvokeFunction, FunctionName: !Ref Connect, Principal: apigateway.amazonaws.com}
Outputs:
  Uri:
    Value: !Join ['', ['wss://', !Ref Socket, '.execute-api.', !Ref 'AWS::Region', '.amazonaws.com/', !Ref Stage]]
"""


def test_an_api_has_its_routes_and_stages(app):
    (api,) = app(CLOUDFORMATION, "connect/").apis
    assert (api.logical_id, api.name, api.select) == ("Socket", "Socket", "$request.body.action")
    assert [
        (route.key, route.integration.function, route.two_way, route.integration.seconds) for route in api.routes
    ] == [("$connect", "my-app-Connect", False, 29.0)]
    assert [stage.name for stage in api.stages] == ["Prod"]


def test_a_function_has_its_code_and_environment(app, tmp_path):
    (function,) = app(CLOUDFORMATION, "connect/").functions
    assert function.code == tmp_path / "my app" / "connect"
    assert (function.name, function.runtime, function.handler) == ("my-app-Connect", "nodejs12.x", "app.handler")
    assert (function.seconds, function.memory_mb, function.concurrency) == (3.0, 256, None)
    assert function.environment == {
        "TABLE_NAME": "chat-connections",
        "ROLE": "arn:aws:iam::123456789012:role/my-app-Role",
    }


def test_a_table_is_what_create_table_takes(app):
    (table,) = app(CLOUDFORMATION, "connect/", TableName="mine").tables
    assert table.create == {
        "TableName": "mine",
        "AttributeDefinitions": [{"AttributeName": "connectionId", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "connectionId", "KeyType": "HASH"}],
        "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    }


def test_what_is_not_run_is_listed_and_a_permission_is_not(app):
    assert app(CLOUDFORMATION, "connect/").not_run == (("Role", "AWS::IAM::Role"),)


def test_everything_says_where_it_is_declared(app, tmp_path):
    deployment = app(CLOUDFORMATION, "connect/")
    file = tmp_path / "my app" / "template.yaml"
    assert deployment.apis[0].where == f"{file}:6"
    assert deployment.apis[0].routes[0].where == f"{file}:12"
    assert deployment.functions[0].where == f"{file}:41"
    assert deployment.tables[0].where == f"{file}:33"


def test_outputs_are_resolved(app):
    deployment = app(CLOUDFORMATION, "connect/")
    host = f"{deployment.apis[0].api_id}.execute-api.eu-west-1.amazonaws.com"
    assert deployment.outputs == {"Uri": f"wss://{host}/Prod"}


def test_a_template_without_resources_is_an_error(app):
    with pytest.raises(ConfigurationError, match=r"template.yaml:1: there are no Resources; expected a SAM or"):
        app("Description: nothing\n")


@pytest.mark.parametrize("resource", ["X: 3", "X: {Properties: {}}", "X: {Type: 3}", "X: {Type: Bucket}"])
def test_a_resource_without_a_type_is_an_error_with_its_line(app, resource):
    with pytest.raises(ConfigurationError, match=r"yaml:2: resource X has no Type; expected one such as"):
        app(f"Resources:\n  {resource}\n")


def test_a_section_that_is_no_mapping_is_an_error_with_its_line(app):
    with pytest.raises(ConfigurationError, match=r"yaml:1: Resources is list; expected a mapping of names"):
        app("Resources: [a]\n")


def test_a_loop_over_resources_is_an_error_with_its_line(app):
    with pytest.raises(ConfigurationError, match=r"yaml:2: Fn::ForEach::X is not done here; expected resources"):
        app("Resources:\n  Fn::ForEach::X: []\n")


def test_another_transform_is_warned_about_with_its_line(app):
    deployment = app("Description: x\nTransform: [AWS::LanguageExtensions, MyMacro]\nResources: {}\n")
    assert [str(warning).rsplit("/", 1)[1] for warning in deployment.warnings] == [
        "template.yaml:2: transform MyMacro is not done here"
    ]


def test_parts_of_an_api_that_are_not_done_are_warned_about(app):
    deployment = app("Resources:\n  D: {Type: AWS::ApiGatewayV2::DomainName, Properties: {DomainName: x}}\n")
    assert deployment.not_run == (("D", "AWS::ApiGatewayV2::DomainName"),)
    assert deployment.warnings[0].text == "D: custom domain names are not served here"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("AWS::Lambda::EventSourceMapping", "its events do not happen here"),
        ("AWS::Events::Rule", "its events do not happen here"),
        ("AWS::Scheduler::Schedule", "its events do not happen here"),
        ("AWS::SNS::Subscription", "its events do not happen here"),
        (
            "AWS::CloudFormation::Stack",
            "what is in a nested stack is not run here, and its outputs are made up; its own template can be run",
        ),
        (
            "AWS::Serverless::Application",
            "what is in a nested stack is not run here, and its outputs are made up; its own template can be run",
        ),
    ],
)
def test_what_would_be_missed_is_warned_about_with_its_line(app, kind, text):
    deployment = app(
        f"Transform: AWS::Serverless-2016-10-31\nResources:\n  Other: {{Type: '{kind}', Properties: {{}}}}\n"
    )
    assert deployment.not_run == (("Other", kind),)
    assert [str(warning).rsplit("/", 1)[1] for warning in deployment.warnings] == [f"template.yaml:3: Other: {text}"]


def test_what_is_not_run_is_not_looked_at(app):
    deployment = app("Resources:\n  B: {Type: AWS::S3::Bucket, Properties: {X: !ImportValue x, Y: !If [None, 1, 2]}}\n")
    assert deployment.not_run == (("B", "AWS::S3::Bucket"),)


def test_outputs_that_need_what_is_not_here_are_left_out(app):
    text = "Resources: {}\nOutputs: {A: {Value: !ImportValue x}, B: {Value: b}, C: {Value: c, Condition: No}, D: 3}\n"
    text += "Conditions: {No: !Equals [a, b]}\n"
    assert app(text).outputs == {"B": "b"}


def test_too_many_resources_are_refused(app):
    with pytest.raises(ConfigurationError, match="there are over 1000 resources"):
        app("Resources:\n" + "".join(f"  B{n}: {{Type: AWS::S3::Bucket}}\n" for n in range(1001)))


@pytest.mark.parametrize("text", ["${" * 500_000, "arn:lambda:path/a/functions/" * 30_000, "A" * 900_000])
def test_a_long_text_costs_no_more_than_its_length(app, text):
    function = "Type: AWS::Lambda::Function, Properties: {Handler: a.b, Runtime: r, Code: {ZipFile: x}"
    api = "  A: {Type: AWS::ApiGatewayV2::Api, Properties: {ProtocolType: WEBSOCKET, RouteSelectionExpression: x}}\n"
    integration = f"  I: {{Type: AWS::ApiGatewayV2::Integration, Properties: {{ApiId: !Ref A, IntegrationType: AWS_PROXY, IntegrationUri: '{text}'}}}}\n"
    route = "  R: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref A, RouteKey: a, Target: !Sub 'integrations/${I}'}}\n"
    deployment = app(
        f"Resources:\n  F: {{{function}, Environment: {{Variables: {{A: !Sub 'x'}}}}}}}}\n" + api + integration + route
    )
    assert len(deployment.functions) == 1
    with pytest.raises(ConfigurationError, match="there is no parameter or resource"):
        app(
            f"Resources:\n  F: {{{function}, Environment: {{Variables: {{A: !Sub ['{text}${{B}}', {{}}], C: !Ref '{text}'}}}}}}}}\n"
        )


def test_properties_that_are_no_mapping_are_an_error_with_its_line(app):
    with pytest.raises(ConfigurationError, match=r"yaml:2: Properties of X are no mapping; expected one"):
        app("Resources:\n  X: {Type: AWS::Lambda::Function, Properties: [a]}\n")


@pytest.mark.parametrize("condition", ["x", "{}", "!Equals [a]", "!Not []", "!Or []", "{'Fn::Contains': [a, b]}"])
def test_a_condition_that_is_none_is_an_error_with_its_line(app, condition):
    text = f"Conditions:\n  C: {condition}\nResources:\n  X: {{Type: AWS::S3::Bucket, Condition: C}}\n"
    with pytest.raises(ConfigurationError, match=r"yaml:2: this is no condition; expected Fn::Equals, Fn::Not"):
        app(text)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("template.yaml", "my-app"),
        (".aws-sam/build/template.yaml", "my-app"),
        (".serverless/cloudformation-template-update-stack.json", "my-app"),
        ("cdk.out/ChatStack.template.json", "ChatStack"),
        ("cdk.out/7-up.template.json", "stack-7-up"),
    ],
)
def test_a_stack_is_called_as_its_application_and_not_as_the_folder_that_a_tool_wrote(app, file, name):
    folder, _, file = file.rpartition("/")
    text = '{"Resources": {}, "Outputs": {"A": {"Value": {"Ref": "AWS::StackName"}}}}'
    assert app(text, f"{folder}/", name=f"{folder}/{file}".lstrip("/")).outputs == {"A": name}
