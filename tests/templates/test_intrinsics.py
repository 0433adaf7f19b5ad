"""What Ref, the Fn:: functions, parameters and conditions give."""

import pytest

from trunkline.errors import ConfigurationError

BASE = """\
Parameters:
  Stage: {{Type: String, Default: dev, AllowedValues: [dev, prod]}}
  Zones: {{Type: CommaDelimitedList, Default: 'a, b'}}
  Count: {{Type: Number, Default: 3, MaxValue: 10}}
  Key: {{Type: 'AWS::SSM::Parameter::Value<String>', Default: /my/key}}
Mappings:
  Sizes: {{dev: {{memory: 128}}, prod: {{memory: 512}}}}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsDev: !Not [!Condition IsProd]
  Both: !And [!Condition IsProd, !Equals [a, a]]
  Either: !Or [!Condition IsProd, !Condition IsDev]
  Number: !Equals [!Ref Count, 3]
Resources:
  Items:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{{AttributeName: id, AttributeType: S}}]
      KeySchema: [{{AttributeName: id, KeyType: HASH}}]
      StreamSpecification: {{StreamViewType: NEW_IMAGE}}
  Only: {{Type: AWS::S3::Bucket, Condition: IsProd}}
  Queue: {{Type: AWS::SQS::Queue}}
  Odd: {{Type: 'Custom::Thing'}}
  Socket:
    Type: AWS::ApiGatewayV2::Api
    Properties: {{ProtocolType: HTTP}}
  Fn:
    Type: AWS::Lambda::Function
    Properties:
      Handler: index.handler
      Runtime: python3.12
      Code: {{ZipFile: x}}
      Environment: {{Variables: {{V: {value}}}}}
"""


