"""Rules that forgive a drafter: where the target's draw was not proposed, a child that is good enough stands in for it.

Lossy: they change what is written, the more, the more they forgive. With no draft they are plain sampling, and they
accept whatever node-sampling does.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from engine.noise import Noise
from engine.tree import DraftTree
from engine.verify.base import Rule, TargetRows, Verdict, ending, match


class Lenient(Rule):
    """Descends by the target's draws, and past them where a child is tolerated: the likeliest of those."""

    guarantee = "lossy"
    draft_mode = "coupled"
    needs_temperature = "above zero"

    @abstractmethod
    def tolerated(self, probs: Tensor, of_children: Tensor) -> Tensor:
        """Which children are good enough (c,) bool, by a distribution (v,) and their probabilities in it (c,)."""

    def verify(self, tree: DraftTree, target: TargetRows, noise: Noise, position: int) -> Verdict:
        path: list[int] = []
        node = -1
        while True:
            probs = target[node + 1]
            token = noise.draw(probs, position + len(path))
            child = match(tree, node, token)
            if child is None:
                child = self._stand_in(tree, node, probs)
            if child is None:
                return Verdict(tuple(path), token, ending(tree, path))
            path.append(child)
            node = child

    def _stand_in(self, tree: DraftTree, node: int, probs: Tensor) -> int | None:
        children = tree.children[node + 1]
        if not children:
            return None
        of_children = probs[[tree.tokens[child] for child in children]]
        is_good = self.tolerated(probs, of_children) & (of_children > 0)
        best = int(torch.where(is_good, of_children, -1.0).argmax())
        return children[best] if is_good[best] else None
