"""JSON paths of mapping templates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.integrations.vtl_path import MISSING, PathError, find

DOCUMENT = {
    "name": "Ann",
    "nothing": None,
    "a": {"b": {"c": [10, 20, {"name": "Bob"}]}},
    "a.b": "dotted",
    "it's": "quoted",
    "x-y": "hyphen",
    "ü": "umlaut",
    "": "empty",
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", DOCUMENT),
        (" $ ", DOCUMENT),
        ("$.name", "Ann"),
        ("name", "Ann"),
        ("$.a.b.c[0]", 10),
        ("a.b.c[1]", 20),
        ("$.a.b.c[-1].name", "Bob"),
        ("$.a['b'][\"c\"][ 2 ]['name']", "Bob"),
        ("['a.b']", "dotted"),
        ("$['a.b']", "dotted"),
        (r"$['it\'s']", "quoted"),
        ('$["it\'s"]', "quoted"),
        ("$.x-y", "hyphen"),
        ("$.ü", "umlaut"),
        ("$['']", "empty"),
        ("$.nothing", None),
    ],
)
def test_a_path_leads_to_a_value(path, found):
    assert find(DOCUMENT, path) == found


@pytest.mark.parametrize(
    "path", ["$.no", "$.name.no", "$.a.b.c[3]", "$.a.b.c[-4]", "$.a[0]", "$.name[0]", "$.nothing.x", "$.a.b.c.name"]
)
def test_a_path_that_leads_nowhere_finds_nothing(path):
    assert find(DOCUMENT, path) is MISSING


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.a.b.c[*]", [10, 20, {"name": "Bob"}]),
        ("$.a.b.c.*", [10, 20, {"name": "Bob"}]),
        ("$.a.b.c[*].name", ["Bob"]),
        ("$.a.*.c[0]", [10]),
        ("$..name", ["Ann", "Bob"]),
        ("$.a..c[1]", [20]),
        ("$.name[*]", []),
        ("$..no", []),
    ],
)
def test_a_path_that_may_lead_to_several_finds_a_list_of_all(path, found):
    assert find(DOCUMENT, path) == found


@pytest.mark.parametrize(
    "path",
    [
        "$.a[?(@.b)]",
        "$.a[0:2]",
        "$.a.length()",
        "$.",
        "$.a[",
        "$[a]",
        "$.a b",
        "$..",
        "$.a[1,2]",
        "$['a'",
        "$$",
        "$.a[99999999999]",
    ],
)
def test_a_path_that_is_not_understood_is_told(path):
    with pytest.raises(PathError, match="cannot be read from"):
        find(DOCUMENT, path)


@given(
    st.text(),
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    ),
)
def test_no_path_raises_anything_else(path, value):
    try:
        find(value, path)
    except PathError:
        pass


@given(st.text(min_size=1), st.integers())
def test_any_member_is_found_by_its_quoted_name(name, value):
    quoted = name.replace("\\", "\\\\").replace("'", "\\'")
    assert find({name: value}, f"$['{quoted}']") == value
