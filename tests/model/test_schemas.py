"""JSON schemas: what they take, and what judging a value may cost."""

import json
import socket
import time

import msgspec
import pytest

from trunkline.errors import DeclarationError
from trunkline.model.schemas import Schema

BRANCHES = {"anyOf": [{"properties": {"a": {"$ref": "#"}}, "required": [name]} for name in ("x", "y")]}


def refusal(schema, value):
    text = value if isinstance(value, str) else json.dumps(value)
    return Schema(json.dumps(schema)).refusal(msgspec.json.decode(text), len(text))


@pytest.mark.parametrize(
    ("schema", "value", "told"),
    [
        ({}, "7", None),
        ({"type": "object", "required": ["a"]}, {"a": 1}, None),
        ({"type": "object", "required": ["a"]}, {}, "required"),
        ({"properties": {"a": {"type": "integer"}}}, {"a": "secret"}, "properties/a/type"),
        ({"properties": {"a": {"type": "integer"}}}, {"a": 1.5}, "properties/a/type"),
        ({"items": {"enum": [{"id": "x"}]}}, [{"id": "x"}], None),
        ({"items": {"enum": [{"id": "x"}]}}, [{"id": "y"}], "items/enum"),
        ({"additionalProperties": False, "properties": {"a": {}}}, {"secret": 1}, "additionalProperties"),
        ({"definitions": {"n": {"minimum": 3}}, "items": {"$ref": "#/definitions/n"}}, [2], "items/minimum"),
        ({"patternProperties": {"^n": {"type": "number"}}}, {"name": "x"}, "patternProperties/^n/type"),
        ({"properties": {"$ref": {"type": "string"}, "id": {"type": "string"}}}, {"$ref": 1}, "properties/$ref/type"),
    ],
)
def test_a_refusal_says_where_in_the_schema_and_nothing_of_the_value(schema, value, told):
    assert refusal(schema, value) == told


@pytest.mark.parametrize(
    "dialect", ["http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-07/schema#"]
)
def test_a_schema_is_read_as_draft_4_whatever_it_says_that_it_is(dialect):
    schema = {"$schema": dialect, "id": "http://a.test/b", "properties": {"a": {"$ref": "#"}}, "const": 1}
    assert refusal(schema | {"type": "object"}, {"a": {"a": 1}}) == "properties/a/properties/a/type"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the schema is no JSON that can be read: "),
        ("[" * 5000, "the schema is no JSON that can be read: "),
        ("[]", r"the schema: \[\] is not of type 'object'"),
        ('{"type": "strin"}', "type: 'strin' is not valid"),
        ('{"properties": {"a": {"required": true}}}', "properties/a/required: True is not of type 'array'"),
        ('{"pattern": "("}', r"pattern: '\(' is not a 'regex'"),
        ('{"items": [{"patternProperties": {"(": {}}}]}', r"pattern '\(' is no regular expression: missing"),
        ('{"$ref": "#/definitions/x"}', "is '#/definitions/x'; expected a part of this schema"),
        ('{"definitions": {"a": {"$ref": {}}}}', "is {}; expected a part of this schema"),
    ],
)
def test_what_is_no_schema_is_told_with_its_place(text, message):
    with pytest.raises(DeclarationError, match=message):
        Schema(text)


@pytest.mark.parametrize(
    "to", ["http://{host}/x", "file://{file}", "http://json-schema.org/draft-04/schema#", "other.json"]
)
def test_nothing_elsewhere_is_fetched(to, tmp_path):
    file = tmp_path / "schema.json"
    file.write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        reference = to.format(host=f"127.0.0.1:{server.getsockname()[1]}", file=file)
        with pytest.raises(DeclarationError, match="expected a part of this schema, such as #/definitions/NAME"):
            Schema(json.dumps({"$ref": reference}))
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    ("items", "unique"),
    [
        ([1, 2, "1", True, None, [1], {"a": 1}], True),
        ([1, 1.0], False),
        ([True, 1], True),
        ([{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}], False),
        (["a", "a"], False),
        ([0.5, 0.5], False),
        ([10**200, 10**200 + 1], True),
    ],
)
def test_items_are_unique_by_what_they_are_worth(items, unique):
    assert refusal({"uniqueItems": True}, items) == (None if unique else "uniqueItems")
    assert refusal({"uniqueItems": False}, items) is None


def test_what_is_no_array_has_no_items_that_could_be_equal():
    assert refusal({"uniqueItems": True}, '"aa"') is None


def spent(schema, value):
    began = time.process_time()
    told = refusal(schema, value)
    return told, time.process_time() - began


def test_items_of_a_whole_message_are_compared_in_a_moment_also_where_they_cannot_be_sorted():
    items = [[n] if n % 2 else {"n": n} for n in range(12_000)]
    told, seconds = spent({"uniqueItems": True}, items)
    assert told is None
    assert seconds < 5  # each with each takes minutes


def test_branches_at_every_level_of_a_value_do_not_take_for_ever():
    told, seconds = spent(BRANCHES, '{"a":' * 60 + "1" + "}" * 60)
    assert told == "it takes too many steps to judge"
    assert seconds < 5


def test_a_value_that_fills_a_message_may_be_judged_whole():
    schema = {"items": {"type": "object", "properties": {"a": {"type": "integer", "minimum": 0}}, "required": ["a"]}}
    assert refusal(schema, [{"a": 1}] * 13_000) is None


@pytest.mark.parametrize("schema", [{"properties": {"a": {"$ref": "#"}}}, {"$ref": "#"}])
def test_a_value_that_is_nested_without_an_end_is_refused(schema):
    assert refusal(schema, '{"a":' * 900 + "1" + "}" * 900) == "it is nested too deeply to judge"
