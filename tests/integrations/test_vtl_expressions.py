"""Operators of mapping templates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.integrations.vtl_expressions import OPERATORS, calculate_range, negate


@pytest.mark.parametrize(
    ("left", "sign", "right", "given"),
    [
        (1, "+", 2, 3), (1, "+", 0.5, 1.5), ("a", "+", 1, "a1"), (1, "+", "a", "1a"), (None, "+", "a", "a"), ("a", "+", True, "atrue"),
        (1, "-", 2, -1), ("a", "-", 1, None), (2, "*", 3, 6), (True, "*", 3, None),
        (7, "/", 2, 3), (-7, "/", 2, -3), (7, "/", -2, -3), (-7, "/", -2, 3), (7.0, "/", 2, 3.5), (7, "/", 0, None), (7, "/", "2", None),
        (7, "%", 2, 1), (-7, "%", 2, -1), (7, "%", -2, 1), (7.5, "%", 2, 1.5), (-7.5, "%", 2, -1.5), (7, "%", 0, None),
        (1, "<", 2, True), (2, "lt", 2, False), (2, "<=", 2, True), (3, "le", 2, False), (3, ">", 2, True), (2, "gt", 2, False),
        (2, ">=", 2, True), (1, "ge", 2, False), ("a", "<", "b", False), (None, ">", 1, False), ("2", ">", 1, False),
        (1, "==", 1.0, True), ("a", "eq", "a", True), ("a", "!=", "b", True), ("a", "ne", "a", False),
        (True, "&&", True, True), (True, "and", False, False), (False, "||", True, True), (False, "or", False, False), (None, "&&", "", True),
    ],
)  # fmt: skip
def test_an_operator_gives_what_velocitys_gives(left, sign, right, given):
    made = OPERATORS[sign](left, right)
    assert made == given
    assert type(made) is type(given)


@given(st.integers(), st.integers().filter(bool))
def test_what_is_divided_and_what_is_left_make_up_the_number(left, right):
    assert OPERATORS["/"](left, right) * right + OPERATORS["%"](left, right) == left


def test_not_is_of_false_alone():
    assert [negate(value) for value in (False, True, None, "", 0)] == [True, False, False, False, False]


@pytest.mark.parametrize(("first", "last", "given"), [(1, 3, [1, 2, 3]), (2, -1, [2, 1, 0, -1]), (5, 5, [5])])
def test_a_range_goes_in_either_direction(first, last, given):
    assert list(calculate_range(first, last)) == given


@pytest.mark.parametrize(("first", "last"), [(None, 3), (1, "3"), (1, True), (1.0, 3)])
def test_a_range_of_anything_but_whole_numbers_is_none(first, last):
    assert calculate_range(first, last) is None
