"""EAGLE's one decoder layer in training, (b, m) rows at once, under the published names of its tensors.

`engine/drafters/heads/eagle/network.py` runs the same weights on draft trees. Knows tensors; no draft steps, no loss.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.drafters.heads.eagle.form import Form
from engine.training.decoder_layer import Mlp, RMSNorm
from engine.training.steps import rotated

SELF_ATTENTION = 1.2
"""Size of the first queries, which are the keys: a row's score of itself is about 8 · 1.2², so that at first it looks
at itself."""


class Attention(nn.Module):
    """Projections of rows (…, i)."""

    def __init__(self, form: Form, size: int) -> None:
        super().__init__()
        queries, keys = (n * form.head_dim for n in (form.num_attention_heads, form.num_key_value_heads))
        self.q_proj, self.k_proj = nn.Linear(size, queries, bias=False), nn.Linear(size, keys, bias=False)
        self.v_proj, self.o_proj = nn.Linear(size, keys, bias=False), nn.Linear(queries, form.hidden_size, bias=False)


class Layer(nn.Module):
    """A Llama layer; EAGLE-3's attention reads embedding and state side by side, EAGLE-1's has no norm before it."""

    def __init__(self, form: Form, theta: float) -> None:
        super().__init__()
        size, eps = form.hidden_size, form.rms_norm_eps
        self.form, self.theta, self.is_fused = form, theta, form.version == 3
        if self.is_fused:
            self.input_layernorm, self.hidden_norm = RMSNorm(size, eps), RMSNorm(size, eps)
        self.self_attn = Attention(form, 2 * size if self.is_fused else size)
        self.post_attention_layernorm, self.mlp = RMSNorm(size, eps), Mlp(size, form.intermediate_size)
        nn.init.zeros_(self.mlp.down_proj.weight)  # nothing at first

    def given(self, embedded: Tensor, states: Tensor) -> Tensor:
        """What attention reads of rows: (b, m, i)."""
        if not self.is_fused:
            return states
        return torch.cat((self.input_layernorm(embedded), self.hidden_norm(states)), dim=-1)

    def query(self, given: Tensor, positions: Tensor) -> Tensor:
        """(b, m, i) at (b, m) positions → (b, heads, m, e)."""
        return rotated(self._heads(self.self_attn.q_proj(given)), positions, self.theta)

    def key_value(self, given: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (b, heads, m, e), repeated for the heads that share them."""
        num_shared = self.form.num_attention_heads // self.form.num_key_value_heads
        key = rotated(self._heads(self.self_attn.k_proj(given)), positions, self.theta)
        value = self._heads(self.self_attn.v_proj(given))
        return key.repeat_interleave(num_shared, dim=1), value.repeat_interleave(num_shared, dim=1)

    def finish(self, states: Tensor, attended: Tensor) -> Tensor:
        """What attention gave, (b, heads, m, e), and the rows' states (b, m, d) to the layer's output."""
        if self.form.norm_before_residual and self.is_fused:
            states = self.hidden_norm(states)
        x = states + self.self_attn.o_proj(attended.transpose(1, 2).flatten(2))
        found: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return found

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], -1, self.form.head_dim).transpose(1, 2)

    @torch.no_grad()
    def begin_with(self, solution: Tensor) -> None:
        """A start at which each row looks at itself and attention adds `solution (d, i)` of what it reads."""
        own, dim = self.self_attn, self.form.head_dim
        num_keys, num_shared = self.form.num_key_value_heads, own.q_proj.out_features // own.k_proj.out_features
        keys = torch.randn(num_keys, dim, own.k_proj.in_features, device=solution.device)
        keys *= SELF_ATTENTION * own.k_proj.in_features**-0.5
        own.k_proj.weight.copy_(keys.flatten(0, 1))
        own.q_proj.weight.copy_(keys.repeat_interleave(num_shared, dim=0).flatten(0, 1))
        left, sizes, right = torch.linalg.svd(solution.float(), full_matrices=False)
        rank = min(len(sizes), num_keys * dim)
        left, right = left[:, :rank] * sizes[:rank].sqrt(), right[:rank] * sizes[:rank, None].sqrt()
        own.v_proj.weight.zero_()[:rank].copy_(right)
        own.o_proj.weight.zero_()
        first = own.o_proj.weight.view(-1, num_keys, num_shared, dim)[:, :, 0]  # of the heads that share a value one
        first.copy_(nn.functional.pad(left, (0, num_keys * dim - rank)).view_as(first))