@pytest.fixture
def value(app):
    """What an expression gives as a variable of a function; None where the variable is not there."""

    def evaluate(text, **parameters):
        (function,) = app(BASE.format(value=text), **parameters).functions
        return function.environment.get("V")

    return evaluate


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!Ref Stage", "dev"),
        ("!Ref Count", "3"),
        ("!Ref Key", "/my/key"),
        ("!Join ['-', !Ref Zones]", "a-b"),
        ("!Select [1, !Ref Zones]", "b"),
        ("!Select ['0', !Split ['/', 'x/y']]", "x"),
        ("!FindInMap [Sizes, !Ref Stage, memory]", "128"),
        ("!Sub '${Stage}-${AWS::Region}-${!literal}'", "dev-eu-west-1-${literal}"),
        ("!Sub ['${A}/${Stage}', {A: !Ref Count}]", "3/dev"),
        ("!If [IsProd, yes-it-is, no-it-is-not]", "no-it-is-not"),
        ("!If [IsDev, !If [Both, a, b], c]", "b"),
        ("!If [Either, a, b]", "a"),
        ("!If [Number, a, b]", "a"),
        ("!If [IsProd, x, !Ref AWS::NoValue]", None),
        ("!FindInMap [Sizes, none, none, {DefaultValue: 7}]", "7"),
        ("!Length [a, b]", "2"),
        ("!ToJsonString {a: !Ref Count}", '{"a":"3"}'),
        ("!ToJsonString {Ref: AWS::NoValue}", "null"),
        ("!GetAtt Queue.QueueUrl", "https://sqs.eu-west-1.amazonaws.com/123456789012/my-app-Queue"),
        ("!Ref AWS::AccountId", "123456789012"),
        ("!Ref AWS::Partition", "aws"),
        ("!Ref AWS::StackName", "my-app"),
        ("!Ref AWS::StackId", "arn:aws:cloudformation:eu-west-1:123456789012:stack/my-app/local"),
        ("!Ref AWS::URLSuffix", "amazonaws.com"),
        ("!Base64 abc", "YWJj"),
        ("!Join [',', !GetAZs '']", "eu-west-1a,eu-west-1b,eu-west-1c"),
        ("!Ref Items", "my-app-Items"),
        ("!GetAtt Items.Arn", "arn:aws:dynamodb:eu-west-1:123456789012:table/my-app-Items"),
        ("!GetAtt Items.StreamArn", "arn:aws:dynamodb:eu-west-1:123456789012:table/my-app-Items/stream/2024-01-01T00:00:00.000"),
        ("!Ref Queue", "https://sqs.eu-west-1.amazonaws.com/123456789012/my-app-Queue"),
        ("!GetAtt Queue.Arn", "arn:aws:sqs:eu-west-1:123456789012:my-app-Queue"),
        ("!GetAtt Odd.Some.Thing", "my-app-Odd-Some.Thing"),
    ],
)  # fmt: skip
def test_an_expression_gives_what_it_gives_in_aws(value, text, expected):
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!Ref Stages", r":33: there is no parameter or resource 'Stages'; did you mean Stage\?"),
        ("!Ref zzzz", r":33: there is no parameter or resource 'zzzz'; expected one of Stage, Zones"),
        ("!GetAtt Nobody.Arn", r":33: there is no parameter or resource 'Nobody'"),
        ("!Sub 'x ${Nobody}'", r":33: there is no parameter or resource 'Nobody'"),
        ("!Ref Only", r":33: resource Only is not there under its Condition"),
        (
            "!ImportValue other-stack",
            r":33: Fn::ImportValue reads 'other-stack' of another stack, and none is here; expected --import-value other-stack=VALUE",
        ),
        ("!Select [7, [a]]", r":33: Fn::Select has index 7; expected 0 to 0"),
        ("!Join [a]", r":33: Fn::Join expected \[delimiter, \[values\]\]"),
        ("!If [Nothing, a, b]", r":33: there is no condition 'Nothing'"),
        ("!FindInMap [Sizes, test, memory]", r":33: there is no key of map Sizes 'test'; expected one of dev, prod"),
        ("{'Fn::Frob': x}", r":33: Fn::Frob is not known here; expected one of Fn::Base64"),
        ("!Transform {Name: x}", r":33: Fn::Transform is not known here"),
        ("!Sub {a: b}", r":33: Fn::Sub is given a mapping; expected a text"),
        ("!Join [a, [{x: y}]]", r":33: this is a mapping; expected a text"),
        ("!Base64 {x: y}", r":33: this is a mapping; expected a text"),
        ("!Ref [a]", r":33: Ref is given a list; expected a name"),
        ("!GetAtt Items", r":33: Fn::GetAtt expected \[logical id, attribute\]"),
        ("!Sub [a]", r":33: Fn::Sub expected a text, or \[text, {name: value}\]"),
        ("!Sub ['${A}', {A: !Ref 'AWS::NoValue'}]", r":33: \${A} in Fn::Sub is nothing; expected a text"),
        ("!Join [a, b]", r":33: Fn::Join is given 'b'; expected a list"),
        ("!Select [a]", r":33: Fn::Select expected \[index, \[values\]\]"),
        ("!Split [a]", r":33: Fn::Split expected \[delimiter, text\]"),
        ("!FindInMap [a]", r":33: Fn::FindInMap expected \[map, first key, second key\]"),
        ("!If [IsProd, a]", r":33: Fn::If expected \[condition, value if true, value if false\]"),
        ("[a, b]", r":33: .*variable V is \['a', 'b'\]; expected a text"),
    ],
)
def test_what_is_wrong_with_an_expression_is_said_with_its_line(value, text, message):
    with pytest.raises(ConfigurationError, match=message):
        value(text)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"Stage": "test"}, r":2: parameter Stage is 'test'; expected one of dev, prod"),
        ({"Stag": "dev"}, r"has no parameter 'Stag'; expected one of Stage, Zones, Count, Key"),
        ({"Count": "many"}, r":4: Count is 'many'; expected a number"),
        ({"Count": "11"}, r":4: parameter Count is '11'; expected MaxValue 10"),
    ],
)
def test_a_parameter_that_cannot_be_is_an_error(value, given, message):
    with pytest.raises(ConfigurationError, match=message):
        value("x", **given)


