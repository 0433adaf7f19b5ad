"""Reading a template's file: what is taken, what is refused with its line, and that nothing else gets out."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.errors import ConfigurationError
from trunkline.templates import load_template
from trunkline.templates.document import MAX_BYTES
from trunkline.templates.loader import load_document


@pytest.fixture
def read(tmp_path):
    def load(text, name="template.yaml"):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_document(file)

    return load


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("!Ref A", {"Ref": "A"}),
        ("!GetAtt A.B.C", {"Fn::GetAtt": ["A", "B.C"]}),
        ("!GetAtt [A, B]", {"Fn::GetAtt": ["A", "B"]}),
        ("!Sub 'x${A}'", {"Fn::Sub": "x${A}"}),
        ("!Join ['', [a, !Ref B]]", {"Fn::Join": ["", ["a", {"Ref": "B"}]]}),
        ("!Equals [!Ref A, b]", {"Fn::Equals": [{"Ref": "A"}, "b"]}),
        ("!Condition C", {"Condition": "C"}),
        ("2010-09-09", "2010-09-09"),
        ("012345678901", "012345678901"),
        ("10:30", "10:30"),
        ("30", 30),
        ("1.5", 1.5),
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("'30'", "30"),
        ("!!str 30", "30"),
    ],
)
def test_a_value_of_yaml_is_what_cloudformation_takes_it_for(read, written, value):
    assert read(f"A: {written}").data == {"A": value}


def test_json_is_read_and_has_lines(read, tmp_path):
    document = read('{\n\t"A": {\n\t\t"B\\n": [1,\n 2.5, "\\ud83d\\ude00 \\"{"]}}', "template.json")
    assert document.data == {"A": {"B\n": [1, 2.5, '\U0001f600 "{']}}
    assert document.where("A", "B\n", 1) == f"{tmp_path}/template.json:4"


def test_a_value_inside_an_alias_has_the_line_where_it_was_written(read, tmp_path):
    document = read("A: &a\n  B: 1\nC: *a\nD:\n  <<: *a\n  E: 2\n")
    assert document.data == {"A": {"B": 1}, "C": {"B": 1}, "D": {"B": 1, "E": 2}}
    assert document.where("C", "B") == f"{tmp_path}/template.yaml:2"
    assert document.where("D", "B") == f"{tmp_path}/template.yaml:2"
    assert document.where("D", "E", "no such") == f"{tmp_path}/template.yaml:6"


def test_an_alias_may_be_a_key_if_it_is_a_text(read):
    assert read("A: &a b\nB: {*a : 1}\n&c C: *c\n").data == {"A": "b", "B": {"b": 1}, "C": "C"}
    with pytest.raises(ConfigurationError, match=r":2: alias \*a as a key is no text; expected a text"):
        read("A: &a [b]\nB: {*a : 1}\n")


def test_a_key_of_a_mapping_beats_one_that_is_merged_into_it(read):
    assert read("A: &a {x: 1}\nB: {<<: *a, x: 2}\nC: {x: 3, <<: [*a]}\n").data["B"] == {"x": 2}
    assert read("A: &a {x: 1}\nC: {x: 3, <<: [*a]}\n").data["C"] == {"x": 3}


LAUGHS = "A0: &a0 [x, x, x, x, x, x, x, x]\n" + "".join(
    f"A{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 30)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "A: !!python/object/apply:os.system [id]",
            r":1: tag tag:yaml.org,2002:python/object/apply:os.system is not known",
        ),
        ("A:\n  - !Frob x", r":2: tag !Frob is not known; expected one of !And"),
        ("A: [", r":2: .*expected YAML"),
        ("A: 1\nB: {\n  C: ]\n", r":3: .*expected YAML"),
        ("A: \x01", r"expected YAML"),
        ("A: *b", r":1: .*; expected"),
        ("A: &a [*a]", r":1: alias \*a names no value before it"),
        ("? [a]\n: b", r":1: a key is a mapping or a list; expected a text"),
        ("? !Ref a\n: b", r":1: !Ref is a key; expected a text"),
        ("<<: 3", r":1: << is given what is no mapping"),
        ("A: 1\n---\nB: 2", r":2: a second document begins"),
        ("", r":1: this is no template"),
        ("- a", r":1: this is no template"),
        ('A: "\\ud800"', r":1: "),
        (b"A: 1\nB: \xff", r":2: this is no text; expected UTF-8"),
        ("[" * 100, r":1: values are nested more than 64 deep"),
        ("[" * 100_000, r":1: .*nest"),
        (
            "x: &x [" + "[" * 40 + "]" * 40 + "]\ny: " + "[" * 40 + "*x" + "]" * 40,
            r":2: values are nested more than 64",
        ),
        (LAUGHS, r": there are more than 200000 values"),
        ("#" * (MAX_BYTES + 1), r":1: the template is over 2097152 bytes"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(read, text, message):
    with pytest.raises(ConfigurationError, match=message):
        read(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"A":\n 1,}', r":2: .*; expected JSON"),
        ("A: 1", r":1: .*; expected JSON"),
        ('{"A": "\\ud800"}', r":1: half of a surrogate pair"),
        ('{"A":' * 5000, r"expected"),
        ("[" * 100_000 + "]" * 100_000, r":1: values are nested more than 64 deep"),
    ],
)
def test_what_is_wrong_in_json_is_said_with_its_line(read, text, message):
    with pytest.raises(ConfigurationError, match=message):
        read(text, "template.json")


def test_a_yaml_mapping_may_begin_like_json(read):
    assert read("{A: !Ref B}").data == {"A": {"Ref": "B"}}


@pytest.mark.parametrize("name", ["none.yaml", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_said(tmp_path, name):
    with pytest.raises(ConfigurationError, match="cannot be read: .*; expected a template"):
        load_document(tmp_path / name)


PIECES = st.sampled_from(
    ["A", "Resources", "Ref", "Fn::Sub", "Fn::If", "Type", "Properties", "${A}", "AWS::Lambda::Function", ": ", "- ", "\n",
     "  ", "\t", "{", "}", "[", "]", ",", "&a ", "*a", "!Ref ", "!Sub ", "!GetAtt ", "!x ", "<<", "'", '"', "|", ">", "#", "?",
     "%", "@", "---", "...", "\\u", "\0", "é", "1", "~", "<", ":"]
)  # fmt: skip


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("loader")


@given(raw=st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=40).map(lambda parts: "".join(parts).encode())))
@settings(max_examples=400, deadline=None)
def test_no_bytes_raise_anything_but_a_configuration_error(scratch, raw):
    for name in ("template.yaml", "template.json"):
        file = Path(scratch) / name
        file.write_bytes(raw)
        try:
            load_document(file)
        except ConfigurationError:
            pass


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), PIECES),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(PIECES, inner, max_size=4),
        st.builds(
            lambda name, value: {name: value},
            st.sampled_from(
                ["Ref", "Condition"]
                + [f"Fn::{name}" for name in "Sub GetAtt Join Select Split If FindInMap Base64 GetAZs Length ToJsonString ImportValue X".split()]
            ),
            st.one_of(inner, st.sampled_from(["R", "P", "R.Arn"]), st.lists(st.one_of(inner, st.sampled_from(["R", "P", "C"])), min_size=2, max_size=3)),
        ),
    ),
    max_leaves=12,
)  # fmt: skip
NAMES = "ApiId RouteKey Target IntegrationType IntegrationUri ProtocolType RouteSelectionExpression StageName Code Handler Runtime Environment Layers Timeout CodeUri Content ContentUri Events Routes KeySchema AttributeDefinitions RouteSettings StageVariables DefaultRouteSettings AuthorizerUri AuthorizationType TableName FunctionName ProvisionedThroughput GlobalSecondaryIndexes TimeToLiveSpecification PackageType Tags".split()
KINDS = [
    *("AWS::ApiGatewayV2::" + kind for kind in "Api Route Integration Stage Deployment Authorizer RouteResponse".split()),
    *("AWS::Serverless::" + kind for kind in "Function WebSocketApi SimpleTable LayerVersion Api".split()),
    "AWS::Lambda::Function", "AWS::Lambda::LayerVersion", "AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::Lambda::Alias",
]  # fmt: skip
RESOURCES = st.fixed_dictionaries(
    {"Type": st.sampled_from(KINDS)},
    optional={
        "Properties": st.one_of(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6), VALUES),
        "DependsOn": VALUES,
        "Condition": st.one_of(st.just("C"), VALUES),
        "Metadata": VALUES,
    },
)
TEMPLATES = st.fixed_dictionaries(
    {
        "Resources": st.dictionaries(
            st.sampled_from(["R", "S", "T"]), st.one_of(RESOURCES, RESOURCES, VALUES), max_size=3
        )
    },
    optional={
        "Transform": st.one_of(st.just("AWS::Serverless-2016-10-31"), VALUES),
        "Parameters": st.one_of(st.just({"P": {"Default": "p"}}), VALUES),
        "Conditions": st.one_of(st.dictionaries(st.just("C"), VALUES), VALUES),
        "Mappings": VALUES,
        "Globals": VALUES,
        "Outputs": VALUES,
    },
)


@given(template=TEMPLATES)
@settings(max_examples=500, deadline=None)
def test_no_template_raises_anything_but_a_configuration_error(scratch, template):
    import json

    file = Path(scratch) / "any.json"
    file.write_text(json.dumps(template))
    try:
        load_template(file, {}, region="eu-west-1", account="123456789012")
    except ConfigurationError:
        pass
