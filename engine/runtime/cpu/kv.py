"""Keys and values of every layer of one session, as compiled attention reads them; they grow with the text.

Keys stand in blocks of 16 columns, a dimension after the other; values a column after the other. Committed columns come
first, behind them pending ones; how many of each a layer has, waiting.py knows. Numbers are kept in the model's dtype,
bfloat16 and float16 as their bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.runtime.cpu.attention import STEP
from engine.runtime.cpu.products import width_of
from engine.runtime.cpu.rows import compiled
from engine.runtime.cpu.vectors import LANES

Numbers = np.ndarray[Any, Any]
_GROWTH = 1.5
_FIRST = 256


@compiled
def _move(keys: Numbers, values: Numbers, start: int, rows: Any, layers: Any) -> None:
    """Columns `rows`, ascending, of some layers' keys (l, h, b, d, 16) and values (l, h, c, d) to `start …`."""
    for layer in layers:
        for head in range(keys.shape[1]):
            for i in range(len(rows)):
                place, row = start + i, rows[i]
                if place == row:
                    continue
                for e in range(keys.shape[3]):
                    number = keys[layer, head, row // LANES, e, row % LANES]
                    keys[layer, head, place // LANES, e, place % LANES] = number
                    values[layer, head, place, e] = values[layer, head, row, e]


class CompiledCache:
    """KV cache of `num_layers` layers with `num_heads` key heads of `head_dim` dimensions."""

    def __init__(self, num_layers: int, num_heads: int, head_dim: int, dtype: torch.dtype) -> None:
        self.dtype, self.head_dim = dtype, head_dim
        numbers = {torch.bfloat16: np.uint16, torch.float16: np.int16}.get(dtype, np.float32)
        width = width_of(head_dim, LANES)
        self.keys: Numbers = np.zeros((num_layers, num_heads, 0, width, LANES), numbers)
        self.values: Numbers = np.zeros((num_layers, num_heads, 0, width), numbers)

    @property
    def capacity(self) -> int:
        """Columns that there is room for."""
        return int(self.values.shape[2])

    def reserve(self, num_columns: int) -> None:
        """Make room for so many columns; what stands in them stays."""
        if num_columns <= self.capacity:
            return
        capacity = width_of(max(num_columns, int(self.capacity * _GROWTH), _FIRST), STEP)
        (layers, heads, blocks, width, _), old = self.keys.shape, self.capacity
        keys = np.zeros((layers, heads, capacity // LANES, width, LANES), self.keys.dtype)
        values = np.zeros((layers, heads, capacity, width), self.values.dtype)
        keys[:, :, :blocks], values[:, :, :old] = self.keys, self.values
        self.keys, self.values = keys, values

    def keep(self, start: int, rows: Sequence[int], layers: Sequence[int]) -> None:
        """Keep `rows` (absolute, ascending) of these layers from `start` on."""
        if list(rows) != list(range(start, start + len(rows))):
            _move(self.keys, self.values, start, np.array(rows), np.array(layers))

    def write(self, layer: int, start: int, keys: Tensor, values: Tensor) -> None:
        """Keys and values (heads, t, d) of a layer into the columns from `start` on."""
        end, dim = start + keys.shape[1], self.head_dim
        self.values[layer, :, start:end, :dim] = self._numbers(values)
        columns = np.arange(start, end)
        self.keys[layer, :, columns // LANES, :dim, columns % LANES] = self._numbers(keys).swapaxes(0, 1)

    def read(self, layer: int, num_columns: int) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer's first columns, (heads, t, d)."""
        keys = self.keys[layer].swapaxes(2, 3).reshape(len(self.keys[layer]), self.capacity, -1)
        return self._tensor(keys[:, :num_columns]), self._tensor(self.values[layer, :, :num_columns])

    def _numbers(self, tensor: Tensor) -> Numbers:
        tensor = tensor.to(self.dtype).contiguous()
        if self.dtype == torch.float32:
            return tensor.numpy()
        return tensor.view(torch.uint16 if self.dtype == torch.bfloat16 else torch.int16).numpy()

    def _tensor(self, numbers: Numbers) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(numbers[..., : self.head_dim]))
        return tensor if self.dtype == torch.float32 else tensor.view(self.dtype)
