"""Medusa's heads compiled: one call for the candidates of all.

Same arithmetic as `network.MedusaHeads`, in float32. Knows numbers only.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.drafters.heads._candidates import Candidates
from engine.drafters.heads._compiled import Layers, Scaled, compiled, layers_of, ranked, read_out, scaled_of
from engine.runtime.cpu.small_products import row_buffer
from engine.runtime.cpu.softmax import Doubles, Floats, Integers


@compiled
def candidates(blocks: Layers, output: Scaled, state: Floats, tokens: Integers, log_probs: Doubles) -> None:
    """The likeliest tokens of the first m of blocks (b, n, d, d) and log-probabilities, (m, k), from a state (d,)."""
    num_heads, size = len(tokens), blocks.biases.shape[2]
    y = row_buffer(num_heads, size)
    y[:num_heads, :size] = state
    read_out(y, num_heads, blocks, output, tokens, log_probs)


class CompiledHeads:
    """Heads that share a small target's output layer."""

    def __init__(self, matrices: Tensor, biases: Tensor, output: Tensor, dtype: torch.dtype) -> None:
        """Of blocks (b, n, d, d) and (b, n, d), and the output layer's weight (v, d)."""
        self._weights = layers_of(matrices, biases, dtype), scaled_of(output, dtype)
        self._vocab_size = len(output)

    def likeliest(self, hidden: Tensor, top_k: int, num_heads: int) -> Candidates:
        """As `network.MedusaHeads.likeliest`."""
        size = num_heads, min(top_k, self._vocab_size)
        return ranked(candidates, *self._weights, hidden[0].float().numpy(), size=size)
