"""What the tests of benchmarks share."""

from __future__ import annotations

from pathlib import Path

import pytest
from benching import Place, TinyDevice

from specviz.bench import Shelf
from specviz.decoding.session import Sessions
from specviz.store import Store


@pytest.fixture
def place(model_folder: Path, tmp_path: Path, store: Store) -> Place:
    """A shelf and a tiny model to measure, whose row costs are measured in no time."""
    return Place(Sessions(TinyDevice(folder=model_folder), store), store, Shelf(tmp_path / "bench"))


@pytest.fixture(autouse=True)
def quick_row_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row costs are measured in no time."""
    monkeypatch.setattr("specviz.bench.benchmarks.ROW_COST_S", 0.0)
