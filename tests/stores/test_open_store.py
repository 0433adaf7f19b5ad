"""Which store a URL names."""

from pathlib import Path

import pytest

from trunkline.errors import ConfigurationError
from trunkline.stores import open_store
from trunkline.stores.memory import MemoryStore


def test_urls(tmp_path):
    assert isinstance(open_store("memory:", tmp_path), MemoryStore)
    assert open_store("sqlite:", tmp_path).file == tmp_path / "data.sqlite3"
    assert open_store("sqlite:///data/chat.db", tmp_path).file == Path("data/chat.db")
    assert open_store("sqlite:////srv/chat.db", tmp_path).file == Path("/srv/chat.db")


@pytest.mark.parametrize("url", ["", "memory", "memory:x", "sqlite", "sqlite://", "sqlite:///", "mysql://x"])
def test_other_urls_are_refused(url, tmp_path):
    with pytest.raises(
        ConfigurationError, match="expected memory:, sqlite:, sqlite:///FILE or dynamodb://REGION/PREFIX"
    ):
        open_store(url, tmp_path)
