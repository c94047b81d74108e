"""A prompt read through the library, many rows at once, into the cache that compiled passes go on with.

Plain and drafted decoding share what is read here, so its sums may run in any order; for few rows the compiled pass is
as quick and reads them itself. Weights are unpacked for the moment that they are multiplied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engine.runtime.cpu.decoder import CompiledDecoder
from engine.runtime.cpu.kv import CompiledCache
from engine.runtime.cpu.linear import unpacked
from engine.runtime.cpu.products import Matrix
from engine.runtime.cpu.vectors import LANES
from engine.runtime.device import has_fast_bf16

ROWS = 1024
"""Of a block: unpacking costs little beside them."""
FEWEST_ROWS = 48


@torch.inference_mode()
def read(
    decoder: CompiledDecoder, ids: Sequence[int], start: int, cache: CompiledCache, hidden_layers: Sequence[int]
) -> tuple[Tensor, ...] | None:
    """Keys and values of tokens that follow each other from place `start` on; their hidden states (t, h) if asked for."""
    cache.reserve(start + len(ids))
    dtype = decoder.dtype if decoder.dtype == torch.bfloat16 and has_fast_bf16() else torch.float32
    reader = _Reader(decoder, dtype, range(start, start + len(ids)), cache)
    x = torch.from_numpy(decoder.embed(ids))
    seen = [x] if hidden_layers else []
    for layer in range(decoder.num_layers):
        x = reader.layer(layer, x)
        if hidden_layers:
            seen.append(x)
    cache.length = start + len(ids)
    if not hidden_layers:
        return None
    seen[-1] = reader.norm(x, decoder.weights.norms[-1, 0])
    return tuple(seen[layer].to(decoder.dtype) for layer in hidden_layers)


class _Reader:
    """The layers of one block."""

    def __init__(self, decoder: CompiledDecoder, dtype: torch.dtype, positions: range, cache: CompiledCache) -> None:
        self.decoder, self.dtype, self.cache, self.start = decoder, dtype, cache, positions.start
        cos, sin = decoder.rotary.at(positions)
        self.cos, self.sin = torch.from_numpy(cos)[:, None], torch.from_numpy(sin)[:, None]
        rows, columns = torch.tensor(positions), torch.arange(positions.stop)
        self.mask = columns[None] <= rows[:, None] if positions.start else None

    def layer(self, number: int, x: Tensor) -> Tensor:
        """Rows (m, h) float32 behind a layer."""
        weights, decoder = self.decoder.weights, self.decoder
        attended = self._attend(number, self.norm(x, weights.norms[number, 0]))
        x = x + self._multiply(attended, weights.output[number], decoder.hidden_size)
        gate_up = self._multiply(
            self.norm(x, weights.norms[number, 1]), weights.gate_up[number], len(weights.gate_up[number]) * 2 * LANES
        ).view(len(x), -1, 2, LANES)
        active = (functional.silu(gate_up[:, :, 0]) * gate_up[:, :, 1]).view(len(x), -1)
        return x + self._multiply(active[:, : decoder.intermediate_size], weights.down[number], decoder.hidden_size)

    def norm(self, x: Tensor, weight: Any) -> Tensor:
        """Root mean square norm of rows, in float32."""
        return functional.rms_norm(x, (len(weight),), torch.from_numpy(weight), self.decoder.epsilon)

    def _multiply(self, x: Tensor, matrix: Matrix, num_columns: int) -> Tensor:
        weight = unpacked(matrix, num_columns, x.shape[1]).to(self.dtype)
        return functional.linear(x.to(self.decoder.dtype).to(self.dtype), weight).float()

    def _attend(self, layer: int, x: Tensor) -> Tensor:
        decoder, num_rows = self.decoder, len(x)
        num_heads, num_kv, dim = decoder.num_heads, decoder.num_kv_heads, decoder.head_dim
        heads = self._multiply(x, decoder.weights.qkv[layer], (num_heads + 2 * num_kv) * dim)
        if decoder.has_bias:
            heads += torch.from_numpy(decoder.weights.qkv_bias[layer])
        query, key, value = heads.view(num_rows, -1, dim).split((num_heads, num_kv, num_kv), dim=1)
        query, key = (self._rotate(self._norm_heads(part, layer, i)) for i, part in enumerate((query, key)))
        self.cache.write(layer, self.start, key.transpose(0, 1), value.transpose(0, 1))
        keys, values = self.cache.read(layer, self.start + num_rows)
        group = num_heads // num_kv
        attended = functional.scaled_dot_product_attention(
            query.transpose(0, 1).to(self.dtype)[None],
            keys.to(self.dtype).repeat_interleave(group, dim=0)[None],
            values.to(self.dtype).repeat_interleave(group, dim=0)[None],
            attn_mask=self.mask,
            is_causal=self.mask is None,
        )
        return attended[0].transpose(0, 1).reshape(num_rows, -1).float()

    def _norm_heads(self, heads: Tensor, layer: int, which: int) -> Tensor:
        if not self.decoder.has_head_norms:
            return heads
        return self.norm(heads, np.ascontiguousarray(self.decoder.weights.head_norms[layer, which]))

    def _rotate(self, heads: Tensor) -> Tensor:
        low, high = heads.chunk(2, dim=-1)
        return torch.cat((low * self.cos - high * self.sin, high * self.cos + low * self.sin), dim=-1)
