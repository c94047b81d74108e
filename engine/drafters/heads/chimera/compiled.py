"""Chimera's network for small targets on a CPU: `_chimera_kernel.py` behind the interface of `_chimera.py`.

Knows which loop runs where and in which form weights are handed to it; no arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from engine.drafters.heads._candidates import LogProbs, Tokens
from engine.drafters.heads.chimera import kernel
from engine.drafters.heads.chimera.network import (
    MAX_DRAFT_COLUMNS,
    FullContext,
    Network,
    NetworkWeights,
    Triple,
    angles,
)
from engine.runtime.cpu.small_products import Matrix, numbers_of, packed
from engine.runtime.cpu.threads import compiled_threads


class CompiledNetwork(Network):
    """Compiled loops, one call a step."""

    def __init__(self, weights: NetworkWeights, embedding: Tensor, output: Tensor) -> None:
        """`embedding` and `output (v, d)` are the target's."""
        self.shape, self.device = weights.shape, embedding.device
        self.dtype = output.dtype
        size = weights.shape.hidden_size
        # What each token adds to a trigram as its first, second or third.
        slots = weights.parts.to(self.dtype).view(4 * size, 3, size).transpose(0, 1)
        self._table = numbers_of(torch.stack([embedding.to(self.dtype) @ slot.mT for slot in slots], dim=1))
        self._bias, self._down = weights.bias.numpy(), self._packed(weights.down)
        self._known = self._packed(weights.known)
        self._heads = [self._packed(head) for head in weights.heads]
        self._output = self._packed(output)
        self._qkv, self._projection = self._packed(weights.qkv), self._packed(weights.output)
        self._gate_up, self._mlp_down = self._packed(weights.gate_up), self._packed(weights.mlp_down)

    def _packed(self, weight: Tensor) -> Matrix:
        return packed(weight, self.dtype)

    def context(self, max_context: int) -> CompiledContext:
        return CompiledContext(self, max_context)

    def layer(self, num_positions: int) -> kernel.Layer:
        """The encoder, for positions below this."""
        cos, sin = angles(self.shape, num_positions, self.device)
        return kernel.Layer(
            qkv=self._qkv,
            output=self._projection,
            gate_up=self._gate_up,
            down=self._mlp_down,
            cos=cos.numpy(),
            sin=sin.numpy(),
            eps=np.float32(self.shape.rms_norm_eps),
        )

    def grams(self, triples: Sequence[Triple]) -> Tensor:
        found = torch.empty(len(triples), self.shape.hidden_size)
        with compiled_threads():
            tokens = np.array(triples, np.int64).reshape(-1, 3)
            kernel.grams(self._table, self._bias, self._down, tokens, found.numpy())
        return found

    def known_part(self, hidden: Tensor) -> Tensor:
        found = torch.empty(1, self.shape.num_heads * self.shape.hidden_size)
        with compiled_threads():
            kernel.multiply(hidden.float().numpy(), self._known, found.numpy())
        return found.view(-1, self.shape.hidden_size)

    def likeliest(self, head: int, known: Tensor, encoded: Tensor, top_k: int) -> tuple[Tokens, LogProbs]:
        size = (len(encoded), min(top_k, self.shape.vocab_size))
        tokens, log_probs = np.empty(size, np.int64), np.empty(size)
        with compiled_threads():
            numbers = known.numpy(), self._output, self.shape.vocab_size, encoded.numpy()
            kernel.rank(self._heads[head], *numbers, tokens, log_probs)
        return tokens, log_probs


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
        with compiled_threads():
            kernel.encode(
                self._layer, rows.float().numpy(), where, self.keys.mT.numpy(), self.values.numpy(), found.numpy()
            )
        return found
