"""SpecTr: several drafts of a small model, drawn independently of each other (arXiv 2310.15141).

`paths` continuations of `depth` tokens are drawn from the draft model, each as if it were alone; those that begin
alike share their nodes, and a node knows how often it was drawn. Under rule `k_seq` the paths that reach a node are the
k drafts there: how many they are is settled before their next tokens are drawn, so a step that has less room has fewer
draws, never fewer of those that were made. One pass of the draft model a level.

Where nothing is drawn, independent paths would be one and the same: the first tokens are the `paths` best choices, and
each goes on with its best.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.drafters.base import Context
from engine.drafters.budget import budget_option
from engine.drafters.growing import Growing
from engine.drafters.small_models._levels import ByLevels
from engine.drafters.small_models._options import ModelOptions
from engine.draws import Drawing
from engine.options import option

if TYPE_CHECKING:
    from engine.target import Target


@dataclass(frozen=True)
class SpecTrOptions(ModelOptions):
    """How many paths, how long."""

    paths: int = option(4, "Continuations to draw.", low=1, high=16, unit="paths")
    depth: int = option(4, "Tokens of each.", low=1, high=16, unit="tokens")
    budget: str = budget_option()


class SpecTr(ByLevels):
    """Independent continuations that share what they have in common."""

    name = "spectr"
    title = "SpecTr"
    summary = "Several independent continuations of a small language model; a node is tried as often as it was drawn."
    source = "arXiv 2310.15141"
    drawings: tuple[Drawing, ...] = ("in_turn", "iid")
    Options = SpecTrOptions
    options: SpecTrOptions

    def __init__(self, options: SpecTrOptions, target: Target) -> None:
        self.most_depth, self.most_nodes = options.depth, options.paths * options.depth
        super().__init__(options, target)
        if options.paths == 1:
            self.drawings = ("in_turn", "iid", "chain")

    def _begin(self, context: Context) -> Growing:
        return Growing(context, self.name, self._trust, is_iid=True)

    def _num_children(self, growing: Growing, node: int) -> int:
        return self.options.paths if node < 0 else growing.draws_of(node)


DRAFTER = SpecTr
