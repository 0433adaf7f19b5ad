"""`$input` and `$util` of mapping templates."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.integrations.vtl_methods import call
from trunkline.integrations.vtl_services import namespace_of
from trunkline.integrations.vtl_values import Refused, member


def names(body="", **given):
    return namespace_of(
        {"body": body, "context": {}, "stage_variables": {}, "headers": {}, "query": {}, "path": {}} | given
    )


def util(name, *arguments):
    return call(names()["util"], name, list(arguments))


def asked(name, *arguments, **given):
    return call(names(**given)["input"], name, list(arguments))


def test_the_body_is_there_as_it_came():
    assert member(names("not {json")["input"], "body") == "not {json"


BODY = '{"a": {"b": [1, 2]}, "n": null, "s": "text"}'


@pytest.mark.parametrize(
    ("path", "found"),
    [("$", {"a": {"b": [1, 2]}, "n": None, "s": "text"}), ("$.a.b[1]", 2), ("$.n", None), ("$.no", None)],
)
def test_path_finds_a_value(path, found):
    assert asked("path", path, body=BODY) == found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", '{"a":{"b":[1,2]},"n":null,"s":"text"}'),
        ("$.a", '{"b":[1,2]}'),
        ("$.s", '"text"'),
        ("$.n", "null"),
        ("$.no", '""'),
    ],
)
def test_json_finds_the_text_of_a_value(path, found):
    assert asked("json", path, body=BODY) == found


@pytest.mark.parametrize("body", ["", " \n"])
def test_an_empty_body_is_searched_as_an_empty_object(body):
    assert asked("json", "$", body=body) == "{}"
    assert asked("json", "$.a", body=body) == '""'


def test_a_body_that_is_not_json_cannot_be_searched():
    with pytest.raises(Refused, match="^the body cannot be searched: it is not JSON: "):
        asked("json", "$", body="hello")


def test_a_path_that_cannot_be_read_is_told():
    with pytest.raises(Refused, match=r"^json\(\) of \$input failed: the JSON path '\$\.a\[\?\]' cannot be read"):
        asked("json", "$.a[?]", body="{}")


def test_parameters_are_found_by_kind_or_in_all_of_them():
    given = {"path": {"x": "p"}, "query": {"x": "q", "y": "q"}, "headers": {"X-Key": "h", "y": "h"}}
    assert asked("params", **given) == {
        "path": {"x": "p"},
        "querystring": {"x": "q", "y": "q"},
        "header": {"X-Key": "h", "y": "h"},
    }
    assert [asked("params", name, **given) for name in ("x", "y", "X-Key", "x-key", "no")] == ["p", "q", "h", "h", ""]


@pytest.mark.parametrize(
    ("name", "argument", "given"),
    [
        ("escapeJavaScript", 'it\'s "a"/\\\n\t\b\f\r', 'it\\\'s \\"a\\"\\/\\\\\\n\\t\\b\\f\\r'),
        ("escapeJavaScript", "ü😀\x01", "\\u00FC\\uD83D\\uDE00\\u0001"),
        ("escapeJavaScript", {"a": 1}, "{a=1}"),
        ("escapeJavaScript", 7, "7"),
        ("urlEncode", "a b&c/ü~*-._", "a+b%26c%2F%C3%BC%7E*-._"),
        ("urlDecode", "a+b%26%C3%BC", "a b&ü"),
        ("base64Encode", "hü", "aMO8"),
        ("base64Decode", "aMO8", "hü"),
        ("parseJson", '{"a": [1, null]}', {"a": [1, None]}),
    ],
)
def test_util_has_the_functions_of_api_gateway(name, argument, given):
    assert util(name, argument) == given


@pytest.mark.parametrize(
    "name", ["escapeJavaScript", "urlEncode", "urlDecode", "base64Encode", "base64Decode", "parseJson"]
)
def test_what_is_null_stays_null(name):
    assert util(name, None) is None


@pytest.mark.parametrize(("name", "argument"), [("base64Decode", "a"), ("base64Decode", "ü"), ("parseJson", "{")])
def test_what_cannot_be_read_is_told(name, argument):
    with pytest.raises(Refused):
        util(name, argument)


@given(st.text())
def test_an_escaped_text_is_the_text_between_quotes_of_javascript(value):
    assert json.loads('"' + util("escapeJavaScript", value).replace("\\'", "'") + '"') == value


@given(st.text())
def test_what_is_encoded_is_decoded(value):
    assert util("urlDecode", util("urlEncode", value)) == value
    assert util("base64Decode", util("base64Encode", value)) == value
