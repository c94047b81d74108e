"""How a pass is cut into units of work."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engine.runtime.cpu.vectors import LANES
from engine.runtime.cpu.whole_pass import num_turning


@pytest.mark.parametrize("first_column", [0, 1, 15, 16, 100])
@pytest.mark.parametrize("num_rows", [1, 2, 15, 16, 17, 64])
def test_rows_whose_keys_share_a_block_are_turned_by_one_thread(first_column: int, num_rows: int) -> None:
    shape: Any = SimpleNamespace(first_column=first_column, num_rows=num_rows)
    blocks = {(first_column + row) // LANES for row in range(num_rows)}
    assert num_turning(shape) == len(blocks)
