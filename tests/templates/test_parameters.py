"""Parameters that nobody gave a value."""

import pytest

from trunkline.errors import ConfigurationError

FUNCTION = """\
Resources:
  Fn:
    Type: AWS::Lambda::Function
    Properties: {Handler: a.b, Runtime: python3.12, Code: {ZipFile: x}, Environment: {Variables: {A: !Ref A}}}
"""


def test_all_parameters_without_a_value_are_named_at_once_with_what_to_type(app):
    text = "Parameters:\n  A: {Type: String}\n  B: {Type: String, Default: b}\n  C: {Type: Number}\n"
    with pytest.raises(ConfigurationError) as raised:
        app(text + FUNCTION)
    assert str(raised.value).endswith(
        "yaml:2: parameters A, C have no Default and none were given; expected --parameter A=VALUE --parameter C=VALUE"
    )


def test_a_name_in_ssm_is_warned_about_with_its_line(app):
    deployment = app("Parameters:\n  A: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /a/b}\n" + FUNCTION)
    assert deployment.functions[0].environment == {"A": "/a/b"}
    (warning,) = deployment.warnings
    assert str(warning).endswith(
        "yaml:2: parameter A gets '/a/b', the name of a value in SSM; --parameter A=VALUE gives it the value"
    )


def test_a_value_that_is_given_for_a_name_in_ssm_is_the_value(app):
    text = "Parameters:\n  A: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /a/b}\n" + FUNCTION
    deployment = app(text, A="secret")
    assert (deployment.functions[0].environment, deployment.warnings) == ({"A": "secret"}, ())


def test_the_version_that_cdk_asks_for_is_not_warned_about(app):
    text = "Parameters:\n  A: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /cdk-bootstrap/hnb659fds/version}\n"
    assert app(text + FUNCTION).warnings == ()


@pytest.mark.parametrize(
    ("kind", "value"), [("AWS::EC2::VPC::Id", "A"), ("'List<AWS::EC2::Subnet::Id>'", "A"), ("AWS::Route53::HostedZone::Id", "A")]
)  # fmt: skip
def test_a_part_of_a_network_that_nobody_named_is_called_as_its_parameter(app, kind, value):
    text = f"Parameters:\n  A: {{Type: {kind}}}\n" + FUNCTION.replace(
        "!Ref A", "!Join ['', [!Ref A]]" if "List" not in kind else "!Select [0, !Ref A]"
    )
    deployment = app(text)
    assert deployment.functions[0].environment == {"A": value}
    assert ":2: parameter A (" in str(deployment.warnings[0])
    assert "gets its own name, as there is no network of AWS here" in deployment.warnings[0].text
