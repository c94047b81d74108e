"""One Llama decoder layer in training, (b, m) rows at once: what Chimera and Hydra look at a text with.

Knows tensors and positions; knows nothing of draft steps, losses or files. The same weights run on draft trees in
`engine/drafters/heads/_decoder_layer.py`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from engine.drafters.heads._decoder_layer import LayerShape
from engine.training.steps import rotated


class RMSNorm(nn.Module):
    """x ÷ √(mean x² + ε) · weight."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)


class Mlp(nn.Module):
    """down(SiLU(gate) · up), of a layer under the names of published weights."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(size, width, bias=False), nn.Linear(size, width, bias=False)
        self.down_proj = nn.Linear(width, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return mixed


class DecoderLayer(nn.Module):
    """Whose keys and values are the caller's to choose; a fresh one adds nothing to its rows."""

    def __init__(self, shape: LayerShape) -> None:
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


def sizes_like(config: Any) -> dict[str, int]:
    """Of a `LayerShape` as wide as one of a target's own layers, by its config."""
    size, num_heads = int(config.hidden_size), int(config.num_attention_heads)
    return {
        "hidden_size": size,
        "num_attention_heads": num_heads if size % (2 * num_heads) == 0 else 1,
        "intermediate_size": int(getattr(config, "intermediate_size", None) or 4 * size),
    }
