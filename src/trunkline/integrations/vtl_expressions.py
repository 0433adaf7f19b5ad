"""Operators of mapping templates, as Velocity's: whole numbers divide to whole ones, text and anything give text.

It imports nothing of trunkline but its like: the worker of templates runs it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from trunkline.integrations.vtl_values import bounded, is_number, is_same, is_true, text

__all__ = ["OPERATORS", "calculate_expression", "calculate_range", "negate", "read_expression"]


def _of_numbers(function: Callable[[Any, Any], Any], otherwise: Any = None) -> Callable[[Any, Any], Any]:
    return lambda left, right: function(left, right) if is_number(left) and is_number(right) else otherwise


def _add(left: Any, right: Any) -> Any:
    return left + right if is_number(left) and is_number(right) else bounded(text(left) + text(right))


def _divide(left: Any, right: Any) -> Any:
    if right == 0:
        return None
    if isinstance(left, float) or isinstance(right, float):
        return left / right
    return abs(left) // abs(right) * (1 if (left < 0) is (right < 0) else -1)


def _rest(left: Any, right: Any) -> Any:
    if right == 0:
        return None
    if isinstance(left, float) or isinstance(right, float):
        return math.fmod(left, right)
    return left - right * _divide(left, right)


def _and(left: Any, right: Any) -> bool:
    return is_true(left) and is_true(right)


def _or(left: Any, right: Any) -> bool:
    return is_true(left) or is_true(right)


_LESS, _LESS_OR_SAME = _of_numbers(operator.lt, otherwise=False), _of_numbers(operator.le, otherwise=False)
_MORE, _MORE_OR_SAME = _of_numbers(operator.gt, otherwise=False), _of_numbers(operator.ge, otherwise=False)


def _is_other(left: Any, right: Any) -> bool:
    return not is_same(left, right)


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "&&": _and, "and": _and, "||": _or, "or": _or,
    "==": is_same, "eq": is_same, "!=": _is_other, "ne": _is_other,
    "<": _LESS, "lt": _LESS, "<=": _LESS_OR_SAME, "le": _LESS_OR_SAME,
    ">": _MORE, "gt": _MORE, ">=": _MORE_OR_SAME, "ge": _MORE_OR_SAME,
    "+": _add, "-": _of_numbers(operator.sub), "*": _of_numbers(operator.mul),
    "/": _of_numbers(_divide), "%": _of_numbers(_rest),
}  # fmt: skip


def negate(value: Any) -> bool:
    """What `!value` is."""
    return not is_true(value)


def read_expression(terms: list[Any]) -> Any:
    """Values with operators between them as a tree: a value, or (operator, left, right)."""
    values: list[Any] = [terms[0]]
    operators: list[Any] = []
    for at in range(1, len(terms), 2):
        while operators and not terms[at].greater_precedence_than(operators[-1]):
            _join(values, operators)
        operators.append(terms[at])
        values.append(terms[at + 1])
    while operators:
        _join(values, operators)
    return values[0]


def _join(values: list[Any], operators: list[Any]) -> None:
    right, left = values.pop(), values.pop()
    values.append((operators.pop().apply_to, left, right))


def calculate_expression(tree: Any, namespace: Any) -> Any:
    """The value of such a tree; what decides already is not asked further."""
    if not isinstance(tree, tuple):
        return tree.calculate(namespace, None)
    apply, left_tree, right_tree = tree
    left = calculate_expression(left_tree, namespace)
    if apply is _and and not is_true(left):
        return False
    if apply is _or and is_true(left):
        return True
    return apply(left, calculate_expression(right_tree, namespace))


def calculate_range(first: Any, last: Any) -> range | None:
    """What `[first..last]` is, in either direction; None if one is no whole number."""
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in (first, last)):
        return None
    return range(first, last + 1) if first <= last else range(first, last - 1, -1)
