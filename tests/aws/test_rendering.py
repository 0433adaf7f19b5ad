"""A template as a text."""

import json
import subprocess
import sys

import pytest
import yaml

from trunkline.aws.rendering import render, render_json
from trunkline.templates.loader import load_document


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ({"Ref": "Table"}, "X: !Ref Table"),
        ({"Fn::GetAtt": ["Table", "Arn"]}, "X: !GetAtt Table.Arn"),
        ({"Fn::Sub": "arn:${AWS::Partition}:s3:::x"}, "X: !Sub arn:${AWS::Partition}:s3:::x"),
        ({"Fn::Sub": '{"a": "${Table}"}'}, 'X: !Sub \'{"a": "${Table}"}\''),
        ({"Fn::Sub": "it's: so"}, "X: !Sub 'it''s: so'"),
        ("2012-10-17", "X: '2012-10-17'"),
        ("$request.body.action", "X: $request.body.action"),
        ("3.11", "X: '3.11'"),
        ("yes", "X: 'yes'"),
        ("é", "X: é"),
        (True, "X: true"),
        (2.5, "X: 2.5"),
        ("x " * 200 + "x", "X: " + "x " * 200 + "x"),
        ([], "X: []"),
    ],
)
def test_a_value_is_written_as_a_person_would(value, line):
    assert render({"X": value}) == f"{line}\n"


def test_what_is_written_is_read_back(tmp_path):
    template = {
        "Resources": {
            "A": {"Type": "x", "Metadata": {"Comment": "ends in a colon:"}, "L": [{"Ref": "B"}, {"a": 1, "Ref": "C"}]}
        }
    }
    (tmp_path / "t.yaml").write_text(render(template))
    (tmp_path / "t.json").write_text(render_json(template))
    assert load_document(tmp_path / "t.yaml").data == template
    assert load_document(tmp_path / "t.json").data == template


def test_an_empty_line_is_before_each_section_and_each_resource_but_the_first():
    text = render(
        {"Version": "1", "Resources": {"A": {"Type": "x"}, "B": {"Type": "y", "P": {"Q": 1}}}, "Outputs": {"C": 1}}
    )
    assert text.splitlines() == [
        "Version: '1'", "", "Resources:", "  A:", "    Type: x", "", "  B:", "    Type: y", "    P:", "      Q: 1", "", "Outputs:",
        "  C: 1",
    ]  # fmt: skip


def test_what_is_named_twice_is_written_twice():
    twice = {"Ref": "A"}
    shared = ["a"]
    assert render({"X": [twice, twice], "Y": [shared, shared]}).splitlines() == [
        "X:", "  - !Ref A", "  - !Ref A", "", "Y:", "  - - a", "  - - a",
    ]  # fmt: skip


def test_json_is_in_the_same_order():
    template = {"B": 1, "A": {"Fn::Sub": "é"}}
    assert render_json(template) == '{\n  "B": 1,\n  "A": {\n    "Fn::Sub": "é"\n  }\n}\n'
    assert list(json.loads(render_json(template))) == ["B", "A"]


def test_yamls_own_loader_reads_it_but_for_the_tags():
    assert yaml.safe_load(render({"A": {"B": [1, "x", None]}})) == {"A": {"B": [1, "x", None]}}


def test_without_pyyaml_it_is_said_what_is_missing():
    code = (
        "import sys\nsys.modules['yaml'] = None\nfrom trunkline.aws.rendering import render, render_json\n"
        "from trunkline.errors import ConfigurationError\nassert render_json({'A': 1})\n"
        "try:\n    render({})\nexcept ConfigurationError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "a template in YAML needs pyyaml: pip install 'trunkline[aws]'; --json does without\n"
