"""What a target pass over m rows costs on this machine, as a multiple of a pass over one.

Measured once per loaded model, on a context of stated length; drafters that fit their trees to the machine
ask here.
"""

from __future__ import annotations

import statistics
import time
import weakref
from typing import TYPE_CHECKING

import numpy as np

from engine.tree import EMPTY_TREE, chain

if TYPE_CHECKING:
    from engine.models import LoadedModel
    from engine.target import Target

ROWS = (1, 2, 4, 8, 16, 32, 64)
CONTEXT = 128
NUM_ROUNDS = 5
_MEASURED: weakref.WeakKeyDictionary[LoadedModel, list[float]] = weakref.WeakKeyDictionary()


def row_costs(target: Target) -> list[float]:
    """Entry n: median time of a pass over n + 1 rows ÷ that over one row, between measured points by line.

    At least 1 and never falling, since a wider pass is no cheaper. Ends the target's session, if any.
    """
    if target.loaded not in _MEASURED:
        rows = [m for m in ROWS if m <= max(1, target.max_context // 4)]
        times = _times(target, rows)
        ratios = np.maximum.accumulate(np.maximum(1.0, np.array(times) / times[0]))
        _MEASURED[target.loaded] = np.interp(np.arange(1, rows[-1] + 1), rows, ratios).tolist()
    return _MEASURED[target.loaded]


def _times(target: Target, rows: list[int]) -> list[float]:
    """Median seconds of a pass over each number of rows, all of them in turn; the first round warms up."""
    context = [0] * min(CONTEXT, target.max_context // 2)
    found: dict[int, list[float]] = {m: [] for m in rows}
    for _ in range(NUM_ROUNDS + 1):
        target.prefill(context)
        for m in rows:
            found[m].append(_time(target, m))
    return [statistics.median(found[m][1:]) for m in rows]


def _time(target: Target, num_rows: int) -> float:
    tree = chain([0] * (num_rows - 1)) if num_rows > 1 else EMPTY_TREE
    target.synchronise()
    started = time.perf_counter()
    target.score(0, tree)
    target.synchronise()
    seconds = time.perf_counter() - started
    target.commit(())
    return seconds
