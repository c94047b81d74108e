"""How observed counts fit a law."""

from __future__ import annotations

import torch
from torch import Tensor


def assert_fits(counts: Tensor, probs: Tensor, alpha: float = 1e-6) -> None:
    """Chi-square goodness of fit of observed counts to a law; rare cells are merged."""
    expected = probs.double().flatten() * counts.sum()
    observed = counts.double().flatten()
    impossible = expected == 0
    assert not observed[impossible].any(), "an outcome of probability zero was observed"
    is_rare = expected < 5
    pairs = [(observed[~is_rare], expected[~is_rare]), (observed[is_rare].sum()[None], expected[is_rare].sum()[None])]
    observed, expected = (torch.cat(column) for column in zip(*pairs, strict=True))
    observed, expected = observed[expected > 0], expected[expected > 0]
    statistic = ((observed - expected) ** 2 / expected).sum()
    freedom = torch.tensor(len(expected) - 1, dtype=torch.float64)
    p_value = torch.special.gammaincc(freedom / 2, statistic / 2).item()
    assert p_value > alpha, f"chi-square {statistic:.1f} on {len(expected) - 1} degrees of freedom"
