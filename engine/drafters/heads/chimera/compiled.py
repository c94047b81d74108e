"""Chimera's network for small targets on a CPU: kernel.py behind the interface of network.py.

Knows which loop runs where and in which form weights are handed to it; no arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.drafters.heads._candidates import Candidates, Tokens
from engine.drafters.heads._compiled import ranked, run, scaled_of
from engine.drafters.heads.chimera import kernel
from engine.drafters.heads.chimera.network import (
    MAX_DRAFT_COLUMNS,
    FullContext,
    Network,
    NetworkWeights,
    Triple,
    angles,
)
from engine.runtime.cpu.small_products import numbers_of, row_buffer

MOST_TABLED = 64_000_000
"""Numbers of a table of what tokens add to trigrams; of a larger vocabulary they are multiplied at each draft."""


class CompiledNetwork(Network):
    """Compiled loops, one call a step."""

    def __init__(self, weights: NetworkWeights, embedding: Tensor, output: Tensor, vocabulary: Tokens) -> None:
        """`embedding (v, d)` is the target's, and so is `output (n, d)`, whose rows score the vocabulary (n,)."""
        self.shape, self.device, self.vocabulary = weights.shape, embedding.device, vocabulary
        self.dtype = output.dtype
        size = weights.shape.hidden_size
        pack = partial(scaled_of, dtype=self.dtype)
        if 12 * embedding.numel() <= MOST_TABLED:
            # What each token adds to a trigram as its first, second or third.
            slots = weights.parts.to(self.dtype).view(4 * size, 3, size).transpose(0, 1)
            table = numbers_of(torch.stack([embedding.to(self.dtype) @ slot.mT for slot in slots], dim=1))
            self._sum: tuple[Any, ...] = kernel.summed, table
        else:
            self._sum = kernel.multiplied, numbers_of(embedding.to(self.dtype)), pack(weights.parts)
        self._bias, self._down, self._known = weights.bias.numpy(), pack(weights.down), pack(weights.known)
        self._heads, self._output = [pack(head) for head in weights.heads], pack(output)
        self._qkv, self._projection = pack(weights.qkv), pack(weights.output)
        self._gate_up, self._mlp_down = pack(weights.gate_up), pack(weights.mlp_down)

    def context(self, max_context: int) -> CompiledContext:
        return CompiledContext(self, max_context)

    def layer(self, num_positions: int) -> kernel.Layer:
        """The encoder, for positions below this."""
        cos, sin = angles(self.shape, num_positions, self.device)
        matrices = self._qkv, self._projection, self._gate_up, self._mlp_down
        return kernel.Layer(*matrices, cos.numpy(), sin.numpy(), np.float32(self.shape.rms_norm_eps))

    def grams(self, triples: Sequence[Triple]) -> Tensor:
        found = torch.empty(len(triples), self.shape.hidden_size)
        sums = row_buffer(len(triples), 4 * self.shape.hidden_size)
        run(*self._sum, np.array(triples, np.int64).reshape(-1, 3), sums)
        run(kernel.grams, sums, self._bias, self._down, found.numpy())
        return found

    def known_part(self, hidden: Tensor) -> Tensor:
        found = torch.empty(1, self.shape.num_heads * self.shape.hidden_size)
        run(kernel.product, hidden.float().numpy(), self._known, found.numpy())
        return found.view(-1, self.shape.hidden_size)

    def likeliest(self, head: int, known: Tensor, encoded: Tensor, top_k: int) -> Candidates:
        num_tokens = len(self.vocabulary)
        numbers = self._heads[head], known.numpy(), self._output, encoded.numpy()
        places, log_probs = ranked(kernel.rank, *numbers, size=(len(encoded), min(top_k, num_tokens)))
        return self.vocabulary[places], log_probs


class CompiledContext(FullContext):
    """Compiled loops on one session's keys and values."""

    def __init__(self, network: CompiledNetwork, max_context: int) -> None:
        super().__init__(network.shape, max_context, network.device)
        self._layer = network.layer(max_context + MAX_DRAFT_COLUMNS)

    def encode(
        self, rows: Tensor, num_asked: int, positions: Tensor, columns: Tensor, end: int, mask: Tensor
    ) -> Tensor:
        found = torch.empty(num_asked, rows.shape[1])
        looks = np.ones((num_asked, end), np.bool_)
        looks[:, end - mask.shape[1] :] = mask.numpy()
        where = kernel.Pass(positions.numpy(), columns.numpy(), looks)
        cache = self.keys.mT.numpy(), self.values.numpy()
        run(kernel.encode, self._layer, rows.float().numpy(), where, *cache, found.numpy())
        return found
