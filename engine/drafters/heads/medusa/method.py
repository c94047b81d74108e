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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from engine.drafters import shapes
from engine.drafters.base import Context, Drafter, Needs, Room
from engine.drafters.heads import _likeliest_tree
from engine.drafters.heads._weights import Weights, find_weights, missing_reason
from engine.drafters.heads.medusa.network import load_heads
from engine.options import option
from engine.tree import EMPTY_TREE, DraftTree

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Scored, Target
    from engine.verify import Verdict

MOST_HEADS = 16
MOST_RANKS, LEAST_SHARE = 8, 0.01
"""Candidates of a head that the likeliest tree is chosen from, and what a path's probability must be."""
_LOGGED = ((0.560, 0.780), (0.316, 0.563), (0.201, 0.417), (0.147, 0.340), (0.118, 0.300))
"""Accuracy of the first and of the first five candidates of each head: the authors' training log for Vicuna 7B."""


@dataclass(frozen=True)
class MedusaOptions:
    """Which weights, and which part of their tree."""

    weights: str = option("auto", "Weights: the target's own (auto), or a folder.")
    budget: int = option(0, "Most nodes to draft; 0 fits this machine.", low=0, high=64, unit="nodes")
    depth: int = option(0, "Heads to use; 0 uses all there are.", low=0, high=MOST_HEADS, unit="tokens")
    top_k: int = option(0, "Candidates of each head; 0 takes all in the tree.", low=0, high=16, unit="tokens")
    tree: str = option(
        "likeliest",
        "The likeliest nodes of each step, or the paper's one measured shape.",
        choices=("likeliest", "static"),
    )


def default_shape(num_heads: int) -> shapes.Shape:
    """A tree for weights that come without one; candidates two to five halve in accuracy one after another."""
    table = []
    for head in range(num_heads):
        first, five = _LOGGED[min(head, len(_LOGGED) - 1)]
        table.append([first, *((five - first) * share / 15 for share in (8, 4, 2, 1))])
    return shapes.grow(table, shapes.MAX_NODES)


class Medusa(Drafter):
    """A static tree filled with the heads' candidates."""

    name = "medusa"
    title = "Medusa"
    summary = "Heads on the target's hidden state foresee several places at once, each on its own."
    source = "arXiv 2401.10774"
    needs = Needs(weights=True, hidden_layers=(-1,))
    Options = MedusaOptions
    options: MedusaOptions

    def __init__(self, options: MedusaOptions, target: Target) -> None:
        super().__init__(options, target)
        weights = find_weights(target, self.name, options.weights)
        self.heads = load_heads(weights, target.loaded)
        self.shape = self._choose_shape(weights, target)
        self._state: Tensor | None = None

    @classmethod
    def unavailable(cls, target: Target | None = None) -> str | None:
        return missing_reason(target, cls.name)

    def fit(self, costs: Costs) -> None:
        if not self.options.budget:
            self.shape = shapes.choose(self.shape, costs.rows, costs.draft(self, self.heads))

    def start(self, context: Context) -> None:
        super().start(context)
        self._state = context.prompt_hidden[0][-1:] if context.prompt_hidden else None

    def propose(self, context: Context, room: Room) -> DraftTree:
        shape = self.shape.within(room.nodes, room.depth)
        if self._state is None or not len(shape):
            return EMPTY_TREE
        is_static = self.options.tree == "static"
        most_ranks = self.options.top_k or MOST_RANKS
        tokens, log_probs = self.heads.likeliest(self._state, int(shape.ranks.max()) + 1 if is_static else most_ranks)
        probs = np.exp(log_probs)
        if is_static:
            chosen, parents = (shape.depths, shape.ranks), shape.parents
        else:
            grown = _likeliest_tree.grow(probs[: shape.depth], len(shape), LEAST_SHARE)
            chosen, parents = (grown.depths, grown.ranks), tuple(grown.parents.tolist())
        return DraftTree(tuple(tokens[chosen].tolist()), parents, tuple(probs[chosen].tolist()))

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        assert scored.hidden is not None
        row = verdict.path[-1] + 1 if verdict.path else 0
        self._state = scored.hidden[0][row : row + 1]

    def _choose_shape(self, weights: Weights, target: Target) -> shapes.Shape:
        """The weights' own tree, as deep, wide and large as asked for."""
        rows = weights.shape_rows()
        whole = default_shape(self.heads.num_heads) if rows is None else shapes.from_rows(rows)
        depth = min(self.options.depth or self.heads.num_heads, self.heads.num_heads)
        fitting = whole.limited(depth=depth, top_k=self.options.top_k or shapes.MAX_NODES)
        fitting = fitting.limited(top_k=target.loaded.model.get_output_embeddings().out_features)
        return fitting.limited(self.options.budget or shapes.MAX_NODES)


DRAFTER = Medusa
