"""Where the code of functions and layers is, also in what CDK, the Serverless Framework and Chalice write."""

import json

import pytest

from trunkline.errors import ConfigurationError


def function(code, more="", kind="AWS::Lambda::Function"):
    return f"Resources:\n  Fn:\n    Type: {kind}\n    Properties: {{Handler: a.b, Runtime: python3.12, Code: {code}}}\n{more}"


@pytest.mark.parametrize("text", ["..", "../other", "src/../../x", "/etc", "link"])
def test_code_outside_the_templates_folder_is_refused(app, tmp_path, text):
    (tmp_path / "other").mkdir()
    (tmp_path / "my app").mkdir()
    (tmp_path / "my app" / "link").symlink_to(tmp_path / "other")
    with pytest.raises(ConfigurationError, match=r"yaml:4: .*leaves the template's folder; expected a path inside it"):
        app(function(text))


def test_code_may_be_below_a_folder_that_holds_both(app, tmp_path):
    (tmp_path / "src").mkdir()
    found = app(function("../src"), root=tmp_path)
    assert found.functions[0].code == tmp_path / "src"


def test_code_outside_that_folder_is_refused_too(app, tmp_path):
    with pytest.raises(
        ConfigurationError, match=r"yaml:4: .*code '/etc' leaves .*, which --code-root says; expected a path"
    ):
        app(function("/etc"), root=tmp_path)


@pytest.mark.parametrize(
    ("root", "wrong"), [("none", "does not exist"), ("other", "does not hold"), ("file", "is a file")]
)
def test_a_folder_that_does_not_hold_the_template_is_refused(app, tmp_path, root, wrong):
    (tmp_path / "other").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=f"--code-root .*{root} {wrong}.*; expected a folder that"):
        app(function("../src"), root=tmp_path / root)


@pytest.mark.parametrize("text", ["none", "notes.txt", '"a\\0b"', "'" + "x" * 5000 + "'", "loop", "[a]"])
def test_code_that_is_not_there_is_an_error_with_its_line(app, tmp_path, text):
    (tmp_path / "my app").mkdir()
    (tmp_path / "my app" / "notes.txt").write_text("text")
    (tmp_path / "my app" / "loop").symlink_to("loop")
    with pytest.raises(ConfigurationError, match=r"yaml:4: .*expected a folder or a zip file"):
        app(function(text))


def test_a_symbolic_link_inside_the_folder_is_followed(app, tmp_path):
    (tmp_path / "my app" / "real").mkdir(parents=True)
    (tmp_path / "my app" / "link").symlink_to("real")
    assert app(function("link")).functions[0].code == tmp_path / "my app" / "real"


IN_S3 = "{S3Bucket: b, S3Key: path/to/code.zip}"


def test_a_name_in_s3_that_no_file_can_have_is_not_beside_the_template(app):
    assert "its code is in S3" in app(function(f"{{S3Bucket: b, S3Key: {'x' * 500}.zip}}")).warnings[0].text


def test_a_function_in_s3_that_nothing_needs_is_warned_about_and_not_run(app):
    deployment = app(function(IN_S3))
    assert deployment.not_run == (("Fn", "AWS::Lambda::Function"),)
    assert str(deployment.warnings[0]).endswith(
        "yaml:2: function Fn is not run here: its code is in S3, path/to/code.zip, and there is no code.zip beside the template"
    )


ROUTE = """\
  Socket: {Type: AWS::ApiGatewayV2::Api, Properties: {ProtocolType: WEBSOCKET, RouteSelectionExpression: x}}
  Integ: {Type: AWS::ApiGatewayV2::Integration, Properties: {ApiId: !Ref Socket, IntegrationType: AWS_PROXY, IntegrationUri: !Ref Fn}}
  Route: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Socket, RouteKey: a, Target: !Sub 'integrations/${Integ}'}}
"""


def test_a_function_in_s3_behind_a_route_is_an_error_with_its_line(app):
    with pytest.raises(ConfigurationError, match=r"yaml:4: .*its code is in S3, .*; expected code beside the template"):
        app(function(IN_S3, ROUTE))


