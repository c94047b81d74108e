"""Attention over a KV cache with a boolean mask, True where a row may look.

Row-invariant attention gives each row the same bits whatever other rows share its pass and wherever
in the cache its keys stand: scores, softmax and weighted sum run in float64, and rounding to the
model's dtype hides the order of summation (docs/decisions/0002). Fused attention is torch's own.
Both pack the query heads that share a key head, so keys and values are never copied. Registered
with transformers under `ROW_INVARIANT` and `FUSED`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from engine.errors import BadInput

ROW_INVARIANT = "specviz_row_invariant"
FUSED = "specviz_fused"

Attend = Callable[..., Tensor]


def attend_row_invariant(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None,
    scale: float | None = None,
    softcap: float | None = None,
) -> Tensor:
    """(m, h, d) queries on (h_kv, t, d) keys and values, mask (m, t) → (m, h, d)."""
    num_rows, num_heads, head_dim = query.shape
    num_kv_heads, num_columns = keys.shape[0], keys.shape[1]
    scale = head_dim**-0.5 if scale is None else scale
    grouped = query.double().mul_(scale).transpose(0, 1).reshape(num_kv_heads, -1, head_dim)
    scores = grouped @ keys.double().mT
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if mask is not None:
        scores.view(num_kv_heads, -1, num_rows, num_columns).masked_fill_(~mask, -torch.inf)
    output = scores.softmax(dim=-1) @ values.double()
    return output.view(num_heads, num_rows, -1).transpose(0, 1).to(query.dtype)


def attend_fused(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None,
    scale: float | None = None,
    softcap: float | None = None,
) -> Tensor:
    """As `attend_row_invariant`, by torch's fused kernel in the queries' dtype."""
    if softcap is not None:
        return attend_row_invariant(query, keys, values, mask, scale, softcap)
    num_rows, num_heads, head_dim = query.shape
    num_kv_heads = keys.shape[0]
    grouped = query.transpose(0, 1).reshape(1, num_kv_heads, -1, head_dim)
    repeated = None if mask is None else mask.repeat(num_heads // num_kv_heads, 1)[None, None]
    keys, values = keys.to(query.dtype)[None], values.to(query.dtype)[None]
    output = torch.nn.functional.scaled_dot_product_attention(grouped, keys, values, attn_mask=repeated, scale=scale)
    return output.view(num_heads, num_rows, -1).transpose(0, 1)


def _for_transformers(attend: Attend) -> Callable[..., tuple[Tensor, None]]:
    """An attention function with transformers' signature: (1, h, m, d) in, (1, m, h, d) out."""

    def attention(
        module: torch.nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        softcap: float | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        if kwargs.get("s_aux") is not None:
            raise BadInput("This model family uses attention sinks, which the engine does not support.")
        mask = None if attention_mask is None else attention_mask[0, 0]
        output = attend(query[0].transpose(0, 1), key[0], value[0], mask, scaling, softcap)
        return output[None], None

    return attention


def _mask_as_given(*args: Any, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor | None:
    return attention_mask


for _name, _attend in ((ROW_INVARIANT, attend_row_invariant), (FUSED, attend_fused)):
    AttentionInterface.register(_name, _for_transformers(_attend))
    AttentionMaskInterface.register(_name, _mask_as_given)
