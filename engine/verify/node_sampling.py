"""Node-sampling: draw the target's token once at each node and descend where it was proposed.

Exact for any tree however it was built, because every emitted token is a draw from the target
(docs/decisions/0003). The draws are Gumbel-coupled to their absolute position, so the text
is a function of model, prompt, settings and seed alone, the same for every drafter.
"""

from __future__ import annotations

from typing import ClassVar

from engine.noise import Noise
from engine.tree import DraftTree
from engine.verify.base import DraftMode, Rule, TargetRows, Temperatures, Verdict, ending, match


class NodeSampling(Rule):
    """One draw per node; the safe default for sampled decoding."""

    name = "node_sampling"
    draft_mode: ClassVar[DraftMode] = "coupled"
    judges_by = "draw"
    default_at: ClassVar[Temperatures | None] = "above zero"

    def verify(self, tree: DraftTree, target: TargetRows, noise: Noise, position: int) -> Verdict:
        path: list[int] = []
        node = -1
        while True:
            token = target.drawn(node + 1, noise, position + len(path))
            child = match(tree, node, token)
            if child is None:
                return Verdict(tuple(path), token, ending(tree, path))
            path.append(child)
            node = child


RULE = NodeSampling
