"""MLP Speculator: a few small stages, each conditioned on the token that the stage before it proposed.

Wertheimer et al. (arXiv 2404.19124) and the authors' published code. The state starts as the target's hidden state
that produced the root; stage i projects it, adds the embedding of the token just chosen, normalises, activates, and
scores the next token:

    s ← GELU(ln_i(proj_i s + r · emb_i(token))),  scores = head_i s

with r = emb_weight ÷ state_weight, state_weight = 0.5^(0.5/n), emb_weight = √((1 − state_weight²) · m/2) for n
trained stages of width m. The norm divides by the root mean square and takes no mean off; GELU is the exact one.
Each stage offers its best candidates behind every branch; branches that share a beginning are one branch.

Choices of ours: `tree` nodes keeps the nodes of highest path probability, however long their branches are, and
`candidates` is the paper's whole branches; nodes are as many as pay on this machine, from the share of steps in which
each was accepted when the weights were measured; no level is wider than `MOST_BRANCHES`. Only tokens that the target
writes often are drafted, where the weights name them: an output layer costs half (FR-Spec, arXiv 2502.14856). Weights
are float32 or bf16 as the target's are. Above temperature 0 acceptance is node-sampling; the paper decodes greedily
only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.drafters import shapes
from engine.drafters.base import Context, Room
from engine.drafters.heads._levels import Level, best_nodes, tree_of
from engine.drafters.heads._trained import TrainedDrafter, TrainedOptions
from engine.drafters.heads.mlp_speculator.network import EVERY_NODE, Speculator
from engine.options import option
from engine.tree import EMPTY_TREE, DraftTree

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Target

MOST_HEADS = 16
MOST_BRANCHES = 4
MOST_CANDIDATES = 256
"""Branches of a level that are gone on with: for a tree of nodes, for one of candidates."""


@dataclass(frozen=True)
class MlpSpeculatorOptions(TrainedOptions):
    """Which weights, and which tree."""

    depth: int = option(0, "Stages to run; 0 runs all there are.", low=0, high=MOST_HEADS, unit="tokens")
    top_k: int = option(0, "Candidates of each stage; 0 takes the weights' own.", low=0, high=16, unit="tokens")
    vocabulary: str = option(
        "frequent", "Draft the tokens that the weights name as frequent, or all.", choices=("frequent", "all")
    )
    tree: str = option(
        "nodes", "Keep the likeliest nodes, or the paper's whole candidates.", choices=("nodes", "candidates")
    )
    candidates: int = option(
        0, "Branches to keep (tree candidates); 0 takes the weights' own.", low=0, high=128, unit="branches"
    )


class MlpSpeculator(TrainedDrafter):
    """Stages from the root's hidden state on; the best branches become one tree."""

    name = "mlp_speculator"
    title = "MLP Speculator"
    summary = "Small stages foresee a few tokens from the target's hidden state, each knowing the one before."
    source = "arXiv 2404.19124"
    Options = MlpSpeculatorOptions
    options: MlpSpeculatorOptions

    def __init__(self, options: MlpSpeculatorOptions, target: Target) -> None:
        super().__init__(options, target)
        self.speculator = self._shared(target, Speculator, options.vocabulary)
        self.depth = min(options.depth or self.speculator.num_heads, self.speculator.num_heads)
        self.top_k = [options.top_k or k for k in self.speculator.top_k][: self.depth]
        self._shares = self.weights.shares()
        # Of weights without measured shares as many as the paper's candidates have.
        most = shapes.MAX_NODES if self._shares else self.speculator.num_candidates * self.speculator.num_heads
        self.num_nodes = options.budget or min(shapes.MAX_NODES, most)

    def fit(self, costs: Costs) -> None:
        if self._shares and not self.options.budget:
            self.num_nodes = shapes.best_size(self._shares, costs.rows, costs.draft(self, self.speculator))

    def propose(self, context: Context, room: Room) -> DraftTree:
        if self._state is None or room.chain < 1:
            return EMPTY_TREE
        if self.options.tree == "candidates":
            levels = self._levels(context.root_id, room.depth)
            num_candidates = self.options.candidates or self.speculator.num_candidates
            return best_candidates(levels, num_candidates).pruned(room.nodes, room.depth)
        num_nodes = min(room.nodes, self.num_nodes)
        return best_nodes(self._levels(context.root_id, room.depth, num_nodes), num_nodes) if num_nodes else EMPTY_TREE

    def _levels(self, root_id: int, depth: int, num_nodes: int = EVERY_NODE) -> list[Level]:
        assert self._state is not None
        most = MOST_BRANCHES if self.options.tree == "nodes" else MOST_CANDIDATES
        return self.speculator.levels(self._state, root_id, self.top_k[:depth], most, num_nodes)


def best_candidates(levels: Sequence[Level], num_candidates: int) -> DraftTree:
    """The paper's choice: the best whole branches, those that begin alike merged."""
    last = len(levels) - 1
    nodes: set[tuple[int, int]] = set()
    for place in np.argsort(-levels[last].values, kind="stable")[:num_candidates].tolist():
        for depth in range(last, -1, -1):
            nodes.add((depth, place))
            place = int(levels[depth].parents[place])
    return tree_of(levels, sorted(nodes))


DRAFTER = MlpSpeculator
