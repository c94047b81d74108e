"""Sizes and flags of EAGLE's weights, as their `config.json` keeps them: which EAGLE they are.

Knows a config; no tensors, no target.
"""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

from engine.drafters.heads._weights import CONFIG_FILE, Weights
from engine.errors import BadInput

FLAGS = ("fc_bias", "norm_before_residual", "norm_before_fc", "fc_norm", "norm_output")


@dataclass(frozen=True)
class Form:
    """One drafter's."""

    version: int
    """1: reads the last state, and EAGLE-2 with it, whose weights are the same; 3: fused states of several layers."""
    hidden_size: int
    target_hidden_size: int
    vocab_size: int
    """The target's tokens."""
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    hidden_layers: tuple[int, ...]
    """The target's states that are read, as indices into transformers' hidden_states."""
    rms_norm_eps: float = 1e-6
    fc_bias: bool = False
    norm_before_residual: bool = False
    """Whether the residual is the normed state, and not the state."""
    norm_before_fc: bool = False
    """Whether the states are normed together before they are fused."""
    fc_norm: bool = False
    """Whether each of them is normed by itself (EAGLE-3.1)."""
    norm_output: bool = False
    """Whether what a step hands the next has passed the last norm (EAGLE-3.1)."""
    top_k: int = 10
    """Candidates behind a node, and nodes of a level that are gone on with."""
    rope: dict[str, Any] = field(default_factory=dict)
    """transformers' `rope_parameters`, the drafter's own."""
    max_position_embeddings: int = 4096

    def largest_matrix(self, num_scored: int) -> int:
        """Numbers in the largest matrix that drafted rows go through, of a network that scores so many tokens."""
        num_heads = self.num_attention_heads + 2 * self.num_key_value_heads
        width = self.hidden_size if self.version == 1 else 2 * self.hidden_size
        sizes = (
            num_heads * self.head_dim * width,
            *(size * self.hidden_size for size in (2 * self.intermediate_size, num_scored)),
        )
        return max(sizes)

    def config(self) -> dict[str, Any]:
        """As `read_form` reads it."""
        return {"method": "eagle", **asdict(self), "hidden_layers": list(self.hidden_layers)}


def read_form(weights: Weights, num_layers: int) -> Form:
    """What a weights folder's config says, for a target of so many layers. Raises BadInput."""
    config, path = weights.config, weights.folder / CONFIG_FILE
    defaults = {f.name: None if f.default is MISSING else f.default for f in fields(Form) if f.type == "int"}
    numbers: dict[str, Any] = {name: weights.number(name, default=default) for name, default in defaults.items()}
    if numbers["version"] not in (1, 3):
        raise BadInput(f"version in {path} is {numbers['version']}; wanted 1 (EAGLE-1 and -2) or 3.")
    weights.check_heads(numbers)
    layers = weights.taps(num_layers, [2, num_layers // 2, num_layers - 3])
    flags = {flag: bool(config.get(flag, False)) for flag in FLAGS}
    eps = weights.real("rms_norm_eps", 1e-6)
    return Form(**numbers, hidden_layers=layers, rope=weights.rope(), rms_norm_eps=eps, **flags)
