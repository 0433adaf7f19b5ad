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
    scheme, _, rest = url.partition(":")
    if scheme == "memory" and not rest:
        from trunkline.stores.memory import MemoryStore

        return MemoryStore()
    if scheme == "sqlite" and (not rest or (rest.startswith("///") and len(rest) > 3)):
        from trunkline.stores.sqlite import SqliteStore

        # Three slashes and a relative path, four and an absolute one: the usual form of such URLs.
        return SqliteStore(Path(rest[3:]) if rest else folder / _FILE)
    raise ConfigurationError(f"--store is {url!r}; expected memory:, sqlite: or sqlite:///FILE")
