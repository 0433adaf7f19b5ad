"""Values of mapping templates: how they print, what they are equal to, and what is in them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.integrations.vtl_values import (
    OUTPUT_BYTES,
    Entry,
    Literal,
    Output,
    Refused,
    Service,
    is_same,
    is_true,
    item,
    member,
    read_json,
    text,
    to_json,
)

INPUT = Service("$input", {"body": "b"}, {})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (None, ""),
        ("a", "a"),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (-7, "-7"),
        ({}, "{}"),
        ({"a": 1, "b": {"c": None}}, "{a=1, b={c=null}}"),
        ({"a": [{"b": "c"}]}, '{a=[{"b":"c"}]}'),
        ([1, "a", None, {"b": True}], '[1,"a",null,{"b":true}]'),
        (Literal([1, "a", None, {"b": True}]), "[1, a, null, {b=true}]"),
        (range(1, 4), "[1, 2, 3]"),
        (Entry("k", [1]), "k=[1]"),
        (1.0, "1.0"),
        (0.0, "0.0"),
        (-0.5, "-0.5"),
        (0.001, "0.001"),
        (9999999.5, "9999999.5"),
        (1e7, "1.0E7"),
        (-12345678.5, "-1.23456785E7"),
        (1e22, "1.0E22"),
        (0.0009, "9.0E-4"),
        (1.5e-7, "1.5E-7"),
        (1e308, "1.0E308"),
    ],
)
def test_a_value_prints_as_it_does_in_java(value, printed):
    assert text(value) == printed


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_prints_as_itself(number):
    assert float(text(number)) == number


def test_what_is_no_data_cannot_be_printed():
    with pytest.raises(Refused, match="^function is no value$"):
        text(Literal([lambda: None]))


def test_a_service_cannot_be_printed():
    with pytest.raises(Refused, match=r"^\$input cannot be printed; name a member of it$"):
        text(INPUT)


@given(JSON)
def test_json_is_read_and_written(value):
    assert read_json(to_json(value)) == value


def test_half_a_character_is_written_as_an_escape():
    assert to_json(["\ud83d", "😀", "ü"]) == '["\\ud83d","😀","ü"]'


def test_a_list_of_the_template_has_json_too():
    assert to_json({"a": Literal([1, range(2, 4)])}) == '{"a":[1,[2,3]]}'


@pytest.mark.parametrize("value", [{"a": INPUT.methods.__class__}, float("inf"), {("a",): 1}])
def test_what_is_no_json_is_told(value):
    with pytest.raises(Refused, match="^it has no JSON: "):
        to_json(value)


def test_what_is_within_itself_has_no_json():
    value = []
    value.append(value)
    with pytest.raises(Refused, match="Circular"):
        to_json(value)


@pytest.mark.parametrize("document", ["", "{", "NaN", "[Infinity]", "{'a': 1}", "1 2", "9" * 5000])
def test_what_is_not_json_is_told(document):
    with pytest.raises(Refused, match="^it is not JSON: "):
        read_json(document)


def test_json_of_too_many_levels_is_told():
    with pytest.raises(Refused, match="^it is JSON of too many levels$"):
        read_json("[" * 100_000)


def test_an_output_grows_to_its_limit_and_no_further():
    output = Output()
    for _ in range(4):
        output.write("x" * (OUTPUT_BYTES // 4))
    assert len(output.getvalue()) == OUTPUT_BYTES
    with pytest.raises(Refused, match="^the text is longer than 1,048,576 bytes$"):
        output.write("x")


def test_what_is_shared_many_times_prints_no_further_than_the_limit():
    value = Literal(["x"])
    for _ in range(60):
        value = Literal([value, value])
    with pytest.raises(Refused, match="longer than"):
        text(value)


@pytest.mark.parametrize(
    ("value", "holds"), [(False, False), (True, True), (None, True), ("", True), (0, True), ([], True)]
)
def test_false_alone_is_false(value, holds):
    assert is_true(value) is holds


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1, True), (1, 1.0, True), (1, 2, False), ("a", "a", True), ("a", "b", False), (1, "1", True), ("1", 1, True),
        (None, None, True), (None, "", True), (None, 0, False), (True, 1, False), (True, True, True), (True, "true", True),
        ({"a": [1]}, {"a": [1]}, True), ([1], [2], False), ([1], "[1]", True), ({}, [], False),
    ],
)  # fmt: skip
def test_values_are_equal_by_number_or_value_or_what_they_print(left, right, same):
    assert is_same(left, right) is same


@pytest.mark.parametrize(
    ("value", "name", "found"),
    [
        ({"a": 1}, "a", 1), ({"a": 1}, "keys", None), (Entry("k", 2), "key", "k"), (Entry("k", 2), "value", 2),
        (Entry("k", 2), "count", None), (INPUT, "body", "b"), (INPUT, "methods", None), ("text", "upper", None),
        ([1], "append", None), (7, "real", None), (None, "a", None),
    ],
)  # fmt: skip
def test_members_are_those_of_data_and_no_attributes(value, name, found):
    assert member(value, name) == found


@pytest.mark.parametrize(
    ("value", "index", "found"),
    [
        ({"a": 1}, "a", 1), ({"a": 1}, "b", None), ({"a": 1}, ["a"], None), ([5, 6], 1, 6), ([5, 6], 2, None), ([5, 6], -1, None),
        ([5, 6], "0", None), (range(5, 7), 0, 5), ("text", 0, None), (None, 0, None), (7, 0, None),
    ],
)  # fmt: skip
def test_an_index_finds_a_member_or_nothing(value, index, found):
    assert item(value, index) == found


def test_json_that_was_written_is_what_python_writes_without_blanks():
    assert to_json({"a": [1, "ü"]}) == json.dumps({"a": [1, "ü"]}, separators=(",", ":"), ensure_ascii=False)
