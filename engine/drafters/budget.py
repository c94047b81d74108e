"""How many nodes pay: from what a pass of m rows costs and how often each node was accepted so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PRIOR_STEPS = 6.0
FIRST_RATE, RATE_DECAY = 0.5, 0.8
"""Before anything is known: node i is accepted in 0.5 · 0.8^i of steps."""
EXPLORE_EVERY = 12
"""Steps between two that draft all they can, so that nodes left out are seen again."""


class MeasuredBudget:
    """Maximises (1 + expected accepted nodes) ÷ cost of the pass, over the number of nodes.

    Nodes are counted in the drafter's own order, best first; Sequoia's hardware-aware choice
    (arXiv 2402.12374, Section 4.2) with acceptance measured on line.
    """

    def __init__(self, costs: Sequence[float], most: int) -> None:
        """`costs[n]` is a pass over root and n nodes ÷ one over the root alone."""
        self._costs = np.asarray(costs[: most + 1])
        size = len(self._costs) - 1
        self._offered = np.full(size, PRIOR_STEPS)
        self._accepted = PRIOR_STEPS * FIRST_RATE * RATE_DECAY ** np.arange(size)
        self._step = 0

    def choose(self) -> int:
        """Number of nodes for the next step; 0 where drafting does not pay."""
        self._step += 1
        if self._step % EXPLORE_EVERY == 0:
            return len(self._offered)
        expected = 1 + np.concatenate(([0.0], np.cumsum(self._accepted / self._offered)))
        return int(np.argmax(expected / self._costs))

    def learn(self, num_offered: int, path: Sequence[int]) -> None:
        """A step offered so many nodes and those on `path` were accepted."""
        self._offered[:num_offered] += 1
        self._accepted[list(path)] += 1
