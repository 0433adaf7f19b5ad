"""SAM's shorthand."""

import os
import subprocess
import sys

import pytest

from trunkline.errors import ConfigurationError

SAM = """\
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {Runtime: python3.12, Timeout: 7, CodeUri: src, Environment: {Variables: {SHARED: yes-it-is}}}
Resources:
  Chat:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      StageName: dev
      Auth: {AuthType: CUSTOM, AuthArn: !GetAtt Auth.Arn, IdentitySource: [route.request.header.Auth]}
      Routes:
        $connect: {FunctionArn: !GetAtt Main.Arn}
        send:
          FunctionArn: !GetAtt Main.Arn
          IntegrationTimeout: 15000
          RouteResponseSelectionExpression: $default
  Auth:
    Type: AWS::Serverless::Function
    Properties: {Handler: index.handler, InlineCode: x = 1}
  Main:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      AutoPublishAlias: live
      Layers: [!Ref Common]
      Environment: {Variables: {TABLE: !Ref Items, URL: !Sub 'https://${ServerlessRestApi}.x', Q: !Ref Rest}}
      Policies: [NoSuchPolicyTemplate: {TableName: !Ref Items}]
      Events:
        Get: {Type: Api, Properties: {Path: /, Method: get}}
  Common:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layer}
  Items:
    Type: AWS::Serverless::SimpleTable
    Properties: {PrimaryKey: {Name: id, Type: String}}
  Rest:
    Type: AWS::Serverless::Api
    Properties: {StageName: x, DefinitionUri: swagger.yaml}
  Role: {Type: AWS::IAM::Role}
"""


@pytest.fixture
def deployment(app):
    return app(SAM, "src/", "layer/")


def test_a_websocket_api_has_routes_authorizer_and_stage(deployment):
    (api,) = deployment.apis
    assert [(r.key, r.integration.function, r.integration.seconds, r.two_way) for r in api.routes] == [
        ("$connect", "my-app-Main", 29.0, False),
        ("send", "my-app-Main", 15.0, True),
    ]
    assert (api.authorizer.function, api.authorizer.identity) == ("my-app-Auth", ("route.request.header.Auth",))
    assert [stage.name for stage in api.stages] == ["dev"]


def test_routes_of_a_websocket_api_have_models_and_required_parameters(app):
    routes = """\
        $connect:
          FunctionArn: !GetAtt Main.Arn
          RequestParameters: {route.request.querystring.room: {Required: true}}
"""
    send = """\
          ModelSelectionExpression: \\$default
          RequestModels: {$default: Said}
"""
    model = """\
  Said:
    Type: AWS::ApiGatewayV2::Model
    Properties: {ApiId: !Ref Chat, Name: Said, Schema: {type: object}}
"""
    text = SAM.replace("        $connect: {FunctionArn: !GetAtt Main.Arn}\n", routes)
    text = text.replace("          IntegrationTimeout: 15000\n", send) + model
    deployment = app(text, "src/", "layer/")
    connect, said = deployment.apis[0].routes
    assert connect.required == ("route.request.querystring.room",)
    assert (said.model_select, said.models) == ("\\$default", {"$default": '{"type": "object"}'})
    assert not any(
        "Said" in warned.text or "route" in warned.text
        for warned in deployment.warnings
        if "Response" not in warned.text
    )


def test_what_the_transform_makes_has_the_line_of_what_it_was_made_of(deployment, tmp_path):
    file = tmp_path / "my app" / "template.yaml"
    (api,) = deployment.apis
    assert [route.where for route in api.routes] == [f"{file}:13", f"{file}:14"]
    assert (api.where, api.stages[0].where) == (f"{file}:6", f"{file}:6")
    assert [function.where for function in deployment.functions] == [f"{file}:18", f"{file}:21"]
    assert deployment.tables[0].where == f"{file}:34"


def test_functions_have_what_globals_say(deployment, tmp_path):
    auth, main = deployment.functions
    assert (main.runtime, main.seconds, main.code) == ("python3.12", 7.0, tmp_path / "my app" / "src")
    assert main.environment["SHARED"] == auth.environment["SHARED"] == "yes-it-is"
    assert main.environment["TABLE"] == "my-app-Items"


def test_inline_code_beats_the_code_of_globals(deployment):
    assert (deployment.functions[0].inline, deployment.functions[0].code) == ("x = 1", None)


def test_a_layer_is_a_folder(deployment, tmp_path):
    assert deployment.functions[1].layers == (tmp_path / "my app" / "layer",)


def test_a_simple_table_is_made(deployment):
    assert deployment.tables[0].create == {
        "TableName": "my-app-Items",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }


def test_only_what_was_written_is_listed_as_not_run(deployment):
    assert deployment.not_run == (("Rest", "AWS::Serverless::Api"), ("Role", "AWS::IAM::Role"))