def test_a_parameter_that_is_given_beats_its_default(value):
    assert value("!If [IsProd, !Ref Stage, x]", Stage="prod") == "prod"


def test_a_parameter_without_a_value_is_an_error_with_its_line(app):
    with pytest.raises(ConfigurationError, match=r":2: parameter A has no Default .*; expected --parameter A=VALUE"):
        app("Parameters:\n  A: {Type: String}\nResources: {}\n")


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("AWS::Lambda::Function", "!Ref X", "my-app-X"),
        ("AWS::Lambda::Function", "!GetAtt X.Arn", "arn:aws:lambda:eu-west-1:123456789012:function:my-app-X"),
        ("AWS::ApiGatewayV2::Api", "!GetAtt X.ApiEndpoint", "wss://nun0non8pd.execute-api.eu-west-1.amazonaws.com"),
        ("AWS::ApiGatewayV2::Api", "!Ref X", "nun0non8pd"),
        ("AWS::ApiGatewayV2::Stage", "!Ref X", "dev"),
        ("AWS::SNS::Topic", "!Ref X", "arn:aws:sns:eu-west-1:123456789012:my-app-X"),
        ("AWS::S3::Bucket", "!Ref X", "my-app-x"),
        ("AWS::S3::Bucket", "!GetAtt X.DomainName", "my-app-x.s3.amazonaws.com"),
        (
            "AWS::Cognito::UserPool",
            "!GetAtt X.Arn",
            "arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_ahmde752b",
        ),
        ("AWS::Lambda::Alias", "!Ref X", "arn:aws:lambda:eu-west-1:123456789012:function:f:1"),
        ("AWS::Lambda::Version", "!GetAtt X.Version", "1"),
        ("AWS::Scheduler::Schedule", "!GetAtt X.Arn", "arn:aws:scheduler:eu-west-1:123456789012:my-app-X"),
        ("AWS::EC2::VPC", "!Ref X", "my-app-X"),
    ],
)
def test_a_resource_has_the_values_that_its_type_has_in_aws(app, kind, text, expected):
    given = {"AWS::ApiGatewayV2::Stage": "StageName: dev", "AWS::Lambda::Alias": "FunctionName: f"}.get(kind, "")
    given = {
        "AWS::Lambda::Function": "Handler: a.b, Runtime: r, Code: {ZipFile: x}",
        "AWS::ApiGatewayV2::Api": "ProtocolType: HTTP",
    }.get(kind, given)
    given += ", ApiId: none" if "Stage" in kind else ""
    resource = f"  X: {{Type: '{kind}', Properties: {{{given}}}}}\n"
    deployment = app(f"Resources:\n{resource}Outputs:\n  V: {{Value: {text}}}\n")
    assert deployment.outputs == {"V": expected}


FUNCTION = "Type: AWS::Lambda::Function, Properties: {Handler: a.b, Runtime: python3.12, Code: {ZipFile: x}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"  A: {{{FUNCTION}, FunctionName: !Ref B}}}}\n  B: {{{FUNCTION}, FunctionName: !Sub '${{A}}'}}}}\n", "B -> A -> B"),
        (f"  A: {{{FUNCTION}, FunctionName: !Ref A}}}}\n", "A -> A"),
        (f"  A: {{{FUNCTION}}}, DependsOn: B}}\n  B: {{Type: AWS::S3::Bucket, DependsOn: [A]}}\n", "circular reference: "),
        (f"  A: {{{FUNCTION}, Role: !GetAtt R.Arn}}}}\n  R: {{Type: AWS::IAM::Role, Properties: {{X: !Ref A}}}}\n", "circular reference: "),
    ],
)  # fmt: skip
def test_a_circle_is_an_error(app, text, message):
    with pytest.raises(ConfigurationError, match=message):
        app("Resources:\n" + text)


