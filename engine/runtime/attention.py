"""Attention over a KV cache with a boolean mask, True where a row may look.

Row-invariant attention gives each row the same bits whatever other rows share its pass and wherever
in the cache its keys stand (rowwise_attention.py; docs/decisions/0002). Fused attention is torch's own, which
packs the query heads that share a key head, so keys and values are never copied. Registered
with transformers under `ROW_INVARIANT` and `FUSED`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

if TYPE_CHECKING:
    from engine.runtime.cpu.softmax import Floats

ROW_INVARIANT = "specviz_row_invariant"
FUSED = "specviz_fused"

Attend = Callable[..., Tensor]
_WATCHED: ContextVar[list[torch.nn.Module] | None] = ContextVar("watched", default=None)


def attend_row_invariant(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None,
    scale: float | None = None,
    softcap: float | None = None,
) -> Tensor:
    """(m, h, d) queries on (h_kv, t, d) keys and values, mask (m, t) → (m, h, d), compiled."""
    from engine.runtime.cpu import rowwise_attention
    from engine.runtime.cpu.threads import compiled_threads

    num_rows, num_heads, head_dim = query.shape
    if mask is None:
        mask = torch.ones(num_rows, keys.shape[1], dtype=torch.bool)
    output = torch.empty(num_rows, num_heads, values.shape[2], dtype=torch.float32)
    with compiled_threads():
        rowwise_attention.attend(
            query.float().contiguous().numpy(),
            _with_all_columns(keys.float().mT, 2),
            _with_all_columns(values.float(), 1),
            mask.contiguous().numpy(),
            np.float32(head_dim**-0.5 if scale is None else scale),
            np.float32(softcap or 0.0),
            output.numpy(),
        )
    return output.to(query.dtype)


def _with_all_columns(view: Tensor, axis: int) -> Floats:
    """The C-contiguous array that a cache's rows so far are a view of, columns on `axis`; else a contiguous copy.

    Compiled code is quick on arrays whose memory has no gaps, and the columns behind the view do it no harm.
    """
    heads, stride = view.shape[0], view.stride()
    shape = (heads, view.shape[1], stride[1]) if axis == 2 else (heads, stride[0] // stride[1], view.shape[2])
    is_whole = stride == (shape[1] * shape[2], shape[2], 1) and view.storage_offset() == 0
    if not is_whole or view.untyped_storage().nbytes() < view.element_size() * math.prod(shape):
        return view.contiguous().numpy()
    return view.as_strided(shape, stride).numpy()


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
        return _attend_softly_capped(query, keys, values, mask, scale, softcap)
    num_rows, num_heads, head_dim = query.shape
    num_kv_heads = keys.shape[0]
    grouped = query.transpose(0, 1).reshape(1, num_kv_heads, -1, head_dim)
    repeated = None if mask is None else mask.repeat(num_heads // num_kv_heads, 1)[None, None]
    keys, values = keys.to(query.dtype)[None], values.to(query.dtype)[None]
    output = torch.nn.functional.scaled_dot_product_attention(grouped, keys, values, attn_mask=repeated, scale=scale)
    # Not `view`: some of torch's kernels give heads and rows in another order of memory.
    return output.reshape(num_heads, num_rows, -1).transpose(0, 1)


def _attend_softly_capped(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float | None, softcap: float
) -> Tensor:
    """Gemma 2's scores, which torch's fused kernel has no place for; in float32."""
    num_rows, num_heads, head_dim = query.shape
    num_kv_heads, num_columns = keys.shape[0], keys.shape[1]
    scale = head_dim**-0.5 if scale is None else scale
    grouped = (query.float() * scale).transpose(0, 1).reshape(num_kv_heads, -1, head_dim)
    scores = torch.tanh(grouped @ keys.float().mT / softcap) * softcap
    if mask is not None:
        scores.view(num_kv_heads, -1, num_rows, num_columns).masked_fill_(~mask, -torch.inf)
    output = scores.softmax(dim=-1) @ values.float()
    return output.view(num_heads, num_rows, -1).transpose(0, 1).to(query.dtype)


@contextmanager
def watched() -> Iterator[list[torch.nn.Module]]:
    """The modules of a transformers model that attend by these functions meanwhile, in order."""
    calls: list[torch.nn.Module] = []
    token = _WATCHED.set(calls)
    try:
        yield calls
    finally:
        _WATCHED.reset(token)


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
        if (calls := _WATCHED.get()) is not None:
            calls.append(module)
        mask = None if attention_mask is None else attention_mask[0, 0]
        output = attend(query[0].transpose(0, 1), key[0], value[0], mask, scaling, softcap)
        return output[None], None

    return attention


def _mask_as_given(*args: Any, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor | None:
    return attention_mask


for _name, _attend in ((ROW_INVARIANT, attend_row_invariant), (FUSED, attend_fused)):
    AttentionInterface.register(_name, _for_transformers(_attend))
    AttentionMaskInterface.register(_name, _mask_as_given)
