"""Hydra: heads on the target's hidden state, each reading the tokens that were drafted before the one it foresees.

Ankner et al. (arXiv 2402.05109) and the released code. Head i reads the state that produced the root, and the
embeddings of the root and of the i tokens behind it on a path, so siblings' children differ; a level of the tree is one
pass over its inner nodes. Of Hydra++ the state is what a decoder layer over the target's states makes; it reads
verified states alone, so its cache hangs on the text and on nothing that was drafted. Which of them it is the weights
say. Weights without a measured tree take the released 63 nodes, which are Medusa's.

Choices of ours: `tree` likeliest, the default, goes on with the best branches of a level and drafts the nodes of
highest path probability, as many as the static tree has; of either tree as many as pay on this machine, by shares that
were measured with the weights, or as they are accepted meanwhile. Acceptance is exact; the released code's typical
acceptance is the rule `typical`, which is lossy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.drafters import shapes
from engine.drafters.base import Context, Needs, Room
from engine.drafters.budget import MeasuredBudget
from engine.drafters.heads import _trees
from engine.drafters.heads._candidates import Candidates, Tokens
from engine.drafters.heads._layers import small_output
from engine.drafters.heads._levels import along, best_nodes, grow
from engine.drafters.heads._trained import TrainedDrafter, TrainedOptions, with_verified
from engine.drafters.heads._weights import Weights
from engine.drafters.heads.hydra.network import Network, TorchNetwork, embedding_of
from engine.drafters.heads.hydra.weights import MOST_HEADS, OFFSET, read_weights
from engine.options import option
from engine.tree import EMPTY_TREE, DraftTree

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.models import LoadedModel
    from engine.target import Scored, Target
    from engine.verify import Verdict

MOST_BRANCHES, MOST_RANKS = 8, 8
"""Of the likeliest tree: branches of a level that are gone on with, and candidates behind each."""


@dataclass(frozen=True)
class HydraOptions(TrainedOptions):
    """Which weights, and which part of their tree."""

    depth: int = option(0, "Heads to use; 0 uses all there are.", low=0, high=MOST_HEADS, unit="tokens")
    top_k: int = option(
        0, "Candidates behind a node; 0 takes 8, or all in the static tree.", low=0, high=16, unit="tokens"
    )
    tree: str = _trees.tree_option()


class Hydra(TrainedDrafter):
    """A tree filled level by level, each node's candidates its own."""

    name = "hydra"
    title = "Hydra"
    summary = "Heads on the target's hidden state, each knowing the tokens drafted before the one it foresees."
    source = "arXiv 2402.05109"
    Options = HydraOptions
    options: HydraOptions

    def __init__(self, options: HydraOptions, target: Target) -> None:
        super().__init__(options, target)
        self.network: Network = self._shared(target, load_network)
        self.needs = Needs(weights=True, hidden_layers=(-1 - self.weights.number(OFFSET, low=0, default=0),))
        measured = self.weights.shape()
        self._is_measured = measured is not None
        self.shape = self._asked(_trees.MEDUSA_63 if measured is None else measured, target, self.network.num_heads)

    def fit(self, costs: Costs) -> None:
        if self.options.budget or not len(self.shape):
            return
        if self._is_measured:
            level_cost = costs.draft(self, self.network) / self.shape.depth
            self.shape = shapes.choose_depth(self.shape, costs.rows, level_cost)
        else:
            self._budget = MeasuredBudget(costs.rows, len(self.shape))

    def start(self, context: Context) -> None:
        super().start(context)
        self._hidden = context.prompt_hidden[0] if context.prompt_hidden else None
        """Verified states that the layer has not read yet."""
        self.num_read = 0
        """States of the text that it has read."""
        if self.network.prefix is not None:
            self.cache = self.network.cache(self._most_tokens(context))
            self._catch_up()

    def propose(self, context: Context, room: Room) -> DraftTree:
        self._catch_up()
        shape = self.shape.within(room.nodes, room.depth)
        num_nodes = min(len(shape), self._budget.choose())
        if self._state is None or not num_nodes:
            return EMPTY_TREE
        return self._budget.offer(self._tree(context.root_id, shape.within(num_nodes, shape.depth)))

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        """Verified states wait for the next draft, which may be several steps away where another drafter proposes."""
        super().observe(verdict, emitted, scored)
        assert scored.hidden is not None
        if self.network.prefix is not None:
            self._hidden = with_verified(self._hidden, scored.hidden, verdict)

    def _tree(self, root_id: int, shape: shapes.Shape) -> DraftTree:
        assert self._state is not None
        if self.options.tree == "static":
            return along(Branches(self.network, self._state, 1 + int(shape.ranks.max())), root_id, shape)
        advance = Branches(self.network, self._state, self.options.top_k or MOST_RANKS)
        return best_nodes(grow(advance, root_id, shape.depth, MOST_BRANCHES, len(shape)), len(shape))

    @torch.inference_mode()
    def _catch_up(self) -> None:
        """Let the layer read the states that wait; what it makes of the last is what heads read."""
        if self.network.prefix is None or self._hidden is None:
            return
        end = self.num_read + len(self._hidden)
        places, sees_all = torch.arange(self.num_read, end), torch.ones(1, 0, dtype=torch.bool)
        self._state = self.network.prefixed(self.cache.encode(self._hidden, 1, places, places, end, sees_all))
        self.num_read, self._hidden = end, None


class Branches:
    """The rows of one draft: a `_levels.Advance`."""

    def __init__(self, network: Network, state: Tensor, top_k: int) -> None:
        """`state (1, d)`: what heads read."""
        self.network, self.top_k = network, top_k
        self._inputs = network.beginning(state)

    def __call__(self, level: int, rows: Tokens, tokens: Tokens) -> Candidates:
        self._inputs, found = self.network.advance(level, self._inputs, rows, tokens, self.top_k)
        return found


def load_network(weights: Weights, loaded: LoadedModel) -> Network:
    """The network in the form in which it runs for a target. Raises BadInput."""
    read = read_weights(weights, loaded)
    vocabulary = weights.vocabulary(loaded.model.get_output_embeddings().out_features)
    output = small_output(loaded, vocabulary)
    if output is None:
        return TorchNetwork(read, loaded, vocabulary)
    from engine.drafters.heads.hydra.compiled import CompiledNetwork

    shared = output.float(), torch.zeros(len(output))
    own = [head.scoring(vocabulary) or shared for head in read.heads]
    return CompiledNetwork(read, embedding_of(loaded), own, vocabulary, loaded.dtype)


DRAFTER = Hydra
