"""A stack's template read back: its permissions, and what stays when the stack goes."""

import json

import pytest

from trunkline.aws.grants import grants_of
from trunkline.aws.options import Options
from trunkline.aws.reading import comment_of, grants_in, read_template, stays
from trunkline.aws.rendering import render, render_json
from trunkline.aws.template import make_template
from trunkline.errors import ConfigurationError

PROGRAM = """
from trunkline import collection, websocket

people = collection("people").allow("reading", "writing")
socket = websocket("socket").allow("closing")

@socket.on("message", route="[x]: 'y' # z")
async def message(ctx):
    await people.doc("a").get()
"""


@pytest.fixture
def program(on_aws):
    return on_aws(chat=PROGRAM)


@pytest.fixture
def template(program):
    return make_template(program, Options(), {"Chat": "chat-0.zip"})


@pytest.mark.parametrize("write", [render, render_json])
def test_a_template_is_read_as_it_was_written(template, write):
    assert read_template(write(template)) == template


def test_boto3_has_read_json_already(template):
    assert read_template(json.loads(json.dumps(template))) == template


@pytest.mark.parametrize("text", ["- a\n", "text", "{a: [", "!Unknown [\n"])
def test_what_is_no_template_is_an_error(text):
    with pytest.raises(ConfigurationError, match="the stack"):
        read_template(text)


def test_its_roles_allow_what_the_program_asked_for(program, template):
    tables = {table.logical_id: table.name for table in program.tables}
    found = grants_in(template, tables)
    assert [grant.what for grant in found] == [grant.what for grant in grants_of(program)]
    assert {line for grant in found for line in grant.because} == {"chat.py:4", "chat.py:5"}


def test_a_table_that_the_program_no_longer_has_goes_by_its_id(template):
    assert {"table of PeopleTable"} == {
        grant.resource for grant in grants_in(template, {}) if grant.action.startswith("dynamodb:")
    }


def test_another_resource_is_shown_as_it_stands():
    statement = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::words/*"}
    role = {"Type": "AWS::IAM::Role", "Properties": {"Policies": [{"PolicyDocument": {"Statement": [statement]}}]}}
    (grant,) = grants_in({"Resources": {"ChatRole": role}}, {})
    assert grant.what == ("Chat", "s3:GetObject", "arn:aws:s3:::words/*")


def test_tables_stay_and_nothing_else_does(template):
    assert [name for name in template["Resources"] if stays(template, name)] == ["PeopleTable"]


def test_a_comment_is_empty_of_what_has_none(template):
    assert comment_of(template, "PeopleTable") == "the documents of people, chat.py:4"
    assert comment_of(template, "None") == ""
