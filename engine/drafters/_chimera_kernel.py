"""Chimera's small steps compiled: what lies between its matrix products, a call each where torch takes a dozen.

Same arithmetic as `_chimera.Network` and `_chimera.FullContext`, float32. Knows numbers only.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.runtime.softmax_kernel import Floats, Integers

_ONE = np.float32(1.0)
_compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})


@_compiled
def add_parts(parts: Floats, bias: Floats, mixed: Floats, bypass: Floats) -> None:
    """Parts (m, 3, 4d) of three tokens each → the first 3d of their sums with the bias (m, 3d), and the last d."""
    width = mixed.shape[1]
    for row in range(len(parts)):
        for e in range(width):
            mixed[row, e] = parts[row, 0, e] + parts[row, 1, e] + parts[row, 2, e] + bias[e]
        for e in range(bypass.shape[1]):
            bypass[row, e] = parts[row, 0, width + e] + parts[row, 1, width + e] + parts[row, 2, width + e]


@_compiled
def normalise(x: Floats, eps: np.float32) -> None:
    """X ÷ √(mean x² + ε) of each row (m, d), in place."""
    for row in range(len(x)):
        total = np.float32(0.0)
        for e in range(x.shape[1]):
            total += x[row, e] * x[row, e]
        scale = _ONE / np.sqrt(total / np.float32(x.shape[1]) + eps)
        for e in range(x.shape[1]):
            x[row, e] *= scale


@_compiled
def place(
    qkv: Floats,
    cos: Floats,
    sin: Floats,
    columns: Integers,
    keys: Floats,
    values: Floats,
    queries: Floats,
) -> None:
    """Rotate queries and keys of rows (m, 3 · h · e); keep keys (h, e, c) and values (h, c, e) in their columns (m,).

    `cos` and `sin (m, e ÷ 2)` are of each row's position; `queries (m, h, e)` are written.
    """
    num_heads, width, _ = keys.shape
    half, size = width // 2, num_heads * width
    for row in range(len(qkv)):
        column = columns[row]
        for head in range(num_heads):
            first = head * width
            for e in range(half):
                c, s = cos[row, e], sin[row, e]
                low, high = qkv[row, first + e], qkv[row, first + half + e]
                queries[row, head, e] = low * c - high * s
                queries[row, head, half + e] = high * c + low * s
                low, high = qkv[row, size + first + e], qkv[row, size + first + half + e]
                keys[head, e, column] = low * c - high * s
                keys[head, half + e, column] = high * c + low * s
            for e in range(width):
                values[head, column, e] = qkv[row, 2 * size + first + e]
