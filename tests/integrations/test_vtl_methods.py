"""The methods of values of mapping templates."""

import contextlib
import itertools

import pytest

from trunkline.integrations import vtl_methods
from trunkline.integrations.vtl_methods import call
from trunkline.integrations.vtl_values import OUTPUT_BYTES, Entry, Literal, Refused, Service

INPUT = Service("$input", {}, {"json": lambda path: f"json of {path}"})


@pytest.mark.parametrize(
    ("value", "name", "arguments", "given"),
    [
        ("abc", "charAt", [1], "b"),
        ("abc", "concat", ["d"], "abcd"),
        ("abc", "contains", ["b"], True),
        ("abc", "contains", ["x"], False),
        ("abc", "endsWith", ["bc"], True),
        ("abc", "startsWith", ["bc"], False),
        ("abc", "equals", ["abc"], True),
        ("1", "equals", [1], False),
        ("aBc", "equalsIgnoreCase", ["AbC"], True),
        ("abcb", "indexOf", ["b"], 1),
        ("abcb", "indexOf", ["b", 2], 3),
        ("abcb", "indexOf", ["x"], -1),
        ("abcb", "lastIndexOf", ["b"], 3),
        ("", "isEmpty", [], True),
        ("a", "isEmpty", [], False),
        ("abc", "length", [], 3),
        ("2024-01-02", "matches", [r"\d{4}-\d\d-\d\d"], True),
        ("2024-01-02x", "matches", [r"\d{4}-\d\d-\d\d"], False),
        ("a.b.c", "replace", [".", "-"], "a-b-c"),
        ("a.b", "replaceAll", [".", "-"], "---"),
        ("a1b22", "replaceAll", [r"(\d+)", "<$1>"], "a<1>b<22>"),
        ("ab", "replaceAll", ["(x)?b", "[$1]"], "a[]"),
        ("it's", "replaceAll", ["'", r"\\'"], r"it\'s"),
        (r"it\'s", "replaceAll", [r"\\'", "'"], "it's"),
        ("aaa", "replaceAll", ["a", r"\$1"], "$1$1$1"),
        ("aaa", "replaceFirst", ["a", "b"], "baa"),
        ("a,b,,", "split", [","], ["a", "b"]),
        ("a,b,c", "split", [",", 2], ["a", "b,c"]),
        ("a,b", "split", [",", 1], ["a,b"]),
        ("", "split", [","], [""]),
        ("abcdef", "substring", [2], "cdef"),
        ("abcdef", "substring", [2, 4], "cd"),
        ("abc", "substring", [3], ""),
        ("aBc", "toLowerCase", [], "abc"),
        ("aBc", "toUpperCase", [], "ABC"),
        ("abc", "toString", [], "abc"),
        (" a ", "trim", [], "a"),
        ([1, 2], "size", [], 2),
        ([1, 2], "get", [1], 2),
        ([1, 2], "contains", [2], True),
        ([1, 2], "contains", [True], False),
        ([1, 2], "indexOf", [2], 1),
        ([1, 2], "indexOf", [3], -1),
        ([], "isEmpty", [], True),
        ([{"a": 1}], "toString", [], '[{"a":1}]'),
        (range(1, 4), "size", [], 3),
        (range(1, 4), "contains", [3], True),
        ({"a": 1}, "get", ["a"], 1),
        ({"a": 1}, "get", ["b"], None),
        ({"a": 1}, "getOrDefault", ["b", 2], 2),
        ({"a": 1}, "containsKey", ["a"], True),
        ({"a": 1}, "containsValue", [1], True),
        ({"a": 1}, "containsValue", [True], False),
        ({"a": 1}, "keySet", [], ["a"]),
        ({"a": 1}, "values", [], [1]),
        ({"a": 1}, "entrySet", [], [Entry("a", 1)]),
        ({"a": 1}, "size", [], 1),
        ({}, "isEmpty", [], True),
        ({"a": 1}, "toString", [], "{a=1}"),
        (Entry("a", 1), "getKey", [], "a"),
        (Entry("a", 1), "getValue", [], 1),
        (7, "toString", [], "7"),
        (7, "equals", [7], True),
        (7.9, "intValue", [], 7),
        (7, "doubleValue", [], 7.0),
        (0, "parseInt", ["42"], 42),
        (True, "equals", [True], True),
        (True, "toString", [], "true"),
        (INPUT, "json", ["$"], "json of $"),
    ],
)
def test_a_method_gives_what_javas_gives(value, name, arguments, given):
    made = call(value, name, arguments)
    assert made == given
    assert type(made) is type(given) or isinstance(made, Literal)


