"""Whether rounding alone can have made another token of the one that plain decoding chooses.

Two scores cannot be told apart within the tolerance: three units in the last place of the larger one, in the model's
dtype, or what the same row was seen to change by among other rows, if that is more. Scores are penalised and divided
by the temperature as the loop's are, the tolerance with them. A change larger than rounding makes (`_MOST_NOISE_…`) is
no noise but an error, and widens nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.config import GenerationConfig
from engine.distributions import Distributions
from engine.sampling import as_temperature, penalised

_ULPS = 3
_MOST_NOISE_ULPS = 3
"""Of a row's largest score, for dtypes with few bits; more of it is an error, not rounding."""
_MOST_NATS = 500.0
_MOST_NOISE_SHARE = 2.0**-12
"""The same for float32, where a pass's many roundings add up to dozens of units."""


@dataclass(frozen=True)
class Tie:
    """How a token compares with the one that is chosen in its place."""

    gap: float | None
    """By how much its score falls behind; None where top-k or top-p cannot have let it pass."""
    tolerance: float

    @property
    def is_near(self) -> bool:
        """Whether rounding may have decided."""
        return self.gap is not None and self.gap <= self.tolerance


def judged(
    alone: Distributions, in_company: Tensor, token: int, chosen: int, gumbel: Tensor | None, dtype: torch.dtype
) -> Tie:
    """Compare `token` with the `chosen` one and with all that any rounding would have kept.

    `alone` has one row, `in_company (1, v)` are its logits among other rows; `gumbel (v,)` is the noise of the place
    where the token was drawn, None for greedy decoding.
    """
    config = alone.config
    row = penalised(alone.logits, config, alone.contexts)[0].double().cpu()
    moved = penalised(in_company, config, alone.contexts)[0].double().cpu()
    tolerance = max(_ulps(row[[chosen, token]], dtype), 2 * _noise(row, moved, dtype))
    if gumbel is None:
        return Tie((row.max() - row[token]).item(), tolerance)
    tolerance /= as_temperature(config)
    shares = _shares(row, config)
    is_certain, is_possible = kept(shares, config.top_k, config.top_p, tolerance)
    if not is_possible[token]:
        return Tie(None, tolerance)
    scores = shares + gumbel.double().cpu()
    ahead = (scores[is_certain] - scores[token]).amax().item() if is_certain.any() else 0.0
    return Tie(max(0.0, ahead), tolerance)


def _shares(row: Tensor, config: GenerationConfig) -> Tensor:
    """Log-probabilities (v,) before top-k and top-p."""
    return ((row - row.max()) / as_temperature(config)).log_softmax(dim=0)


def _ulps(scores: Tensor, dtype: torch.dtype, num: int = _ULPS) -> float:
    """So many units in the last place of the largest score, or of 1 where all are smaller."""
    return num * torch.finfo(dtype).eps * 2.0 ** math.floor(math.log2(max(1.0, scores.abs().max().item())))


def _noise(row: Tensor, moved: Tensor, dtype: torch.dtype) -> float:
    """The most that a score was seen to change by; 0 where it is more than rounding can do."""
    counts = row.isfinite()
    noise = (row - moved)[counts].abs().max().item()
    largest = row[counts]
    most = max(_ulps(largest, dtype, _MOST_NOISE_ULPS), _MOST_NOISE_SHARE * largest.abs().max().item())
    return noise if noise <= most else 0.0


def kept(shares: Tensor, top_k: int, top_p: float, tolerance: float) -> tuple[Tensor, Tensor]:
    """Which tokens (v,) top-k and top-p keep for certain, and which they may keep, if log-probabilities are uncertain.

    A token may stand before another that is likelier by no more than the tolerance, and shares may be off by its power.
    """
    ranked, order = shares.sort(descending=True)
    num_before = torch.searchsorted(-ranked, -(shares + tolerance))
    num_not_behind = torch.searchsorted(-ranked, -(shares - tolerance), right=True) - 1
    is_certain, is_possible = torch.ones_like(shares, dtype=torch.bool), torch.ones_like(shares, dtype=torch.bool)
    mass = ranked.exp()
    if 0 < top_k < len(shares):
        is_certain, is_possible = num_not_behind < top_k, num_before < top_k
        mass = torch.where(torch.arange(len(mass)) < top_k, mass, 0.0)
    if top_p < 1:
        before = torch.cat((torch.zeros(1, dtype=mass.dtype), mass.cumsum(dim=0))) / mass.sum()
        own = torch.empty_like(mass).scatter_(0, order, mass) / mass.sum()
        most = (before[num_not_behind + 1] - own).clamp(0, 1)
        is_certain = is_certain & (_odds_moved(most, tolerance) < top_p)
        is_possible = is_possible & (_odds_moved(before[num_before], -tolerance) < top_p)
    return is_certain, is_possible


def _odds_moved(share: Tensor, by: float) -> Tensor:
    """Shares whose odds grew by e^by."""
    factor = math.exp(min(by, _MOST_NATS))
    return share * factor / (share * factor + 1 - share)
