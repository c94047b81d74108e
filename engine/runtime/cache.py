"""A KV cache that a transformers model writes to as it is, and that grows with the text.

Committed rows come first; behind them stand pending rows, of the pass that waits for its verdict.
Writes cost O(new rows), but where it grows; keeping a path moves only that path's rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from engine.runtime.compiled import njit

if TYPE_CHECKING:
    from engine.runtime.cpu.softmax import Floats, Integers

_GROWTH = 1.5
_FIRST_ROWS = 256


@njit(cache=True, nogil=True)
def move(keys: Floats, values: Floats, start: int, rows: Integers) -> None:
    """Columns `rows`, ascending, of keys (h, d, c) and rows of values (h, c, w) to `start …`.

    Compiled: a gather by torch or numpy takes several times as long for the few rows of a path.
    """
    for place, row in enumerate(rows, start):
        if place == row:
            continue
        for head in range(len(keys)):
            for e in range(keys.shape[1]):
                keys[head, e, place] = keys[head, e, row]
            for e in range(values.shape[2]):
                values[head, place, e] = values[head, row, e]


class KVLayer(CacheLayerMixin):
    """One attention layer's keys and values, (1, heads, capacity, d).

    `is_for_kernel`: as `attention_kernel` reads them, in float32 and a dimension of the keys after the other.
    """

    is_croppable = True

    def __init__(self, *, is_for_kernel: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.is_for_kernel = is_for_kernel
        self.length = 0
        self.keys: Tensor
        self.values: Tensor

    @property
    def capacity(self) -> int:
        """Rows that there is room for."""
        return self.values.shape[2] if self.is_initialized else 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make the empty layer at the first write, when the shapes are known."""
        self.keys, self.values = self._room(key_states, 0), value_states.new_zeros(*value_states.shape[:2], 0, 0)
        self.is_initialized = True

    def _reserve(self, num_rows: int, key_states: Tensor, value_states: Tensor) -> None:
        """Make room for so many rows; what stands in them stays."""
        if num_rows <= self.capacity:
            return
        capacity = max(num_rows, int(self.capacity * _GROWTH), _FIRST_ROWS)
        dtype = torch.float32 if self.is_for_kernel else key_states.dtype
        keys = self._room(key_states, capacity)
        values = value_states.new_zeros(*value_states.shape[:2], capacity, value_states.shape[3], dtype=dtype)
        if self.length:
            keys[:, :, : self.length] = self.keys[:, :, : self.length]
            values[:, :, : self.length] = self.values[:, :, : self.length]
        self.keys, self.values = keys, values

    def _room(self, key_states: Tensor, capacity: int) -> Tensor:
        _, num_heads, _, dim = key_states.shape
        if self.is_for_kernel:
            return key_states.new_zeros(1, num_heads, dim, capacity, dtype=torch.float32).mT
        return key_states.new_zeros(1, num_heads, capacity, dim)

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write behind the rows that are there; return views of all rows up to the last written."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[2]
        self._reserve(end, key_states, value_states)
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        return self.keys[:, :, :end], self.values[:, :, :end]

    def keep(self, start: int, rows: list[int]) -> None:
        """Move `rows (k,)`, absolute and ascending, to `start …`."""
        end = start + len(rows)
        if self.is_for_kernel:
            move(self.keys[0].mT.numpy(), self.values[0].numpy(), start, np.array(rows))
            return
        for part in (self.keys, self.values):
            part[:, :, start:end] = part[:, :, rows]

    def get_seq_length(self) -> int:
        return self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def get_max_length(self) -> int:
        return -1


class KVCache(Cache):
    """The layers of one model, each of its own length."""

    def __init__(self, num_layers: int, *, is_for_kernel: bool) -> None:
        self.kv_layers = [KVLayer(is_for_kernel=is_for_kernel) for _ in range(num_layers)]
        super().__init__(layers=list(self.kv_layers))

    def write_from(self, column: int, layers: Sequence[int]) -> None:
        """The next write of these layers goes to the columns from this one on."""
        for layer in layers:
            self.kv_layers[layer].length = column

    def keep(self, start: int, rows: Sequence[int], layers: Sequence[int]) -> None:
        """Keep `rows` (absolute, ascending) of these layers from `start` on."""
        if list(rows) != list(range(start, start + len(rows))):
            for layer in layers:
                self.kv_layers[layer].keep(start, list(rows))

    def read(self, layer: int, num_columns: int) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer's first columns, (heads, t, d)."""
        entry = self.kv_layers[layer]
        return entry.keys[0, :, :num_columns], entry.values[0, :, :num_columns]
