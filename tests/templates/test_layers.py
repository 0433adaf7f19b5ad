"""Layers that are nobody's here."""

import pytest


def function(name, layers):
    properties = f"Handler: a.b, Runtime: python3.12, Code: {{ZipFile: x}}, Layers: [{layers}]"
    return f"  {name}: {{Type: AWS::Lambda::Function, Properties: {{{properties}}}}}\n"


ARN = "arn:aws:lambda:us-east-1:123456789012:layer:Mine:7"
POWERTOOLS = "arn:aws:lambda:us-east-1:017000801446:layer:AWSLambdaPowertoolsPythonV3-python312-x86_64:7"


def test_a_layer_that_functions_share_is_said_once_with_their_names(app):
    (warning,) = app("Resources:\n" + function("A", ARN) + function("B", ARN)).warnings
    assert str(warning).endswith(f"yaml:2: layer {ARN} of functions A, B is not here and is left out")


@pytest.mark.parametrize(
    ("arn", "command"),
    [
        (POWERTOOLS, "pip install aws-lambda-powertools"),
        ("arn:aws:lambda:eu-west-1:336392948345:layer:AWSSDKPandas-Python312:1", "pip install awswrangler"),
    ],
)
def test_a_layer_that_aws_publishes_is_said_with_what_has_its_packages(app, arn, command):
    (warning,) = app("Resources:\n" + function("A", arn)).warnings
    assert warning.text.endswith(f"is not here and is left out; its packages are had with: {command}")


def test_a_layer_in_s3_that_functions_name_is_said_once(app):
    layer = "  L: {Type: AWS::Lambda::LayerVersion, Properties: {Content: {S3Bucket: b, S3Key: a.zip}}}\n"
    deployment = app("Resources:\n" + layer + function("A", "!Ref L") + function("B", "!Ref L"))
    assert [warning.text.partition(":")[0] for warning in deployment.warnings] == ["layer L is left out"]
