"""DSpark: DFlash's block, and a Markov head by which a place knows the token before it, with its confidence.

arXiv 2607.05147; DeepSpec's code. The backbone's pass is DFlash's. Behind it a chain is walked token by token: what
the token before adds to a place's scores is a product of low rank, and the drafted token's law is that of the sum, so
rejection is told the truth. The confidence head foresees, of a place behind a token, how much of the target's law the
drafter's shares; a chain ends where it says less than `min_confidence`. A place's admission is settled by its state and
the tokens before it, never by its own token.

Choices of ours: `tree` ddtree grows the likeliest paths by the same laws, level by level, so children differ with their
parents, where the papers draft a chain (DSpark) or one list of candidates for all parents (DDTree, 2604.12989); a node
behind which confidence is too low has no children. Above temperature 0 tokens are ranked by the noise that target and
drafter share, or, in a chain, drawn, where a rule wants draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.drafters.heads.dflash.method import DFlashOptions
from engine.drafters.heads.dflash.walks import Walked
from engine.drafters.heads.dspark.network import DSparkNetwork
from engine.options import option

if TYPE_CHECKING:
    from engine.target import Target


@dataclass(frozen=True)
class DSparkOptions(DFlashOptions):
    """Which weights, which tree, and where it ends."""

    min_confidence: float = option(
        0.0, "Draft nothing at a place that the head is less sure of; 0 drafts all.", low=0, high=1
    )


class DSpark(Walked):
    """A block, walked by a head that knows the token before."""

    name = "dspark"
    title = "DSpark"
    summary = "A block foreseen at once, then a small head that knows the token before each place, and how sure it is."
    source = "arXiv 2607.05147"
    Network = DSparkNetwork
    Options = DSparkOptions
    options: DSparkOptions

    def __init__(self, options: DSparkOptions, target: Target) -> None:
        super().__init__(options, target)
        self.least = options.min_confidence


DRAFTER = DSpark
