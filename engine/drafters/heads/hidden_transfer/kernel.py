"""Hidden Transfer's guesses compiled: one call corrects an end's pseudo states, scores them and ranks their tokens.

Same arithmetic as `_transfer_guesses.Guesses`, in float32, with weights in bytes where they are of bfloat16: behind a
small target's pass torch's calls cost more than the numbers (docs/log.md, 2026-11-22). Knows numbers only.
"""

from __future__ import annotations

from typing import NamedTuple

from numba import njit

from engine.runtime.cpu.small_products import Matrix, linear, linear_each, row_buffer, widened
from engine.runtime.cpu.softmax import Doubles, Floats, Integers, likeliest, silu


class Reader(NamedTuple):
    """Weights, matrices packed for `linear`."""

    corrections: Matrix
    """(n, …): a packed matrix of the owner's state and the token's embedding, 2d entries, for each of n steps."""
    scales: Floats
    """(n, d): what the matrix's results are multiplied with, here and below."""
    biases: Floats
    """(n, d); where n is 0 nothing is corrected."""
    blocks: Matrix
    block_scales: Floats
    block_biases: Floats
    table: Matrix
    """(v, d) embeddings."""
    output: Matrix
    output_scales: Floats
    """(v,)."""


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def guesses(reader: Reader, states: Floats, owner: Floats, root_id: int, tokens: Integers, log_probs: Doubles) -> None:
    """The likeliest tokens of k steps' states (k, d) and their log-probabilities, (k, most) each."""
    (num_steps, size), vocab_size = states.shape, len(reader.output_scales)
    y, scores = row_buffer(num_steps, size), row_buffer(num_steps, vocab_size)
    y[:num_steps, :size] = states
    if len(reader.biases):
        known, moved = row_buffer(num_steps, 2 * size), row_buffer(num_steps, size)
        known[:num_steps, :size] = owner
        for e in range(size):
            known[:num_steps, size + e] = widened(reader.table[root_id, e])
        linear_each(known, reader.corrections[:num_steps], moved)
        for step in range(num_steps):
            y[step, :size] += moved[step, :size] * reader.scales[step] + reader.biases[step]
        linear_each(y, reader.blocks[:num_steps], moved)
        for step in range(num_steps):
            moved[step, :size] *= reader.block_scales[step]
            moved[step, :size] += reader.block_biases[step]
            silu(moved[step, :size])
            y[step, :size] += moved[step, :size]
    linear(y, num_steps, reader.output, scores)
    for step in range(num_steps):
        scores[step, :vocab_size] *= reader.output_scales
    likeliest(scores, num_steps, vocab_size, tokens, log_probs)
