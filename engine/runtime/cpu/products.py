"""Products of rows with a matrix by one definition, so that a result has the same bits wherever it is computed.

The definition: the inner dimension in groups of 32; in float32, each addition rounded once (a product and the addition
behind it together),

    even = Σ x[k] · w[k] over the group's even k, in order;  odd likewise;  result = result + (even + odd).

That is what AMX's bf16 tiles compute for 16 rows at once (tiles.py), and what any processor's fused multiply-add
computes for one row or many: so neither the number of rows, nor the threads, nor the processor changes a bit
(docs/decisions/0009). Denormal numbers count as zero. Inputs are rounded to the matrix's dtype by whoever makes them.

Matrices stand packed: blocks of 64 columns, each (inner, 64) behind each other, bfloat16 in pairs of inner places.
Knows numbers only.
"""

from __future__ import annotations

import os
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.runtime.cpu.vectors import (
    F32,
    I64,
    INTS,
    LANES,
    VECTOR,
    ZEROS,
    at,
    define,
    fetch,
    fused,
    loaded,
    loop,
    of_count,
    spread,
    stored,
    times,
    widened,
)

Matrix = np.ndarray[Any, Any]
"""(…, blocks, bytes of a block as numbers): bfloat16 as uint16, float16 as int16, or float32."""

GROUP = 32
COLUMNS = 32
"""Columns of a block."""
_PAIRS = GROUP // 2
_HIGH = -65536
_AHEAD = 4096
"""Bytes between what is multiplied and what is asked for (docs/log.md, 2026-11-29)."""


def _has_wide_registers() -> bool:
    """Whether this process's code has 32 registers of 16 numbers (AVX-512) to keep sums in."""
    if os.environ.get("NUMBA_CPU_NAME"):  # code for another processor: the fewest registers fit all
        return False
    return bool(llvm.get_host_cpu_features().get("avx512f"))


IS_WIDE = _has_wide_registers()
MOST_ROWS = 6 if IS_WIDE else 3
"""Rows that share one reading of a block."""


