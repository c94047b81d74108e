"""Hidden Transfer's plans: which tree is drafted next, and which of its rows look ahead.

A row that looks ahead carries extra rows, so what a node costs depends on whether a step is likely to end at it. Knows
shapes, shares and costs of rows; no tokens, no model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.drafters.shapes import Shape

PLATEAU = 0.015
"""Plans whose rates differ by less are as good."""
PassCost = Callable[[int, int], float]
"""Cost of a pass of so many rows, of which so many look ahead."""


@dataclass(frozen=True)
class Plan:
    """A tree, and which of its rows look ahead: -1 the root, then nodes."""

    shape: Shape
    ends: tuple[int, ...]
    rate: float = 0.0
    """Expected tokens in the time of a pass of one row."""


def plan(shape: Shape, pass_cost: PassCost, *, num_nodes: int = 0, num_ends: int = 0) -> Plan:
    """The tree and its ends that promise most tokens per time; 0 leaves a number to be chosen.

    A step whose end does not look ahead is followed by one without a draft, so with a share s of such ends
    n + 1 rows emit (1 + accepted + s) tokens in the time of one full pass and s bare ones. Of plans that promise
    nearly as much it is the one with most nodes: a step's own probabilities choose better nodes than the shape that is
    reckoned with, and what rows cost is measured in a second.
    """
    found = [Plan(shape.limited(num_nodes or len(shape)), (-1,))]
    for nodes in [num_nodes] if num_nodes else range(1, len(shape) + 1):
        limited = shape.limited(nodes)
        ends = ranked_ends(limited)
        missed = 1.0
        for count, (_, share) in enumerate(ends, start=1):
            missed -= share
            if num_ends and count != min(num_ends, len(ends)):
                continue
            time = pass_cost(1 + len(limited), count) + missed * pass_cost(1, 1)
            rate = (limited.expected_emitted + missed) / time
            found.append(Plan(limited, tuple(node for node, _ in ends[:count]), rate))
    best = max(plan.rate for plan in found)
    as_good = [plan for plan in found if plan.rate >= (1 - PLATEAU) * best]
    return max(as_good, key=lambda plan: (len(plan.shape), plan.rate))


def pass_cost(costs: Sequence[float], extra_rows: Sequence[int]) -> PassCost:
    """The cost of a pass by its rows and by how many of them look ahead, ÷ that of a pass of one row.

    `costs[n]`: a pass of n + 1 rows ÷ one of one (`Costs.rows`). `extra_rows`: of each part of a
    pass, a layer or the output layer, how many extra rows it has for a row that looks ahead; parts cost alike.
    """
    measured = np.arange(1, len(costs) + 1)

    def cost(num_rows: int, num_ends: int) -> float:
        rows = num_rows + num_ends * np.asarray(extra_rows)
        # Beyond the widest pass that was measured, rows cost what the last ones did on average.
        return float(np.mean(np.interp(rows, measured, costs) * np.maximum(1.0, rows / len(costs))))

    return cost


def ranked_ends(shape: Shape) -> list[tuple[int, float]]:
    """Root (-1) first, then nodes by how often a step ends at them, each with that share."""
    left = [1.0, *shape.shares]
    for node, parent in enumerate(shape.parents):
        left[parent + 1] -= shape.shares[node]
    nodes = sorted(range(len(shape)), key=lambda node: -left[node + 1])
    return [(-1, left[0]), *((node, left[node + 1]) for node in nodes)]
