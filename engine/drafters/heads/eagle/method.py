"""EAGLE: one layer goes on from the target's states, and the branches it is surest of become the tree.

Li et al.: EAGLE-1 (arXiv 2401.15077), EAGLE-2 (2406.16858), EAGLE-3 (2503.01840) and the flags of 3.1, as the weights'
config says. A row holds the target's states of a place and the token behind it, and foresees the next; drafted rows
read what the rows before them gave. `tree` dynamic is EAGLE-2's: of each level the `top_k` best branches by path
probability are gone on with, and the best nodes of all are drafted. `static` is EAGLE-1's 25 nodes, or the measured
shape of the weights. Behind the verdict the target's own states take the place of drafted ones, so the cache holds
nothing but them.

Choices of ours: branches that can no longer lead to one of the best nodes are not gone on with; as many nodes are
drafted as pay on this machine, by shares that were measured with the weights, or as they are measured meanwhile; above
temperature 0 the tree is made as at 0 and judged by node-sampling, which the released code's rule equals in law.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from engine.drafters import shapes
from engine.drafters.base import Context, Needs, Room
from engine.drafters.budget import MeasuredBudget
from engine.drafters.heads._candidates import Candidates, Tokens
from engine.drafters.heads._levels import along, best_nodes, grow
from engine.drafters.heads._trained import Tapped, TrainedOptions
from engine.drafters.heads._trees import EAGLE_1
from engine.drafters.heads.eagle.network import CalledCache, EagleCache, EagleNetwork
from engine.drafters.heads.eagle.played import PlayedCache
from engine.options import option
from engine.tree import EMPTY_TREE, DraftTree

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.drafters.heads._weights import Weights
    from engine.models import LoadedModel
    from engine.target import Target

DEPTH, MOST_NODES, MOST_DEPTH, MOST_TOP_K = 6, 59, 16, 16
"""EAGLE-2's tree: levels, nodes beside the root; and the ends of options."""
MAX_DRAFT_COLUMNS = MOST_DEPTH * MOST_TOP_K
CHAIN = shapes.Shape(tuple((0,) * depth for depth in range(1, MOST_DEPTH + 1)), (0.0,) * MOST_DEPTH)


@dataclass(frozen=True)
class EagleOptions(TrainedOptions):
    """Which weights, and which tree."""

    tree: str = option(
        "dynamic",
        "The likeliest nodes of each step, one shape, or a chain.",
        choices=("dynamic", "static", "chain"),
    )
    depth: int = option(0, "Most draft steps; 0 takes 6.", low=0, high=MOST_DEPTH, unit="tokens")
    top_k: int = option(
        0,
        "Candidates behind a node, and branches of a level; 0 takes the weights' own.",
        low=0,
        high=MOST_TOP_K,
        unit="tokens",
    )


class Eagle(Tapped):
    """Grows a tree level by level with one layer of its own."""

    name = "eagle"
    title = "EAGLE"
    summary = "One layer drafts on from the target's states of several layers; the surest branches become the tree."
    source = "arXiv 2401.15077, 2406.16858, 2503.01840"
    Options = EagleOptions
    options: EagleOptions

    def __init__(self, options: EagleOptions, target: Target) -> None:
        super().__init__(options, target)
        self.network, self._new_cache = self._shared(target, load_network)
        self.needs = Needs(weights=True, hidden_layers=self.network.form.hidden_layers)
        self.depth = options.depth or DEPTH
        num_tokens = len(self.network.vocabulary)
        self.top_k = min(options.top_k or self.network.form.top_k, MOST_TOP_K, num_tokens)
        given = CHAIN if options.tree == "chain" else self.weights.shape() or EAGLE_1
        self.shape = self._asked(given, target, self.depth).limited(top_k=num_tokens)
        self.num_nodes = options.budget or MOST_NODES

    def fit(self, costs: Costs) -> None:
        if self.options.budget or self.options.tree != "dynamic":
            return
        if shares := self.weights.shares():
            self.num_nodes = shapes.best_size(shares, costs.rows, costs.draft(self, self.network))
        else:
            self._budget = MeasuredBudget(costs.rows, self.num_nodes)

    def start(self, context: Context) -> None:
        super().start(context)
        self.cache = self._new_cache(self._most_tokens(context) + MAX_DRAFT_COLUMNS)
        self.num_read = 0
        """Slots of the text that the cache holds."""
        self._last: Tensor | None = None
        """(1, d): what the last of them gave."""
        if self._hidden is not None:
            self._catch_up(context.ids)

    def propose(self, context: Context, room: Room) -> DraftTree:
        self._catch_up(context.ids)
        depth, num_nodes = min(self.depth, room.depth), min(self.num_nodes, room.nodes)
        if self._last is None or min(depth, num_nodes) < 1:
            return EMPTY_TREE
        if self.options.tree != "dynamic":
            shape = self.shape.within(num_nodes, depth)
            return along(self._advance(1 + int(shape.ranks.max())), context.root_id, shape)
        if not (num_nodes := min(num_nodes, self._budget.choose())):
            return EMPTY_TREE
        levels = grow(self._advance(self.top_k), context.root_id, depth, self.top_k, num_nodes)
        return self._budget.offer(best_nodes(levels, num_nodes))

    @torch.inference_mode()
    def _catch_up(self, ids: Sequence[int]) -> None:
        """Read the slots of the text up to the root's, each a place's states and the token behind it."""
        if self._hidden is not None:
            self._last = self.cache.read(self._hidden, ids[self.num_read + 1 :], self.num_read)
            self.num_read, self._hidden = len(ids) - 1, None

    def _advance(self, top_k: int) -> Branches:
        assert self._last is not None
        return Branches(self.cache, self.num_read, self._last, top_k)


class Branches:
    """The rows of one draft, behind the slots that the cache holds: a `_levels.Advance`."""

    def __init__(self, cache: EagleCache, num_read: int, last: Tensor, top_k: int) -> None:
        """`last (1, d)`: what the last slot of the text gave."""
        self.cache, self.num_read, self.top_k = cache, num_read, top_k
        self._given = last
        self._sees = np.zeros((1, 0), np.bool_)
        """(rows, columns of the draft so far): who looks at whom."""

    @torch.inference_mode()
    def __call__(self, level: int, rows: Tokens, tokens: Tokens) -> Candidates:
        if not level:
            return self.cache.likeliest(self._given, self.top_k)
        first = self.num_read + self._sees.shape[1]
        self._sees = np.concatenate((self._sees[rows], np.eye(len(tokens), dtype=np.bool_)), axis=1)
        where = self.num_read + level - 1, first, self._sees
        self._given, found = self.cache.advance(self._given, rows, tokens, *where, self.top_k)
        return found


def load_network(weights: Weights, loaded: LoadedModel) -> tuple[EagleNetwork, Callable[[int], EagleCache]]:
    """The network, and what makes a cache of so many columns in the form in which it runs. Raises BadInput."""
    network = EagleNetwork(weights, loaded)
    if (rooms := network.rooms) is not None:
        return network, lambda num_columns: rooms.lend(partial(PlayedCache, network))
    if not network.is_compiled:
        return network, partial(CalledCache, network)
    from engine.drafters.heads.eagle.compiled import CompiledCache, maps_of

    return network, partial(CompiledCache, network, maps_of(network))


DRAFTER = Eagle
