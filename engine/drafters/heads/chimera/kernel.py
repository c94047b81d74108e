"""Chimera's network compiled: trigrams, a pass of the full-context encoder, and the likeliest tokens, a call each.

Same arithmetic as `network.TorchNetwork`, in float32. Knows numbers only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.drafters.heads._compiled import Scaled, compiled, multiply
from engine.runtime.cpu.rowwise_attention import Mask, attend
from engine.runtime.cpu.small_products import Matrix, row_buffer, widened
from engine.runtime.cpu.softmax import Doubles, Floats, Integers, likeliest, silu

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)


class Layer(NamedTuple):
    """The encoder's matrices, packed for `linear`, and the angles of its rotary embedding by position."""

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


@compiled
def summed(table: Matrix, triples: Integers, sums: Floats) -> None:
    """Of tokens (m, 3) the sums (m, 4d) of their parts in the table (v, 3, 4d)."""
    for row in range(len(triples)):
        first, second, third = table[triples[row, 0], 0], table[triples[row, 1], 1], table[triples[row, 2], 2]
        for e in range(table.shape[2]):
            sums[row, e] = widened(first[e]) + widened(second[e]) + widened(third[e])


@compiled
def multiplied(embedding: Matrix, parts: Scaled, triples: Integers, sums: Floats) -> None:
    """As `summed`, of embeddings (v, d) and the matrix (4d, 3d) that makes such parts of them."""
    num_rows, size = len(triples), embedding.shape[1]
    x = row_buffer(num_rows, 3 * size)
    for row in range(num_rows):
        for slot in range(3):
            for e in range(size):
                x[row, slot * size + e] = widened(embedding[triples[row, slot], e])
    multiply(x, num_rows, parts.numbers, parts.scales, sums)


@compiled
def grams(sums: Floats, bias: Floats, down: Scaled, out: Floats) -> None:
    """Trigram outputs (m, d) of what `summed` or `multiplied` gave."""
    num_rows, size = out.shape
    mixed, found = row_buffer(num_rows, 3 * size), row_buffer(num_rows, size)
    for row in range(num_rows):
        mixed[row, : 3 * size] = sums[row, : 3 * size] + bias
        silu(mixed[row, : 3 * size])
    multiply(mixed, num_rows, down.numbers, down.scales, found)
    for row in range(num_rows):
        out[row] = sums[row, 3 * size : 4 * size] + found[row, :size]


@compiled
def encode(layer: Layer, rows: Floats, where: Pass, keys: Floats, values: Floats, out: Floats) -> None:
    """Keep keys (h, e, c) and values (h, c, e) of rows (m, d); the layer's output of the last q rows → out (q, d)."""
    (num_rows, size), (num_asked, num_heads) = rows.shape, (len(out), len(keys))
    normed, qkv = row_buffer(num_rows, size), row_buffer(num_rows, 3 * size)
    for row in range(num_rows):
        _normalise(rows[row], layer.eps, normed[row, :size])
    multiply(normed, num_rows, layer.qkv.numbers, layer.qkv.scales, qkv)
    queries = np.empty((num_rows, num_heads, size // num_heads), np.float32)
    _place(qkv, layer.cos, layer.sin, where, keys, values, queries)
    attended = np.empty((num_asked, num_heads, size // num_heads), np.float32)
    attend(queries[num_rows - num_asked :], keys, values, where.mask, _ONE, _ZERO, attended)
    x, y = row_buffer(num_asked, size), row_buffer(num_asked, size)
    x[:num_asked, :size] = attended.reshape(num_asked, size)
    multiply(x, num_asked, layer.output.numbers, layer.output.scales, y)
    for row in range(num_asked):
        out[row] = rows[num_rows - num_asked + row] + y[row, :size]
        _normalise(out[row], layer.eps, x[row, :size])
    _feed_forward(layer, x, out)


@compiled
def rank(
    head: Scaled,
    known: Floats,
    output: Scaled,
    encoded: Floats,
    tokens: Integers,
    log_probs: Doubles,
) -> None:
    """The likeliest tokens behind c (q, d) and their log-probabilities, (q, k) each; `known (d,)` is h's part."""
    (num_rows, size), vocab_size = encoded.shape, len(output.scales)
    x, projected = row_buffer(num_rows, size), row_buffer(num_rows, size)
    scores = row_buffer(num_rows, vocab_size)
    x[:num_rows, :size] = encoded
    multiply(x, num_rows, head.numbers, head.scales, projected)
    for row in range(num_rows):
        projected[row, :size] += known
    multiply(projected, num_rows, output.numbers, output.scales, scores)
    likeliest(scores, num_rows, vocab_size, tokens, log_probs)


@compiled
def product(x: Floats, matrix: Scaled, out: Floats) -> None:
    """Rows (m, i) times a linear map (o, i) → (m, o)."""
    rows, found = row_buffer(*x.shape), row_buffer(*out.shape)
    rows[: x.shape[0], : x.shape[1]] = x
    multiply(rows, len(x), matrix.numbers, matrix.scales, found)
    out[:] = found[: out.shape[0], : out.shape[1]]


@compiled
def _feed_forward(layer: Layer, normed: Floats, out: Floats) -> None:
    """Add down(SiLU(gate) · up) of the normed rows to `out (q, d)`."""
    (num_rows, size), width = out.shape, len(layer.gate_up.scales) // 2
    gate_up, mixed, found = row_buffer(num_rows, 2 * width), row_buffer(num_rows, width), row_buffer(num_rows, size)
    multiply(normed, num_rows, layer.gate_up.numbers, layer.gate_up.scales, gate_up)
    for row in range(num_rows):
        mixed[row, :width] = gate_up[row, :width]
        silu(mixed[row, :width])
        mixed[row, :width] *= gate_up[row, width : 2 * width]
    multiply(mixed, num_rows, layer.down.numbers, layer.down.scales, found)
    for row in range(num_rows):
        out[row] += found[row, :size]


@compiled
def _normalise(x: Floats, eps: np.float32, out: Floats) -> None:
    """X ÷ √(mean x² + ε) of (d,) numbers."""
    total = _ZERO
    for e in range(len(x)):
        total += x[e] * x[e]
    scale = _ONE / np.sqrt(total / np.float32(len(x)) + eps)
    for e in range(len(x)):
        out[e] = x[e] * scale


@compiled
def _place(qkv: Floats, cos: Floats, sin: Floats, where: Pass, keys: Floats, values: Floats, queries: Floats) -> None:
    """Rotate queries and keys of rows of 3 · h · e numbers; keep keys and values; `queries (m, h, e)` are written."""
    num_heads, width, _ = keys.shape
    half, size = width // 2, num_heads * width
    for row in range(len(queries)):
        column, position = where.columns[row], where.positions[row]
        for head in range(num_heads):
            first = head * width
            for e in range(half):
                c, s = cos[position, e], sin[position, e]
                low, high = qkv[row, first + e], qkv[row, first + half + e]
                queries[row, head, e] = low * c - high * s
                queries[row, head, half + e] = high * c + low * s
                low, high = qkv[row, size + first + e], qkv[row, size + first + half + e]
                keys[head, e, column] = low * c - high * s
                keys[head, half + e, column] = high * c + low * s
            for e in range(width):
                values[head, column, e] = qkv[row, 2 * size + first + e]
