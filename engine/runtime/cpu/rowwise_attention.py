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

from engine.runtime.compiled import ENTRY, INNER
from engine.runtime.cpu.small_products import add4, multiply4
from engine.runtime.cpu.softmax import Floats, exponentiate, maximum

Mask = np.ndarray[Any, np.dtype[np.bool_]]

ROWS = 4
"""Rows that share one reading of keys and values."""
_ZERO = np.float32(0.0)

# Contraction alone: a product and the sum behind it may be one instruction, in every lane alike.
_compiled = njit(**INNER, error_model="numpy", fastmath={"contract"})


@njit(**ENTRY, parallel=True, error_model="numpy", fastmath={"contract"})
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
        multiply4(query[0], query[1], query[2], query[3], keys, scores[0], scores[1], scores[2], scores[3])
        for row in range(num_live):
            if softcap > _ZERO:
                scores[row] = np.tanh(scores[row] / softcap) * softcap
            for t in range(num_columns):
                scores[row, t] = scores[row, t] if mask[first + row, t] else -np.inf
            exponentiate(scores[row], maximum(scores[row]), exponents, exponents.view(np.float32))
        _weigh(scores[0], scores[1], scores[2], scores[3], values, output[0], output[1], output[2], output[3])
        for row in range(num_live):
            out[first + row] = output[row]


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
            output_0[e] = add4(output_0[e], a_0, a_1, a_2, a_3, x_0, x_1, x_2, x_3)
            output_1[e] = add4(output_1[e], b_0, b_1, b_2, b_3, x_0, x_1, x_2, x_3)
            output_2[e] = add4(output_2[e], c_0, c_1, c_2, c_3, x_0, x_1, x_2, x_3)
            output_3[e] = add4(output_3[e], d_0, d_1, d_2, d_3, x_0, x_1, x_2, x_3)
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
