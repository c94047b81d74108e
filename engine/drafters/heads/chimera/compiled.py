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
from engine.drafters.heads._decoder_compiled import CompiledCache, CompiledLayer
from engine.drafters.heads._decoder_layer import LayerCache
from engine.drafters.heads.chimera import kernel
from engine.drafters.heads.chimera.network import Network, NetworkWeights, Triple
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
        self._layer = CompiledLayer(weights.layer, self.dtype)

    def context(self, max_context: int) -> LayerCache:
        return CompiledCache(self._layer, *self.sizes(max_context))

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
