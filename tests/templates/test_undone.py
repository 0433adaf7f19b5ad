"""What a template asks of a resource and does not get here is a warning with its line."""

import pytest

FUNCTION = """\
Resources:
  Fn:
    Type: AWS::Lambda::Function
    Properties:
      Handler: a.b
      Runtime: python3.12
      Code: {ZipFile: x}
      %s
"""
OTHER = """\
Resources:
  It:
    Type: %s
    Properties:
      %s
"""
TABLE = (
    "{AttributeDefinitions: [{AttributeName: id, AttributeType: S}], KeySchema: [{AttributeName: id, KeyType: HASH}]"
)
STAGE = "{ApiId: a, StageName: dev, "


def said(deployment):
    return [(warned.where.rpartition(":")[2], warned.text) for warned in deployment.warnings]


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("CapacityProviderConfig: {x: y}", "CapacityProviderConfig of Fn: functions run on this machine here"),
        ("DeadLetterConfig: {TargetArn: x}", "DeadLetterConfig of Fn: events that failed are not kept here"),
        ("DurableConfig: {ExecutionTimeout: 60}", "DurableConfig of Fn: executions are not durable here"),
        ("EphemeralStorage: {Size: 2048}", "EphemeralStorage of Fn: the room for temporary files is not bounded here"),
        ("FileSystemConfigs: [{Arn: x}]", "FileSystemConfigs of Fn: file systems are not mounted here"),
        ("TenancyConfig: {x: y}", "TenancyConfig of Fn: tenants share workers here"),
        ("TracingConfig: {Mode: Active}", "TracingConfig of Fn: traces are not kept here"),
    ],
)
def test_of_a_function(app, asked, text):
    assert said(app(FUNCTION % asked)) == [("8", text)]


@pytest.mark.parametrize(
    "asked",
    [
        "TracingConfig: {Mode: PassThrough}",
        "VpcConfig: {SubnetIds: [x]}",
        "KmsKeyArn: x",
        "LoggingConfig: {LogFormat: JSON}",
        "FileSystemConfigs: []",
    ],
)
def test_what_makes_no_difference_is_no_warning(app, asked):
    assert said(app(FUNCTION % asked)) == []


@pytest.mark.parametrize(
    ("kind", "properties", "text"),
    [
        ("AWS::DynamoDB::Table", TABLE + ", StreamSpecification: {StreamViewType: KEYS_ONLY}}",
         "StreamSpecification of It: no function is called with its records here"),
        ("AWS::DynamoDB::Table", TABLE + ", ImportSourceSpecification: {InputFormat: CSV}}",
         "ImportSourceSpecification of It: its items are not brought here"),
        ("AWS::ApiGatewayV2::Integration", "{ApiId: a, ContentHandlingStrategy: CONVERT_TO_BINARY}",
         "ContentHandlingStrategy of It: what is sent is not converted here"),
        ("AWS::ApiGatewayV2::RouteResponse", "{ApiId: a, ResponseModels: {m: n}}",
         "ResponseModels of It: answers are not checked here"),
        ("AWS::ApiGatewayV2::Integration", "{ApiId: a, TlsConfig: {ServerNameToVerify: x}}",
         "TlsConfig of It: the name in a certificate is that of the URL here"),
        ("AWS::ApiGatewayV2::IntegrationResponse", "{ApiId: a, IntegrationId: b, ResponseParameters: {m: n}}",
         "ResponseParameters of It: they are not set here"),
        ("AWS::ApiGatewayV2::IntegrationResponse", "{ApiId: a, IntegrationId: b, ContentHandlingStrategy: CONVERT_TO_TEXT}",
         "ContentHandlingStrategy of It: what is answered is not converted here"),
        ("AWS::ApiGatewayV2::Stage", STAGE + "ClientCertificateId: x}",
         "ClientCertificateId of It: client certificates are not sent here"),
        ("AWS::ApiGatewayV2::Stage", STAGE + "DefaultRouteSettings: {LoggingLevel: INFO}}",
         "DefaultRouteSettings of It: execution logs are not written here"),
        ("AWS::ApiGatewayV2::Stage", STAGE + "RouteSettings: {x: {DataTraceEnabled: 'true'}}}",
         "RouteSettings of It: execution logs are not written here"),
        ("AWS::S3::Bucket", "{NotificationConfiguration: {LambdaConfigurations: [{Event: x}]}}",
         "NotificationConfiguration of It: its events do not happen here"),
        ("AWS::SNS::Topic", "{Subscription: [{Protocol: email}, {Protocol: lambda, Endpoint: x}]}",
         "Subscription of It: its events do not happen here"),
        ("AWS::Cognito::UserPool", "{LambdaConfig: {PreSignUp: x}}",
         "LambdaConfig of It: its events do not happen here"),
    ],
)  # fmt: skip
def test_of_other_resources(app, kind, properties, text):
    assert said(app(OTHER % (kind, properties))) == [("5", text)]


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("AWS::ApiGatewayV2::Stage", STAGE + "DefaultRouteSettings: {LoggingLevel: OFF, ThrottlingRateLimit: 5}}"),
        ("AWS::ApiGatewayV2::Stage", STAGE + "RouteSettings: {x: {DataTraceEnabled: false}}}"),
        ("AWS::ApiGatewayV2::Integration", "{ApiId: a, ContentHandlingStrategy: CONVERT_TO_TEXT}"),
        ("AWS::SNS::Topic", "{Subscription: [{Protocol: email}]}"),
        ("AWS::SNS::Topic", "{Subscription: !If [Never, [{Protocol: lambda}], []]}"),
        ("AWS::S3::Bucket", "{NotificationConfiguration: {QueueConfigurations: [{Event: x}]}}"),
        ("AWS::S3::Bucket", "[]"),
    ],
)
def test_what_calls_no_function_and_keeps_no_log_is_no_warning(app, kind, properties):
    assert said(app(OTHER % (kind, properties))) == []


def test_a_caller_that_a_condition_leaves_out_is_no_warning(app):
    text = OTHER % ("AWS::SNS::Topic", "{Subscription: [{Protocol: lambda}]}")
    never = "Conditions: {Never: !Equals [a, b]}\n" + text.replace("    Type", "    Condition: Never\n    Type")
    assert said(app(never)) == []


def test_what_many_ask_for_is_said_once_at_the_line_of_the_first(app):
    text = FUNCTION % "TracingConfig: {Mode: Active}"
    more = text.partition("\n")[2].replace("Fn:", "More:")
    assert said(app(text + more)) == [("8", "TracingConfig of Fn, More: traces are not kept here")]


SAM = """\
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {Runtime: python3.12, Handler: a.b, Tracing: Active}}
Resources:
  Fn:
    Type: AWS::Serverless::Function
    Properties:
      InlineCode: x
      FunctionUrlConfig: {AuthType: NONE}
      EventInvokeConfig: {MaximumRetryAttempts: 0}
      DeadLetterQueue: {Type: SQS, TargetArn: arn:aws:sqs:us-east-1:123456789012:q}
"""


def test_what_sam_makes_of_properties_is_said_at_the_line_of_the_resource(app):
    assert said(app(SAM)) == [
        ("6", "DeadLetterConfig of Fn: events that failed are not kept here"),
        ("6", "TracingConfig of Fn: traces are not kept here"),
        ("4", "FnUrl: functions have no URLs here"),
        ("4", "FnEventInvokeConfig: failed events are not tried again, nor sent anywhere"),
    ]
