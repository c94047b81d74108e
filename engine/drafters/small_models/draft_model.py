"""Drafting with a small language model that shares the target's vocabulary.

Leviathan et al. (arXiv 2211.17192), Chen et al. (2302.01318); the draft model's own making is
FastDraft's (2411.11055).

A chain of `depth` tokens by default. Adaptive length: after a token that the draft model gives less
than `min_confidence`, drafting stops; the weak token stays in the draft, so that a sampled chain
remains exactly drawn: no token is dropped for what it is. With `width` above 1 a tree: level by level the
`width` nodes of highest path probability are expanded, and the best `nodes` of all are proposed
(EAGLE-2's growth, 2406.16858, on a draft model).

How tokens are chosen follows the rule's draft mode (growing.py): the likeliest; coupled, with the target's own noise
(docs/decisions/0003), which changes what is accepted, never what is emitted, and a tree's nodes are then ranked by how
likely that noise makes them; or drawn afresh, and then the tree says from what, and keeps all that was drawn, since a
cut by probability would go by the tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from engine.drafters.base import Context, Room
from engine.drafters.budget import MeasuredBudget
from engine.drafters.growing import Growing
from engine.drafters.small_models._levels import ByLevels
from engine.drafters.small_models._options import TreeOptions
from engine.draws import Drawing
from engine.tree import DraftTree

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Target


class DraftModel(ByLevels):
    """A small language model with its own KV cache."""

    name = "draft_model"
    title = "Draft model"
    summary = "A small language model writes a few tokens ahead; the target checks them in one pass."
    source = "arXiv 2211.17192, 2302.01318"
    drawings: tuple[Drawing, ...] = ("in_turn", "iid", "chain")
    Options = TreeOptions
    options: TreeOptions

    def __init__(self, options: TreeOptions, target: Target) -> None:
        self.most_depth, self.most_nodes = options.depth, options.nodes
        super().__init__(options, target)
        if options.width > 1:
            self.drawings = ("in_turn", "iid")

    def fit(self, costs: Costs) -> None:
        if self.options.budget == "measured" and self.options.width > 1:
            self._budget = MeasuredBudget(costs.rows, self.options.nodes)

    def _draft(self, context: Context, logits: Tensor, room: Room) -> DraftTree:
        if self.options.width > 1:
            return super()._draft(context, logits, room)
        growing = self._begin(context)
        self._chain(growing, -1, logits, room.chain, self.options.min_confidence)
        return growing.tree()

    def _num_children(self, growing: Growing, node: int) -> int:
        return self.options.width

    def _expanded(self, growing: Growing, level: Sequence[int]) -> list[int]:
        return sorted(level, key=lambda node: -growing.values[node])[: self.options.width]


DRAFTER = DraftModel
