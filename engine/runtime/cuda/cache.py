"""Keys and values of one session in one tensor for all layers, at addresses that graphs can rely on.

It grows by buckets of length; what was captured for the old addresses is then gone. Kept columns come first, those that
wait behind them. A room is used by one session after another, so that what was captured for it lasts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.runtime import crossings
from engine.runtime.cuda.buckets import length_bucket
from engine.runtime.cuda.captured import Captured


class Room(Captured):
    """Memory of one session, and what was captured for its addresses."""

    def __init__(
        self, num_layers: int, num_kv_heads: int, head_dim: int, like: Tensor, refusals: list[str] | None = None
    ) -> None:
        """`like`: a tensor of the dtype and device."""
        super().__init__(like.device, refusals)
        self.kv = like.new_zeros(num_layers, 2 * num_kv_heads, 0, head_dim)

    @property
    def capacity(self) -> int:
        """Columns that there is room for."""
        return self.kv.shape[2]

    def reserve(self, num_columns: int) -> None:
        """Make room for so many columns; what stands in them stays."""
        if num_columns <= self.capacity:
            return
        self.graphs.forget()
        old, (layers, heads, _, dim) = self.kv, self.kv.shape
        self.kv = old.new_zeros(layers, heads, length_bucket(num_columns), dim)
        self.kv[:, :, : old.shape[2]].copy_(old)


class StaticCache:
    """One session's use of a room."""

    def __init__(self, room: Room) -> None:
        self.room = room

    def keep(self, start: int, rows: Sequence[int], layers: Sequence[int]) -> None:
        """Keep `rows` (absolute, ascending) of these layers from `start` on, by one gather over all of them."""
        end = start + len(rows)
        if list(rows) == list(range(start, end)):
            return
        kv = self.room.kv
        index = crossings.upload(torch.tensor(list(rows)), kv.device)
        if len(layers) == len(kv):
            kv[:, :, start:end].copy_(kv.index_select(2, index))
            return
        for layer in layers:
            kv[layer, :, start:end].copy_(kv[layer].index_select(1, index))

    def read(self, layer: int, num_columns: int) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer's first columns, (heads, t, d)."""
        keys, values = self.room.kv[layer, :, :num_columns].chunk(2)
        return keys, values
