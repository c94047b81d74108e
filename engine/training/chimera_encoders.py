"""The two encoders of Chimera in training, (b, t) places at once.

Zeng et al. (arXiv 2402.15758) and the released code. The trigram encoder makes g of three embeddings. The
full-context encoder is one decoder layer in which g looks at the target's last hidden states h and at earlier
g, and gives c, a stand-in for the hidden state that the target has not computed. Knows tensors; knows nothing
of draft steps, losses or files. `engine/drafters/heads/chimera/network.py` runs the same weights on draft trees.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.drafters.heads.chimera.network import ChimeraShape
from engine.training.steps import rotated


class RMSNorm(nn.Module):
    """x ÷ √(mean x² + ε) · weight."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)


class TrigramEncoder(nn.Module):
    """Three embeddings side by side, one residual block at that width, down to the hidden size."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.mix = nn.Linear(3 * size, 3 * size)
        self.down = nn.Linear(3 * size, size, bias=False)
        # As if it were not there, to begin with.
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)

    def forward(self, embedded: Tensor) -> Tensor:
        """(…, 3d) → (…, d)."""
        mixed: Tensor = self.down(embedded + nn.functional.silu(self.mix(embedded)))
        return mixed


class FullContextEncoder(nn.Module):
    """One Llama decoder layer whose keys and values are those of h and g together."""

    def __init__(self, shape: ChimeraShape) -> None:
        super().__init__()
        size, intermediate_size, eps = shape.hidden_size, shape.intermediate_size, shape.rms_norm_eps
        self.num_heads, self.head_dim = shape.num_attention_heads, size // shape.num_attention_heads
        self.rope_theta = shape.rope_theta
        self.attention_norm, self.mlp_norm = RMSNorm(size, eps), RMSNorm(size, eps)
        self.q_proj, self.k_proj = nn.Linear(size, size, bias=False), nn.Linear(size, size, bias=False)
        self.v_proj, self.o_proj = nn.Linear(size, size, bias=False), nn.Linear(size, size, bias=False)
        self.gate_proj = nn.Linear(size, intermediate_size, bias=False)
        self.up_proj = nn.Linear(size, intermediate_size, bias=False)
        self.down_proj = nn.Linear(intermediate_size, size, bias=False)
        nn.init.zeros_(self.o_proj.weight)
        nn.init.zeros_(self.down_proj.weight)

    def query(self, x: Tensor, positions: Tensor) -> Tensor:
        """(b, m, d) at (b, m) positions → (b, heads, m, d ÷ heads)."""
        return self._rotate(self._heads(self.q_proj(self.attention_norm(x))), positions)

    def key_value(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """(b, m, d) at (b, m) positions → keys and values, (b, heads, m, d ÷ heads)."""
        normed = self.attention_norm(x)
        return self._rotate(self._heads(self.k_proj(normed)), positions), self._heads(self.v_proj(normed))

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """What attention gave, (b, heads, m, d ÷ heads), and the layer's input to its output, (b, m, d)."""
        x = x + self.o_proj(attended.transpose(1, 2).flatten(2))
        normed = self.mlp_norm(x)
        encoded: Tensor = x + self.down_proj(nn.functional.silu(self.gate_proj(normed)) * self.up_proj(normed))
        return encoded

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.num_heads, self.head_dim).transpose(1, 2)

    def _rotate(self, heads: Tensor, positions: Tensor) -> Tensor:
        return rotated(heads, positions, self.rope_theta)
