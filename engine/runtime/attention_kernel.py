"""Compiled attention whose result for a row does not depend on what else is in the pass, bit for bit.

Every sum runs over its terms one by one in float32, a score's over the head's dimensions and the softmax's and
output's over the columns in ascending order, and vector lanes hold different results, never parts of one. A masked
column adds exactly 0. So neither the number of rows nor the place of a row's keys in the cache changes a bit
(docs/decisions/0002). Rows go four at a time, the last ones with idle places, through the same instructions.

Knows numbers only; compiled by numba at the first call and kept on disk for the next start.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

Floats = np.ndarray[Any, np.dtype[np.float32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

ROWS = 4
"""Rows that share one reading of keys and values."""
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

# Contraction alone: a product and the sum behind it may be one instruction, in every lane alike.
_compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
_compiled_maximum = njit(cache=True, nogil=True, fastmath={"nnan", "nsz", "reassoc"})


@njit(cache=True, nogil=True, parallel=True, error_model="numpy", fastmath={"contract"})
def attend(
    queries: Floats, keys: Floats, values: Floats, mask: Mask, scale: np.float32, softcap: np.float32, out: Floats
) -> None:
    """Queries (m, h, d) on keys (h_kv, d, c) and values (h_kv, c, w) → out (m, h, w), all C-contiguous.

    `mask (m, n)`, n ≤ c, is True where a row may look; columns behind n are not read. `softcap` 0 is none.
    """
    num_heads = queries.shape[1]
    group = num_heads // keys.shape[0]
    for head in prange(num_heads):
        kv = head // group
        _attend_head(queries[:, head], keys[kv], values[kv], mask, scale, softcap, out[:, head])


@_compiled
def _attend_head(
    queries: Floats, keys: Floats, values: Floats, mask: Mask, scale: np.float32, softcap: np.float32, out: Floats
) -> None:
    num_rows, num_columns = mask.shape
    query = np.zeros((ROWS, keys.shape[0]), np.float32)
    scores = np.empty((ROWS, num_columns), np.float32)
    output = np.empty((ROWS, values.shape[1]), np.float32)
    exponents = np.empty(num_columns, np.int32)
    for first in range(0, num_rows, ROWS):
        num_live = min(ROWS, num_rows - first)
        for row in range(num_live):
            query[row] = queries[first + row] * scale
        _score(query[0], query[1], query[2], query[3], keys, scores[0], scores[1], scores[2], scores[3])
        for row in range(num_live):
            if softcap > _ZERO:
                scores[row] = np.tanh(scores[row] / softcap) * softcap
            _exponentiate(scores[row], mask[first + row], exponents, exponents.view(np.float32))
        _weigh(scores[0], scores[1], scores[2], scores[3], values, output[0], output[1], output[2], output[3])
        for row in range(num_live):
            out[first + row] = output[row]


@_compiled
def _score(
    query_0: Floats,
    query_1: Floats,
    query_2: Floats,
    query_3: Floats,
    keys: Floats,
    scores_0: Floats,
    scores_1: Floats,
    scores_2: Floats,
    scores_3: Floats,
) -> None:
    """Four queries (d,) on keys (d, c) → four rows of scores (n,): lanes are columns."""
    num_columns, whole = len(scores_0), len(query_0) // 4 * 4
    scores_0[:] = scores_1[:] = scores_2[:] = scores_3[:] = _ZERO
    for e in range(0, whole, 4):
        key_0, key_1, key_2, key_3 = keys[e], keys[e + 1], keys[e + 2], keys[e + 3]
        a_0, a_1, a_2, a_3 = query_0[e], query_0[e + 1], query_0[e + 2], query_0[e + 3]
        b_0, b_1, b_2, b_3 = query_1[e], query_1[e + 1], query_1[e + 2], query_1[e + 3]
        c_0, c_1, c_2, c_3 = query_2[e], query_2[e + 1], query_2[e + 2], query_2[e + 3]
        d_0, d_1, d_2, d_3 = query_3[e], query_3[e + 1], query_3[e + 2], query_3[e + 3]
        for t in range(num_columns):
            x_0, x_1, x_2, x_3 = key_0[t], key_1[t], key_2[t], key_3[t]
            scores_0[t] = _add4(scores_0[t], a_0, a_1, a_2, a_3, x_0, x_1, x_2, x_3)
            scores_1[t] = _add4(scores_1[t], b_0, b_1, b_2, b_3, x_0, x_1, x_2, x_3)
            scores_2[t] = _add4(scores_2[t], c_0, c_1, c_2, c_3, x_0, x_1, x_2, x_3)
            scores_3[t] = _add4(scores_3[t], d_0, d_1, d_2, d_3, x_0, x_1, x_2, x_3)
    for e in range(whole, len(query_0)):
        for t in range(num_columns):
            scores_0[t] += query_0[e] * keys[e, t]
            scores_1[t] += query_1[e] * keys[e, t]
            scores_2[t] += query_2[e] * keys[e, t]
            scores_3[t] += query_3[e] * keys[e, t]


@_compiled
def _weigh(
    weights_0: Floats,
    weights_1: Floats,
    weights_2: Floats,
    weights_3: Floats,
    values: Floats,
    output_0: Floats,
    output_1: Floats,
    output_2: Floats,
    output_3: Floats,
) -> None:
    """Four rows of weights (n,) on values (c, w) → four means (w,): lanes are the head's dimensions."""
    num_columns, width = len(weights_0), len(output_0)
    whole = num_columns // 4 * 4
    total_0 = total_1 = total_2 = total_3 = _ZERO
    output_0[:] = output_1[:] = output_2[:] = output_3[:] = _ZERO
    for t in range(0, whole, 4):
        value_0, value_1, value_2, value_3 = values[t], values[t + 1], values[t + 2], values[t + 3]
        a_0, a_1, a_2, a_3 = weights_0[t], weights_0[t + 1], weights_0[t + 2], weights_0[t + 3]
        b_0, b_1, b_2, b_3 = weights_1[t], weights_1[t + 1], weights_1[t + 2], weights_1[t + 3]
        c_0, c_1, c_2, c_3 = weights_2[t], weights_2[t + 1], weights_2[t + 2], weights_2[t + 3]
        d_0, d_1, d_2, d_3 = weights_3[t], weights_3[t + 1], weights_3[t + 2], weights_3[t + 3]
        total_0 = total_0 + a_0 + a_1 + a_2 + a_3
        total_1 = total_1 + b_0 + b_1 + b_2 + b_3
        total_2 = total_2 + c_0 + c_1 + c_2 + c_3
        total_3 = total_3 + d_0 + d_1 + d_2 + d_3
        for e in range(width):
            x_0, x_1, x_2, x_3 = value_0[e], value_1[e], value_2[e], value_3[e]
            output_0[e] = _add4(output_0[e], a_0, a_1, a_2, a_3, x_0, x_1, x_2, x_3)
            output_1[e] = _add4(output_1[e], b_0, b_1, b_2, b_3, x_0, x_1, x_2, x_3)
            output_2[e] = _add4(output_2[e], c_0, c_1, c_2, c_3, x_0, x_1, x_2, x_3)
            output_3[e] = _add4(output_3[e], d_0, d_1, d_2, d_3, x_0, x_1, x_2, x_3)
    for t in range(whole, num_columns):
        total_0 += weights_0[t]
        total_1 += weights_1[t]
        total_2 += weights_2[t]
        total_3 += weights_3[t]
        for e in range(width):
            output_0[e] += weights_0[t] * values[t, e]
            output_1[e] += weights_1[t] * values[t, e]
            output_2[e] += weights_2[t] * values[t, e]
            output_3[e] += weights_3[t] * values[t, e]
    for e in range(width):
        output_0[e] /= total_0
        output_1[e] /= total_1
        output_2[e] /= total_2
        output_3[e] /= total_3


