"""How many nodes pay: from what a pass of m rows costs and how often each node was accepted so far.

A drafter ranks its nodes, the best first; a node's place in that order means the same in every step, whatever its
token. What is drafted hangs on places and on earlier steps alone, so sampled nodes stay exactly drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.options import option
from engine.tree import MAX_BUDGET, DraftTree

PRIOR_STEPS = 6.0
FIRST_RATE, RATE_DECAY = 0.5, 0.8
"""Before anything is known: the node of place i is accepted in 0.5 · 0.8^i of steps."""
EXPLORE_EVERY = 12
EXPLORE_COST = 0.5
"""Steps between two that draft more than pays, so that nodes left out are seen again, and by how many passes of one
row such a step may be dearer."""
FREE = (1.0,) * (MAX_BUDGET + 1)
"""Costs of rows on a machine where many take no longer than one: everything pays."""


def budget_option() -> Any:
    """The option `budget` of a drafter whose tree has a size of its own."""
    return option(
        "measured", "Draft as many of the nodes as pay on this machine, or all of them.", choices=("measured", "fixed")
    )


class MeasuredBudget:
    """Maximises (1 + expected accepted nodes) ÷ cost of the pass, over the number of nodes.

    Sequoia's hardware-aware choice (arXiv 2402.12374, Section 4.2) with acceptance measured on line.
    """

    def __init__(
        self, costs: Sequence[float] = FREE, most: int = MAX_BUDGET, *, rate_decay: float = RATE_DECAY
    ) -> None:
        """`costs[n]` is a pass over root and n nodes ÷ one over the root alone; `most` places there are.

        `rate_decay`: how much less a place is accepted than the one before it, until more is known.
        """
        self._costs = np.asarray(costs[: MAX_BUDGET + 1])
        size = min(most, len(self._costs) - 1)
        self._offered = np.full(size, PRIOR_STEPS)
        self._accepted = PRIOR_STEPS * FIRST_RATE * rate_decay ** np.arange(size)
        self._step = 0
        self._tree: DraftTree | None = None
        self._places: Mapping[int, int] = {}

    def cost(self, num_nodes: int) -> float:
        """Of a pass over root and nodes."""
        return float(self._costs[min(num_nodes, len(self._costs) - 1)])

    def choose(self, places: Sequence[int] | npt.NDArray[np.intp] | None = None) -> int:
        """How many to draft of the nodes of these places (ascending; all there are), the first of them.

        0 where drafting does not pay.
        """
        size = len(self._offered)
        found = np.arange(size) if places is None else np.asarray(places, np.intp)
        found = found[found < size]
        costs = self._costs[: len(found) + 1]
        expected = 1 + np.concatenate(([0.0], np.cumsum(self._accepted[found] / self._offered[found])))
        rates = expected / costs
        best = len(found) - int(np.argmax(rates[::-1]))  # of equally good ones the largest
        self._step += 1
        if self._step % EXPLORE_EVERY == 0:
            return int(np.flatnonzero(costs <= costs[best] + EXPLORE_COST)[-1])
        return best

    def offer(self, tree: DraftTree, places: Mapping[int, int] | None = None) -> DraftTree:
        """Note what is proposed, and the place of each node (its number, where nothing is said): the tree as it is."""
        self._tree, self._places = tree, dict(enumerate(range(len(tree)))) if places is None else places
        return tree

    def fitted(self, tree: DraftTree, places: Sequence[int], most: int = MAX_BUDGET) -> DraftTree:
        """A tree's best nodes, as many as pay and at most so many. `places`: of each node, behind its parent's."""
        ranked = sorted(range(len(tree)), key=places.__getitem__)
        num_nodes = self.choose([places[node] for node in ranked])
        kept = sorted(ranked[: min(num_nodes, most)])
        return self.offer(tree.only(kept), {node: places[old] for node, old in enumerate(kept)})

    def is_own(self, scored: DraftTree) -> bool:
        """Whether this tree begins with the one offered in this step: neither cut since, nor another drafter's."""
        own = self._tree
        if own is None:
            return False
        return (own.tokens, own.parents) == (scored.tokens[: len(own)], scored.parents[: len(own)])

    def learn(self, scored: DraftTree, path: Sequence[int]) -> None:
        """A step is over: of the nodes offered in it, if they are the tree's first, those on `path` were accepted."""
        if self.is_own(scored):
            known = {node: place for node, place in self._places.items() if place < len(self._offered)}
            self._offered[list(known.values())] += 1
            self._accepted[[known[node] for node in path if node in known]] += 1
        self._tree = None
