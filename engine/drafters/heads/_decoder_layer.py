"""One Llama decoder layer of a drafter's own on a few rows, with its keys and values in a session.

Through torch here, for any device and size; compiled, where small and on a CPU, in _decoder_compiled.py; played on a
GPU, in _decoder_played.py. Rows stand in columns of the cache, where the caller says. Knows rows, positions and
columns; knows no method, no tokens, no tree.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.drafters.heads._layers import is_played, linear, normed, rooms, rotated
from engine.runtime import crossings
from engine.runtime.attention import attend_fused

if TYPE_CHECKING:
    from engine.models import LoadedModel

Angles = tuple[Tensor, Tensor]
"""Cosines and sines (p, e ÷ 2) of a rotary embedding by position."""


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """Sizes, by the names of transformers' configs."""

    hidden_size: int
    num_attention_heads: int
    intermediate_size: int
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10_000.0

    @property
    def head_dim(self) -> int:
        """Width of an attention head."""
        return self.hidden_size // self.num_attention_heads


@dataclass(frozen=True)
class LayerWeights:
    """The matrices in float32; a norm's weight and the queries' scale are factors of the matrix behind them."""

    num_heads: int
    eps: float
    qkv: Tensor
    """(3 · heads · e, d): a key and a value for each query head."""
    output: Tensor
    gate_up: Tensor
    down: Tensor

    @property
    def head_dim(self) -> int:
        """Width of an attention head."""
        return len(self.qkv) // (3 * self.num_heads)


def angles(head_dim: int, theta: float, num_positions: int, device: torch.device) -> Angles:
    """Of the default rotary embedding."""
    half = head_dim // 2
    frequencies = theta ** -(torch.arange(half, device=device, dtype=torch.float32) / half)
    found = torch.arange(num_positions, device=device)[:, None] * frequencies
    return found.cos(), found.sin()


class LayerCache(ABC):
    """The layer's keys (heads, c, e) and values (heads, c, e) in one session, float32."""

    def __init__(self, num_heads: int, head_dim: int, num_columns: int, device: torch.device) -> None:
        self.keys = torch.zeros(num_heads, head_dim, num_columns, device=device).mT
        self.values = torch.zeros(num_heads, num_columns, head_dim, device=device)

    @abstractmethod
    def encode(
        self, rows: Tensor, num_asked: int, positions: Tensor, columns: Tensor, end: int, mask: Tensor
    ) -> Tensor:
        """Keep rows (m, d) at their positions and columns (m,); the layer's output of the last q of them, (q, d).

        Those look at the columns before `end`: at the last n as `mask (q, n)` says, at all others. All but the rows
        are the host's.
        """

    @torch.inference_mode()
    def move(self, sources: Sequence[int], columns: Sequence[int]) -> None:
        """Keep what stands in `sources` in `columns`."""
        into, out_of = crossings.upload(torch.tensor([list(columns), list(sources)]), self.keys.device)
        self.keys[:, into] = self.keys[:, out_of]
        self.values[:, into] = self.values[:, out_of]


class TorchLayer:
    """The matrices in the target's dtype, on its device."""

    def __init__(self, weights: LayerWeights, loaded: LoadedModel) -> None:
        self.num_heads, self.head_dim, self.eps = weights.num_heads, weights.head_dim, weights.eps
        self.dtype, self.device = loaded.dtype, loaded.device
        matrices = weights.qkv, weights.output, weights.gate_up, weights.down
        self.qkv, self.output, self.gate_up, self.down = map(partial(linear, loaded), matrices)
        self.rooms = rooms(loaded, 1, self.num_heads, self.head_dim, torch.float32) if is_played(loaded) else None
        """Where it is played."""

    def projected(self, rows: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (m, heads, e) float32 of rows (m, d), turned by cosines and sines (m, e ÷ 2)."""
        qkv = self.qkv.forward(normed(rows, self.eps)).float()
        query, key, value = qkv.view(len(rows), 3, self.num_heads, self.head_dim).unbind(1)
        cos, sin = cos[:, None], sin[:, None]
        return rotated(query, cos, sin), rotated(key, cos, sin), value

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """The layer's output (m, d) from its input and what attention gave."""
        x = self.output.forward(attended).add_(x)
        gate_up = self.gate_up.forward(normed(x, self.eps))
        half = gate_up.shape[1] // 2
        encoded: Tensor = self.down.forward(nn.functional.silu(gate_up[:, :half]).mul_(gate_up[:, half:])).add_(x)
        return encoded


class TorchCache(LayerCache):
    """Through torch."""

    def __init__(self, layer: TorchLayer, num_columns: int, angles: Angles) -> None:
        super().__init__(layer.num_heads, layer.head_dim, num_columns, layer.device)
        self.keys = torch.zeros_like(self.values)  # torch's quicker attention wants a row's numbers side by side
        self.layer = layer
        self._cos, self._sin = angles

    def encode(
        self, rows: Tensor, num_asked: int, positions: Tensor, columns: Tensor, end: int, mask: Tensor
    ) -> Tensor:
        rows = rows.to(self.layer.dtype)
        positions, columns, mask = (crossings.upload(part, self.keys.device) for part in (positions, columns, mask))
        query = self._write(rows, positions, columns)[-num_asked:]
        mask = nn.functional.pad(mask, (end - mask.shape[1], 0), value=True)
        attended = attend_fused(query, self.keys[:, :end], self.values[:, :end], mask, 1.0)
        return self.layer.finish(rows[-num_asked:], attended.reshape(num_asked, -1).to(rows.dtype))

    def _write(self, rows: Tensor, positions: Tensor, columns: Tensor) -> Tensor:
        """Keep keys and values; the rows' queries (m, heads, e)."""
        query, key, value = self.layer.projected(rows, self._cos[positions], self._sin[positions])
        self.keys[:, columns], self.values[:, columns] = key.transpose(0, 1), value.transpose(0, 1)
        return query
