"""The conditions of a template: which hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from trunkline.templates.document import Document
from trunkline.templates.sections import as_text

__all__ = ["Conditions", "UnderWay"]


class UnderWay:
    """What is being worked out, so that what leads back to itself is noticed."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._names: list[str] = []

    @contextmanager
    def once(self, what: str, *path: Any) -> Iterator[None]:
        """Work something out.

        Raises:
            ConfigurationError: it is being worked out already.
        """
        if what in self._names:
            circle = " -> ".join([*self._names[self._names.index(what) :], what])
            raise self._document.error(f"circular reference: {circle}; expected one that ends", *path)
        self._names.append(what)
        try:
            yield
        finally:
            self._names.pop()


class Conditions:
    """The conditions of one template.

    Args:
        declared: by name, as they were written.
        resolve: gives the value of what a condition compares.
    """

    def __init__(
        self, document: Document, declared: Mapping[str, Any], resolve: Callable[..., Any], under_way: UnderWay
    ) -> None:
        self._document = document
        self._declared = declared
        self._resolve = resolve
        self._under_way = under_way
        self._decided: dict[str, bool] = {}

    def holds(self, name: Any, *path: Any) -> bool:
        """Whether a condition holds.

        Raises:
            ConfigurationError: there is none of that name, or it is no condition.
        """
        if not isinstance(name, str) or name not in self._declared:
            raise self._document.unknown("condition", name, self._declared, *path)
        if name not in self._decided:
            with self._under_way.once(f"condition {name}", "Conditions", name):
                self._decided[name] = self._decide(self._declared[name], "Conditions", name)
        return self._decided[name]

    def _decide(self, value: Any, *path: Any) -> bool:
        name, argument = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else ("", None)
        path = (*path, name)
        if name == "Condition":
            return self.holds(argument, *path)
        if name == "Fn::Equals" and isinstance(argument, list) and len(argument) == 2:
            left, right = (self._resolve(each, *path, index) for index, each in enumerate(argument))
            return (as_text(left) or left) == (as_text(right) or right)
        if name == "Fn::Not" and isinstance(argument, list) and len(argument) == 1:
            return not self._decide(argument[0], *path, 0)
        if name in {"Fn::And", "Fn::Or"} and isinstance(argument, list) and argument:
            every = all if name == "Fn::And" else any
            return every(self._decide(each, *path, index) for index, each in enumerate(argument))
        raise self._document.error(
            "this is no condition; expected Fn::Equals, Fn::Not, Fn::And, Fn::Or or Condition", *path
        )