@_compiled
def _add4(
    total: np.float32,
    a: np.float32,
    b: np.float32,
    c: np.float32,
    d: np.float32,
    x: np.float32,
    y: np.float32,
    z: np.float32,
    w: np.float32,
) -> np.float32:
    """The total with four products added, one after the other."""
    total = total + a * x
    total = total + b * y
    total = total + c * z
    return total + d * w


@_compiled
def _exponentiate(scores: Floats, may_look: Mask, exponents: Any, powers: Floats) -> None:
    """Scores (n,) → e^(score - highest), exactly 0 where the row may not look. `powers` is `exponents`' memory."""
    for t in range(len(scores)):
        scores[t] = scores[t] if may_look[t] else -np.inf
    highest = _maximum(scores)
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


@_compiled
def _exp_of_rest(rest: np.float32) -> np.float32:
    y = _EXP[0]
    y = y * rest + _EXP[1]
    y = y * rest + _EXP[2]
    y = y * rest + _EXP[3]
    y = y * rest + _EXP[4]
    y = y * rest + _EXP[5]
    y = y * (rest * rest) + rest
    return y + _ONE


@_compiled_maximum
def _maximum(numbers: Floats) -> np.float32:
    highest = np.float32(-np.inf)
    for t in range(len(numbers)):
        highest = numbers[t] if numbers[t] > highest else highest
    return highest
