"""Hidden Transfer: the target's own upper layers guess ahead, in the pass that verifies the last guess.

Wu et al., "Parallel Decoding via Hidden Transfer for Lossless LLM Acceleration" (arXiv 2404.12022). Before
layer t_k a linear map makes, of a row's hidden state, a pseudo hidden state of the place k further on; it passes
the layers above as an extra row (runtime/extra.py) and the target's own output layer reads a token from it. So
a pass that scores a tree also foresees, behind the rows that have pseudo rows, what follows next: no pass,
head or model of the drafter's own. Only the abstract and the figures' titles of the paper were to be had, and no
code was found. Ours, where it is silent: maps have a bias; every node of a depth draws on one list, as in Medusa;
as many nodes are drafted as pay by held-out acceptance, the likeliest of each step or (`tree=static`) those most often
right on held-out text; the root and the nodes at which a step is likeliest to end look ahead (`ends`), and behind any
other end the next step drafts nothing; the first step of a session is such a step. Nodes are chosen
deterministically, so sampling is exact with node-sampling.

One part is ours and not the paper's: a pseudo state was made before the target chose the token behind its owner, and by
the time it is read that token is the new root. A trained correction tells the guesses of it (guesses.py);
`correction=none` reads pseudo states as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from engine.drafters import shapes
from engine.drafters.base import Context, Room
from engine.drafters.heads import _trees
from engine.drafters.heads._trained import TrainedDrafter, TrainedOptions
from engine.drafters.heads._weights import Weights
from engine.drafters.heads.hidden_transfer.guesses import read_guesses
from engine.drafters.heads.hidden_transfer.maps import read_maps
from engine.drafters.heads.hidden_transfer.plan import Plan, pass_cost, plan
from engine.drafters.shapes import Shape
from engine.options import option
from engine.runtime.extra import ExtraRows
from engine.tree import EMPTY_TREE, DraftTree
from engine.verify import Verdict

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.target import Scored, Target

UNMEASURED_RATE, DEPTH_DECAY, RANK_DECAY = 0.5, 0.8, 0.4
"""Without a measured shape: the candidate of rank r of step d + 1 is taken to be right 0.5 · 0.8^d · 0.4^r of times."""


@dataclass(frozen=True)
class HiddenTransferOptions(TrainedOptions):
    """Size of the tree, and who looks ahead."""

    weights: str = option(
        "auto", "Trained maps: the target's own (auto), a folder, or a hub id.", kind="weights", words=("auto",)
    )
    depth: int = option(0, "Steps to use; 0 fits this machine, or is all for a budget.", low=0, high=8, unit="tokens")
    top_k: int = option(0, "Candidates of a step; 0 takes all in the tree.", low=0, high=16, unit="tokens")
    ends: int = option(0, "Most rows that look ahead, root included; 0 fits this machine.", low=0, high=32, unit="rows")
    tree: str = _trees.tree_option("The likeliest nodes and ends of each step, or one measured shape.")
    correction: str = option(
        "root",
        "Correct guesses by the token that was chosen since, where trained; or the paper's, uncorrected.",
        choices=("root", "none"),
    )


class HiddenTransfer(TrainedDrafter):
    """Pseudo hidden states in the target's own pass."""

    name = "hidden_transfer"
    title = "Hidden Transfer"
    summary = (
        "Linear maps put hidden states of coming tokens into the target's upper layers; one pass drafts and verifies."
    )
    source = "arXiv 2404.12022"
    Options = HiddenTransferOptions
    options: HiddenTransferOptions

    def __init__(self, options: HiddenTransferOptions, target: Target) -> None:
        super().__init__(options, target)
        self._maps = self._shared(target, read_maps)
        self._guesses = self._shared(target, read_guesses, options.correction)
        num_steps = len(self._maps.layers)
        self._shape = self._asked(measured_shape(self.weights, num_steps), target, num_steps)
        self._num_layers = target.facts.num_layers
        self._known_rows: dict[tuple[int, ...], ExtraRows] = {}

    def fit(self, costs: Costs) -> None:
        self._plan, depth = self._choose(costs)
        self._steps = tuple(range(1, depth + 1))

    def _choose(self, costs: Costs) -> tuple[Plan, int]:
        """The plan with the highest rate, and its steps: all, or where nothing is asked for those worth their rows."""
        options, num_steps = self.options, len(self._maps.layers)
        is_free = not (options.depth or options.budget)
        depths = range(1, num_steps + 1) if is_free else [min(options.depth or num_steps, num_steps)]
        # Where both numbers are given nothing hangs on what rows cost.
        row_costs = (1.0,) if options.budget and options.ends else costs.rows
        plans: dict[int, Plan] = {}
        for depth in depths:
            rows_cost = pass_cost(row_costs, extra_rows(self._maps.layers[:depth], self._num_layers))
            limited = self._shape.limited(depth=depth)
            plans[depth] = plan(limited, rows_cost, num_nodes=options.budget, num_ends=options.ends)
        best = max(plans, key=lambda depth: plans[depth].rate)
        return plans[best], best

    def start(self, context: Context) -> None:
        super().start(context)
        self._end: tuple[Tensor, Tensor] | None = None
        """The last end's pseudo states (k, h) and its own state (1, h)."""

    def propose(self, context: Context, room: Room) -> DraftTree:
        if room.chain < 1:
            return EMPTY_TREE
        if self._end is None:
            return DraftTree(extra=self._rows((-1,)))
        shape, ends = self._plan.shape, self._plan.ends
        num_ranks = _trees.num_ranks(self.options, shape)
        tokens, log_probs = self._guesses.likeliest(*self._end, context.root_id, num_ranks)
        probs = np.exp(log_probs)
        nodes = _trees.chosen(self.options, shape, probs)
        if isinstance(nodes, _trees.Grown):  # as many ends as planned, too
            ends = _trees.ends(nodes, len(ends))
        return _trees.filled(tokens, probs, nodes, self._rows(ends)).pruned(room.nodes, room.depth)

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        """Keep what the end of the accepted path foresees; nothing where it did not look ahead."""
        super().observe(verdict, emitted, scored)
        extra, end = self.context.tree.extra, verdict.path[-1] if verdict.path else -1
        own = [place for place, owner in enumerate(extra.owners) if owner == end] if extra else []
        self._end = None
        if own and scored.extra and self._state is not None:
            self._end = scored.extra.states(own[0], own[-1] + 1), self._state

    def _rows(self, ends: tuple[int, ...]) -> ExtraRows:
        """Every step's row to each of these; the same again for the same ends, which keeps their layout."""
        if ends not in self._known_rows:
            pairs = [(end, step) for end in ends for step in self._steps]
            owners, steps = zip(*pairs, strict=True)
            self._known_rows[ends] = ExtraRows(self._maps, owners, steps)
        return self._known_rows[ends]


def measured_shape(weights: Weights, num_steps: int) -> Shape:
    """The tree that was measured for these maps, or one that is likely where none was."""
    shape = weights.shape()
    if shape is not None:
        return shape
    guess = [[UNMEASURED_RATE * DEPTH_DECAY**d * RANK_DECAY**r for r in range(10)] for d in range(num_steps)]
    return shapes.grow(guess, shapes.MAX_NODES)


def extra_rows(layers: Sequence[int], num_layers: int) -> list[int]:
    """Of each layer, then the output layer, which scores real rows only: extra rows of a row that looks ahead.

    They enter before `layers`.
    """
    return [*(sum(own <= layer for own in layers) for layer in range(num_layers)), 0]


DRAFTER = HiddenTransfer
