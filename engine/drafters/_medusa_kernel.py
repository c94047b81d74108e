"""Medusa's heads compiled: one call for the candidates of all.

A small network's draft is mostly the cost of calls: torch's take several times as long (docs/log.md, 2026-11-21). Same
arithmetic as `medusa.MedusaHeads`, in float32 with weights as they are. Knows numbers only.
"""

from __future__ import annotations

from typing import NamedTuple

from numba import njit

from engine.runtime.linear_kernel import Matrix, linear, row_buffer, silu
from engine.runtime.softmax_kernel import Doubles, Floats, Integers, likeliest


class Heads(NamedTuple):
    """Weights of n heads of b residual blocks, matrices packed for `linear`."""

    first: Matrix
    """All heads' first blocks as one, (n · d, d)."""
    later: Matrix
    """(n · (b - 1)) packed matrices, a head's after another."""
    biases: Floats
    """(n, b, d)."""
    output: Matrix
    vocab_size: int


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def candidates(heads: Heads, state: Floats, tokens: Integers, log_probs: Doubles) -> None:
    """The likeliest tokens of each head and their log-probabilities, (n, k) each, from the state (d,)."""
    num_heads, num_blocks, size = heads.biases.shape
    x, y = row_buffer(1, size), row_buffer(num_heads, size)
    wide, mixed = row_buffer(1, num_heads * size), row_buffer(1, size)
    scores = row_buffer(num_heads, heads.vocab_size)
    x[0, :size] = state
    linear(x, 1, heads.first, wide)
    for head in range(num_heads):
        first = head * size
        y[head, :size] = state
        _add_silu(y[head, :size], wide[0, first : first + size], heads.biases[head, 0])
        for block in range(1, num_blocks):
            x[0, :size] = y[head, :size]
            linear(x, 1, heads.later[head * (num_blocks - 1) + block - 1], mixed)
            _add_silu(y[head, :size], mixed[0, :size], heads.biases[head, block])
    linear(y, num_heads, heads.output, scores)
    likeliest(scores, num_heads, heads.vocab_size, tokens, log_probs)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_silu(y: Floats, mixed: Floats, bias: Floats) -> None:
    """Add SiLU(mixed + bias) to y, (d,) each."""
    for e in range(len(y)):
        y[e] += silu(mixed[e] + bias[e])
