"""The form in which a trained drafter's network runs: torch's layers anywhere, or compiled beside a small target.

Knows weights and a loaded target; no method, no tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.runtime.compiled import runs_compiled
from engine.runtime.linear import pack

if TYPE_CHECKING:
    from engine.models import LoadedModel

MOST_COMPILED = 8_000_000
"""Parameters of a matrix up to which it is run compiled; beyond, reading it costs more than calls."""


def is_compiled(loaded: LoadedModel, num_parameters: int) -> bool:
    """Whether a network whose largest matrix has so many parameters runs compiled beside this target."""
    return runs_compiled(loaded.device) and num_parameters <= MOST_COMPILED


def small_output(loaded: LoadedModel) -> Tensor | None:
    """The weight (v, h) of a target's output layer, where drafters that score with it run compiled."""
    weight = getattr(loaded.model.get_output_embeddings(), "weight", None)
    return weight.detach() if isinstance(weight, Tensor) and is_compiled(loaded, weight.numel()) else None


def linear(loaded: LoadedModel, weight: Tensor, bias: Tensor | None = None) -> nn.Module:
    """A linear layer (o, i) in the target's dtype, on its device, in the form that few rows are quickest in."""
    weight = weight.to(loaded.device, loaded.dtype).contiguous()
    return pack(weight, None if bias is None else bias.to(loaded.device, loaded.dtype))


def normed(x: Tensor, eps: float) -> Tensor:
    """Rows (…, d) ÷ √(mean x² + ε), the mean in float32 and not taken off."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    scale = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    found: Tensor = (x * scale).to(x.dtype)
    return found
