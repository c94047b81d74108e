"""Node-sampling: draw the target's token once at each node and descend where it was proposed.

Exact for any tree however it was built, because every emitted token is a draw from the target
(docs/decisions/0003). The draws are Gumbel-coupled to their absolute position, so the text
is a function of model, prompt, settings and seed alone, the same for every drafter.
"""

from __future__ import annotations

from typing import ClassVar

from engine.events import Judged
from engine.noise import Noise
from engine.tree import DraftTree
from engine.verify.base import Descending, DraftMode, TargetRows, Temperatures, match


class NodeSampling(Descending):
    """One draw per node; the safe default for sampled decoding."""

    name = "node_sampling"
    draft_mode: ClassVar[DraftMode] = "coupled"
    judges_by = "draw"
    default_at: ClassVar[Temperatures | None] = "above zero"

    def _next(
        self, tree: DraftTree, node: int, target: TargetRows, noise: Noise, place: int, judged: list[Judged] | None
    ) -> tuple[int | None, int]:
        token = target.drawn(node + 1, noise, place)
        return match(tree, node, token), token


RULE = NodeSampling
