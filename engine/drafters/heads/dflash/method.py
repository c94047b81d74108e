"""DFlash: a block of masks behind the text, foreseen in one pass over the target's states.

Chen et al. (arXiv 2602.06036); the tree is DDTree's (2604.12989). The target's states of several layers, behind each
place of the text, are kept as keys and values; a block of the root and masks looks at them, its rows at one another,
and each mask gives the law of its place, whatever stands at the others. `tree` ddtree drafts the likeliest paths by the
product of these laws, best first; `chain` the likeliest token of each place. Behind the verdict the states of the root
and of what was accepted are added, and the block's own columns are written over: no rejected row is ever seen.

Choices of ours: as many nodes are drafted as pay on this machine, by shares that were measured with the weights, or as
they are measured meanwhile, and none whose path is less likely than a hundredth. Above temperature 0 places are
ranked by the noise that target and drafter share, and node-sampling judges the tree, which is exact for any tree that
depends on the text and the noise alone; a chain is also drawn from the laws, where a rule wants draws, and states them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from engine.drafters import shapes
from engine.drafters.base import Context, Needs, Room
from engine.drafters.budget import MeasuredBudget
from engine.drafters.heads import _trees
from engine.drafters.heads._trained import Tapped, TrainedOptions
from engine.drafters.heads.dflash.form import MOST_BLOCK
from engine.drafters.heads.dflash.network import CalledCache, DFlashCache, DFlashNetwork
from engine.drafters.heads.dflash.places import Ranked, by_noise, drawn
from engine.drafters.heads.dflash.played import PlayedCache
from engine.drafters.trust import Trust
from engine.draws import Drawing
from engine.options import option
from engine.tree import EMPTY_TREE, DraftTree, chain

if TYPE_CHECKING:
    from engine.drafters.costs import Costs
    from engine.drafters.heads._weights import Weights
    from engine.models import LoadedModel
    from engine.target import Scored, Target
    from engine.verify import Verdict


@dataclass(frozen=True)
class DFlashOptions(TrainedOptions):
    """Which weights, and which tree."""

    tree: str = option("ddtree", "The likeliest paths of each step, or a chain.", choices=("ddtree", "chain"))
    depth: int = option(0, "Most places of a block to draft; 0 takes all.", low=0, high=MOST_BLOCK, unit="tokens")
    top_k: int = option(0, "Candidates of each place; 0 takes 8.", low=0, high=16, unit="tokens")


class DFlash(Tapped):
    """Foresees a block at once."""

    name = "dflash"
    title = "DFlash"
    summary = "One pass over a block of masks foresees several places at once; the likeliest paths become the tree."
    source = "arXiv 2602.06036, 2604.12989"
    Options = DFlashOptions
    drawings: tuple[Drawing, ...] = ("in_turn", "iid", "chain")
    Network: ClassVar[type[DFlashNetwork]] = DFlashNetwork
    options: DFlashOptions

    def __init__(self, options: DFlashOptions, target: Target) -> None:
        super().__init__(options, target)
        self.network, self._new_cache = self._shared(target, load_network, self.Network)
        self.needs = Needs(weights=True, hidden_layers=self.network.form.hidden_layers)
        self.depth = min(options.depth or MOST_BLOCK, self.network.form.num_slots)
        self.num_nodes = options.budget or (self.depth if options.tree == "chain" else shapes.MAX_NODES)
        self.drawings = ("in_turn", "iid", "chain") if options.tree == "chain" else ()

    def fit(self, costs: Costs) -> None:
        if self.options.budget:
            return
        shares = self.weights.shares() if self.options.tree == "ddtree" else None
        if shares:
            self.num_nodes = shapes.best_size(shares, costs.rows, costs.draft(self, self.network))
        else:
            self._budget = MeasuredBudget(costs.rows, self.num_nodes)

    def start(self, context: Context) -> None:
        super().start(context)
        self.cache = self._new_cache(self._most_tokens(context) + self.network.form.block_size)
        self.num_read = 0
        """Places of the text whose states the cache holds."""
        self._trust = Trust()
        self._catch_up()

    def propose(self, context: Context, room: Room) -> DraftTree:
        self._catch_up()
        depth, num_nodes = min(self.depth, room.depth), min(self.num_nodes, room.nodes)
        if not self.num_read or min(depth, num_nodes) < 1:
            return EMPTY_TREE
        if not (num_nodes := min(num_nodes, self._budget.choose())):
            return EMPTY_TREE
        return self._budget.offer(self._drafted(self._foreseen(context.root_id, depth), num_nodes))

    def observe(self, verdict: Verdict, emitted: Sequence[int], scored: Scored) -> None:
        super().observe(verdict, emitted, scored)
        self._trust.learn(emitted[0])

    def _catch_up(self) -> None:
        """Read the states of the places before the root's."""
        if self._hidden is not None:
            self.cache.read(self._hidden, self.num_read)
            self.num_read, self._hidden = self.num_read + len(self._hidden), None

    def _foreseen(self, root_id: int, depth: int) -> Tensor:
        """States (depth, d) of the rows that foresee the places behind the root."""
        form = self.network.form
        first = form.block_size - form.num_slots
        return self.cache.block(root_id, self.num_read)[first : first + depth]

    @torch.inference_mode()
    def _drafted(self, states: Tensor, num_nodes: int) -> DraftTree:
        is_chain = self.options.tree == "chain"
        if self.context.draft_mode == "drawn":
            return drawn(self.network.logits(states[:num_nodes]), self.context, self.name)
        tokens, probs, chances = self._ranked(states, 1 if is_chain else self.options.top_k or _trees.MOST_RANKS)
        if is_chain:
            return chain(tokens[:num_nodes, 0].tolist(), probs[:num_nodes, 0].tolist())
        return _trees.filled(tokens, probs, _trees.grow(chances, num_nodes, _trees.LEAST_SHARE))

    def _ranked(self, states: Tensor, top_k: int) -> Ranked:
        if self.context.draft_mode == "coupled":
            return by_noise(self.network.logits(states), self.context, self._trust, top_k)
        tokens, log_probs = self.network.likeliest(states, top_k)
        probs = np.exp(log_probs)
        return Ranked(tokens, probs, probs)


def load_network(
    weights: Weights, loaded: LoadedModel, kind: type[DFlashNetwork]
) -> tuple[DFlashNetwork, Callable[[int], DFlashCache]]:
    """The network, and what makes a cache of so many columns in the form in which it runs. Raises BadInput."""
    network = kind(weights, loaded)
    if (rooms := network.rooms) is not None:
        return network, lambda num_columns: rooms.lend(partial(PlayedCache, network))
    if not network.is_compiled:
        return network, partial(CalledCache, network)
    from engine.drafters.heads.dflash.compiled import CompiledCache, maps_of

    return network, partial(CompiledCache, network, maps_of(network))


DRAFTER = DFlash