def test_a_circle_of_conditions_is_an_error_with_its_line(app):
    with pytest.raises(ConfigurationError, match=r":2: circular reference: condition A -> condition B -> condition A"):
        app(
            "Conditions:\n  A: !Not [!Condition B]\n  B: !Not [!Condition A]\nResources:\n  X: {Type: AWS::S3::Bucket, Condition: A}\n"
        )


def test_a_resource_whose_condition_does_not_hold_is_not_there(app):
    assert ("Only", "AWS::S3::Bucket") not in app(BASE.format(value="x")).not_run
    assert ("Only", "AWS::S3::Bucket") in app(BASE.format(value="x"), Stage="prod").not_run


def test_depends_on_names_a_resource(app):
    with pytest.raises(ConfigurationError, match=r":2: X depends on 'Y', which is no resource"):
        app("Resources:\n  X: {Type: AWS::S3::Bucket, DependsOn: Y}\n")


def test_texts_that_double_are_cut_off(app):
    buckets = "".join(
        f"  B{n}: {{Type: AWS::S3::Bucket, Properties: {{BucketName: !Sub '${{B{n + 1}}}${{B{n + 1}}}'}}}}\n"
        for n in range(60)
    )
    text = f"Resources:\n{buckets}  B60: {{Type: AWS::S3::Bucket}}\n  F: {{{FUNCTION}, FunctionName: !Ref B0}}}}\n"
    with pytest.raises(ConfigurationError, match="texts put together are over"):
        app(text)


def test_resources_that_name_each_other_too_deeply_are_an_error(app):
    buckets = "".join(
        f"  B{n}: {{Type: AWS::S3::Bucket, Properties: {{BucketName: !Ref B{n + 1}}}}}\n" for n in range(900)
    )
    text = f"Resources:\n{buckets}  B900: {{Type: AWS::S3::Bucket}}\n  F: {{{FUNCTION}, FunctionName: !Ref B0}}}}\n"
    with pytest.raises(ConfigurationError, match="too deeply"):
        app(text)


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        ("Type: String, Default: 3", "3"),
        ("Type: CommaDelimitedList, Default: [a, 1]", "a|1"),
        ("Type: List<Number>, Default: '1, 2'", "1|2"),
        ("Type: 'AWS::SSM::Parameter::Value<List<String>>', Default: 'x,y'", "x|y"),
        ("Type: List<AWS::EC2::Subnet::Id>, Default: 'x,y'", "x|y"),
    ],
)
def test_a_parameter_has_the_value_that_its_type_gives_it(app, declaration, value):
    text = "!Ref P" if "String, " in declaration else "!Join ['|', !Ref P]"
    deployment = app(f"Parameters: {{P: {{{declaration}}}}}\nResources: {{}}\nOutputs: {{V: {{Value: {text}}}}}\n")
    assert deployment.outputs == {"V": value}


def test_where_cdk_put_its_assets_once_needs_no_value(app):
    assert app("Parameters: {AssetParameters1aS3Bucket: {Type: String}}\nResources: {}\n").functions == ()


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ("x", r":1: parameter P is 'x'; expected a mapping with Type"),
        ("{Type: String, Default: ab, MinLength: 3}", r":1: parameter P is 'ab'; expected MinLength 3"),
        ("{Type: String, Default: abcd, MaxLength: '3'}", r":1: parameter P is 'abcd'; expected MaxLength 3"),
        ("{Type: String, Default: a, MaxLength: many}", r":1: P's MaxLength is 'many'; expected a number"),
    ],
)
def test_a_parameter_is_held_to_its_declaration(app, declaration, message):
    with pytest.raises(ConfigurationError, match=message):
        app(f"Parameters: {{P: {declaration}}}\nResources: {{}}\n")


def test_an_error_does_not_repeat_all_of_a_long_text(app):
    with pytest.raises(ConfigurationError, match=r"template.yaml:2: .*expected") as caught:
        app(f"Resources:\n  F: {{{FUNCTION}, Timeout: {'x' * 100_000}}}}}\n")
    assert len(str(caught.value)) < 3000
