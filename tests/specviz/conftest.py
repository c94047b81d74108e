"""What the tests of the dashboard share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from benching import Place, TinyDevice

from specviz.bench import Shelf
from specviz.decoding.session import Sessions
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


@pytest.fixture
def place(model_folder: Path, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A shelf and a tiny model to measure, whose row costs are measured in no time."""
    monkeypatch.setattr("specviz.bench.benchmarks.ROW_COST_S", 0.0)
    return Place(Sessions(TinyDevice(folder=model_folder), store), store, Shelf(tmp_path / "bench"))