def test_a_zip_file_beside_the_template_is_the_code_of_that_name_in_s3(app, tmp_path):
    assert app(function(IN_S3), "code.zip").functions[0].code == tmp_path / "my app" / "code.zip"


FIRST_CDK = """\
Parameters: {AssetParameters0a1bS3BucketC0FFEE00: {Type: String}, AssetParameters0a1bS3VersionKeyDECAF000: {Type: String}}
Resources:
  Fn:
    Type: AWS::Lambda::Function
    Properties:
      Handler: a.b
      Runtime: nodejs14.x
      Code:
        S3Bucket: !Ref AssetParameters0a1bS3BucketC0FFEE00
        S3Key: !Join
          - ""
          - - !Select [0, !Split ["||", !Ref AssetParameters0a1bS3VersionKeyDECAF000]]
            - !Select [1, !Split ["||", !Ref AssetParameters0a1bS3VersionKeyDECAF000]]
"""


@pytest.mark.parametrize(
    ("asset", "more"),
    [("asset.0a1b/", ""), ("asset.0a1b.zip", ""), ("code/", "    Metadata: {aws:asset:path: code}\n")],
    ids=["a folder", "a zip file", "where its metadata says"],
)
def test_an_asset_of_the_first_cdk_is_found_beside_its_template(app, tmp_path, asset, more):
    assert app(FIRST_CDK + more, asset).functions[0].code == tmp_path / "my app" / asset


def test_a_layer_of_aws_is_warned_about_and_left_out(app):
    arn = "arn:aws:lambda:eu-west-1:017000801446:layer:Powertools:1"
    deployment = app(function(f"src, Layers: ['{arn}']"), "src/")
    assert deployment.functions[0].layers == ()
    assert str(deployment.warnings[0]).endswith(f"yaml:4: layer {arn} of function Fn is not here and is left out")


def cdk():
    """The same constructs as a WebSocketApi of CDK's after `cdk synth`."""
    uri = [
        "arn:",
        {"Ref": "AWS::Partition"},
        ":apigateway:",
        {"Ref": "AWS::Region"},
        ":lambda:path/2015-03-31/functions/",
    ]
    uri += [{"Fn::GetAtt": ["ConnectD6C3A1B2", "Arn"]}, "/invocations"]
    api = {"Ref": "Api8F2A91C0"}
    v2 = "AWS::ApiGatewayV2::"
    return {
        "Resources": {
            "Role1A2B3C4D": {"Type": "AWS::IAM::Role", "Properties": {}},
            "ConnectD6C3A1B2": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Code": {"S3Bucket": {"Fn::Sub": "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"}, "S3Key": "0a1b.zip"},
                    "Handler": "index.handler", "Runtime": "nodejs20.x",
                    "Environment": {"Variables": {"TABLE": {"Ref": "Table0A1B2C3D"}}},
                    "Role": {"Fn::GetAtt": ["Role1A2B3C4D", "Arn"]},
                },
                "DependsOn": ["Role1A2B3C4D"],
                "Metadata": {"aws:cdk:path": "Stack/Connect/Resource", "aws:asset:path": "asset.0a1b", "aws:asset:property": "Code"},
            },
            "Api8F2A91C0": {"Type": v2 + "Api", "Properties": {"Name": "Api", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action"}},
            "ApiConnectIntegration99887766": {"Type": v2 + "Integration", "Properties": {"ApiId": api, "IntegrationType": "AWS_PROXY", "IntegrationUri": {"Fn::Join": ["", uri]}}},
            "ApiConnectRoute55443322": {"Type": v2 + "Route", "Properties": {
                "ApiId": api, "AuthorizationType": "NONE", "RouteKey": "$connect",
                "Target": {"Fn::Join": ["", ["integrations/", {"Ref": "ApiConnectIntegration99887766"}]]}}},
            "Stage11223344": {"Type": v2 + "Stage", "Properties": {"ApiId": api, "AutoDeploy": True, "StageName": "prod"}},
            "Table0A1B2C3D": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": {
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}], "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "Replicas": [{"Region": {"Ref": "AWS::Region"}}],
                "TimeToLiveSpecification": {"AttributeName": "until", "Enabled": True}}},
            "CDKMetadata": {"Type": "AWS::CDK::Metadata", "Condition": "CDKMetadataAvailable"},
        },
        "Conditions": {"CDKMetadataAvailable": {"Fn::Or": [
            {"Fn::Equals": [{"Ref": "AWS::Region"}, "af-south-1"]}, {"Fn::Equals": [{"Ref": "AWS::Region"}, "eu-west-1"]}]}},
        "Parameters": {"BootstrapVersion": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/cdk-bootstrap/hnb659fds/version"}},
        "Rules": {"CheckBootstrapVersion": {"Assertions": [{"Assert": {"Fn::Not": [{"Fn::Contains": [["1"], {"Ref": "BootstrapVersion"}]}]}}]}},
    }  # fmt: skip


