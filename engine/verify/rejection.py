"""Rejection with residual, for trees whose drafter states what each node was drawn from.

At a node, children are examined in draw order: child i with token x, drawn from q_i, survives with
probability min(1, p(x) / q_i(x)); else p becomes norm((p - q_i)+) and the next child is examined;
if none survives, the correction is drawn from what is left of p. For chains this is arXiv
2211.17192 (Algorithm 1) and 2302.01318; for several children it holds by induction over the
residuals, and SpecInfer's (2305.09781) and RSD's (2402.14160) rules are cases of it. q_i is the
exact law of the draw given those before it (`engine/draws.py`); a token that was drawn twice is examined twice.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from engine.events import Judged
from engine.noise import Noise
from engine.tree import DraftTree
from engine.verify.base import Descending, TargetRows


class Rejection(Descending):
    """Refuses a tree that does not say what its nodes were drawn from."""

    name = "rejection"
    draft_mode = "drawn"
    is_reproducible = False
    needs_temperature = "above zero"
    judges_by = "ratio"

    def _next(
        self, tree: DraftTree, node: int, target: TargetRows, noise: Noise, place: int, judged: list[Judged] | None
    ) -> tuple[int | None, int]:
        uniforms = noise.uniforms(place, "acceptance")
        child, residual = examine(tree, node, target[node + 1].double(), uniforms, judged)
        return child, noise.draw(residual, place, "correction") if child is None else -1


def examine(
    tree: DraftTree, node: int, probs: Tensor, uniforms: Iterator[float], judged: list[Judged] | None = None
) -> tuple[int | None, Tensor]:
    """The surviving child of a node, or None, and what is left of the target distribution; `judged` gets each draw."""
    earlier: list[int] = []
    left = 1.0
    for place in tree.draws_below[node + 1]:
        assert tree.draws is not None
        child = tree.draws.order[place]
        token = tree.tokens[child]
        drawn_from = tree.draws.law(place, earlier).to(probs)
        earlier.append(token)
        uniform, wanted, stated = next(uniforms), probs[token].item(), drawn_from[token].item()
        if judged is not None:
            overlap = probs.minimum(drawn_from).sum().item()
            left *= max(0.0, 1 - overlap)
            judged.append(Judged(child, overlap, wanted / stated if stated > 0 else None, uniform, left))
        if uniform * stated < wanted:
            return child, probs
        probs = residual_of(probs, drawn_from)
    return None, probs


def residual_of(probs: Tensor, drawn_from: Tensor) -> Tensor:
    """norm((p - q)+); p itself where rounding leaves nothing."""
    residual = (probs - drawn_from).clamp_(min=0)
    total = residual.sum()
    return residual / total if total > 0 else probs


RULE = Rejection
