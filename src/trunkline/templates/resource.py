"""One resource of a template, its properties resolved and read with their types."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from trunkline.errors import ConfigurationError
from trunkline.templates.document import Document, shortened
from trunkline.templates.sections import as_text

__all__ = ["Resource"]


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource.

    Attributes:
        properties: resolved.
        path: where it stands in the document as it was written.
    """

    logical_id: str
    kind: str
    properties: dict[str, Any]
    metadata: dict[str, Any]
    document: Document
    path: tuple[Any, ...]

    @property
    def where(self) -> str:
        """File and line."""
        return self.document.where(*self.path)

    def where_of(self, *keys: Any) -> str:
        """File and line of a property, or of the resource where a transform made the property."""
        return self.document.where(*self.path, "Properties", *keys)

    def error(self, text: str, *keys: Any) -> ConfigurationError:
        """What is wrong with it, or with one of its properties."""
        return ConfigurationError(f"{self.where_of(*keys)}: {self.kind} {self.logical_id}: {shortened(text)}")

    def text(self, key: str, default: str | None = None) -> str:
        """A property that is a text.

        Raises:
            ConfigurationError: it is something else, or is not there and has no default.
        """
        value = self.properties.get(key)
        if value is None:
            if default is None:
                raise self.error(f"{key} is missing; expected a text")
            return default
        text = as_text(value)
        if text is None:
            raise self.error(f"{key} is a {type(value).__name__}; expected a text", key)
        return text

    def number(self, key: str, default: float, within: dict[str, Any] | None = None) -> float:
        """A property that is a number from 0, also written as a text."""
        value = (self.properties if within is None else within).get(key)
        if value is None:
            return default
        try:
            number = float(as_text(value) or "")
        except ValueError:
            number = math.nan
        if not 0 <= number < 1e9:
            raise self.error(f"{key} is {value!r}; expected a number from 0", key)
        return number

    def mapping(self, key: str) -> dict[str, Any]:
        """A property that is a mapping; empty where it is not there."""
        return self._of(key, dict, "a mapping")  # type: ignore[no-any-return]

    def list(self, key: str) -> list[Any]:
        """A property that is a list; empty where it is not there."""
        return self._of(key, list, "a list")  # type: ignore[no-any-return]

    def is_true(self, key: str) -> bool:
        """A property that is true or false."""
        return (as_text(self.properties.get(key)) or "").lower() == "true"

    def _of(self, key: str, kind: type, expected: str) -> Any:
        value = self.properties.get(key)
        if value is None:
            return kind()
        if not isinstance(value, kind):
            raise self.error(f"{key} is {value!r}; expected {expected}", key)
        return value
