"""Hidden Transfer's guesses compiled: one call corrects an end's pseudo states, scores them and ranks their tokens.

Same arithmetic as `guesses.Guesses`, in float32. Knows numbers only.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from engine.drafters.heads._candidates import Candidates
from engine.drafters.heads._compiled import Layers, Scaled, compiled, layers_of, ranked, read_out, scaled_of
from engine.runtime.cpu.small_products import Matrix, linear_each, numbers_of, row_buffer, widened
from engine.runtime.cpu.softmax import Doubles, Floats, Integers


class Reader(NamedTuple):
    """Weights of n steps' corrections; where n is 0 nothing is corrected."""

    corrections: Layers
    """(n, d, 2d), of the owner's state and the token's embedding."""
    blocks: Layers
    """(1, n, d, d), or of no block."""
    table: Matrix
    """(v, d) embeddings."""
    output: Scaled


@compiled
def guesses(reader: Reader, states: Floats, owner: Floats, root_id: int, tokens: Integers, log_probs: Doubles) -> None:
    """The likeliest tokens of k steps' states (k, d) and their log-probabilities, (k, most) each."""
    num_steps, size = states.shape
    y = row_buffer(num_steps, size)
    y[:num_steps, :size] = states
    first = reader.corrections
    if len(first.biases):
        known, moved = row_buffer(num_steps, 2 * size), row_buffer(num_steps, size)
        known[:num_steps, :size] = owner
        for e in range(size):
            known[:num_steps, size + e] = widened(reader.table[root_id, e])
        linear_each(known, first.numbers[:num_steps], moved)
        for step in range(num_steps):
            y[step, :size] += moved[step, :size] * first.scales[step] + first.biases[step]
    read_out(y, num_steps, reader.blocks, reader.output, tokens, log_probs)


class CompiledGuesses:
    """Reads pseudo states beside a small target's output layer."""

    def __init__(self, parts: tuple[Tensor, Tensor, Tensor, Tensor], table: Tensor, output: Tensor) -> None:
        """Of `guesses.Corrections` and the target's tables (v, d)."""
        weight, bias, block, block_bias = parts
        one = slice(0, len(bias))  # of a single block, or of none where nothing is corrected
        blocks = layers_of(block[None][one], block_bias[None][one], table.dtype)
        first = layers_of(weight, bias, table.dtype)
        self._reader = Reader(first, blocks, numbers_of(table), scaled_of(output, table.dtype))

    def likeliest(self, states: Tensor, owner: Tensor, root_id: int, top_k: int) -> Candidates:
        """As `guesses.Guesses.likeliest`."""
        size = len(states), min(top_k, len(self._reader.output.scales))
        return ranked(guesses, self._reader, states.float().numpy(), owner[0].float().numpy(), root_id, size=size)
