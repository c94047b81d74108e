"""What rows cost: the time of a target pass by its number of rows.

The curve says what a draft of m - 1 tokens costs where none is accepted, and so how much of a
method's block efficiency can become speed on this machine.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from engine.target import Target
from engine.tree import EMPTY_TREE, chain

NUM_ROWS = (1, 2, 4, 8, 16, 32, 64)
CONTEXT_LENGTH = 256
_MIN_ROUNDS, _MAX_ROUNDS, _SECONDS = 3, 30, 5.0


@dataclass(frozen=True)
class RowCost:
    """A pass of `num_rows` rows."""

    num_rows: int
    ms: float
    """Median wall-clock of a pass, logits of every row included."""
    ratio: float
    """Its time ÷ that of a pass of one row."""


def row_costs(target: Target) -> tuple[int, list[RowCost]]:
    """Tokens of context, and the cost of each number of rows that fits beside them.

    Every round times each number once; there are 3 to 30 rounds, as many as fit 5 s.
    """
    num_context = min(CONTEXT_LENGTH, target.max_context // 2)
    sizes = [num_rows for num_rows in NUM_ROWS if num_context + num_rows <= target.max_context]
    target.prefill([0] * num_context)
    times: dict[int, list[float]] = {size: [] for size in sizes}
    deadline = time.monotonic() + _SECONDS
    for turn in range(_MAX_ROUNDS + 1):
        for size in sizes:
            seconds = _time(target, size)
            if turn:  # the first round warms up
                times[size].append(1000 * seconds)
        if turn >= _MIN_ROUNDS and time.monotonic() > deadline:
            break
    medians = {size: statistics.median(found) for size, found in times.items()}
    target.prefill([])
    return num_context, [RowCost(size, ms, ms / medians[1]) for size, ms in medians.items()]


def _time(target: Target, num_rows: int) -> float:
    tree = chain([0] * (num_rows - 1)) if num_rows > 1 else EMPTY_TREE
    target.synchronise()
    started = time.perf_counter()
    target.score(0, tree)
    target.synchronise()
    seconds = time.perf_counter() - started
    target.runner.commit(())  # not even the root is kept: the context stays as long as it is said to be
    return seconds
