"""What another stack says, in properties that something here reads and in those that nothing reads."""

import pytest

from trunkline.errors import ConfigurationError

FUNCTION = """\
Resources:
  Fn:
    Type: AWS::Lambda::Function
    Properties:
      Handler: a.b
      Runtime: python3.12
      Code: {ZipFile: x}
"""


@pytest.mark.parametrize(
    "text",
    [
        "Role: !ImportValue role",
        "VpcConfig: {SubnetIds: !Split [',', !ImportValue subnets]}",
        "Tags: [{Key: a, Value: !ImportValue b}]",
        "KmsKeyArn: !Sub ['${A}', {A: !ImportValue key}]",
    ],
)
def test_what_another_stack_says_of_networks_and_roles_stops_nothing(app, text):
    deployment = app(FUNCTION + f"      {text}\n")
    assert [function.logical_id for function in deployment.functions] == ["Fn"]
    assert deployment.warnings == ()


def test_what_another_stack_says_of_the_environment_is_an_error_with_its_line(app):
    with pytest.raises(ConfigurationError, match=r"yaml:8: Fn::ImportValue reads .* of another stack"):
        app(FUNCTION + "      Environment: {Variables: {A: !ImportValue a}}\n")


def test_a_layer_of_another_stack_is_left_out_with_a_warning_and_the_others_stay(app, tmp_path):
    layer = "  A: {Type: AWS::Lambda::LayerVersion, Properties: {Content: a}}\n"
    deployment = app(FUNCTION + "      Layers:\n        - !Ref A\n        - !ImportValue b\n" + layer, "a/")
    assert deployment.functions[0].layers == (tmp_path / "my app" / "a",)
    (warning,) = deployment.warnings
    assert str(warning).endswith("yaml:10: a layer is left out: Fn::ImportValue reads another stack, and none is here")


def test_a_layer_that_is_chosen_away_is_no_layer(app):
    deployment = app(
        FUNCTION + "      Layers: [!If [Never, a, !Ref AWS::NoValue]]\nConditions: {Never: !Equals [a, b]}\n"
    )
    assert (deployment.functions[0].layers, deployment.warnings) == ((), ())


def test_an_access_log_that_goes_to_another_stack_is_warned_about_as_any(app):
    api = "  S: {Type: AWS::ApiGatewayV2::Api, Properties: {ProtocolType: WEBSOCKET, RouteSelectionExpression: x}}\n"
    stage = "  D: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref S, StageName: dev, AccessLogSettings: {DestinationArn: !ImportValue a}}}\n"
    (warning,) = app("Resources:\n" + api + stage).warnings
    assert str(warning).endswith("yaml:3: the access log of stage dev is not written here")


def test_what_another_stack_exports_can_be_said(app):
    text = "      Environment: {Variables: {A: !ImportValue a, B: {Fn::ImportValue: !Sub '${AWS::Region}-b'}}}\n"
    found = app(FUNCTION + text, imports={"a": "1", "eu-west-1-b": "2"})
    assert found.functions[0].environment == {"A": "1", "B": "2"}
