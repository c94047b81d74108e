"""The memory that passes of one model write to, and how a pass is cut into units of work.

Grown to the largest pass there was; nothing is allocated within one. Knows numbers and sizes only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.runtime.cpu import prompt_attention, tiles
from engine.runtime.cpu.attention import QUERIES
from engine.runtime.cpu.products import COLUMNS, GROUP, empty, width_of
from engine.runtime.cpu.prompt_attention import num_attending, num_packing
from engine.runtime.cpu.records import Shape, Weights, Work
from engine.runtime.cpu.rows import Floats
from engine.runtime.cpu.vectors import LANES
from engine.runtime.cpu.whole_pass import DOWN, GATE_UP, NUM_PHASES, OUTPUT, QKV, ROWS_AT_ONCE, num_turning

_UNITS_A_THREAD = 16
_PAGE_OFFSET = 16
"""Numbers between rows, so that they do not begin at like places of memory pages."""


class Sizes(NamedTuple):
    """Numbers in a row at its stations."""

    hidden: int
    attended: int
    active: int
    head_dim: int
    num_kv_heads: int


class Memory:
    """What passes of one model write to, grown to the largest of them."""

    def __init__(self, weights: Weights, sizes: Sizes) -> None:
        self.weights, self.sizes = weights, sizes
        self.num_rows = self.num_columns = self.num_threads = 0
        self.x: Floats
        self.normed: Floats
        self._units: dict[tuple[int, bool, int, int], tuple[Any, Any]] = {}
        self._reserve_prompt(0, 1)

    @staticmethod
    def padded(num_rows: int) -> int:
        """Rows with room for the idle ones of a last tile."""
        return width_of(num_rows, tiles.TILE_ROWS) + tiles.TILE_ROWS

    def reserve(self, num_rows: int, num_columns: int, num_threads: int) -> None:
        """Make room for a pass."""
        if num_rows <= self.num_rows and num_columns <= self.num_columns and num_threads <= self.num_threads:
            return
        self.num_rows, self.num_columns = max(self.num_rows, num_rows), max(self.num_columns, num_columns)
        self.num_threads = max(self.num_threads, num_threads)
        sizes, rows, threads = self.sizes, self.padded(self.num_rows), self.num_threads
        self.x, self.normed = self._floats(rows, sizes.hidden), self._floats(rows, sizes.hidden)
        self.qkv = self._floats(rows, self.weights.qkv.shape[1] * COLUMNS)
        self.attended, self.active = self._floats(rows, sizes.attended), self._floats(rows, sizes.active)
        self.bits = [self._bits(rows, size) for size in (sizes.hidden, sizes.attended, sizes.active)]
        self.results = np.zeros((threads, rows, 2 * COLUMNS), np.float32)
        self.scores = np.zeros((threads, QUERIES, self.num_columns + _PAGE_OFFSET), np.float32)
        self.outputs = np.zeros((threads, 2 * QUERIES, width_of(sizes.head_dim, LANES) + LANES), np.float32)
        self.lanes = np.zeros((threads, 4 * LANES), np.float32)
        self.spent = np.zeros((threads, 2 * _PAGE_OFFSET), np.int64)

    def reserve_prompt(self, num_columns: int, num_threads: int) -> None:
        """Make room for a prompt's attention."""
        if num_columns > self.num_prompt_columns or num_threads > self.num_prompt_threads:
            self._reserve_prompt(max(num_columns, self.num_prompt_columns), max(num_threads, self.num_prompt_threads))

    def _reserve_prompt(self, num_columns: int, num_threads: int) -> None:
        self.num_prompt_columns, self.num_prompt_threads = num_columns, num_threads
        heads, width = self.sizes.num_kv_heads, width_of(self.sizes.head_dim, GROUP)
        blocks, kind = -(-num_columns // COLUMNS), self.weights.qkv.dtype
        self.packed_keys = empty((heads, blocks, width * COLUMNS), kind)
        self.packed_values = empty((heads, width // COLUMNS, blocks * GROUP * COLUMNS), kind)
        shapes = [width + _PAGE_OFFSET, blocks * COLUMNS + _PAGE_OFFSET, width + _PAGE_OFFSET]
        self.prompt = [np.zeros((num_threads, prompt_attention.ROWS, size), np.float32) for size in shapes]
        self.prompt_bits = [np.zeros(numbers.shape, kind) for numbers in self.prompt[:2]]

    def _floats(self, rows: int, width: int) -> Floats:
        found = empty((rows, width_of(width, GROUP) + _PAGE_OFFSET), np.float32)
        found[:] = 0
        return found

    def _bits(self, rows: int, width: int) -> Any:
        found = empty((rows, width_of(width, GROUP) + 2 * _PAGE_OFFSET), self.weights.qkv.dtype)
        found[:] = 0
        return found

    @staticmethod
    def tensor(rows: Floats) -> Tensor:
        """The same memory for torch."""
        return torch.from_numpy(rows)

    def states(self, rows: Floats, num_rows: int, dtype: torch.dtype) -> Tensor:
        """A copy of the first rows (m, h) in the model's dtype."""
        return torch.from_numpy(rows[:num_rows, : self.sizes.hidden].copy()).to(dtype)

    def work(self, shape: Shape, num_threads: int, logits: Floats) -> Work:
        """The memory of a pass and its units of work."""
        key = shape.num_rows, shape.num_scored > 0, num_threads, num_turning(shape)
        if shape.is_prompt:  # whose lengths are too many to keep
            units, spans = self._share_out(shape, num_threads)
        elif key in self._units:
            units, spans = self._units[key]
        else:
            units, spans = self._units[key] = self._share_out(shape, num_threads)
        return Work(
            units=units,
            spans=spans,
            x=self.x,
            normed=self.normed,
            normed_bits=self.bits[0],
            qkv=self.qkv,
            attended=self.attended,
            attended_bits=self.bits[1],
            active=self.active,
            active_bits=self.bits[2],
            results=self.results,
            scores=self.scores,
            outputs=self.outputs,
            lanes=self.lanes,
            packed_keys=self.packed_keys,
            packed_values=self.packed_values,
            prompt_queries=self.prompt[0],
            prompt_query_bits=self.prompt_bits[0],
            prompt_rows=self.prompt[1],
            prompt_bits=self.prompt_bits[1],
            prompt_outputs=self.prompt[2],
            logits=logits,
            spent=self.spent,
        )

    def _share_out(self, shape: Shape, num_threads: int) -> tuple[Any, Any]:
        """Units of work before the end of each phase, and blocks of columns in a unit of each product."""
        weights, num_rows = self.weights, shape.num_rows
        few_rows = -(-num_rows // ROWS_AT_ONCE)
        queries = -(-num_rows * shape.num_heads // shape.num_kv_heads // QUERIES)
        blocks = {QKV: weights.qkv.shape[1], OUTPUT: weights.output.shape[1]}
        blocks |= {GATE_UP: weights.gate_up.shape[1], DOWN: weights.down.shape[1], NUM_PHASES: len(weights.head)}
        spans = {phase: 2 * max(1, count // (2 * num_threads * _UNITS_A_THREAD)) for phase, count in blocks.items()}
        units = {phase: -(-count // spans[phase]) for phase, count in blocks.items()}
        pack, attend = 0, shape.num_kv_heads * queries
        if shape.is_prompt:
            pack, attend = num_packing(shape), num_attending(shape)
        counts = [few_rows, units[QKV], num_turning(shape), pack, attend]
        counts += [units[OUTPUT], few_rows, units[GATE_UP], units[DOWN], 0]
        head = units[NUM_PHASES] if shape.num_scored else 0
        ends = np.array([*np.cumsum(counts), few_rows, head])
        return ends, np.array([spans.get(phase, 1) for phase in range(NUM_PHASES + 1)])
