"""A preallocated KV cache that a transformers model writes to as it is.

Committed rows come first; behind them stand pending rows, of the pass that waits for its verdict.
Writes cost O(new rows); keeping a path moves only that path's rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from engine.runtime.softmax_kernel import Floats, Integers


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

    def __init__(self, capacity: int, *, is_for_kernel: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.capacity = capacity
        self.is_for_kernel = is_for_kernel
        self.length = 0
        self.keys: Tensor
        self.values: Tensor

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate at the first write, when the shapes are known."""
        dtype = torch.float32 if self.is_for_kernel else key_states.dtype
        (_, num_heads, _, key_dim), value_dim = key_states.shape, value_states.shape[3]
        shape = (1, num_heads, self.capacity)
        if self.is_for_kernel:
            self.keys = key_states.new_zeros(1, num_heads, key_dim, self.capacity, dtype=dtype).mT
        else:
            self.keys = key_states.new_zeros(*shape, key_dim, dtype=dtype)
        self.values = value_states.new_zeros(*shape, value_dim, dtype=dtype)
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write behind the rows that are there; return views of all rows up to the last written."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[2]
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
        return self.capacity


class KVCache(Cache):
    """The layers of one model, with one length."""

    def __init__(self, num_layers: int, capacity: int, *, is_for_kernel: bool) -> None:
        self.kv_layers = [KVLayer(capacity, is_for_kernel=is_for_kernel) for _ in range(num_layers)]
        self.capacity = capacity
        super().__init__(layers=list(self.kv_layers))

    @property
    def length(self) -> int:
        """Rows that the next write goes behind."""
        return self.kv_layers[0].length

    @length.setter
    def length(self, value: int) -> None:
        for layer in self.kv_layers:
            layer.length = value

    def keep(self, start: int, rows: list[int]) -> None:
        """Keep `rows` (absolute, ascending) from `start` on, and drop everything behind them."""
        if rows and rows != list(range(start, start + len(rows))):
            for layer in self.kv_layers:
                layer.keep(start, rows)
        self.length = start + len(rows)
