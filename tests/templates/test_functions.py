"""What functions and their layers say."""

import pytest

from trunkline.errors import ConfigurationError

PROPERTIES = "Handler: a.b, Runtime: python3.12, Code: {ZipFile: x}"


def function(more="", name="Fn"):
    return f"  {name}: {{Type: AWS::Lambda::Function, Properties: {{{PROPERTIES}{more}}}}}\n"


def test_a_function_has_its_limits(app):
    more = ", Timeout: '7', MemorySize: 512, ReservedConcurrentExecutions: 0"
    (made,) = app("Resources:\n" + function(more)).functions
    assert (made.seconds, made.memory_mb, made.concurrency) == (7.0, 512, 0)


@pytest.mark.parametrize(
    ("logging", "level", "group"),
    [
        ("{LogGroup: /team}", None, "/team"),
        ("{LogFormat: Text}", None, ""),
        ("{LogFormat: JSON}", "INFO", ""),
        ("{LogFormat: JSON, ApplicationLogLevel: DEBUG}", "DEBUG", ""),
        ("{LogGroup: !ImportValue theirs}", None, ""),
    ],
)
def test_a_function_logs_as_it_says(app, logging, level, group):
    (made,) = app("Resources:\n" + function(f", LoggingConfig: {logging}")).functions
    assert (made.log_level, made.log_group) == (level, group)


def test_variables_are_texts(app):
    (made,) = app("Resources:\n" + function(", Environment: {Variables: {A: 1, B: true, C: 1.5, D: ''}}")).functions
    assert made.environment == {"A": "1", "B": "true", "C": "1.5", "D": ""}


def test_a_function_of_a_provided_runtime_needs_no_handler(app):
    text = "Resources:\n" + function().replace("Handler: a.b, Runtime: python3.12", "Runtime: provided.al2023")
    assert app(text).functions[0].handler == "bootstrap"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (", Timeout: soon", r"yaml:2: AWS::Lambda::Function Fn: Timeout is 'soon'; expected a number from 0"),
        (", MemorySize: -1", "MemorySize is -1; expected a number from 0"),
        (", MemorySize: [1]", r"MemorySize is \[1\]; expected a number from 0"),
        (", Layers: x", "Layers is 'x'; expected a list"),
        (", Environment: x", "Environment is 'x'; expected a mapping"),
        (", Environment: {Variables: x}", "Environment has no mapping Variables"),
        (", Environment: {Variables: {A=B: x}}", "variable 'A=B' cannot be in an environment"),
        (", Code: {ZipFile: [a]}", "ZipFile is no text; expected the function's source"),
        (", Handler: [a]", "Handler is a list; expected a text"),
        (", LoggingConfig: {LogFormat: XML}", "expected LogFormat Text or JSON"),
        (", LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: LOUD}", "an ApplicationLogLevel of TRACE, DEBUG"),
    ],
)
def test_a_property_that_cannot_be_is_an_error_with_its_line(app, more, message):
    with pytest.raises(ConfigurationError, match=message):
        app("Resources:\n" + function(more))


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("Handler: a.b, ", "Handler is missing; expected a text"),
        ("Runtime: python3.12, ", "Runtime is missing; expected a text"),
        (", Code: {ZipFile: x}", "Code is missing; expected ZipFile, a folder or a zip file"),
    ],
)
def test_a_property_that_is_missing_is_an_error_with_its_line(app, missing, message):
    with pytest.raises(ConfigurationError, match=rf"yaml:2: .*{message}"):
        app("Resources:\n" + function().replace(missing, ""))


def test_two_functions_of_one_name_are_an_error(app):
    with pytest.raises(ConfigurationError, match=r"yaml:3: .*name f is that of A too; expected another"):
        app("Resources:\n" + function(", FunctionName: f", "A") + function(", FunctionName: f", "B"))


def test_a_dynamic_reference_is_warned_about_with_its_line(app):
    deployment = app("Resources:\n" + function(", Environment: {Variables: {A: '{{resolve:ssm:/x}}'}}"))
    assert str(deployment.warnings[0]).endswith(
        "yaml:2: variable A of Fn has a dynamic reference, which it gets as it is written"
    )


def test_layers_keep_their_order(app, tmp_path):
    layers = "".join(f"  {n}: {{Type: AWS::Lambda::LayerVersion, Properties: {{Content: {n}}}}}\n" for n in "AB")
    (made,) = app("Resources:\n" + layers + function(", Layers: [!Ref B, !Ref A]"), "A/", "B/").functions
    assert made.layers == (tmp_path / "my app" / "B", tmp_path / "my app" / "A")


def test_a_layer_in_s3_is_warned_about_and_left_out(app):
    layer = "  A: {Type: AWS::Lambda::LayerVersion, Properties: {Content: {S3Bucket: b, S3Key: a.zip}}}\n"
    deployment = app("Resources:\n" + layer + function(", Layers: [!Ref A]"))
    assert deployment.functions[0].layers == ()
    assert "layer A is left out: its code is in S3" in deployment.warnings[0].text
    assert len(deployment.warnings) == 1


@pytest.mark.parametrize("runtime", ["java21", "dotnet8", "ruby3.3"])
def test_a_function_of_another_language_that_is_not_built_is_warned_about_and_not_run(app, runtime):
    other = function(name="J").replace("python3.12, Code: {ZipFile: x}", f"{runtime}, Code: target/a.jar")
    deployment = app("Resources:\n" + function(name="A") + other)
    assert [made.logical_id for made in deployment.functions] == ["A"]
    assert deployment.not_run == (("J", "AWS::Lambda::Function"),)
    (warning,) = deployment.warnings
    assert str(warning).endswith(f"yaml:3: function J is not run here: {runtime} cannot be, and its code is not built")


def test_a_function_of_another_language_keeps_its_code_where_it_is_built(app, tmp_path):
    text = "Resources:\n" + function().replace("python3.12, Code: {ZipFile: x}", "java21, Code: a.jar")
    assert app(text, "a.jar").functions[0].code == tmp_path / "my app" / "a.jar"