@pytest.mark.parametrize(
    ("value", "name", "arguments", "given", "after"),
    [
        ([1, 2], "add", [3], True, [1, 2, 3]),
        ([1, 2], "add", [0, 3], True, [3, 1, 2]),
        ([1], "addAll", [[2, 3]], True, [1, 2, 3]),
        ([1], "addAll", [[]], False, [1]),
        ([1, 2], "set", [0, 3], 1, [3, 2]),
        ([1, 2], "remove", [0], 1, [2]),
        ({"a": 1}, "put", ["a", 2], 1, {"a": 2}),
        ({"a": 1}, "put", ["b", 2], None, {"a": 1, "b": 2}),
        ({"a": 1}, "putAll", [{"b": 2}], None, {"a": 1, "b": 2}),
        ({"a": 1}, "remove", ["a"], 1, {}),
        ({"a": 1}, "remove", ["b"], None, {"a": 1}),
    ],
)
def test_a_method_changes_what_it_changes_in_java(value, name, arguments, given, after):
    assert call(value, name, arguments) == given
    assert value == after


@pytest.mark.parametrize("value", ["text", 7, 7.5, True, [], {}, range(3), Entry("a", 1), INPUT, None])
@pytest.mark.parametrize(
    "name",
    [
        "__class__",
        "__init__",
        "_replace",
        "getClass",
        "format",
        "encode",
        "mro",
        "append",
        "pop",
        "items",
        "real",
        "start",
        "forName",
    ],
)
def test_a_method_that_is_not_listed_is_none(value, name):
    with pytest.raises(Refused, match=f"has no method {name}"):
        call(value, name, [])


def test_what_there_is_instead_is_told():
    with pytest.raises(Refused, match=r"^a boolean has no method or\(\); known are equals, toString$"):
        call(True, "or", [False])


@pytest.mark.parametrize(
    ("value", "name", "arguments"),
    [
        ("abc", "substring", [2, 1]), ("abc", "substring", [0, 4]), ("abc", "substring", [-1]), ("abc", "substring", ["a"]),
        ("abc", "replaceAll", ["(", ""]), ("abc", "replaceAll", ["b", "$3"]), ("abc", "replaceAll", ["b"]), ("abc", "contains", [1]),
        ("abc", "charAt", [3]), ("abc", "length", [1]), ("abc", "endsWith", [1]), ("abc", "equalsIgnoreCase", [1]), ([1], "get", [1]),
        ([1], "get", [-1]), ([1], "get", ["0"]), ([1], "set", [1, 2]), ([], "add", []), ([], "add", ["a", 1]), (0, "parseInt", ["a"]),
        (0, "parseInt", ["9" * 5000]), ({}, "get", [[]]), ({}, "put", [{}, 1]), ({}, "putAll", [7]), (1e309, "intValue", []), (INPUT, "json", []),
    ],
)  # fmt: skip
def test_arguments_that_a_method_does_not_take_are_told(value, name, arguments):
    with pytest.raises(Refused, match=rf"^{name}\(\) of .+ failed: "):
        call(value, name, arguments)


@pytest.mark.parametrize(
    ("value", "name"),
    [([], "addAll"), ({}, "putAll"), ("a", "contains"), ("a", "concat"), ("a", "endsWith"), ("a", "matches")],
)
@pytest.mark.parametrize("other", [INPUT, Entry("ab", "cd")])
def test_what_a_service_or_an_entry_consists_of_is_not_taken_out_of_it(value, name, other):
    with pytest.raises(Refused, match=f"^{name}"):
        call(value, name, [other])
    assert not value or value == "a"


def test_a_text_that_is_made_is_no_longer_than_an_output():
    with pytest.raises(Refused, match="longer than"):
        call("x" * (OUTPUT_BYTES // 2), "replaceAll", ["x", "xyz"])


def is_plain(value):
    if isinstance(value, dict):
        return all(map(is_plain, value)) and all(map(is_plain, value.values()))
    if isinstance(value, Entry):
        return is_plain(value.key) and is_plain(value.value)
    if isinstance(value, list | range):
        return all(map(is_plain, value))
    return value is None or value is INPUT or type(value) in {str, int, float, bool}


def some_of_each():
    return ["a", "1", 1, 2.5, True, None, [1, "b"], {"a": 1}, range(2), Entry("a", [1]), INPUT]


def test_whatever_a_method_is_given_only_plain_data_comes_of_it():
    asked = 0
    for kind, _, table in vtl_methods._TABLES:
        for name, count in itertools.product(table, range(3)):
            for arguments in itertools.product(some_of_each(), repeat=count):
                value = next(each for each in some_of_each() if isinstance(each, kind))
                with contextlib.suppress(Refused):
                    assert is_plain(call(value, name, list(arguments))), (value, name, arguments)
                assert is_plain(value), (name, arguments)
                asked += 1
    assert asked > 5000
