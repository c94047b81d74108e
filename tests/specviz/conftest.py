"""What the tests of the dashboard share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from specviz.store import Store, open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store may be kept."""
    return tmp_path / "runs.db"


@pytest.fixture
def store() -> Iterator[Store]:
    """An empty store in memory."""
    with open_store(":memory:") as opened:
        yield opened
