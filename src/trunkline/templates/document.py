"""A template as values, with the line of each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from trunkline.errors import ConfigurationError

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_VALUES", "Builder", "Built", "Document", "shortened"]

MAX_BYTES = 2 * 1024 * 1024  # CloudFormation takes 1 MB
MAX_DEPTH = 64
MAX_VALUES = 200_000  # with every alias written out
_SHOWN = 2000

_SURROGATE = re.compile("[\ud800-\udfff]")


def shortened(text: str) -> str:
    """A text for people, who need not see all of what is wrong with it."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]} ... {text[-_SHOWN // 2 :]}"


class Document:
    """A template as it was written.

    Attributes:
        file: as the user named it.
        data: its values: dicts, lists, texts, numbers, booleans and None.
        root: the folder that code is in, or further down; the template's own unless somebody says another.
    """

    def __init__(self, file: Path, data: dict[str, Any], marks: dict[int, dict[Any, int]]) -> None:
        self.file = file
        self.data = data
        self.root = file.parent
        self._marks = marks

    def where(self, *path: Any) -> str:
        """File and line of a value, or of the nearest value around it that was written."""
        value: Any = self.data
        line = 1
        for step in path:
            mark = self._marks.get(id(value), {}).get(step)
            if mark is None:
                break
            line, value = mark, value[step]
        return f"{self.file}:{line}"

    def error(self, text: str, *path: Any) -> ConfigurationError:
        """What is wrong with a value."""
        return ConfigurationError(f"{self.where(*path)}: {shortened(text)}")

    def unknown(self, what: str, name: Any, known: Iterable[str], *path: Any) -> ConfigurationError:
        """That there is nothing of a name, and which name may have been meant."""
        # Comparing is quadratic, and both sides are somebody's text.
        some = [each for each in list(known)[:1000] if len(each) <= 255]
        shown = str(name)[:255]
        near = get_close_matches(shown, some, 1)
        listed = ", ".join(some[:20]) + (", ..." if len(some) > 20 else "")
        meant = f"did you mean {near[0]}?" if near else f"expected one of {listed or 'none'}"
        return self.error(f"there is no {what} {shown!r}; {meant}", *path)


@dataclass(slots=True)
class Built:
    """A finished value, how many values it is and how deep they go."""

    value: Any
    weight: int = 1
    height: int = 0


@dataclass(slots=True)
class _Open:
    value: dict[str, Any] | list[Any]
    marks: dict[Any, int]
    line: int
    function: str | None
    anchor: str | None
    key: str | None = None
    key_line: int = 0
    weight: int = 1
    height: int = 0
    merged: list[dict[str, Any]] = field(default_factory=list)


class Builder:
    """Puts a document together from its tokens in order, and holds it to its limits.

    Nothing here calls itself, so depth costs no stack, and an alias adds the value that is there already.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.root: Built | None = None
        self._marks: dict[int, dict[Any, int]] = {}
        self._open: list[_Open] = []
        self._anchors: dict[str, Built | None] = {}
        self._count = 0

    def error(self, line: int, text: str) -> ConfigurationError:
        """What is wrong in a line."""
        return ConfigurationError(f"{self.file}:{line}: {text}")

    @property
    def wants_key(self) -> bool:
        """The next token is the key of a mapping."""
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].key is None

    def key(self, text: str, line: int) -> None:
        """The key of the next value."""
        top = self._open[-1]
        self._check(text, line)
        top.key, top.key_line = text, line

    def open(
        self, value: dict[str, Any] | list[Any], line: int, function: str | None = None, anchor: str | None = None
    ) -> None:
        """A mapping or a list begins, which is the argument of a function if there is one."""
        if self.wants_key:
            raise self.error(line, "a key is a mapping or a list; expected a text")
        if len(self._open) >= MAX_DEPTH:
            raise self.error(line, f"values are nested more than {MAX_DEPTH} deep; expected fewer")
        marks: dict[Any, int] = {}
        self._marks[id(value)] = marks
        self._open.append(_Open(value, marks, line, function, anchor))
        if anchor is not None:
            self._anchors[anchor] = None

    def close(self) -> None:
        """The mapping or list that was begun last ends."""
        top = self._open.pop()
        for other in top.merged:
            self._merge(top, other)
        built = Built(top.value, top.weight, top.height + 1)
        self.add(built, top.line, top.function, top.anchor)

    def add(self, built: Built, line: int, function: str | None = None, anchor: str | None = None) -> None:
        """A finished value."""
        self._check(built.value, line)
        if function is not None:
            call = {function: built.value}
            self._marks[id(call)] = {function: line}
            built = Built(call, built.weight + 1, built.height + 1)
        if anchor is not None:
            self.name(anchor, built)
        self._put(built, line)

    def name(self, anchor: str, built: Built) -> None:
        """A value that aliases may name."""
        self._anchors[anchor] = built

    def alias(self, anchor: str, line: int) -> None:
        """A value that was there before."""
        built = self._anchors.get(anchor)
        if built is None:
            raise self.error(line, f"alias *{anchor} names no value before it; expected an anchor &{anchor}")
        if self.wants_key:
            if not isinstance(built.value, str):
                raise self.error(line, f"alias *{anchor} as a key is no text; expected a text")
            self.key(built.value, line)
        else:
            self._put(built, line)

    def document(self) -> Document:
        """The whole.

        Raises:
            ConfigurationError: it is no mapping.
        """
        data = None if self.root is None else self.root.value
        if not isinstance(data, dict):
            raise self.error(1, "this is no template; expected a mapping with Resources")
        return Document(self.file, data, self._marks)

    def _check(self, value: Any, line: int) -> None:
        if isinstance(value, str) and _SURROGATE.search(value):
            raise self.error(line, "half of a surrogate pair is no text; expected Unicode")

    def _put(self, built: Built, line: int) -> None:
        self._count += built.weight
        if self._count > MAX_VALUES:
            raise self.error(line, f"there are more than {MAX_VALUES} values with aliases written out; expected fewer")
        if len(self._open) + built.height > MAX_DEPTH:
            raise self.error(line, f"values are nested more than {MAX_DEPTH} deep; expected fewer")
        if not self._open:
            self.root = built
            return
        top = self._open[-1]
        top.weight += built.weight
        top.height = max(top.height, built.height)
        if isinstance(top.value, list):
            top.marks[len(top.value)] = line
            top.value.append(built.value)
        else:
            self._put_in_mapping(top, built.value)

    def _put_in_mapping(self, top: _Open, value: Any) -> None:
        key, top.key = top.key, None
        assert key is not None
        assert isinstance(top.value, dict)
        if key == "<<":
            others = value if isinstance(value, list) else [value]
            if not all(isinstance(other, dict) for other in others):
                raise self.error(top.key_line, "<< is given what is no mapping; expected a mapping or a list of them")
            top.merged += others
        else:
            top.value[key] = value
            top.marks[key] = top.key_line

    def _merge(self, top: _Open, other: dict[str, Any]) -> None:
        assert isinstance(top.value, dict)
        for key, value in other.items():
            if key not in top.value:
                top.value[key] = value
                top.marks[key] = self._marks[id(other)][key]
