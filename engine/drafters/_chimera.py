"""Chimera's network on draft trees."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ChimeraShape:
    """Sizes, as `config.json` keeps them."""

    hidden_size: int
    vocab_size: int
    num_attention_heads: int
    intermediate_size: int
    num_heads: int = 4
    """Draft steps, each with a head of its own."""
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10_000.0
