"""Rules that forgive a drafter: where the target's draw was not proposed, a child that is good enough stands in for it.

Lossy: they change what is written, the more, the more they forgive. With no draft they are plain sampling, and they
accept whatever node-sampling does.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from engine.events import Judged
from engine.noise import Noise
from engine.tree import DraftTree
from engine.verify.base import Descending, TargetRows, match


class Lenient(Descending):
    """Descends by the target's draws, and past them where a child is tolerated: the likeliest of those."""

    guarantee = "lossy"
    draft_mode = "coupled"
    needs_temperature = "above zero"

    @abstractmethod
    def tolerated(self, probs: Tensor, of_children: Tensor) -> Tensor:
        """Which children are good enough (c,) bool, by a distribution (v,) and their probabilities in it (c,)."""

    def _next(
        self, tree: DraftTree, node: int, target: TargetRows, noise: Noise, place: int, judged: list[Judged] | None
    ) -> tuple[int | None, int]:
        probs = target[node + 1]
        token = noise.draw(probs, place)
        child = match(tree, node, token)
        return self._stand_in(tree, node, probs) if child is None else child, token

    def _stand_in(self, tree: DraftTree, node: int, probs: Tensor) -> int | None:
        children = tree.children[node + 1]
        if not children:
            return None
        of_children = probs[[tree.tokens[child] for child in children]]
        is_good = self.tolerated(probs, of_children) & (of_children > 0)
        best = int(torch.where(is_good, of_children, -1.0).argmax())
        return children[best] if is_good[best] else None
