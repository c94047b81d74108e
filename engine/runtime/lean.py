"""Small float32 Llama-shaped decoders in numpy, for passes of few rows.

A draft model of a million weights spends its pass in the overhead of calls, and numpy's calls cost a
fraction of torch's (docs/log.md, 2026-11-21: 1.4 → 0.4 ms a row). Same arithmetic as fused.py on the
same KV cache, whose memory both share; not row-invariant, so never for a target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from engine.runtime.cache import KVCache

MAX_PARAMETERS = 5_000_000
MAX_ROWS = 8
Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class _Layer:
    attention_norm: Array
    qkv: Array
    output: Array
    mlp_norm: Array
    gate_up: Array
    down: Array


class LeanDecoder:
    """Weights as (in, out) arrays and the pass over them."""

    def __init__(self, model: PreTrainedModel, cos: Tensor, sin: Tensor) -> None:
        """`cos` and `sin` are fused.py's rotary tables (p, 1, d)."""
        config = model.config
        self.num_heads: int = config.num_attention_heads
        self.num_kv_heads: int = config.num_key_value_heads
        self.head_dim: int = getattr(config, "head_dim", None) or config.hidden_size // self.num_heads
        self.eps: float = config.rms_norm_eps
        self.embedding = _array(model.get_input_embeddings().weight)
        self.layers = [_convert(layer) for layer in model.model.layers]
        self.norm = _array(model.model.norm.weight)
        self.head = _array(model.lm_head.weight.t())
        self.cos, self.sin = _array(cos), _array(sin)

    def forward(self, ids: Tensor, positions: Tensor, mask: Tensor | None, cache: KVCache, scored: slice) -> Tensor:
        """Rows (m,) → logits (k, v) of the k `scored` ones; keys and values are written to the cache."""
        x = self.embedding[ids.numpy()]
        rotary = self.cos[positions.numpy()], self.sin[positions.numpy()]
        blocked = None if mask is None else ~mask.numpy()
        start = cache.length
        for layer, kv in zip(self.layers, cache.kv_layers, strict=True):
            x = self._layer(layer, x, rotary, blocked, kv.keys[0].numpy(), kv.values[0].numpy(), start)
        x = self._rms_norm(x[scored], self.norm)
        return torch.from_numpy(x @ self.head)

    def _layer(
        self,
        layer: _Layer,
        x: Array,
        rotary: tuple[Array, Array],
        blocked: np.ndarray[Any, np.dtype[np.bool_]] | None,
        keys: Array,
        values: Array,
        start: int,
    ) -> Array:
        num_rows, num_rotated, end = len(x), self.num_heads + self.num_kv_heads, start + len(x)
        heads = (self._rms_norm(x, layer.attention_norm) @ layer.qkv).reshape(num_rows, -1, self.head_dim)
        rotated = self._rotate(heads[:, :num_rotated], *rotary)
        keys[:, start:end] = rotated[:, self.num_heads :].swapaxes(0, 1)
        values[:, start:end] = heads[:, num_rotated:].swapaxes(0, 1)
        x = x + self._attend(rotated[:, : self.num_heads], keys[:, :end], values[:, :end], blocked) @ layer.output
        gate_up = self._rms_norm(x, layer.mlp_norm) @ layer.gate_up
        width = gate_up.shape[1] // 2
        gate, up = gate_up[:, :width], gate_up[:, width:]
        result: Array = x + (gate / (1 + np.exp(-gate)) * up) @ layer.down
        return result

    def _attend(
        self, query: Array, keys: Array, values: Array, blocked: np.ndarray[Any, np.dtype[np.bool_]] | None
    ) -> Array:
        """(m, h, d) queries on (h_kv, t, d) keys and values → (m, h · d)."""
        num_rows, num_columns = len(query), keys.shape[1]
        grouped = query.swapaxes(0, 1).reshape(self.num_kv_heads, -1, self.head_dim) * self.head_dim**-0.5
        scores = grouped.astype(np.float32, copy=False) @ keys.swapaxes(1, 2)
        if blocked is not None:
            scores.reshape(self.num_kv_heads, -1, num_rows, num_columns)[:, :, blocked] = -np.inf
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        output = (scores @ values).reshape(self.num_heads, num_rows, -1)
        attended: Array = output.swapaxes(0, 1).reshape(num_rows, -1)
        return attended

    def _rms_norm(self, x: Array, weight: Array) -> Array:
        mean_square = np.einsum("mh,mh->m", x, x)[:, None] / np.float32(x.shape[1])
        normed: Array = x * (1 / np.sqrt(mean_square + np.float32(self.eps))) * weight
        return normed

    def _rotate(self, heads: Array, cos: Array, sin: Array) -> Array:
        half = self.head_dim // 2
        swapped = np.concatenate((heads[..., half:], heads[..., :half]), axis=-1)
        rotated: Array = heads * cos + swapped * sin
        return rotated


def supports(model: PreTrainedModel) -> bool:
    """Whether a fused model is small enough to gain, in float32, and without biases or head norms."""
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    has_extras = any(name.endswith(("bias", "q_norm.weight")) for name, _ in model.named_parameters())
    return num_parameters <= MAX_PARAMETERS and model.dtype == torch.float32 and not has_extras


def _array(tensor: Any) -> Array:
    array: Array = np.ascontiguousarray(tensor.detach().float().numpy())
    return array


def _convert(layer: Any) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp

    def joined(*linears: Any) -> Array:
        return _array(torch.cat([linear.weight for linear in linears]).t())

    return _Layer(
        attention_norm=_array(layer.input_layernorm.weight),
        qkv=joined(attention.q_proj, attention.k_proj, attention.v_proj),
        output=joined(attention.o_proj),
        mlp_norm=_array(layer.post_attention_layernorm.weight),
        gate_up=joined(mlp.gate_proj, mlp.up_proj),
        down=joined(mlp.down_proj),
    )