def width_of(size: int, unit: int) -> int:
    """`size` rounded up to whole units."""
    return -(-size // unit) * unit


def pack(weight: torch.Tensor) -> Matrix:
    """A linear layer's weight (o, i) → (blocks, numbers of a block), filled up with zeros."""
    num_columns, inner = width_of(len(weight), COLUMNS), width_of(weight.shape[1], GROUP)
    whole = weight.new_zeros(num_columns, inner)
    whole[: len(weight), : weight.shape[1]] = weight.detach()
    blocks = whole.view(-1, COLUMNS, inner)
    if weight.dtype == torch.bfloat16:
        pairs = blocks.view(-1, COLUMNS, inner // 2, 2).transpose(1, 2)
        return aligned(pairs.contiguous().view(torch.uint16).numpy().reshape(len(blocks), -1))
    blocks = blocks.transpose(1, 2).contiguous()
    numbers = blocks.view(torch.int16).numpy() if weight.dtype == torch.float16 else blocks.float().numpy()
    return aligned(numbers.reshape(len(blocks), -1))


def aligned(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same numbers, beginning at a cache line."""
    found = empty(numbers.shape, numbers.dtype)
    found[:] = numbers
    return found


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """Memory for an array that begins at a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    found: np.ndarray[Any, Any] = raw[start : start + size].view(dtype).reshape(shape)
    return found


def _pair(builder: Any, address: Any, pair: Any, column: int, dtype: Any) -> tuple[Any, Any]:
    """16 columns' numbers at an even inner place and at the odd one behind it."""
    if dtype == types.uint16:
        both = loaded(builder, at(builder, builder.add(address, times(builder, pair, 4 * COLUMNS)), 64 * column), INTS)
        even = builder.shl(both, ir.Constant(INTS, [16] * LANES))
        odd = builder.and_(both, ir.Constant(INTS, [_HIGH] * LANES))
        return builder.bitcast(even, VECTOR), builder.bitcast(odd, VECTOR)
    size = dtype.bitwidth // 8
    first = builder.add(address, times(builder, pair, 2 * COLUMNS * size))
    offset = LANES * size * column
    return (
        widened(builder, at(builder, first, offset), dtype),
        widened(builder, at(builder, first, offset + COLUMNS * size), dtype),
    )


def _fetch_ahead(builder: Any, group: Any, pair: Any, dtype: Any) -> None:
    """Ask for weights that are needed later: rows that share them leave memory no time of its own."""
    size = 2 * COLUMNS * (dtype.bitwidth // 8)
    ahead = builder.add(group, times(builder, pair, size))
    for line in range(0, size, 64):
        fetch(builder, at(builder, ahead, _AHEAD + line))


def _tile(module: Any, dtype: Any, rows: int) -> Any:
    """`rows` rows of x times a block: (out, its row stride, x, its row stride, block, groups)."""
    group_size = GROUP * COLUMNS * (dtype.bitwidth // 8)
    columns = range(COLUMNS // LANES)
    places = [(r, c) for r in range(rows) for c in columns]

    def body(builder: Any, arguments: list[Any]) -> None:
        out, out_stride, x, x_stride, w, num_groups = arguments
        x_rows = [builder.add(x, times(builder, x_stride, r)) for r in range(rows)]

        def group(index: Any, sums: list[Any]) -> list[Any]:
            begin = builder.add(w, times(builder, index, group_size))

            def pair(number: Any, halves: list[Any]) -> list[Any]:
                if rows > 1:  # one row is done with a weight as soon as it is there: the processor fetches in time
                    _fetch_ahead(builder, begin, number, dtype)
                weights = [_pair(builder, begin, number, c, dtype) for c in columns]
                offset = builder.add(times(builder, index, 4 * GROUP), times(builder, number, 8))
                factors = [_spread_pair(builder, builder.add(row, offset)) for row in x_rows]
                return [
                    fused(builder, factors[r][half], weights[c][half], halves[2 * i + half])
                    for i, (r, c) in enumerate(places)
                    for half in (0, 1)
                ]

            halves = loop(builder, ir.Constant(I64, _PAIRS), [ZEROS] * (2 * len(places)), pair)
            both = [builder.fadd(even, odd) for even, odd in zip(halves[::2], halves[1::2], strict=True)]
            return [builder.fadd(total, added) for total, added in zip(sums, both, strict=True)]

        totals = loop(builder, num_groups, [ZEROS] * len(places), group)
        for (r, c), total in zip(places, totals, strict=True):
            row = builder.add(out, times(builder, out_stride, r))
            stored(builder, at(builder, row, 64 * c), total)

    return define(module, f"specviz_tile_{dtype}_{rows}", 6, body)


def _spread_pair(builder: Any, address: Any) -> tuple[Any, Any]:
    """A row's numbers at an even inner place and at the odd one behind it, each in every lane."""
    even, odd = (spread(builder, loaded(builder, at(builder, address, 4 * half), F32)) for half in (0, 1))
    return even, odd


def _multiply(
    context: Any, out: Any, out_stride: Any, x: Any, x_stride: Any, rows: Any, matrix: Any, block: Any, groups: Any
) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out, out_stride, x, x_stride, rows, matrix, block, groups = args
        kind = signature.args[5]
        data = context.make_array(kind)(context, builder, matrix).data
        size = times(builder, groups, GROUP * COLUMNS * (kind.dtype.bitwidth // 8))
        begin = builder.add(builder.ptrtoint(data, I64), builder.mul(block, size))
        arguments = [out, out_stride, x, x_stride, begin, groups]
        of_count(builder, rows, MOST_ROWS, lambda n: _tile(builder.module, kind.dtype, n), arguments)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5, matrix, types.int64, types.int64), generate


multiply_tile: Any = intrinsic(_multiply)
"""In compiled code: (out, its row stride, x, its row stride, rows, matrix, block, groups), in addresses and bytes: 1 to
MOST_ROWS rows times a block."""


def _unpair(context: Any, words: Any, low: Any, high: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        narrow = ir.VectorType(ir.IntType(16), LANES)
        for part in range(COLUMNS // LANES):
            both = loaded(builder, at(builder, args[0], 64 * part), INTS)
            upper = builder.lshr(both, ir.Constant(INTS, [16] * LANES))
            for place, value in ((args[1], both), (args[2], upper)):
                stored(builder, at(builder, place, 32 * part), builder.trunc(value, narrow), 2)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


unpair: Any = intrinsic(_unpair)
"""In compiled code: a block's pairs at one inner place (COLUMNS,) → its even row and its odd row, by addresses."""
