"""Medusa: heads on the target's last hidden state, each foreseeing another place on its own.

Cai et al. (arXiv 2401.10774) and the published code. Head k reads the hidden state that produced the root and gives
candidates for the token k + 1 places behind it, by residual blocks y + SiLU(W y + b) and an output layer: its own,
or the target's where the weights hold none (the code's second version). In the paper the candidates fill a static
tree of rank paths, chosen by how often each node was right on held-out text: here `tree=static`.

Choices of ours: by default as many nodes are drafted as the static tree has, but each step's likeliest, by the product
of the heads' probabilities; a static tree's nodes are counted jointly, where the paper multiplies the heads' accuracies
as if they were independent; of these as many are drafted as pay on this machine. Weights without a measured tree get
one grown from the accuracies that the authors logged for Vicuna 7B. The number of heads is what the file holds, since
released configs say 2 where there are 5. Acceptance is exact; the paper's typical acceptance is the rule `typical`,
which is lossy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.drafters import shapes
from engine.drafters.base import Context, Room
from engine.drafters.heads import _trees
from engine.drafters.heads._trained import TrainedDrafter, TrainedOptions
from engine.drafters.heads.medusa.network import MedusaHeads
from engine.options import option
from engine.tree import EMPTY_TREE, DraftTree

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Target

MOST_HEADS = 16
_LOGGED = ((0.560, 0.780), (0.316, 0.563), (0.201, 0.417), (0.147, 0.340), (0.118, 0.300))
"""Accuracy of the first and of the first five candidates of each head: the authors' training log for Vicuna 7B."""


@dataclass(frozen=True)
class MedusaOptions(TrainedOptions):
    """Which weights, and which part of their tree."""

    depth: int = option(0, "Heads to use; 0 uses all there are.", low=0, high=MOST_HEADS, unit="tokens")
    top_k: int = option(0, "Candidates of each head; 0 takes all in the tree.", low=0, high=16, unit="tokens")
    tree: str = _trees.tree_option()


def default_shape(num_heads: int) -> shapes.Shape:
    """A tree for weights that come without one; candidates two to five halve in accuracy one after another."""
    table = []
    for head in range(num_heads):
        first, five = _LOGGED[min(head, len(_LOGGED) - 1)]
        table.append([first, *((five - first) * share / 15 for share in (8, 4, 2, 1))])
    return shapes.grow(table, shapes.MAX_NODES)


class Medusa(TrainedDrafter):
    """A static tree filled with the heads' candidates."""

    name = "medusa"
    title = "Medusa"
    summary = "Heads on the target's hidden state foresee several places at once, each on its own."
    source = "arXiv 2401.10774"
    Options = MedusaOptions
    options: MedusaOptions

    def __init__(self, options: MedusaOptions, target: Target) -> None:
        super().__init__(options, target)
        self.heads = self._shared(target, MedusaHeads)
        num_heads, measured = self.heads.num_heads, self.weights.shape()
        whole = default_shape(num_heads) if measured is None else measured
        self.shape = self._asked(whole, target, num_heads)

    def fit(self, costs: Costs) -> None:
        if not self.options.budget:
            self.shape = shapes.choose(self.shape, costs.rows, costs.draft(self, self.heads))

    def propose(self, context: Context, room: Room) -> DraftTree:
        shape = self.shape.within(room.nodes, room.depth)
        if self._state is None or not len(shape):
            return EMPTY_TREE
        tokens, log_probs = self.heads.likeliest(self._state, _trees.num_ranks(self.options, shape), shape.depth)
        probs = np.exp(log_probs)
        return _trees.filled(tokens, probs, _trees.chosen(self.options, shape, probs))


DRAFTER = Medusa
