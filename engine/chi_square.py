"""Pearson's chi-square test: its tail, and how many samples see a distortion of a given size.

Counts that fit a law have a statistic whose tail `p_value` is; where the law is another, at total variation d, the
statistic is non-central with n · Σ δ² / p ≥ 4 n d². So `num_samples` see such a distortion with probability `power`.
Of numbers that should be independent and equally likely, `serial` weighs each with the one behind it (I. J. Good, "The
serial test for sampling numbers", 1953): all n overlapping pairs count, where pairs side by side would be n ÷ 2.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import torch

POWER = 0.99


def statistic(counts: Sequence[int]) -> float:
    """Of counts whose cells are equally likely."""
    expected = sum(counts) / len(counts)
    return sum((count - expected) ** 2 for count in counts) / expected if expected else 0.0


def serial(sequences: Sequence[Sequence[int]], num_parts: int) -> float:
    """ψ²₂ - ψ²₁ of sequences of numbers below `num_parts`, each closed to a ring.

    That is the statistic of neighbours less that of single numbers, of `serial_freedom` degrees. A number's law moves
    it, and so does dependence.
    """
    alone, pairs = [0] * num_parts, [0] * num_parts**2
    for numbers in sequences:
        for place, number in enumerate(numbers):
            alone[number] += 1
            pairs[num_parts * numbers[place - 1] + number] += 1
    return statistic(pairs) - statistic(alone)


def serial_freedom(num_parts: int) -> int:
    """Degrees of freedom of `serial`."""
    return num_parts**2 - num_parts


def p_value(found: float, freedom: int) -> float:
    """How likely counts that fit have at least this statistic, of so many degrees of freedom."""
    return _tail(freedom, found)


def num_samples(distortion: float, freedom: int, alpha: float, power: float = POWER) -> int:
    """So many see a distortion of this total variation, at this rate of false alarms, with this probability."""
    return math.ceil(noncentrality(freedom, alpha, power) / (4 * distortion**2))


def seen_distortion(num: int, freedom: int, alpha: float, power: float = POWER) -> float:
    """The least total variation that so many samples see; 1 at most."""
    return min(1.0, math.sqrt(noncentrality(freedom, alpha, power) / (4 * num))) if num else 1.0


@functools.cache
def noncentrality(freedom: int, alpha: float, power: float = POWER) -> float:
    """How far a statistic must be moved to be above the `alpha` tail with probability `power`."""
    border = _solve(lambda x: alpha - _tail(freedom, x))
    return _solve(lambda moved: _moved_tail(freedom, moved, border) - power)


def _tail(freedom: float, found: float) -> float:
    half = torch.tensor([freedom / 2, max(found, 0.0) / 2], dtype=torch.float64)
    return float(torch.special.gammaincc(half[0], half[1]))


def _moved_tail(freedom: int, moved: float, border: float) -> float:
    """The tail of the non-central law: central ones of two degrees more each, weighed by Poisson's law."""
    mean = moved / 2
    number = torch.arange(int(mean + 12 * math.sqrt(mean + 1)) + 12, dtype=torch.float64)
    weights = (number * math.log(max(mean, 1e-300)) - mean - torch.lgamma(number + 1)).exp()
    tails = torch.special.gammaincc(freedom / 2 + number, torch.full_like(number, border / 2))
    return float((weights * tails).sum())


def _solve(rises: Callable[[float], float]) -> float:
    """Where a rising function of a positive number is 0."""
    low, high = 0.0, 1.0
    while rises(high) < 0:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rises(middle) < 0 else (low, middle)
    return high
