"""Numbers and rows rounded to what the next product reads: the nearest bfloat16 or half, ties to even."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from engine.runtime.cpu.rows import Floats
from engine.runtime.cpu.vectors import (
    F32,
    I32,
    I64,
    LANES,
    VECTOR,
    at,
    define,
    like,
    loaded,
    loop,
    stored,
    times,
    with_lanes,
)


def _bfloat(builder: Any, x: Any) -> Any:
    """The nearest bfloat16, ties to even, as the upper half of a float32's bits; what is not a number stays none."""
    bits = builder.bitcast(x, with_lanes(x, I32))
    odd = builder.and_(builder.lshr(bits, like(bits, 16)), like(bits, 1))
    rounded = builder.add(builder.add(bits, like(bits, 0x7FFF)), odd)
    is_none = builder.fcmp_unordered("uno", x, x)
    found = builder.select(is_none, builder.or_(bits, like(bits, 0x400000)), rounded)
    return builder.and_(found, like(bits, -65536))


def _bfloat_bits(context: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.trunc(builder.lshr(_bfloat(builder, args[0]), ir.Constant(I32, 16)), ir.IntType(16))

    return types.uint16(types.float32), generate


def _bfloat_of(context: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(_bfloat(builder, args[0]), F32)

    return types.float32(types.float32), generate


def _half_of(context: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fpext(builder.fptrunc(args[0], ir.HalfType()), F32)

    return types.float32(types.float32), generate


def _half_bits(context: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(builder.fptrunc(args[0], ir.HalfType()), ir.IntType(16))

    return types.int16(types.float32), generate


bfloat_bits: Any = intrinsic(_bfloat_bits)
"""In compiled code: the nearest bfloat16 of a number, as its bits."""
bfloat_of: Any = intrinsic(_bfloat_of)
"""In compiled code: the nearest bfloat16 of a number, in float32."""
half_of: Any = intrinsic(_half_of)
half_bits: Any = intrinsic(_half_bits)


def _round_vectors(context: Any, row: Any, bits: Any, num: Any, with_bits: Any) -> Any:
    def body(builder: Any, arguments: list[Any]) -> None:
        row, bits, num, with_bits = arguments

        def vector(index: Any, _: list[Any]) -> list[Any]:
            place = at(builder, row, times(builder, index, 4 * LANES))
            found = _bfloat(builder, loaded(builder, place, VECTOR))
            stored(builder, place, builder.bitcast(found, VECTOR))
            with builder.if_then(builder.icmp_signed("!=", with_bits, ir.Constant(I64, 0))):
                upper = builder.trunc(builder.lshr(found, like(found, 16)), ir.VectorType(ir.IntType(16), LANES))
                stored(builder, at(builder, bits, times(builder, index, 2 * LANES)), upper, 2)
            return []

        with builder.if_then(builder.icmp_signed(">", num, ir.Constant(I64, 0))):
            loop(builder, num, [], vector)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.call(define(builder.module, "specviz_round", 4, body), args)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


_round_whole: Any = intrinsic(_round_vectors)


def store(numbers: Any, place: int, number: np.float32) -> None:
    """In compiled code: write a number, rounded to what `numbers` holds."""
    raise NotImplementedError


def round_row(row: Floats, bits: Any, num: int, with_bits: bool) -> None:
    """In compiled code: round the first numbers of a row to the dtype of `bits`, and write them there too if asked."""
    raise NotImplementedError


@overload(store, strict=False)
def _store(numbers: Any, place: Any, number: Any) -> Any:
    if numbers.dtype == types.uint16:

        def bfloat(numbers: Any, place: int, number: np.float32) -> None:
            numbers[place] = bfloat_bits(number)

        return bfloat
    if numbers.dtype == types.int16:

        def half(numbers: Any, place: int, number: np.float32) -> None:
            numbers[place] = half_bits(number)

        return half

    def single(numbers: Any, place: int, number: np.float32) -> None:
        numbers[place] = number

    return single


@overload(round_row, strict=False)
def _round_row(row: Any, bits: Any, num: Any, with_bits: Any) -> Any:
    if bits.dtype == types.uint16:

        def bfloat(row: Floats, bits: Any, num: int, with_bits: bool) -> None:
            whole = num // LANES
            _round_whole(row.ctypes.data, bits.ctypes.data, whole, 1 if with_bits else 0)
            for i in range(whole * LANES, num):
                row[i] = bfloat_of(row[i])
                if with_bits:
                    bits[i] = bfloat_bits(row[i])

        return bfloat
    if bits.dtype == types.int16:

        def half(row: Floats, bits: Any, num: int, with_bits: bool) -> None:
            for i in range(num):
                row[i] = half_of(row[i])

        return half

    def single(row: Floats, bits: Any, num: int, with_bits: bool) -> None:
        return None

    return single
