"""Chimera's network compiled: trigrams and the likeliest tokens, a call each; the encoder is a decoder layer's.

Same arithmetic as `network.TorchNetwork`, in float32. Knows numbers only.
"""

from __future__ import annotations

from engine.drafters.heads._compiled import Scaled, compiled, multiply
from engine.runtime.cpu.small_products import Matrix, row_buffer, widened
from engine.runtime.cpu.softmax import Doubles, Floats, Integers, likeliest, silu


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
