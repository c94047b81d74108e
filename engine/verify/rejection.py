"""Rejection with residual, for trees whose drafter states what each node was drawn from.

At a node, children are examined in draw order: child i with token x, drawn from q_i, survives with
probability min(1, p(x) / q_i(x)); else p becomes norm((p - q_i)+) and the next child is examined;
if none survives, the correction is drawn from what is left of p. For chains this is arXiv
2211.17192 (Algorithm 1) and 2302.01318; for several children it holds by induction over the
residuals, and SpecInfer's (2305.09781) and RSD's (2402.14160) rules are cases of it. q_i must be the
exact conditional distribution given the earlier siblings, drawn with or without replacement.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from engine.errors import RunFailed
from engine.noise import Noise
from engine.tree import DraftTree
from engine.verify.base import Rule, TargetRows, Verdict, ending


class Rejection(Rule):
    """Refuses a tree that does not carry its draw distributions."""

    name = "rejection"
    is_reproducible = False

    def verify(self, tree: DraftTree, target: TargetRows, noise: Noise, position: int) -> Verdict:
        if tree and not tree.is_sampled:
            raise RunFailed("Rule rejection needs to know what each node was drawn from; this drafter does not say.")
        path: list[int] = []
        node = -1
        while True:
            place = position + len(path)
            uniforms = noise.uniforms(place, "acceptance")
            child, residual = examine(tree, node, target[node + 1].double(), uniforms)
            if child is None:
                return Verdict(tuple(path), noise.draw(residual, place, "correction"), ending(tree, path))
            path.append(child)
            node = child


def examine(tree: DraftTree, node: int, probs: Tensor, uniforms: Iterator[float]) -> tuple[int | None, Tensor]:
    """The surviving child of a node, or None, and what is left of the target distribution."""
    for child in tree.children[node + 1]:
        assert tree.drawn_from is not None
        drawn_from = tree.drawn_from[child].to(probs)
        token = tree.tokens[child]
        if next(uniforms) * drawn_from[token].item() < probs[token].item():
            return child, probs
        probs = residual_of(probs, drawn_from)
    return None, probs


def residual_of(probs: Tensor, drawn_from: Tensor) -> Tensor:
    """norm((p - q)+); p itself where rounding leaves nothing."""
    residual = (probs - drawn_from).clamp_(min=0)
    total = residual.sum()
    return residual / total if total > 0 else probs
