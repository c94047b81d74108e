"""Linear layers as torch modules whose rows have the same bits among any number of rows.

Rows go through the compiled product (products.py); those of a prompt through the library, on weights unpacked for the
moment. For models that go through transformers' own forward, and for drafters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.runtime.cpu import tiles
from engine.runtime.cpu.crew import CREW, DONE, NEXT, Control, enter, finish, leave
from engine.runtime.cpu.products import COLUMNS, GROUP, Matrix, empty, pack, unpair, width_of
from engine.runtime.cpu.rows import Floats, compiled
from engine.runtime.cpu.tiles import product
from engine.runtime.cpu.vectors import atomic_add, flush_denormals, restore_denormals
from engine.runtime.prompt import is_reading

_SMALL_BYTES = 1_000_000
_UNPACKED = 16


class Product(nn.Module):
    """y = x Wᵀ + b. (…, in) → (…, out). Inference only."""

    def __init__(self, matrix: Matrix, out_features: int, in_features: int, bias: Tensor | None) -> None:
        super().__init__()
        self.matrix, self.out_features, self.in_features = matrix, out_features, in_features
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        """Any leading dimensions; the result is in x's dtype."""
        rows = x.reshape(-1, self.in_features)
        y = rows @ self.weight.t().to(x.dtype) if is_reading() else self._few(rows)
        y = y if self.bias is None else y + self.bias
        return y.to(x.dtype).view(*x.shape[:-1], self.out_features)

    @property
    def weight(self) -> Tensor:
        """(out, in) in the weight's dtype, made anew."""
        return unpacked(self.matrix, self.out_features, self.in_features).t()

    def _few(self, rows: Tensor) -> Tensor:
        num_rows, room = len(rows), width_of(len(rows), tiles.TILE_ROWS)
        rounded = rows.to(dtype_of(self.matrix))
        x = np.zeros((room, width_of(self.in_features, GROUP)), np.float32)
        x[:num_rows, : self.in_features] = rounded.float().numpy()
        uses_tiles = self.matrix.dtype == np.uint16 and num_rows > tiles.FEW_ROWS and tiles.can_use()
        bits = np.zeros(x.shape if uses_tiles else (1, 1), self.matrix.dtype)
        if uses_tiles:
            bits[:num_rows, : self.in_features] = rounded.view(torch.uint16).numpy()
        out = empty((room, len(self.matrix) * COLUMNS), np.float32)
        CREW.run(_multiply, x, bits, num_rows, self.matrix, out, uses_tiles, num_threads=threads_for(self.matrix))
        return torch.from_numpy(out)[:num_rows, : self.out_features]


def product_of(weight: Tensor, bias: Tensor | None) -> Product:
    """A linear layer (o, i) as a module of its own; `weight` may be freed."""
    out_features, in_features = weight.shape
    return Product(pack(weight), out_features, in_features, None if bias is None else bias.detach())


def threads_for(matrix: Matrix) -> int:
    """Threads that reading this matrix once is worth."""
    return 1 if matrix.nbytes < _SMALL_BYTES else CREW.size


def dtype_of(matrix: Matrix) -> torch.dtype:
    """What a packed matrix's numbers are."""
    return {"uint16": torch.bfloat16, "int16": torch.float16}.get(matrix.dtype.name, torch.float32)


def unpacked(matrix: Matrix, out_features: int, in_features: int, room: Matrix | None = None) -> Tensor:
    """A packed matrix (blocks, numbers) as what rows are multiplied with from the right, (in, out).

    `room` is memory of the matrix's dtype that it may be written to, at least `matrix.size` numbers.
    """
    words = matrix.view(np.uint32) if matrix.dtype == np.uint16 else matrix
    words = words.reshape(len(matrix), -1, COLUMNS)
    inner = words.shape[1] * (2 if matrix.dtype == np.uint16 else 1)
    room = np.empty(matrix.size, matrix.dtype) if room is None else room
    out = room[: matrix.size].reshape(inner, len(matrix) * COLUMNS)
    CREW.run(_unpack, words, out, num_threads=threads_for(matrix))
    numbers = torch.from_numpy(out)
    whole = numbers if numbers.dtype == torch.float32 else numbers.view(dtype_of(matrix))
    return whole[:in_features, :out_features]


@compiled
def _multiply(
    thread: int,
    number: int,
    control: Control,
    x: Floats,
    bits: Any,
    num_rows: int,
    matrix: Matrix,
    out: Floats,
    uses_tiles: bool,
) -> None:
    if not enter(control, number):
        return
    before = flush_denormals()
    total = (len(matrix) + 1) // 2
    unit = atomic_add(control, NEXT, 1)
    while unit < total:
        block = 2 * unit
        product(x, bits, num_rows, matrix, block, min(2, len(matrix) - block), out, block * COLUMNS, uses_tiles)
        atomic_add(control, DONE, 1)
        unit = atomic_add(control, NEXT, 1)
    if thread == 0:
        finish(control, total)
    restore_denormals(before)
    leave(control)


@compiled
def _unpack(thread: int, number: int, control: Control, words: Any, out: Any) -> None:
    """Blocks (b, inner, COLUMNS) → rows (inner, b · COLUMNS); a pair of bfloat16 in a word is two rows.

    A unit is a few neighbouring rows of all blocks, so that what is written stays near until it is whole.
    """
    if not enter(control, number):
        return
    num_blocks, inner = words.shape[0], words.shape[1]
    pairs = out.shape[0] // inner
    total = (inner + _UNPACKED - 1) // _UNPACKED
    unit = atomic_add(control, NEXT, 1)
    while unit < total:
        for block in range(num_blocks):
            first = block * COLUMNS
            for k in range(unit * _UNPACKED, min((unit + 1) * _UNPACKED, inner)):
                line = words[block, k]
                if pairs == 1:
                    out[k, first : first + COLUMNS] = line
                else:
                    unpair(line.ctypes.data, out[2 * k, first:].ctypes.data, out[2 * k + 1, first:].ctypes.data)
        atomic_add(control, DONE, 1)
        unit = atomic_add(control, NEXT, 1)
    if thread == 0:
        finish(control, total)
    leave(control)
