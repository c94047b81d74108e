"""The decoder layer of _decoder_layer.py for small targets on a CPU: a pass of a few rows is one compiled call.

Same arithmetic, in float32. Knows rows, positions and columns; imported where the compiled form is chosen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.drafters.heads._compiled import Scaled, compiled, multiply, run, scaled_of
from engine.drafters.heads._decoder_layer import Angles, LayerCache, LayerWeights
from engine.runtime.cpu.rowwise_attention import Mask, attend
from engine.runtime.cpu.small_products import row_buffer
from engine.runtime.cpu.softmax import Floats, Integers, silu

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)


class Layer(NamedTuple):
    """The matrices, packed for `linear`, and the angles of the rotary embedding by position."""

    qkv: Scaled
    output: Scaled
    gate_up: Scaled
    down: Scaled
    cos: Floats
    sin: Floats
    eps: np.float32


class Pass(NamedTuple):
    """Where the rows of one pass go: a position and a column each, and who of the last rows sees which column."""

    positions: Integers
    columns: Integers
    mask: Mask


class CompiledLayer:
    """Packed matrices."""

    def __init__(self, weights: LayerWeights, dtype: torch.dtype) -> None:
        self.num_heads, self.head_dim, self.eps = weights.num_heads, weights.head_dim, np.float32(weights.eps)
        matrices = weights.qkv, weights.output, weights.gate_up, weights.down
        self.qkv, self.output, self.gate_up, self.down = (scaled_of(matrix, dtype) for matrix in matrices)


class CompiledCache(LayerCache):
    """Compiled loops on one session's keys and values."""

    def __init__(self, layer: CompiledLayer, num_columns: int, angles: Angles) -> None:
        super().__init__(layer.num_heads, layer.head_dim, num_columns, torch.device("cpu"))
        cos, sin = (part.contiguous().numpy() for part in angles)
        self._layer = Layer(layer.qkv, layer.output, layer.gate_up, layer.down, cos, sin, layer.eps)

    def encode(
        self, rows: Tensor, num_asked: int, positions: Tensor, columns: Tensor, end: int, mask: Tensor
    ) -> Tensor:
        found = torch.empty(num_asked, rows.shape[1])
        looks = np.ones((num_asked, end), np.bool_)
        looks[:, end - mask.shape[1] :] = mask.numpy()
        where = Pass(positions.numpy(), columns.numpy(), looks)
        cache = self.keys.mT.numpy(), self.values.numpy()
        run(encode, self._layer, rows.float().numpy(), where, *cache, found.numpy())
        return found


@compiled
def encode(layer: Layer, rows: Floats, where: Pass, keys: Floats, values: Floats, out: Floats) -> None:
    """Keep keys (h, e, c) and values (h, c, e) of rows (m, d); the layer's output of the last q rows → out (q, d)."""
    (num_rows, size), num_asked, (num_heads, width) = rows.shape, len(out), keys.shape[:2]
    inner = num_heads * width
    normed, qkv = row_buffer(num_rows, size), row_buffer(num_rows, 3 * inner)
    for row in range(num_rows):
        normalise(rows[row], layer.eps, normed[row, :size])
    multiply(normed, num_rows, layer.qkv.numbers, layer.qkv.scales, qkv)
    queries = np.empty((num_rows, num_heads, width), np.float32)
    place(qkv, layer.cos, layer.sin, where, keys, values, queries)
    attended = np.empty((num_asked, num_heads, width), np.float32)
    attend(queries[num_rows - num_asked :], keys, values, where.mask, _ONE, _ZERO, attended)
    x, y = row_buffer(num_asked, max(inner, size)), row_buffer(num_asked, size)
    x[:num_asked, :inner] = attended.reshape(num_asked, inner)
    multiply(x, num_asked, layer.output.numbers, layer.output.scales, y)
    for row in range(num_asked):
        out[row] = rows[num_rows - num_asked + row] + y[row, :size]
        normalise(out[row], layer.eps, x[row, :size])
    feed_forward(layer.gate_up, layer.down, x, out)


@compiled
def normalise(x: Floats, eps: np.float32, out: Floats) -> None:
    """X ÷ √(mean x² + ε) of (d,) numbers."""
    total = _ZERO
    for e in range(len(x)):
        total += x[e] * x[e]
    scale = _ONE / np.sqrt(total / np.float32(len(x)) + eps)
    for e in range(len(x)):
        out[e] = x[e] * scale


@compiled
def norm(x: Floats, weight: Floats, eps: np.float32, out: Floats) -> None:
    """As `normalise`, times weights (d,)."""
    normalise(x, eps, out)
    out *= weight


@compiled
def norm_heads(rows: Floats, weights: Floats, eps: np.float32) -> None:
    """The first heads of rows (m, …), each by weights of its own, (h, e)."""
    width = weights.shape[1]
    for row in range(len(rows)):
        for head in range(len(weights)):
            own = rows[row, head * width : (head + 1) * width]
            norm(own, weights[head], eps, own)


@compiled
def feed_forward(gates: Scaled, down: Scaled, normed: Floats, out: Floats) -> None:
    """Add down(SiLU(gate) · up) of the normed rows to `out (q, d)`; `gates`: gate above up."""
    (num_rows, size), width = out.shape, len(gates.scales) // 2
    gate_up, mixed, found = row_buffer(num_rows, 2 * width), row_buffer(num_rows, width), row_buffer(num_rows, size)
    multiply(normed, num_rows, gates.numbers, gates.scales, gate_up)
    for row in range(num_rows):
        mixed[row, :width] = gate_up[row, :width]
        silu(mixed[row, :width])
        mixed[row, :width] *= gate_up[row, width : 2 * width]
    multiply(mixed, num_rows, down.numbers, down.scales, found)
    for row in range(num_rows):
        out[row] += found[row, :size]


@compiled
def place(qkv: Floats, cos: Floats, sin: Floats, where: Pass, keys: Floats, values: Floats, queries: Floats) -> None:
    """Rotate queries and keys of rows, (h + 2 · kv) · e numbers each; keep keys (kv, e, c) and values (kv, c, e).

    `queries (m, h, e)` are written.
    """
    (num_kv, width, _), num_heads = keys.shape, queries.shape[1]
    half, behind = width // 2, (num_heads + num_kv) * width
    for row in range(len(queries)):
        column, position = where.columns[row], where.positions[row]
        for head in range(num_heads + num_kv):
            first = head * width
            for e in range(half):
                c, s = cos[position, e], sin[position, e]
                low, high = qkv[row, first + e], qkv[row, first + half + e]
                lower, upper = low * c - high * s, high * c + low * s
                if head < num_heads:
                    queries[row, head, e], queries[row, head, half + e] = lower, upper
                else:
                    keys[head - num_heads, e, column], keys[head - num_heads, half + e, column] = lower, upper
        for head in range(num_kv):
            for e in range(width):
                values[head, column, e] = qkv[row, behind + head * width + e]
