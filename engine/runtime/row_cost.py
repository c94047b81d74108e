"""What rows cost: the time of a target pass by its number of rows.

The curve says what a draft of m - 1 tokens costs where none is accepted, and so how much of a
method's block efficiency can become speed on this machine. The bench reports it; drafters that fit
their trees to the machine ask for it once per loaded model.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.tree import DraftTree

if TYPE_CHECKING:
    from engine.target import Target

NUM_ROWS = (1, 2, 4, 8, 16, 32, 64)
FIRST_DEAR = NUM_ROWS.index(8)
"""From these rows on a pass is taken to cost more for each."""
CONTEXT_LENGTH = 256
_MIN_ROUNDS, _MAX_ROUNDS, _SECONDS, _FEW_SECONDS = 3, 30, 5.0, 1.0


@dataclass(frozen=True)
class RowCost:
    """A pass of `num_rows` rows."""

    num_rows: int
    ms: float
    """Median wall-clock of a pass, logits of every row included."""
    ratio: float
    """Its time ÷ that of a pass of one row."""


def relative_costs(target: Target) -> list[float]:
    """Entry n: a pass over n + 1 rows ÷ one over one row, as `roofline` smooths it. Measured once per loaded model."""
    return target.facts.keep("relative costs", lambda: _measured(target))


def _measured(target: Target) -> list[float]:
    _, costs = row_costs(target, _FEW_SECONDS)
    return roofline([cost.num_rows for cost in costs], [cost.ratio for cost in costs])


def roofline(num_rows: Sequence[int], ratios: Sequence[float]) -> list[float]:
    """Costs of 1 to the most rows, of those measured: 1 as long as weights are waited for, then a line that rises.

    A few passes are soon timed and noisy, and the number of nodes that pays hangs on small differences; the line is
    fitted, with equal relative errors, from where rows begin to cost.
    """
    begin = min(FIRST_DEAR, len(ratios) - 2) if len(ratios) > 1 else 0
    rows, costs = np.asarray(num_rows[begin:], float), np.asarray(ratios[begin:])
    slope, base = np.polyfit(rows, costs, 1, w=1 / costs) if len(rows) > 1 else (0.0, 1.0)
    every = np.arange(1, num_rows[-1] + 1)
    smoothed = np.maximum(1.0, base + max(slope, 0.0) * every)
    # Where all passes of several rows were slow the line passes above the one row that they are measured by.
    return [1.0, *(float(cost) for cost in smoothed[1:])]


def row_costs(target: Target, seconds: float = _SECONDS) -> tuple[int, list[RowCost]]:
    """Tokens of context, and the cost of each number of rows that fits beside them. Ends a session.

    Every round times each number once; there are 3 to 30 rounds, as many as fit `seconds`.
    """
    num_context = min(CONTEXT_LENGTH, target.max_context // 2)
    sizes = [num_rows for num_rows in NUM_ROWS if num_context + num_rows <= target.max_context]
    target.prefill([0] * num_context)
    times: dict[int, list[float]] = {size: [] for size in sizes}
    deadline = time.monotonic() + seconds
    for turn in range(_MAX_ROUNDS + 1):
        for size in sizes:
            taken = _time(target, size)
            if turn:  # the first round warms up
                times[size].append(1000 * taken)
        if turn >= _MIN_ROUNDS and time.monotonic() > deadline:
            break
    medians = {size: statistics.median(found) for size, found in times.items()}
    target.prefill([])
    return num_context, [RowCost(size, ms, ms / medians[1]) for size, ms in medians.items()]


def _time(target: Target, num_rows: int) -> float:
    tree = DraftTree((0,) * (num_rows - 1), (-1,) * (num_rows - 1))
    target.synchronise()
    started = time.perf_counter()
    target.score(0, tree)
    target.synchronise()
    seconds = time.perf_counter() - started
    target.discard()  # the context stays as long as it is said to be
    return seconds
