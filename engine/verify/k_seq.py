"""k-SEQ, SpecTr's rule for k siblings that are drawn independently from one law q (arXiv 2310.15141, Algorithm 3).

With overlap β(ρ) = Σ min(q, p / ρ), ρ from 1 to k the least number with 1 - (1 - β)^k ≤ ρβ: each draw x survives with
probability min(1, p(x) / (ρ q(x))), the first that does is taken, and one does with probability P = 1 - (1 - β)^k. If
none does, the correction is drawn from what is left, p - min(q, p / ρ) · P / β, which that bound keeps from being
negative. Each trial emits in proportion to min(q, p / ρ), so all together emit min(q, p / ρ) · P / β, and the residual
the rest of p. How many are drawn below a node has to be settled before the first is: ρ depends on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.events import Judged
from engine.noise import Noise
from engine.tree import DraftTree
from engine.verify.base import Descending, TargetRows

_HALVINGS = 50
"""Of the interval that ρ lies in, down to a float64's own error."""
Probs = np.ndarray[Any, np.dtype[np.float64]]


class KSeq(Descending):
    """Within 1 - 1/e of the best acceptance that k independent drafts can have."""

    name = "k_seq"
    draft_mode = "drawn"
    drawing = "iid"
    is_reproducible = False
    needs_temperature = "above zero"

    def _next(
        self, tree: DraftTree, node: int, target: TargetRows, noise: Noise, place: int, judged: list[Judged] | None
    ) -> tuple[int | None, int]:
        child, residual = select(tree, node, target[node + 1], noise.uniforms(place, "acceptance"), judged)
        return child, noise.draw(residual, place, "correction") if child is None else -1


def select(
    tree: DraftTree, node: int, probs: Tensor, uniforms: Iterator[float], judged: list[Judged] | None = None
) -> tuple[int | None, Tensor]:
    """The surviving child of a node, or None, and what is left of the target's distribution (v,)."""
    draws, drawn = tree.draws, tree.draws_below[node + 1]
    if draws is None or not drawn:
        return None, probs
    p, q = probs.double().cpu().numpy(), draws.rows[draws.row_of[drawn[0]]].double().cpu().numpy()
    children = [draws.order[draw] for draw in drawn]
    tokens = [tree.tokens[child] for child in children]
    rho = scale(p, q, len(drawn))
    covered = np.minimum(q, p / rho)
    overlap = min(1.0, float(covered.sum()))
    wanted, stated = p[tokens].tolist(), (rho * q[tokens]).tolist()
    for place, child in enumerate(children):
        uniform = next(uniforms)
        if judged is not None:
            ratio = wanted[place] / stated[place] if stated[place] > 0 else None
            judged.append(Judged(child, overlap, ratio, uniform, (1 - overlap) ** (place + 1)))
        if uniform * stated[place] < wanted[place]:
            return child, probs
    return None, torch.from_numpy(residual_of(p, covered, overlap, len(drawn))).to(probs.device)


def scale(p: Probs, q: Probs, num_draws: int) -> float:
    """ρ: the least scale that leaves no negative residual, from above."""
    top = p >= num_draws * q
    low = ~top & (p <= q)
    rest = ~top & ~low  # the only tokens whose share of the overlap changes its form between 1 and k
    sure, thin, p, q = float(q[top].sum()), float(p[low].sum()), p[rest], q[rest]
    below, above = 1.0, float(num_draws)
    if _is_enough(below, sure + thin + float(q.sum()), num_draws):
        return below
    for _ in range(_HALVINGS):
        middle = (below + above) / 2
        overlap = sure + thin / middle + float(np.minimum(q, p / middle).sum())
        below, above = (below, middle) if _is_enough(middle, overlap, num_draws) else (middle, above)
    return above


def acceptance(overlap: float, num_draws: int) -> float:
    """1 - (1 - β)^k, exact for small β too."""
    return -math.expm1(num_draws * math.log1p(-overlap)) if overlap < 1 else 1.0


def _is_enough(rho: float, overlap: float, num_draws: int) -> bool:
    return acceptance(overlap, num_draws) <= rho * overlap


def residual_of(p: Probs, covered: Probs, overlap: float, num_draws: int) -> Probs:
    """What of p the trials leave (v,), not normalised; p itself where rounding leaves nothing."""
    emitted = acceptance(overlap, num_draws) / overlap if overlap > 0 else 0.0
    residual = np.maximum(p - covered * emitted, 0)
    return residual if residual.sum() > 0 else p


RULE = KSeq
