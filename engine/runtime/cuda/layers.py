"""The arithmetic of Llama-shaped layers over m rows: few kernels, no host, so that a graph can hold them.

Same arithmetic as transformers' Llama, Mistral, Qwen2 and Qwen3, at least as exact: norms, rotation and residuals are
rounded once where transformers rounds twice. Grouped queries are packed, so keys and values are never copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.bias import causal_lower_right

from engine.runtime.cuda.weights import Layer, Weights

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Queries (m, heads, d), keys and values (kv heads, t, d) → (m, heads, d)."""
Write = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Keeps keys and values (m, 2 · kv heads, d) of the rows; gives all keys and values (kv heads, t, d)."""


def rotation(weights: Weights, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines (m, 1, d) of places (m,), in the model's dtype."""
    angles = positions[:, None].float() * weights.frequencies
    both = torch.cat((angles, angles), dim=-1)[:, None]
    dtype = weights.embedding.dtype
    return (both.cos() * weights.rotary_scale).to(dtype), (both.sin() * weights.rotary_scale).to(dtype)


def rotated(heads: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary embedding of (m, heads, d)."""
    cos, sin = turn
    half = heads.shape[-1] // 2
    found = heads * cos
    found[..., :half].addcmul_(heads[..., half:], sin[..., :half], value=-1)
    found[..., half:].addcmul_(heads[..., :half], sin[..., half:])
    return found


def through(
    x: Tensor, layer: Layer, weights: Weights, turn: tuple[Tensor, Tensor], write: Write, attend: Attend
) -> Tensor:
    """What a layer makes of states (m, h)."""
    num_rows, heads, kv_heads = len(x), weights.num_heads, weights.num_kv_heads
    qkv = functional.linear(normed(x, layer.input_norm, weights.epsilon), layer.qkv, layer.qkv_bias)
    qkv = qkv.view(num_rows, heads + 2 * kv_heads, weights.head_dim)
    if layer.query_norm is not None and layer.key_norm is not None:
        query = normed(qkv[:, :heads], layer.query_norm, weights.epsilon)
        key = normed(qkv[:, heads : heads + kv_heads], layer.key_norm, weights.epsilon)
        turned = rotated(torch.cat((query, key), dim=1), turn)
    else:
        turned = rotated(qkv[:, : heads + kv_heads], turn)
    keys, values = write(torch.cat((turned[:, heads:], qkv[:, heads + kv_heads :]), dim=1))
    attended = attend(turned[:, :heads], keys, values).reshape(num_rows, -1)
    x = torch.addmm(x, attended, layer.output.t())
    gate, up = functional.linear(normed(x, layer.mlp_norm, weights.epsilon), layer.gate_up).chunk(2, dim=-1)
    return torch.addmm(x, functional.silu(gate) * up, layer.down.t())


def normed(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Root mean square norm of the last dimension."""
    return functional.rms_norm(x, (x.shape[-1],), weight, epsilon)


def masked(bias: Tensor, weights: Weights) -> Attend:
    """Attention that adds a bias (m, t): 0 where a row looks, -inf where it does not."""
    num_heads, num_kv_heads, head_dim = weights.num_heads, weights.num_kv_heads, weights.head_dim
    packed = bias.repeat(num_heads // num_kv_heads, 1)

    def attend(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        grouped = query.transpose(0, 1).reshape(1, num_kv_heads, -1, head_dim)
        output = functional.scaled_dot_product_attention(grouped, keys[None], values[None], attn_mask=packed)
        return output.reshape(num_heads, -1, head_dim).transpose(0, 1)

    return attend


def causal(num_rows: int, num_columns: int) -> Attend:
    """Attention of a text's last rows, each of which looks at itself and all before it: without a mask in memory."""
    is_whole = num_rows == num_columns
    how: Any = {"is_causal": True} if is_whole else {"attn_mask": causal_lower_right(num_rows, num_columns)}

    def attend(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        parts = (query.transpose(0, 1)[None], keys[None], values[None])
        output = functional.scaled_dot_product_attention(*parts, **how, enable_gqa=True)
        return output[0].transpose(0, 1)

    return attend
