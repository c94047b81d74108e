"""Llama-shaped decoders run without their Python modules.

Same weights and arithmetic as transformers' Llama, Mistral, Qwen2 and Qwen3, in fewer calls: query,
key and value as one product, gate and up as one, rotary tables made once, no per-layer objects. A
small model spends most of a pass in such calls (docs/log.md, 2026-11-21). Other families go
through transformers' own forward (runner.py). Weights only; the KV cache comes with each pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.runtime import lean
from engine.runtime.attention import attend_fused, attend_row_invariant
from engine.runtime.cache import KVCache
from engine.runtime.extra import Layout
from engine.runtime.linear import pack

FAMILIES = {"llama", "mistral", "qwen2", "qwen3"}


@dataclass(frozen=True)
class _Layer:
    attention_norm: Tensor
    qkv: nn.Module
    q_norm: Tensor | None
    k_norm: Tensor | None
    output: nn.Module
    mlp_norm: Tensor
    gate_up: nn.Module
    down: nn.Module


class FusedDecoder:
    """A Llama-shaped model's weights and its forward pass over (m,) rows."""

    def __init__(self, model: PreTrainedModel, max_positions: int) -> None:
        config = model.config
        self.num_heads: int = config.num_attention_heads
        self.num_kv_heads: int = config.num_key_value_heads
        self.head_dim: int = getattr(config, "head_dim", None) or config.hidden_size // self.num_heads
        self.eps: float = config.rms_norm_eps
        self.hidden_size: int = config.hidden_size
        self.embedding = cast(nn.Embedding, model.get_input_embeddings()).weight
        self.cos, self.sin = _rotary_tables(model, max_positions)
        # Before fusing, which frees the weights that it joins.
        self.lean = lean.LeanDecoder(model, self.cos, self.sin) if lean.supports(model) else None
        self.layers = [_fuse(layer) for layer in model.model.layers]
        self.norm: Tensor = model.model.norm.weight
        self.head = pack(model.lm_head.weight, model.lm_head.bias)

    def linears(self) -> list[nn.Module]:
        """All linear layers."""
        return [m for layer in self.layers for m in (layer.qkv, layer.output, layer.gate_up, layer.down)] + [self.head]

    def forward(
        self,
        ids: Tensor,
        positions: Tensor,
        mask: Tensor | None,
        cache: KVCache,
        hidden_layers: Sequence[int],
        scored: slice,
        *,
        is_row_invariant: bool,
        layout: Layout | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        """Rows (m,) → logits (k, v) of the k `scored` ones and the asked-for hidden states, each (m, h).

        `mask (m, t)` is True where a row may look; None where every row may look everywhere. The extra
        rows of `layout` are computed from their own layer on.
        """
        is_few = len(ids) <= lean.MAX_ROWS and cache.kv_layers[0].is_initialized
        if self.lean is not None and is_few and not is_row_invariant and not hidden_layers and layout is None:
            return self.lean.forward(ids, positions, mask, cache, scored), None
        attend = attend_row_invariant if is_row_invariant else attend_fused
        cos, sin = self.cos[positions], self.sin[positions]
        x = nn.functional.embedding(ids if layout is None else ids[: layout.num_real], self.embedding)
        seen = [x]
        rotary, looks = (cos[: len(x)], sin[: len(x)]), _looks(mask, len(x))
        for number, (layer, kv) in enumerate(zip(self.layers, cache.kv_layers, strict=True)):
            if layout is not None and number in layout.groups:
                x = torch.cat((x, layout.entering(number, x)))
                rotary, looks = (cos[: len(x)], sin[: len(x)]), _looks(mask, len(x))
            x = self._layer(layer, x, rotary, looks, kv.update, attend)
            if hidden_layers:
                seen.append(x)
        x = self._rms_norm(x, self.norm)
        seen[-1] = x
        logits: Tensor = self.head.forward(x[scored])
        return logits, tuple(seen[i] for i in hidden_layers) if hidden_layers else None

    def _layer(
        self,
        layer: _Layer,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask: Tensor | None,
        update: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
        attend: Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor],
    ) -> Tensor:
        num_rows, num_rotated = len(x), self.num_heads + self.num_kv_heads
        qkv = layer.qkv.forward(self._rms_norm(x, layer.attention_norm)).view(num_rows, -1, self.head_dim)
        rotated = self._rotate(self._normalise_heads(layer, qkv[:, :num_rotated]), *rotary)
        query, key = rotated[:, : self.num_heads], rotated[:, self.num_heads :]
        keys, values = update(key.transpose(0, 1)[None], qkv[:, num_rotated:].transpose(0, 1)[None])
        x = layer.output.forward(attend(query, keys[0], values[0], mask).reshape(num_rows, -1)).add_(x)
        gate_up = layer.gate_up.forward(self._rms_norm(x, layer.mlp_norm))
        width = gate_up.shape[-1] // 2
        y: Tensor = layer.down.forward(nn.functional.silu(gate_up[:, :width]).mul_(gate_up[:, width:])).add_(x)
        return y

    def _rms_norm(self, x: Tensor, weight: Tensor) -> Tensor:
        """X ÷ √(mean x² + ε) · weight, the mean in float32; torch's own takes five times as long here."""
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        scale = norm.square_().div_(x.shape[-1]).add_(self.eps).rsqrt_()
        normed: Tensor = (x * scale).to(x.dtype).mul_(weight)
        return normed

    def _normalise_heads(self, layer: _Layer, heads: Tensor) -> Tensor:
        """Qwen3's norms of queries and keys; other families have none."""
        if layer.q_norm is None or layer.k_norm is None:
            return heads
        query, key = heads[:, : self.num_heads], heads[:, self.num_heads :]
        return torch.cat((self._rms_norm(query, layer.q_norm), self._rms_norm(key, layer.k_norm)), dim=1)

    def _rotate(self, heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Rotary embedding of (m, h, d); `sin` carries the sign of the swapped halves."""
        half = self.head_dim // 2
        swapped = torch.cat((heads[..., half:], heads[..., :half]), dim=-1)
        return torch.addcmul(heads * cos, swapped, sin)


def _looks(mask: Tensor | None, num_rows: int) -> Tensor | None:
    """The mask of the rows that are there so far."""
    if mask is None or len(mask) == num_rows:
        return mask
    # Made contiguous once, and not by every layer's attention.
    return mask[:num_rows, : mask.shape[1] - len(mask) + num_rows].contiguous()


def supports(model: PreTrainedModel) -> bool:
    """Whether this model is one of the families, without parts that this pass leaves out."""
    config = model.config
    if getattr(config, "model_type", "") not in FAMILIES or model.device.type != "cpu":
        return False
    is_default_rope = (config.rope_parameters or {}).get("rope_type", "default") in ("default", "llama3", "linear")
    is_full = set(getattr(config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
    return is_default_rope and is_full and config.hidden_act == "silu"


def _fuse(layer: Any) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    fused = _Layer(
        attention_norm=layer.input_layernorm.weight,
        qkv=_join(attention.q_proj, attention.k_proj, attention.v_proj),
        q_norm=getattr(getattr(attention, "q_norm", None), "weight", None),
        k_norm=getattr(getattr(attention, "k_norm", None), "weight", None),
        output=_join(attention.o_proj),
        mlp_norm=layer.post_attention_layernorm.weight,
        gate_up=_join(mlp.gate_proj, mlp.up_proj),
        down=_join(mlp.down_proj),
    )
    return fused


def _join(*linears: nn.Linear) -> nn.Module:
    """One layer whose output is the given layers' outputs side by side; the given weights are freed."""
    bias = None if linears[0].bias is None else torch.cat([linear.bias for linear in linears])
    joined = pack(torch.cat([linear.weight for linear in linears]), bias)
    for linear in linears:
        linear.weight = nn.Parameter(torch.empty(0, dtype=linear.weight.dtype), requires_grad=False)
    return joined


@torch.no_grad()
def _rotary_tables(model: PreTrainedModel, max_positions: int) -> tuple[Tensor, Tensor]:
    """(p, 1, d) cosines and signed sines, as the model's own rotary embedding gives them."""
    positions = torch.arange(max_positions)[None]
    cos, sin = model.model.rotary_emb(torch.zeros(1, dtype=model.dtype), positions)
    half = sin.shape[-1] // 2
    return cos[0][:, None], torch.cat((-sin[0, :, :half], sin[0, :, half:]), dim=-1)[:, None]