def test_an_asset_of_cdk_is_found_by_its_hash_where_the_template_does_not_name_it(app, tmp_path):
    template = cdk()
    del template["Resources"]["ConnectD6C3A1B2"]["Metadata"]
    deployment = app(json.dumps(template), "asset.0a1b/", name="Stack.template.json")
    assert deployment.functions[0].code == tmp_path / "my app" / "asset.0a1b"


def test_what_cdk_synthesises_is_run_with_its_assets(app, tmp_path):
    deployment = app(json.dumps(cdk(), indent=1), "asset.0a1b/", name="Stack.template.json")
    assert deployment.functions[0].code == tmp_path / "my app" / "asset.0a1b"
    assert [(r.key, r.integration.function) for r in deployment.apis[0].routes] == [
        ("$connect", "Stack-ConnectD6C3A1B2")
    ]
    assert deployment.tables[0].ttl_attribute == "until"
    assert deployment.not_run == (("Role1A2B3C4D", "AWS::IAM::Role"),)
    assert deployment.warnings == ()


def serverless():
    """The same constructs as a template that `serverless package` leaves in `.serverless/`."""
    v2 = "AWS::ApiGatewayV2::"
    api = {"Ref": "WebsocketsApi"}
    uri = [
        "arn:",
        {"Ref": "AWS::Partition"},
        ":apigateway:",
        {"Ref": "AWS::Region"},
        ":lambda:path/2015-03-31/functions/",
    ]
    uri += [{"Fn::GetAtt": ["EchoLambdaFunction", "Arn"]}, "/invocations"]
    return {
        "Resources": {
            "ServerlessDeploymentBucket": {"Type": "AWS::S3::Bucket"},
            "EchoLogGroup": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/aws/lambda/svc-dev-echo"}},
            "EchoLambdaFunction": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Code": {"S3Bucket": {"Ref": "ServerlessDeploymentBucket"}, "S3Key": "serverless/svc/dev/170-2023/svc.zip"},
                    "Handler": "handler.echo", "Runtime": "nodejs18.x", "FunctionName": "svc-dev-echo", "MemorySize": 1024, "Timeout": 6,
                    "Role": {"Fn::GetAtt": ["IamRoleLambdaExecution", "Arn"]},
                },
                "DependsOn": ["EchoLogGroup"],
            },
            "EchoLambdaVersionAbc": {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "EchoLambdaFunction"}, "CodeSha256": "x"}},
            "IamRoleLambdaExecution": {"Type": "AWS::IAM::Role", "Properties": {}},
            "WebsocketsApi": {"Type": v2 + "Api", "Properties": {"Name": "dev-svc", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action"}},
            "EchoWebsocketsIntegration": {"Type": v2 + "Integration", "Properties": {"ApiId": api, "IntegrationType": "AWS_PROXY", "IntegrationUri": {"Fn::Join": ["", uri]}}},
            "SdefaultWebsocketsRoute": {"Type": v2 + "Route", "Properties": {
                "ApiId": api, "RouteKey": "$default", "AuthorizationType": "NONE", "RouteResponseSelectionExpression": "$default",
                "Target": {"Fn::Join": ["/", ["integrations", {"Ref": "EchoWebsocketsIntegration"}]]}}},
            "SdefaultWebsocketsRouteResponse": {"Type": v2 + "RouteResponse", "Properties": {"ApiId": api, "RouteId": {"Ref": "SdefaultWebsocketsRoute"}, "RouteResponseKey": "$default"}},
            "WebsocketsDeploymentXyz": {"Type": v2 + "Deployment", "DependsOn": ["SdefaultWebsocketsRoute"], "Properties": {"ApiId": api}},
            "WebsocketsDeploymentStage": {"Type": v2 + "Stage", "Properties": {"ApiId": api, "DeploymentId": {"Ref": "WebsocketsDeploymentXyz"}, "StageName": "dev"}},
        },
        "Outputs": {
            "EchoLambdaFunctionQualifiedArn": {"Value": {"Ref": "EchoLambdaVersionAbc"}},
            "ServiceEndpointWebsocket": {"Value": {"Fn::Join": ["", ["wss://", api, ".execute-api.", {"Ref": "AWS::Region"}, ".", {"Ref": "AWS::URLSuffix"}, "/dev"]]}},
        },
    }  # fmt: skip