def test_an_event_that_does_not_happen_is_warned_about_with_its_line(deployment):
    assert any(
        str(warning).endswith("yaml:30: event Get (Api) of Main does not happen here")
        for warning in deployment.warnings
    )


FN = """\
Transform: AWS::Serverless-2016-10-31
Parameters:
  Folder: {Type: String, Default: src}
Resources:
  Fn:
    Type: AWS::Serverless::Function
    Properties: {Handler: a.b, Runtime: python3.12%s}
"""


@pytest.mark.parametrize(
    ("code", "folder"), [(", CodeUri: src/", "src"), (", CodeUri: !Ref Folder", "src"), ("", "."), (", CodeUri: ./a.zip", "a.zip")]
)  # fmt: skip
def test_code_is_where_its_uri_says(app, tmp_path, code, folder):
    (function,) = app(FN % code, "src/", "a.zip").functions
    assert function.code == (tmp_path / "my app" / folder)


def test_a_container_image_is_warned_about_and_not_run(app):
    deployment = app(
        "Transform: AWS::Serverless-2016-10-31\nResources:\n  Fn: {Type: AWS::Serverless::Function, Properties: {PackageType: Image}}\n"
    )
    assert deployment.functions == ()
    assert deployment.not_run == (("Fn", "AWS::Serverless::Function"),)
    assert deployment.warnings[0].text == (
        "function Fn is a container image and is not run here; expected PackageType Zip with the CodeUri, Handler and "
        "Runtime of what its Dockerfile copies"
    )


def test_a_build_method_is_warned_about(app):
    text = FN % "" + "    Metadata: {BuildMethod: esbuild}\n"
    assert "sam build" in str(app(text).warnings[0])


def test_a_template_that_sam_build_wrote_is_not_told_to_be_built(app):
    assert app(FN % "" + "    Metadata: {BuildMethod: makefile, SamResourceId: Fn}\n").warnings == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SAM.replace("StageName: dev", "StageName: $default"), r"yaml:6: Resource with id \[Chat\] is invalid. Stages cannot be named"),
        (SAM.replace("      RouteSelectionExpression: $request.body.action\n", ""), r"yaml:6: .*RouteSelectionExpression"),
        (SAM.replace("$connect: {FunctionArn: !GetAtt Main.Arn}", "$connect: 3"), r"yaml:5: SAM's transform fails with AttributeError: .*; expected"),
        (FN % ", Layers: 3", r"yaml:5: .*Type of property 'Layers' is invalid"),
        (FN.replace("Properties: {Handler: a.b, Runtime: python3.12%s}", "Properties: x"), r"yaml:5: Fn has no mapping Properties"),
        (SAM.replace("Globals:", "Globals:\n  Frob: {}"), r"yaml:\d+: .*Frob"),
    ],
)  # fmt: skip
def test_what_the_transform_finds_wrong_is_said_with_file_and_line(app, text, message):
    with pytest.raises(ConfigurationError, match=message):
        app(text, "src/", "layer/")


def test_a_template_of_only_what_is_not_run_has_nothing_to_transform(app):
    text = "Transform: AWS::Serverless-2016-10-31\nResources:\n  A: {Type: AWS::Serverless::Application}\n"
    assert app(text).not_run == (("A", "AWS::Serverless::Application"),)


def test_the_transform_asks_nothing_of_the_users_aws_settings(app, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "none-such")
    assert len(app(FN % "").functions) == 1


def test_nothing_of_what_the_user_has_is_changed(app):
    before = dict(os.environ)
    app(FN % "")
    assert dict(os.environ) == before


BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "{module}":
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
from pathlib import Path
from trunkline.templates import load_template
print(sorted(name for name in ("yaml", "samtranslator", "boto3") if name in sys.modules))
try:
    load_template(Path({file!r}), {{}}, region="eu-west-1", account="123456789012")
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(("module", "package"), [("yaml", "pyyaml"), ("samtranslator", "aws-sam-translator")])
def test_a_package_that_is_missing_is_named_with_its_remedy_and_only_loaded_when_needed(app, tmp_path, module, package):
    app(FN % "")
    file = str(tmp_path / "my app" / "template.yaml")
    code = BLOCK.format(module=module, file=file)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    remedy = f"ConfigurationError running a template needs {package}; it needs: pip install 'trunkline[aws]'"
    assert (done.stdout.splitlines(), done.stderr) == (["[]", remedy], "")


def test_a_loop_over_resources_is_said_before_the_transform_trips_over_it(app):
    text = "Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]\nResources:\n  Fn::ForEach::Each: [N, [A], {}]\n"
    with pytest.raises(ConfigurationError, match=r"yaml:3: Fn::ForEach::Each is not done here; expected resources"):
        app(text)
