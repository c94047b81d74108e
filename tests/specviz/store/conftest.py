"""What the tests of the store share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from specviz.store import Store, open_store


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """An empty store in a file of its own."""
    with open_store(path) as opened:
        yield opened
