"""A block drafter's decoder layers in training, under the published names of their tensors.

Many blocks of one text at once: blocks at b · a anchors, of r rows each, look at the text's features before their
anchor and at their own rows. `engine/drafters/heads/dflash/network.py` runs the same weights on one block. Knows
tensors; no masks, no loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from engine.drafters.heads.dflash.form import Form
from engine.training.decoder_layer import Mlp, RMSNorm
from engine.training.steps import rotated


@dataclass(frozen=True)
class Blocks:
    """Where blocks stand in their texts."""

    anchors: Tensor
    """(b, a): the root's place."""
    size: int
    """Rows of a block, r."""
    texts: Tensor
    """(b, t): the number of the text that each place is of."""

    @property
    def positions(self) -> Tensor:
        """(b, a · r) of all rows."""
        return (self.anchors[..., None] + torch.arange(self.size, device=self.anchors.device)).flatten(1)

    @cached_property
    def hidden(self) -> Tensor:
        """(b, 1, a, 1, t): places that a block must not see: its anchor's, those behind, and those of other texts."""
        places = torch.arange(self.texts.shape[1], device=self.anchors.device)
        own = self.texts.gather(1, self.anchors - 1)
        hidden = (places >= self.anchors[..., None]) | (self.texts[:, None] != own[..., None])
        return hidden[:, None, :, None]


class Attention(nn.Module):
    """Projections of rows, and norms of each head's queries and keys (Qwen3's)."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        size, dim = form.hidden_size, form.head_dim
        queries, keys = form.num_attention_heads * dim, form.num_key_value_heads * dim
        self.q_proj, self.k_proj = nn.Linear(size, queries, bias=False), nn.Linear(size, keys, bias=False)
        self.v_proj, self.o_proj = nn.Linear(size, keys, bias=False), nn.Linear(queries, size, bias=False)
        self.q_norm, self.k_norm = RMSNorm(dim, form.rms_norm_eps), RMSNorm(dim, form.rms_norm_eps)
        self.dim, self.num_shared = dim, form.num_attention_heads // form.num_key_value_heads

    def query(self, x: Tensor, positions: Tensor, theta: float) -> Tensor:
        """(b, m, d) at (b, m) positions → (b, heads, m, e), scaled."""
        query: Tensor = self.q_norm(self.q_proj(x).unflatten(2, (-1, self.dim)))
        return rotated(query.transpose(1, 2), positions, theta) / math.sqrt(self.dim)

    def key_value(self, x: Tensor, positions: Tensor, theta: float) -> tuple[Tensor, Tensor]:
        """Keys and values (b, heads, m, e), repeated for the heads that share them."""
        key = self.k_norm(self.k_proj(x).unflatten(2, (-1, self.dim))).transpose(1, 2)
        value = self.v_proj(x).unflatten(2, (-1, self.dim)).transpose(1, 2)
        key = rotated(key, positions, theta)
        return key.repeat_interleave(self.num_shared, dim=1), value.repeat_interleave(self.num_shared, dim=1)


class Layer(nn.Module):
    """A Qwen3 layer whose rows look at features, which pass its keys and values alone, and at their own block."""

    def __init__(self, form: Form, theta: float) -> None:
        super().__init__()
        size, eps = form.hidden_size, form.rms_norm_eps
        self.theta = theta
        self.input_layernorm, self.self_attn = RMSNorm(size, eps), Attention(form)
        self.post_attention_layernorm, self.mlp = RMSNorm(size, eps), Mlp(size, form.intermediate_size)

    def forward(self, x: Tensor, features: Tensor, blocks: Blocks) -> Tensor:
        """(b, a · r, d) rows over (b, t, d) features."""
        x = x + self.attended(self.input_layernorm(x), features, blocks)
        return x + self.mixed(self.post_attention_layernorm(x), blocks)

    def attended(self, given: Tensor, features: Tensor, blocks: Blocks) -> Tensor:
        """What attention adds to rows (b, a · r, d)."""
        own, positions = self.self_attn, blocks.positions
        places = torch.arange(features.shape[1], device=given.device).expand(len(given), -1)
        attended = attend(
            own.query(given, positions, self.theta),
            own.key_value(features, places, self.theta),
            own.key_value(given, positions, self.theta),
            blocks,
        )
        added: Tensor = own.o_proj(attended)
        return added

    def mixed(self, given: Tensor, blocks: Blocks) -> Tensor:
        """What the MLP adds to rows (b, a · r, d)."""
        added: Tensor = self.mlp(given)
        return added


def attend(query: Tensor, context: tuple[Tensor, Tensor], own: tuple[Tensor, Tensor], blocks: Blocks) -> Tensor:
    """Scaled queries (b, heads, a · r, e) on the text's columns and their own block's → (b, a · r, heads · e)."""
    (keys, values), num_places = context, context[0].shape[2]
    query, own_keys, own_values = (part.unflatten(2, (-1, blocks.size)) for part in (query, *own))
    on_text = (query.flatten(2, 3) @ keys.mT).unflatten(2, query.shape[2:4])
    on_text = on_text.masked_fill(blocks.hidden, -torch.inf)
    scores = torch.cat((on_text, query @ own_keys.mT), dim=-1)
    weights = scores.softmax(dim=-1, dtype=torch.float32).to(values.dtype)
    seen = (weights[..., :num_places].flatten(2, 3) @ values).unflatten(2, query.shape[2:4])
    attended: Tensor = seen + weights[..., num_places:] @ own_values
    return attended.permute(0, 2, 3, 1, 4).flatten(1, 2).flatten(2)
