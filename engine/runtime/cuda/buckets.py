"""Sizes that passes are rounded up to, and what a pass tells the device, in one upload.

A pass of some size is captured once; passes of other sizes are filled up with rows that nobody sees. Everything about a
pass that is no size is in `Told`: one stretch of bytes at one address, numbers first and then who may look at whom.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.runtime.passes import Pass, Span

ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
_FIRST_LENGTH, _LENGTH_STEP = 256, 4096
_LEAST_WIDTH = 16
_NUM_NUMBERS = 2
"""Before the lists: tokens that are kept, and the first row's column."""


def rows_bucket(num_rows: int) -> int:
    """Rows of the pass that so many run in; more than the largest bucket are not filled up."""
    return next((size for size in ROWS if size >= num_rows), num_rows)


def length_bucket(num_columns: int) -> int:
    """Columns of the cache that are looked at: doubling up to a step, then so many steps."""
    size = _FIRST_LENGTH
    while size < min(num_columns, _LENGTH_STEP):
        size *= 2
    return max(size, -(-num_columns // _LENGTH_STEP) * _LENGTH_STEP) if num_columns > _LENGTH_STEP else size


def width_bucket(num_columns: int) -> int:
    """Columns that rows look at one by one."""
    return max(_LEAST_WIDTH, 1 << (num_columns - 1).bit_length())


@dataclass(frozen=True)
class Shape:
    """All that decides which kernels a pass is, and so which graph."""

    num_rows: int
    num_scored: int
    length: int
    width: int
    """Columns behind the kept ones that rows look at one by one."""
    span: Span
    hidden_layers: tuple[int, ...]
    has_states: bool

    @classmethod
    def of(cls, wanted: Pass) -> Shape:
        """The least that holds a pass."""
        num_rows = rows_bucket(len(wanted.positions))
        num_scored = wanted.scored.stop - wanted.scored.start
        return cls(
            num_rows=num_rows,
            num_scored=rows_bucket(num_scored) if num_scored else 0,
            length=length_bucket(wanted.column + num_rows),
            width=width_bucket(len(wanted.waiting) + num_rows),
            span=wanted.span,
            hidden_layers=tuple(wanted.hidden_layers),
            has_states=isinstance(wanted.inputs, Tensor),
        )

    @property
    def is_bucket(self) -> bool:
        """Whether passes of this shape come again and again."""
        return self.num_rows <= ROWS[-1]

    @property
    def _lists(self) -> tuple[int, ...]:
        return self.num_rows, self.num_rows, self.num_scored, self.width

    @property
    def num_bytes(self) -> int:
        """Of what a pass tells."""
        return 8 * (_NUM_NUMBERS + sum(self._lists)) + self.num_rows * self.width

    def told(self, memory: Tensor) -> Told:
        """Views of bytes that `bytes_of` filled."""
        end = 8 * (_NUM_NUMBERS + sum(self._lists))
        numbers = memory[:end].view(torch.int64)
        committed, column, ids, positions, scored, places = numbers.split((1, 1, *self._lists))
        looks = memory[end : self.num_bytes].view(self.num_rows, self.width)
        return Told(committed, column, ids, positions, scored, places, looks)

    def owners(self, memory: Tensor, num_owners: int) -> Tensor:
        """(n,) of extra rows, a view of the same bytes."""
        return memory[self.num_bytes :][: 8 * num_owners].view(torch.int64)

    def bytes_of(self, wanted: Pass) -> Tensor:
        """A pass in bytes, on the host; the owners of extra rows last.

        Rows that fill up look at the kept columns and at themselves.
        """
        num_rows, num_waiting = len(wanted.positions), len(wanted.waiting)
        found = np.zeros(self.num_bytes, np.uint8)
        end = 8 * (_NUM_NUMBERS + sum(self._lists))
        numbers, looks = found[:end].view(np.int64), found[end:].reshape(self.num_rows, self.width)
        ids, positions, scored, places = np.split(numbers[_NUM_NUMBERS:], np.cumsum(self._lists)[:-1])
        numbers[:_NUM_NUMBERS] = wanted.num_committed, wanted.column
        if not self.has_states:
            ids[: len(wanted.inputs)] = wanted.inputs
        positions[:num_rows] = wanted.positions
        scored[:] = wanted.scored.start
        scored[: wanted.scored.stop - wanted.scored.start] = range(wanted.scored.start, wanted.scored.stop)
        places[: num_waiting + num_rows] = [*wanted.waiting, *wanted.positions]
        looks[:num_rows, : wanted.mask.shape[1]] = wanted.mask
        filled = np.arange(num_rows, self.num_rows)
        looks[filled, num_waiting + filled] = 1
        if wanted.layout is not None:
            found = np.concatenate((found, np.array(wanted.layout.owners, np.int64).view(np.uint8)))
        return torch.from_numpy(found)


@dataclass(frozen=True)
class Told:
    """What the device knows of a pass; int64 but for `looks`."""

    committed: Tensor
    """(1,) tokens that are kept."""
    column: Tensor
    """(1,) of the cache, that the first row's keys go to."""
    ids: Tensor
    """(rows,)"""
    positions: Tensor
    """(rows,)"""
    scored: Tensor
    """(scored,) rows that the output layer reads."""
    places: Tensor
    """(width,) of the rows that wait and of those of the pass."""
    looks: Tensor
    """(rows, width) bytes: who looks at whom among them."""

    def visible(self, length: int) -> tuple[Tensor, Tensor]:
        """Who looks at which of the first columns, bool (rows, length); and how far back each lies, (rows, length)."""
        visible, is_kept, index = looked_at(self.committed, self.looks, length)
        columns = torch.arange(length, device=self.ids.device)
        places = torch.where(is_kept, columns, self.places.index_select(0, index))
        return visible, self.positions[:, None] - places


def looked_at(committed: Tensor, looks: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which of the first columns rows look at, bool (rows, length): kept ones, and as `looks (rows, n)` says behind.

    `committed (1,)`: how many are kept. Also which columns are, and which of the n each other one is, (length,).
    """
    behind = torch.arange(length, device=looks.device) - committed
    is_kept, is_told = behind < 0, (behind >= 0) & (behind < looks.shape[1])
    index = behind.clamp(0, looks.shape[1] - 1)
    return is_kept | (looks.index_select(1, index).bool() & is_told), is_kept, index
