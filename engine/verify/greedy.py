"""Greedy verification: a node survives if it is the target's likeliest token. Exact at temperature 0."""

from __future__ import annotations

from engine.noise import Noise
from engine.tree import DraftTree
from engine.verify.base import Rule, TargetRows, Verdict, ending, match


class Greedy(Rule):
    """Arg-max match, ties to the lowest id as in plain decoding. For any tree."""

    name = "greedy"
    draft_mode = "likeliest"
    needs_temperature = "zero"
    judges_by = "likeliest"
    default_at = "zero"

    def verify(self, tree: DraftTree, target: TargetRows, noise: Noise, position: int) -> Verdict:
        path: list[int] = []
        node = -1
        while True:
            token = target.likeliest(node + 1)
            child = match(tree, node, token)
            if child is None:
                return Verdict(tuple(path), token, ending(tree, path))
            path.append(child)
            node = child


RULE = Greedy
