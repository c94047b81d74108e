"""Medusa's heads compiled: one call for the candidates of all.

A small network's draft is mostly the cost of calls: torch's take several times as long (docs/log.md, 2026-11-21). Same
arithmetic as `_medusa.MedusaHeads`, in float32, with weights in bytes where they are of bfloat16. Knows numbers only.
"""

from __future__ import annotations

from typing import NamedTuple

from numba import njit

from engine.runtime.cpu.small_products import Matrix, linear, linear_each, row_buffer
from engine.runtime.cpu.softmax import Doubles, Floats, Integers, likeliest, silu


class Heads(NamedTuple):
    """Weights of n heads of b residual blocks, matrices packed for `linear`."""

    blocks: Matrix
    """(b, n) packed matrices, and what their results are multiplied with, (b, n, d)."""
    block_scales: Floats
    biases: Floats
    """(b, n, d)."""
    output: Matrix
    output_scales: Floats
    """(v,)."""


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def candidates(heads: Heads, state: Floats, tokens: Integers, log_probs: Doubles) -> None:
    """The likeliest tokens of each head and their log-probabilities, (n, k) each, from the state (d,)."""
    num_blocks, num_heads, size = heads.biases.shape
    vocab_size = len(heads.output_scales)
    y, mixed = row_buffer(num_heads, size), row_buffer(num_heads, size)
    scores = row_buffer(num_heads, vocab_size)
    y[:num_heads, :size] = state
    for block in range(num_blocks):
        linear_each(y, heads.blocks[block], mixed)
        for head in range(num_heads):
            mixed[head, :size] *= heads.block_scales[block, head]
            mixed[head, :size] += heads.biases[block, head]
            silu(mixed[head, :size])
            y[head, :size] += mixed[head, :size]
    linear(y, num_heads, heads.output, scores)
    for head in range(num_heads):
        scores[head, :vocab_size] *= heads.output_scales
    likeliest(scores, num_heads, vocab_size, tokens, log_probs)
