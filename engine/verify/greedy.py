"""Greedy verification: a node survives if it is the target's likeliest token. Exact at temperature 0."""

from __future__ import annotations

from torch import Tensor

from engine.sampling import Noise, likeliest
from engine.tree import DraftTree
from engine.verify.base import Rule, Verdict, ending, match


class Greedy(Rule):
    """Arg-max match, ties to the lowest id as in plain decoding. For any tree."""

    name = "greedy"
    needs_probs = False

    def verify(self, tree: DraftTree, target_probs: Tensor, noise: Noise, position: int) -> Verdict:
        tokens = likeliest(target_probs).tolist()
        path: list[int] = []
        node = -1
        while (child := match(tree, node, tokens[node + 1])) is not None:
            path.append(child)
            node = child
        return Verdict(tuple(path), tokens[node + 1], ending(tree, path))
