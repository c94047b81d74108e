"""Products of many rows on AMX, 16 rows at once, by the definition of products.py: the same bits, sooner.

Used only where the processor has bf16 tiles, the system lets this process use them, and a first product agrees with the
definition bit for bit. `SPECVIZ_NO_AMX=1` goes without. Elsewhere nothing here is ever called.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from engine.runtime.cpu.products import COLUMNS, GROUP, MOST_ROWS, Matrix, empty, multiply_tile, pack
from engine.runtime.cpu.rows import Floats, compiled
from engine.runtime.cpu.vectors import (
    I8,
    I64,
    POINTER,
    at,
    declared,
    define,
    fetch,
    flush_denormals,
    loop,
    restore_denormals,
    times,
)

TILE_ROWS = 16
FEW_ROWS = 2
"""Up to so many rows, multiply-add is as quick."""
_LINE = 64
_AHEAD = 4096
"""Bytes between what is multiplied and what is asked for (docs/log.md, 2026-12-01)."""
_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18
_GROUP_BYTES = GROUP * COLUMNS * 2
HAS_TILES = platform.system() == "Linux" and bool(llvm.get_host_cpu_features().get("amx-bf16"))
"""Whether this processor has them."""
CAN_COMPILE = HAS_TILES and not os.environ.get("NUMBA_CPU_NAME") and not os.environ.get("NUMBA_CPU_FEATURES")


def _tile(module: Any, row_tiles: int) -> Any:
    """(configuration, out, row stride, x as bfloat16, row stride, first block, blocks, groups): 16 or 32 rows."""
    sums = [(r, c) for r in range(row_tiles) for c in range(2)]
    rows = [4, 5][:row_tiles]

    def body(builder: Any, arguments: list[Any]) -> None:
        settings, out, out_stride, x, x_stride, first, num_blocks, num_groups = arguments
        block_size = times(builder, num_groups, _GROUP_BYTES)
        immediate = [I8]

        def call(name: str, kinds: list[Any], *values: Any) -> None:
            builder.call(declared(builder.module, f"llvm.x86.{name}", ir.VoidType(), kinds), values)

        def tile(number: int) -> Any:
            return ir.Constant(I8, number)

        def block(number: Any, _: list[Any]) -> list[Any]:
            w = builder.add(first, builder.mul(number, block_size))
            for i in range(len(sums)):
                call("tilezero", immediate, tile(i))

            def group(index: Any, _: list[Any]) -> list[Any]:
                x_group = builder.add(x, times(builder, index, 2 * GROUP))
                w_group = builder.add(w, times(builder, index, _GROUP_BYTES))
                for line in range(0, _GROUP_BYTES, _LINE):
                    fetch(builder, at(builder, w_group, _AHEAD + line))
                for r, place in enumerate(rows):
                    begin = builder.add(x_group, times(builder, x_stride, TILE_ROWS * r))
                    call("tileloadd64", [I8, POINTER, I64], tile(place), at(builder, begin), x_stride)
                for c in range(2):
                    columns = at(builder, w_group, _LINE * c)
                    call("tileloadd64", [I8, POINTER, I64], tile(6 + c), columns, ir.Constant(I64, 4 * COLUMNS))
                for i, (r, c) in enumerate(sums):
                    call("tdpbf16ps", [I8] * 3, tile(i), tile(rows[r]), tile(6 + c))
                return []

            loop(builder, num_groups, [], group)
            into = builder.add(out, times(builder, number, 4 * COLUMNS))
            for i, (r, c) in enumerate(sums):
                begin = builder.add(into, times(builder, out_stride, TILE_ROWS * r))
                call("tilestored64", [I8, POINTER, I64], tile(i), at(builder, begin, _LINE * c), out_stride)
            return []

        call("ldtilecfg", [POINTER], at(builder, settings))
        loop(builder, num_blocks, [], block)
        call("tilerelease", [])

    return define(module, f"specviz_amx_{row_tiles}", 8, body)


def _configured(builder: Any) -> Any:
    """The address of a tile configuration: eight tiles of 16 rows of 64 bytes."""
    place: Any = cgutils.alloca_once(builder, ir.ArrayType(I8, _LINE))
    numbers = [0] * _LINE
    numbers[0] = 1
    for number in range(8):
        numbers[16 + 2 * number], numbers[48 + number] = _LINE, TILE_ROWS
    builder.store(ir.Constant(ir.ArrayType(I8, _LINE), numbers), place)
    return builder.ptrtoint(place, I64)


def _multiply(
    context: Any,
    out: Any,
    out_stride: Any,
    x: Any,
    x_stride: Any,
    num_tiles: Any,
    matrix: Any,
    block: Any,
    blocks: Any,
    groups: Any,
) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[5]
        if CAN_COMPILE and kind.dtype == types.uint16:
            out, out_stride, x, x_stride, num_tiles, matrix, block, blocks, groups = args
            data = builder.ptrtoint(context.make_array(kind)(context, builder, matrix).data, I64)
            begin = builder.add(data, builder.mul(block, times(builder, groups, _GROUP_BYTES)))
            arguments = [_configured(builder), out, out_stride, x, x_stride, begin, blocks, groups]
            with builder.if_else(builder.icmp_signed(">", num_tiles, ir.Constant(I64, 1))) as (many, one):
                with many:
                    builder.call(_tile(builder.module, 2), arguments)
                with one:
                    builder.call(_tile(builder.module, 1), arguments)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5, matrix, *[types.int64] * 3), generate


multiply: Any = intrinsic(_multiply)
"""In compiled code: (out, row stride, x's bits, row stride, 1 or 2 tiles of rows, matrix, block, how many
blocks, at least 1, groups)."""


@functools.cache
def can_use() -> bool:
    """Whether this process may multiply on tiles, and they compute what the definition says."""
    if not CAN_COMPILE or os.environ.get("SPECVIZ_NO_AMX"):
        return False
    if ctypes.CDLL(None).syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA):
        return False
    return _agree()


def can_read() -> bool:
    """Whether prompts are multiplied here too: with tiles it is quicker than the library, and threads change no bit.

    Where tiles are there and gone without on purpose, the same bits are wanted, not the time.
    """
    is_gone_without = bool(os.environ.get("SPECVIZ_NO_AMX")) or not CAN_COMPILE
    return can_use() or (HAS_TILES and is_gone_without)


def _agree() -> bool:
    generator = torch.Generator().manual_seed(0)
    matrix = pack(torch.randn(COLUMNS, 4 * GROUP, generator=generator).bfloat16())
    x = torch.randn(2 * TILE_ROWS, 4 * GROUP, generator=generator).bfloat16()
    x[3] *= 1e-38  # denormal results, which tiles count as zero
    found, wanted = (empty((2 * TILE_ROWS, COLUMNS), np.float32) for _ in range(2))
    _multiply_both_ways(x.float().numpy(), x.view(torch.uint16).numpy(), matrix, found, wanted)
    return bool(np.array_equal(found.view(np.int32), wanted.view(np.int32)))


@compiled
def _multiply_both_ways(x: Any, bits: Any, matrix: Any, found: Any, wanted: Any) -> None:
    before = flush_denormals()
    groups = x.shape[1] // GROUP
    multiply(found.ctypes.data, found.strides[0], bits.ctypes.data, bits.strides[0], 2, matrix, 0, 1, groups)
    for row in range(len(x)):
        multiply_tile(
            wanted.ctypes.data + row * wanted.strides[0],
            wanted.strides[0],
            x.ctypes.data + row * x.strides[0],
            x.strides[0],
            1,
            matrix,
            0,
            groups,
        )
    restore_denormals(before)


@compiled
def product(
    x: Floats,
    bits: Any,
    num_rows: int,
    matrix: Matrix,
    block: int,
    blocks: int,
    out: Floats,
    column: int | np.int64,
    uses_tiles: bool,
) -> None:
    """Rows times neighbouring blocks, at least one → `out` from a column on; for a bare 0 all is compiled once more."""
    groups = matrix.shape[1] // (GROUP * COLUMNS)
    row = 0
    if uses_tiles:
        while num_rows - row > FEW_ROWS:
            num_tiles = 2 if num_rows - row > TILE_ROWS else 1
            multiply(
                out.ctypes.data + row * out.strides[0] + 4 * column,
                out.strides[0],
                bits.ctypes.data + row * bits.strides[0],
                bits.strides[0],
                num_tiles,
                matrix,
                block,
                blocks,
                groups,
            )
            row += num_tiles * TILE_ROWS
    while row < num_rows:
        num_parts = (num_rows - row + MOST_ROWS - 1) // MOST_ROWS
        num = (num_rows - row + num_parts - 1) // num_parts
        at = out.ctypes.data + row * out.strides[0] + 4 * column
        x_at = x.ctypes.data + row * x.strides[0]
        for b in range(blocks):
            multiply_tile(at + 4 * b * COLUMNS, out.strides[0], x_at, x.strides[0], num, matrix, block + b, groups)
        row += num
