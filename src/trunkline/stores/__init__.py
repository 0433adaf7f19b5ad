"""Seam 2: where a collection's documents live."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.errors import ConfigurationError

if TYPE_CHECKING:
    from trunkline.stores.base import Store

__all__ = ["open_store"]

_FILE = "data.sqlite3"


def open_store(url: str, folder: Path, collections: Sequence[str] = ()) -> Store:
    """The store of a URL, not yet opened.

    Args:
        url: "memory:", "sqlite:", "sqlite:///FILE" or "dynamodb://REGION/PREFIX".
        folder: where the file of "sqlite:" is.
        collections: the names of those that a DynamoDB has tables for.

    Raises:
        ConfigurationError: it names none.
    """
    if url == "memory:":
        from trunkline.stores.memory import MemoryStore

        return MemoryStore()
    if url == "sqlite:" or (url.startswith("sqlite:///") and url != "sqlite:///"):
        from trunkline.stores.sqlite import SqliteStore

        # Three slashes and a relative path, four and an absolute one: the usual form of such URLs.
        return SqliteStore(folder / _FILE if url == "sqlite:" else Path(url.removeprefix("sqlite:///")))
    if url.startswith("dynamodb:"):
        from trunkline.stores.dynamodb import DynamoStore

        return DynamoStore.of(url, collections)
    raise ConfigurationError(
        f"--store is {url!r}; expected memory:, sqlite:, sqlite:///FILE or dynamodb://REGION/PREFIX"
    )
