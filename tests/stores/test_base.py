"""The table of meaning."""

import enum

import pytest

from trunkline.errors import InvalidDocument, InvalidQuery
from trunkline.stores.base import Filter, check_filter, check_id, decode, encode, matches


class Colour(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


def nested(depth):
    return [] if depth == 1 else [nested(depth - 1)]


@pytest.mark.parametrize(
    ("value", "back"),
    [
        (None, None), (True, True), (1.0, 1), (-0.0, 0), (1.5, 1.5), (1e22, 10**22), (1e50, 1e50), (10**38 - 1, 10**38 - 1),
        ((1, 2), [1, 2]), (Colour.RED, "red"), (Level.HIGH, 3), ({Colour.RED: 1}, {"red": 1}), ("é𝄞\0", "é𝄞\0"),
        (nested(32), nested(32)), ({}, {}),
    ],
)  # fmt: skip
def test_what_comes_back(value, back):
    decoded = decode(encode(value))
    assert decoded == back
    assert type(decoded) is type(back)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "nan is not JSON"), (float("inf"), "inf is not JSON"), (1e126, "outside the range"),
        (1e-131, "outside the range"), (10**38, "at most 38 digits"), (b"x", "a bytes is not JSON"),
        ({1: 2}, "key is text; got 1"), ("\ud800", "lone surrogate"), ({"\ud800": 1}, "lone surrogate"),
        (nested(33), "deeper than 32"), (object(), "a object is not JSON"),
        ("é" * 205_000, "410,002 bytes"),
    ],
)  # fmt: skip
def test_what_is_refused(value, message):
    with pytest.raises(InvalidDocument, match=message):
        encode(value)


def test_a_text_near_the_limit_is_measured_in_bytes():
    encode("é" * 204_000)


@pytest.mark.parametrize("id", ["a", "é" * 512, "a/b", " "])
def test_ids(id):
    check_id(id)


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("", "has 0 bytes"),
        ("é" * 513, "1026 bytes"),
        ("a\0", "without NUL"),
        ("\ud800", "surrogate"),
        (7, "is a str; got int"),
    ],
)
def test_ids_that_are_refused(id, message):
    with pytest.raises(InvalidDocument, match=message):
        check_id(id)


@pytest.mark.parametrize(
    ("field", "op", "value", "message"),
    [
        ("a", "~", 1, "expected one of =="), ("", "==", 1, "a field is a name"), ("a..b", "==", 1, "a field is a name"),
        (7, "==", 1, "a field is a name"), ("a", "<", None, "expected a number or text"),
        ("a", ">=", True, "expected a number or text"), ("a", "startsWith", 1, "expected text"),
        ("a", "==", float("nan"), "nan is not JSON"),
    ],
)  # fmt: skip
def test_filters_that_are_refused(field, op, value, message):
    with pytest.raises(InvalidQuery, match=message):
        check_filter(Filter(field, op, value))


@pytest.mark.parametrize(
    ("op", "wanted", "fulfilled_by"),
    [
        ("==", 1, [1, 1.0]), ("==", True, [True]), ("==", [1, {"a": 2}], [[1, {"a": 2}], (1, {"a": 2})]), ("==", None, [None]),
        ("<", 2, [1, 1.5, -3]), ("<=", "b", ["a", "b", ""]), (">", "é", ["z" + "é", "𝄞"][1:]), (">=", 2, [2, 3]),
        ("startsWith", "ab", ["ab", "abc"]), ("==", {"a": 1}, [{"a": 1.0}]),
    ],
)  # fmt: skip
def test_operators(op, wanted, fulfilled_by):
    for value in fulfilled_by:
        assert matches({"f": value}, [Filter("f", op, wanted)]), value
    for value in [0.5 if op != "<" else 9, "zz" if op not in {">", ">="} else "", False, [1], {"a": 3}]:
        if value not in fulfilled_by:
            assert matches({"f": value}, [Filter("f", op, wanted)]) is False or (op, value) in {
                ("<", 0.5),
                ("<=", ""),
            }, value


def test_missing_fields_fulfil_only_unequal():
    for op in ("==", "<", "<=", ">", ">=", "startsWith"):
        assert not matches({}, [Filter("a", op, "")])
        assert not matches([], [Filter("a.b", op, "")])
    assert matches({}, [Filter("a", "!=", "x")])
    assert not matches({"a": "x"}, [Filter("a", "!=", "x")])


@pytest.mark.parametrize(
    ("op", "value"),
    [
        ("==", None),
        ("!=", [{"a": 1}]),
        ("<", 1),
        ("<=", 1.5),
        (">", "a"),
        (">=", ""),
        ("startsWith", "a"),
        ("startsWith", ""),
    ],
)
def test_what_can_be_compared(op, value):
    check_filter(Filter("a.b", op, value))
