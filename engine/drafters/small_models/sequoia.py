"""Sequoia: a tree of a small model whose shape is the best for the acceptance that was measured (arXiv 2402.12374).

How often a node's b-th child is the accepted one is taken to be the same everywhere (positional acceptance) and counted
as the session goes, from a prior. Of all trees of n nodes and depth d the one with the most expected tokens is found by
the paper's dynamic programming, and of all n and d the one with the most tokens for the time of a pass over it and of
d passes of the draft model. Children are drawn without replacement, or chosen, as the rule asks; the shape hangs on
earlier steps alone, so what is drawn stays exactly drawn. Found anew every `REFRESH` steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.drafters.base import Context
from engine.drafters.budget import FREE, budget_option
from engine.drafters.growing import Growing
from engine.drafters.small_models._levels import ByLevels
from engine.drafters.small_models._options import ModelOptions
from engine.drafters.small_models._positional import Acceptance, Counts, best_tree
from engine.draws import Drawing
from engine.options import option
from engine.verify import Verdict

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Scored, Target

REFRESH = 16
"""Steps between two shapes."""


@dataclass(frozen=True)
class SequoiaOptions(ModelOptions):
    """How large the tree may be."""

    nodes: int = option(16, "Most nodes of the tree.", low=1, high=64, unit="nodes")
    depth: int = option(6, "Most tokens in a row.", low=1, high=16, unit="tokens")
    children: int = option(8, "Most children of a node.", low=1, high=16, unit="nodes")
    budget: str = budget_option()


class Sequoia(ByLevels):
    """The tree that is best by measured acceptance."""

    name = "sequoia"
    title = "Sequoia"
    summary = "A small language model drafts the tree whose shape is the best for the acceptance measured so far."
    source = "arXiv 2402.12374"
    drawings: tuple[Drawing, ...] = ("in_turn",)
    fits_nodes = False
    Options = SequoiaOptions
    options: SequoiaOptions

    def __init__(self, options: SequoiaOptions, target: Target) -> None:
        self.most_depth, self.most_nodes = options.depth, options.nodes
        self._costs: Sequence[float] = FREE
        self._level_cost = 0.0
        super().__init__(options, target)

    def fit(self, costs: Costs) -> None:
        if self.options.budget == "measured":
            self._costs = costs.rows
            self._level_cost = costs.draft(self, self.runner.model) / self.most_depth

    def start(self, context: Context) -> None:
        super().start(context)
        self._acceptance = Acceptance(self.options.children)
        self._num_steps = 0
        self._reshape()

    def _reshape(self) -> None:
        # Where the text of a seed hangs on what is drafted, that does not hang on what the machine is like.
        is_drawn = self.context.draft_mode == "drawn"
        costs, level = (FREE, 0.0) if is_drawn else (self._costs, self._level_cost)
        self._nums: Counts = best_tree(
            self._acceptance.rates, np.asarray(costs[: self.options.nodes + 1]), self.options.depth, level
        )

    def _begin(self, context: Context) -> Growing:
        self._ranks: dict[int, tuple[int, ...]] = {-1: ()}
        return super()._begin(context)

    def _num_children(self, growing: Growing, node: int) -> int:
        return self._nums.get(self._ranks[node], 0)

    def _expanded(self, growing: Growing, level: Sequence[int]) -> list[int]:
        born: dict[int, int] = {}
        for node in level:
            parent = growing.parents[node]
            self._ranks[node] = (*self._ranks[parent], born.get(parent, 0))
            born[parent] = born.get(parent, 0) + 1
        return [node for node in level if self._num_children(growing, node)]

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        if self._budget.is_own(self.context.tree):
            self._acceptance.learn(self.context.tree, verdict.path)
            self._num_steps += 1
            if self._num_steps % REFRESH == 0:
                self._reshape()
        super().observe(verdict, emitted, scored)


DRAFTER = Sequoia
