"""DFlash 2: DFlash's block with convolutions in its layers, and a selector that joins the places' candidates.

z-lab and Inco AI, 2026; vLLM's `speculators`. The backbone's pass is DFlash's. Of each place the likeliest tokens are
its candidates, and a selector scores every candidate behind the token before it: the places are a lattice, and a draft
a path through it. `tree` chain walks it as published: the best candidate, or one drawn of the softmax over candidates,
which is the law that the rule is told.

`tree` ddtree, the default, is ours: the likeliest paths of the lattice as a tree, best first, so that what stands below
a node hangs on the node; servers walk one path. Above temperature 0 candidates are ranked by the noise that target and
drafter share, or, in a chain, drawn, where a rule wants draws.
"""

from __future__ import annotations

from engine.drafters.heads.dflash.method import DFlashOptions
from engine.drafters.heads.dflash.walks import Walked
from engine.drafters.heads.dflash2.network import DFlash2Network


class DFlash2(Walked):
    """A lattice of candidates, and the likeliest paths through it."""

    name = "dflash2"
    title = "DFlash 2"
    summary = "A block foreseen at once gives candidates for each place; a selector finds the paths that go together."
    source = "inco.ai/blog/dflash2"
    Network = DFlash2Network
    Options = DFlashOptions


DRAFTER = DFlash2
