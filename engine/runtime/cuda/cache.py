"""Keys and values of one session in one tensor for all layers, at addresses that graphs can rely on.

It grows by buckets of length; what was captured for the old addresses is then gone. Kept columns come first, those that
wait behind them. A room is used by one session after another, so that what was captured for it lasts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.runtime import crossings
from engine.runtime.cuda.buckets import ROWS, length_bucket
from engine.runtime.cuda.graphs import Graphs

_TOLD_BYTES = 1 << 18
"""As much as a bucket's pass beside all rows that may wait tells; more is a pass that is not captured."""


class Room:
    """Memory of one session, and what was captured for its addresses."""

    def __init__(self, num_layers: int, num_kv_heads: int, head_dim: int, like: Tensor) -> None:
        """`like`: a tensor of the dtype and device."""
        self.kv = like.new_zeros(num_layers, 2 * num_kv_heads, 0, head_dim)
        self.told = torch.empty(_TOLD_BYTES, dtype=torch.uint8, device=like.device)
        self.states = like.new_zeros(0, 0)
        self.graphs = Graphs(like.device)

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

    def tell(self, told: Tensor) -> Tensor:
        """Bytes (n,) to the device, at the same address each time."""
        if len(told) > len(self.told):
            self.graphs.forget()
            self.told = torch.empty(2 * len(told), dtype=torch.uint8, device=self.told.device)
        self.told[: len(told)].copy_(crossings.upload(told, self.told.device))
        return self.told

    def enter(self, states: Tensor, num_rows: int) -> Tensor:
        """States (m, h) among so many rows, at the same address each time."""
        if num_rows > len(self.states) or states.shape[1] != self.states.shape[1]:
            self.graphs.forget()
            self.states = self.kv.new_zeros(max(num_rows, ROWS[-1]), states.shape[1])
        self.states[: len(states)].copy_(states)
        return self.states[:num_rows]


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
