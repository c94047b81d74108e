"""Medusa's heads compiled: one call for the candidates of all.

Same arithmetic as `network.MedusaHeads`, in float32. Knows numbers only.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from engine.drafters.heads._candidates import Candidates
from engine.drafters.heads._compiled import Layers, Output, call, compiled, layers_of, output_of, pass_block, rank
from engine.runtime.cpu.small_products import row_buffer
from engine.runtime.cpu.softmax import Doubles, Floats, Integers


class Heads(NamedTuple):
    """Weights of n heads of b residual blocks."""

    blocks: Layers
    """(b, n, d, d)."""
    output: Output


@compiled
def candidates(heads: Heads, state: Floats, tokens: Integers, log_probs: Doubles) -> None:
    """The likeliest tokens of each head and their log-probabilities, (n, k) each, from the state (d,)."""
    num_blocks, num_heads, size = heads.blocks.biases.shape
    y, mixed = row_buffer(num_heads, size), row_buffer(num_heads, size)
    y[:num_heads, :size] = state
    for i in range(num_blocks):
        block = Layers(heads.blocks.numbers[i], heads.blocks.scales[i], heads.blocks.biases[i])
        pass_block(y, block, mixed)
    rank(y, num_heads, heads.output, tokens, log_probs)


class CompiledHeads:
    """Heads that share a small target's output layer."""

    def __init__(self, matrices: Tensor, biases: Tensor, output: Tensor, dtype: torch.dtype) -> None:
        """Of blocks (b, n, d, d) and (b, n, d), and the output layer's weight (v, d)."""
        self._heads = Heads(layers_of(matrices, biases, dtype), output_of(output, dtype))
        self._num_heads, self._vocab_size = biases.shape[1], len(output)

    def likeliest(self, hidden: Tensor, top_k: int) -> Candidates:
        """As `network.MedusaHeads.likeliest`."""
        numbers, top_k = (self._heads, hidden[0].float().numpy()), min(top_k, self._vocab_size)
        return call(candidates, *numbers, num_rows=self._num_heads, top_k=top_k)
