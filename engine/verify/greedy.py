"""Greedy verification: a node survives if it is the target's likeliest token. Exact at temperature 0."""

from __future__ import annotations

from engine.events import Judged
from engine.noise import Noise
from engine.tree import DraftTree
from engine.verify.base import Descending, TargetRows, match


class Greedy(Descending):
    """Arg-max match, ties to the lowest id as in plain decoding. For any tree."""

    name = "greedy"
    draft_mode = "likeliest"
    needs_temperature = "zero"
    judges_by = "likeliest"
    default_at = "zero"

    def _next(
        self, tree: DraftTree, node: int, target: TargetRows, noise: Noise, place: int, judged: list[Judged] | None
    ) -> tuple[int | None, int]:
        token = target.likeliest(node + 1)
        return match(tree, node, token), token


RULE = Greedy
