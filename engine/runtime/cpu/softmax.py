"""Compiled softmax parts in float32: powers of e, and the likeliest entries of rows with their log-probabilities.

`exponentiate` runs the same instructions for an entry wherever it stands, which row-invariant attention needs.
Knows numbers only; compiled by numba at the first call and kept on disk for the next start. A change here is seen by
callers in other files only when their files change too, since numba looks at a function's own file.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange

from engine.runtime.compiled import ENTRY, INNER

Floats = np.ndarray[Any, np.dtype[np.float32]]
Doubles = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]

BLOCK = 64
"""Entries whose maximum is looked at before any of them is."""
_LOWEST = np.float32(-80.0)
"""Exponents below this count as -∞: float32 has no normal number for their powers."""
_LOG2_E = np.float32(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_HALF, _ZERO, _ONE = np.float32(0.5), np.float32(0.0), np.float32(1.0)
_EXP = tuple(
    np.float32(c)
    for c in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)
"""Cephes' polynomial for (eʳ - 1 - r) ÷ r² on |r| ≤ ½ ln 2, highest power first."""


@njit(**INNER, error_model="numpy", fastmath={"contract"})
def exponentiate(scores: Floats, highest: np.float32, exponents: Any, powers: Floats) -> None:
    """Scores (n,) → e^(score - highest) in place, exactly 0 for -∞. `powers` is the memory of `exponents (n,)`."""
    for t in range(len(scores)):
        x = scores[t] - highest
        is_none = x <= _LOWEST
        x = _LOWEST if is_none else x
        exponent = np.int32(x * _LOG2_E - _HALF)  # x is not positive, so cutting off rounds to nearest
        exponents[t] = (exponent + np.int32(127)) << np.int32(23)
        rest = x - np.float32(exponent) * _LN2_HIGH
        rest = rest - np.float32(exponent) * _LN2_LOW
        scores[t] = _ZERO if is_none else _exp_of_rest(rest)
    for t in range(len(scores)):
        scores[t] *= powers[t]


@njit(**INNER, error_model="numpy", fastmath={"contract"})
def _exp_of_rest(rest: np.float32) -> np.float32:
    y = _EXP[0]
    y = y * rest + _EXP[1]
    y = y * rest + _EXP[2]
    y = y * rest + _EXP[3]
    y = y * rest + _EXP[4]
    y = y * rest + _EXP[5]
    y = y * (rest * rest) + rest
    return y + _ONE


@njit(**INNER, error_model="numpy", fastmath={"contract"})
def silu(x: Floats) -> None:
    """Numbers (n,) → x ÷ (1 + e⁻ˣ) in place."""
    powers, exponents = np.empty(len(x), np.float32), np.empty(len(x), np.int32)
    for t in range(len(x)):
        powers[t] = -abs(x[t])
    exponentiate(powers, _ZERO, exponents, exponents.view(np.float32))
    for t in range(len(x)):
        x[t] *= (_ONE if x[t] > _ZERO else powers[t]) / (_ONE + powers[t])


@njit(**INNER, fastmath={"nnan", "nsz", "reassoc"})
def maximum(numbers: Floats) -> np.float32:
    """The highest of (n,) numbers, -∞ of none."""
    highest = np.float32(-np.inf)
    for t in range(len(numbers)):
        highest = numbers[t] if numbers[t] > highest else highest
    return highest


@njit(**ENTRY, parallel=True, error_model="numpy")
def likeliest(scores: Floats, num_rows: int, num_scores: int, tokens: Integers, log_probs: Doubles) -> None:
    """The best entries of each of the first rows, best first, and their log-softmax, (rows, k) each.

    A row's first `num_scores` entries count, k of them at least.
    """
    for row in prange(num_rows):
        own = scores[row, :num_scores].copy()
        best = np.empty(tokens.shape[1], np.float32)
        keep_best(own, tokens[row], best)
        total = log_total(own, best[0])
        for rank in range(len(best)):
            log_probs[row, rank] = np.float64(best[rank]) - np.float64(best[0]) - total


@njit(**INNER, error_model="numpy")
def log_total(scores: Floats, highest: np.float32) -> float:
    """Log Σ e^(score - highest) of (v,) scores, which it spoils."""
    exponents = np.empty(len(scores), np.int32)
    exponentiate(scores, highest, exponents, exponents.view(np.float32))
    return math.log(_sum(scores))


@njit(**INNER)
def keep_best(scores: Floats, tokens: Integers, best: Floats) -> None:
    """The n best of (v,) scores, the first of equals first."""
    best[:] = -np.inf
    tokens[:] = 0
    last = len(best) - 1
    for start in range(0, len(scores), BLOCK):
        end = min(start + BLOCK, len(scores))
        if maximum(scores[start:end]) <= best[last] and start:
            continue
        for token in range(start, end):
            if scores[token] > best[last] or token <= last:
                _insert(scores[token], token, tokens, best, min(token, last))


@njit(**INNER)
def _insert(score: np.float32, token: int, tokens: Integers, best: Floats, place: int) -> None:
    while place > 0 and best[place - 1] < score:
        best[place], tokens[place] = best[place - 1], tokens[place - 1]
        place -= 1
    best[place], tokens[place] = score, token


@njit(**INNER, fastmath={"nnan", "nsz", "reassoc", "contract"})
def _sum(numbers: Floats) -> np.float32:
    total = _ZERO
    for t in range(len(numbers)):
        total += numbers[t]
    return total
