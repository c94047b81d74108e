"""The form in which a trained drafter's network runs: compiled beside a small target on a CPU, played on a GPU.

Elsewhere by torch's layers one by one. Played: its work is captured and replayed, as the target's passes are.

Knows weights and a loaded target; no method, no tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.runtime import prepared
from engine.runtime.compiled import runs_compiled
from engine.runtime.cuda.cache import Room
from engine.runtime.cuda.captured import Called, Captured, Rooms
from engine.runtime.cuda.weights import reason_in_weights
from engine.runtime.linear import pack

if TYPE_CHECKING:
    from engine.drafters.heads._candidates import Tokens
    from engine.models import LoadedModel

MOST_COMPILED = 8_000_000
"""Parameters of a matrix up to which it is run compiled; beyond, reading it costs more than calls."""


def is_compiled(loaded: LoadedModel, num_parameters: int) -> bool:
    """Whether a network whose largest matrix has so many parameters runs compiled beside this target."""
    is_there = runs_compiled(loaded.device) and not prepared.runs_static(loaded.device)
    return is_there and num_parameters <= MOST_COMPILED


def is_played(loaded: LoadedModel) -> bool:
    """Whether networks beside a target run over static buffers."""
    return prepared.runs_static(loaded.device) and not reason_in_weights(loaded.model)


def why_called(loaded: LoadedModel) -> str:
    """Why networks beside a target are launched kernel by kernel where others are replayed, to follow "because"."""
    if not prepared.runs_static(loaded.device):
        return ""
    return reason_in_weights(loaded.model) or next(iter(_refusals(loaded)), "")


def player(loaded: LoadedModel) -> Captured | Called:
    """What does a network's work that keeps nothing."""
    return Captured(loaded.device, _refusals(loaded)) if is_played(loaded) else Called(loaded.device)


def rooms(loaded: LoadedModel, num_layers: int, num_heads: int, head_dim: int, dtype: torch.dtype) -> Rooms[Room]:
    """Rooms of the layers of a network that is played, each for a session."""
    like = torch.empty(0, dtype=dtype, device=loaded.device)
    return Rooms(lambda: Room(num_layers, num_heads, head_dim, like, _refusals(loaded)))


def _refusals(loaded: LoadedModel) -> list[str]:
    return loaded.keep("why networks are not captured", list[str])


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
