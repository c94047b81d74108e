"""A start for heads that know the token before: what it should add to scores, of low rank.

Where a drafter foresees law q behind token a and the target has law p, the scores of tokens b behind a want
log(Σ p(b) ÷ Σ q(b)), sums over all places with a before them: one round of iterative scaling (Darroch and Ratcliff,
1972), in which each place has one feature. The matrix of these is brought to a low rank, each entry counting as often
as its tokens are met. Knows laws and tokens; no drafter.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

SHRINK = 2.0
"""Places that every token is taken to have been met at with both laws alike."""
MOST_ADDED = 4.0


@torch.no_grad()
def factors(places: Iterable[tuple[Tensor, Tensor, Tensor]], num_tokens: int, rank: int) -> tuple[Tensor, Tensor]:
    """W1 (num_tokens, rank) and W2 (v, rank), whose product is to be added to scores.

    `places`: the tokens (m,) before some, with the drafter's and the target's laws (m, v) there.
    """
    foreseen: Tensor | None = None
    wanted = met = torch.empty(0)
    for before, law, target in places:
        if foreseen is None:
            foreseen, wanted = law.new_zeros(2, num_tokens, law.shape[1]).unbind()
            met = law.new_zeros(num_tokens)
        foreseen.index_add_(0, before, law)
        wanted.index_add_(0, before, target)
        met.index_add_(0, before, torch.ones_like(law[:, 0]))
    assert foreseen is not None
    usual = (foreseen.sum(dim=0) + 1) / (met.sum() + len(foreseen[0]))
    added = ((wanted + SHRINK * usual) / (foreseen + SHRINK * usual)).log().clamp(-MOST_ADDED, MOST_ADDED)
    rows, columns = met.sqrt()[:, None], usual.sqrt()
    left, sizes, right = torch.svd_lowrank(rows * added * columns, q=min(rank, *added.shape), niter=2)
    share = sizes.sqrt()
    before, behind = left * share / rows.clamp(min=1), right * share / columns[:, None]
    missing = rank - before.shape[1]
    return tuple(torch.nn.functional.pad(part, (0, missing)) for part in (before, behind))  # type: ignore[return-value]