def test_what_the_serverless_framework_packages_is_run_with_its_zip_file(app, tmp_path):
    deployment = app(json.dumps(serverless()), "svc.zip", name="cloudformation-template-update-stack.json")
    (function,) = deployment.functions
    assert (function.name, function.code) == ("svc-dev-echo", tmp_path / "my app" / "svc.zip")
    (route,) = deployment.apis[0].routes
    assert (route.key, route.integration.function, route.two_way) == ("$default", "svc-dev-echo", True)
    assert deployment.outputs["EchoLambdaFunctionQualifiedArn"].endswith(":function:svc-dev-echo:1")
    assert deployment.warnings == ()


def chalice():
    """The same constructs as Chalice's package."""
    v2 = "AWS::ApiGatewayV2::"
    api = {"Ref": "WebsocketAPI"}
    arn = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${WebsocketHandler}"
    uri = f"arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/{arn}/invocations"
    return {
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {
            "DefaultRole": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}},
            "WebsocketMessage": {
                "Type": "AWS::Serverless::Function",
                "Properties": {"Runtime": "python3.11", "Handler": "app.message", "CodeUri": "./deployment.zip", "MemorySize": 128,
                               "Timeout": 60, "Tags": {"aws-chalice": "v"}, "Role": {"Fn::GetAtt": ["DefaultRole", "Arn"]}},
            },
            "WebsocketMessageInvokePermission": {"Type": "AWS::Lambda::Permission", "Properties": {"FunctionName": {"Ref": "WebsocketMessage"}}},
            "WebsocketAPI": {"Type": v2 + "Api", "Properties": {"Name": "chat", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action"}},
            "WebsocketMessageAPIIntegration": {"Type": v2 + "Integration", "Properties": {
                "ApiId": api, "ConnectionType": "INTERNET", "ContentHandlingStrategy": "CONVERT_TO_TEXT", "IntegrationType": "AWS_PROXY",
                "IntegrationUri": {"Fn::Sub": [uri, {"WebsocketHandler": {"Ref": "WebsocketMessage"}}]}}},
            "MessageRoute": {"Type": v2 + "Route", "Properties": {
                "ApiId": api, "RouteKey": "$default", "Target": {"Fn::Join": ["/", ["integrations", {"Ref": "WebsocketMessageAPIIntegration"}]]}}},
            "WebsocketAPIDeployment": {"Type": v2 + "Deployment", "DependsOn": ["MessageRoute"], "Properties": {"ApiId": api}},
            "WebsocketAPIStage": {"Type": v2 + "Stage", "Properties": {"ApiId": api, "DeploymentId": {"Ref": "WebsocketAPIDeployment"}, "StageName": "api"}},
        },
    }  # fmt: skip


def test_what_chalice_packages_is_run_with_its_zip_file(app, tmp_path):
    deployment = app(json.dumps(chalice()), "deployment.zip", name="sam.json")
    assert deployment.functions[0].code == tmp_path / "my app" / "deployment.zip"
    assert [(r.key, r.integration.function) for r in deployment.apis[0].routes] == [
        ("$default", "my-app-WebsocketMessage")
    ]
    assert deployment.warnings == ()
