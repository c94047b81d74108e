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
    from engine.drafters.heads._candidates import Tokens
    from engine.models import LoadedModel

MOST_COMPILED = 8_000_000
"""Parameters of a matrix up to which it is run compiled; beyond, reading it costs more than calls."""


def is_compiled(loaded: LoadedModel, num_parameters: int) -> bool:
    """Whether a network whose largest matrix has so many parameters runs compiled beside this target."""
    return runs_compiled(loaded.device) and num_parameters <= MOST_COMPILED


def output_rows(loaded: LoadedModel, tokens: Tokens) -> Tensor | None:
    """(n, h) the rows of a target's output layer that score these tokens; None where it is no plain matrix."""
    weight = getattr(loaded.model.get_output_embeddings(), "weight", None)
    if not isinstance(weight, Tensor):
        return None
    weight = weight.detach()
    return weight if len(tokens) == len(weight) else weight[torch.from_numpy(tokens).to(weight.device)]


def output_layer(loaded: LoadedModel, tokens: Tokens) -> nn.Module:
    """The target's output layer, of these tokens alone where they are not all."""
    layer = loaded.model.get_output_embeddings()
    rows = None if len(tokens) == layer.out_features else output_rows(loaded, tokens)
    return layer if rows is None else linear(loaded, rows)


def small_output(loaded: LoadedModel, tokens: Tokens) -> Tensor | None:
    """As `output_rows`, where drafters that score with them run compiled."""
    rows = output_rows(loaded, tokens)
    return rows if rows is not None and is_compiled(loaded, rows.numel()) else None


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


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of (m, heads, e) by the cosines and sines (m, 1, e ÷ 2) of its positions."""
    low, high = x.chunk(2, dim=-1)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), dim=-1)
