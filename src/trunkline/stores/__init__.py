"""Seam 2: where a collection's documents live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.errors import ConfigurationError

if TYPE_CHECKING:
    from trunkline.stores.base import Store

__all__ = ["open_store"]

_FILE = "data.sqlite3"


def open_store(url: str, folder: Path) -> Store:
    """The store of a URL, not yet opened: "memory:", "sqlite:" (a file in `folder`) or "sqlite:///FILE".

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
    raise ConfigurationError(f"--store is {url!r}; expected memory:, sqlite: or sqlite:///FILE")
