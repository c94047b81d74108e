"""What happens to one row between products: norm, rotation, softmax, gated activation, rounding.

Sums run over 16 lanes by place and are folded in one order, products and additions are fused where it is written and
nowhere else: the same bits on every processor. Rows are filled up to whole groups with zeros. Knows numbers only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

from engine.runtime.cpu.vectors import F32, I32, LANES, fma

Floats = np.ndarray[Any, np.dtype[np.float32]]
compiled = njit(cache=True, nogil=True, error_model="numpy")

_ZERO, _HALF, _ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)
_LOWEST = np.float32(-80.0)
"""Exponents below this count as -∞: float32 has no normal number for their powers."""
_LOG2_E = np.float32(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = np.float32(-0.693359375), np.float32(2.12194440e-4)
_EXP = tuple(
    np.float32(c)
    for c in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)
"""Cephes' polynomial for (eʳ - 1 - r) ÷ r² on |r| ≤ ½ ln 2, highest power first."""


def _as_float(context: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], F32)

    return types.float32(types.int32), generate


def _as_bits(context: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], I32)

    return types.int32(types.float32), generate


def _half_of(context: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fpext(builder.fptrunc(args[0], ir.HalfType()), F32)

    return types.float32(types.float32), generate


def _half_bits(context: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(builder.fptrunc(args[0], ir.HalfType()), ir.IntType(16))

    return types.int16(types.float32), generate


as_float: Any = intrinsic(_as_float)
as_bits: Any = intrinsic(_as_bits)
half_of: Any = intrinsic(_half_of)
half_bits: Any = intrinsic(_half_bits)


@compiled
def bfloat_bits(number: np.float32) -> np.uint16:
    """The nearest bfloat16, ties to even, as its bits; what is not a number stays none."""
    bits = as_bits(number)
    rounded = bits + np.int32(0x7FFF) + ((bits >> np.int32(16)) & np.int32(1))
    is_none = (bits & np.int32(0x7FFFFFFF)) > np.int32(0x7F800000)
    return np.uint16((bits | np.int32(0x400000) if is_none else rounded) >> np.int32(16))


@compiled
def bfloat_of(number: np.float32) -> np.float32:
    """The nearest bfloat16, in float32."""
    bits = as_bits(number)
    rounded = bits + np.int32(0x7FFF) + ((bits >> np.int32(16)) & np.int32(1))
    is_none = (bits & np.int32(0x7FFFFFFF)) > np.int32(0x7F800000)
    return as_float((bits if is_none else rounded) & np.int32(-65536))


@compiled
def exp(x: np.float32) -> np.float32:
    """e to a number that is not positive; exactly 0 for all below -80."""
    held = _LOWEST if x <= _LOWEST else x
    power = np.int32(held * _LOG2_E - _HALF)  # not positive, so that cutting off rounds to nearest
    rest = fma(np.float32(power), _LN2_HIGH, held)
    rest = fma(np.float32(power), _LN2_LOW, rest)
    y = fma(_EXP[0], rest, _EXP[1])
    y = fma(y, rest, _EXP[2])
    y = fma(y, rest, _EXP[3])
    y = fma(y, rest, _EXP[4])
    y = fma(y, rest, _EXP[5])
    y = fma(y, rest * rest, rest) + _ONE
    return _ZERO if x <= _LOWEST else y * as_float((power + np.int32(127)) << np.int32(23))


@compiled
def silu(x: np.float32) -> np.float32:
    """X ÷ (1 + e⁻ˣ)."""
    power = exp(-abs(x))
    return x * ((_ONE if x > _ZERO else power) / (_ONE + power))


@compiled
def fold(lanes: Floats) -> np.float32:
    """The sum of 16 lanes, halves on halves."""
    for half in (8, 4, 2, 1):
        for j in range(half):
            lanes[j] = lanes[j] + lanes[j + half]
    return lanes[0]


@compiled
def scale_of(x: Floats, num: int, epsilon: np.float32, lanes: Floats) -> np.float32:
    """1 ÷ √(mean x² + ε) of the first `num` numbers of a row that goes on with zeros."""
    for j in range(LANES):
        lanes[j] = _ZERO
    for i in range(0, num, LANES):
        for j in range(LANES):
            lanes[j] = fma(x[i + j], x[i + j], lanes[j])
    return _ONE / np.sqrt(fold(lanes) / np.float32(num) + epsilon)


@compiled
def powers(scores: Floats, num: int, lanes: Floats) -> np.float32:
    """Scores → e^(score - highest) in place; returns their sum, by places: lane t mod 16 takes place t."""
    highest = np.float32(-np.inf)
    for t in range(num):
        highest = scores[t] if scores[t] > highest else highest
    for t in range(num):
        scores[t] = exp(scores[t] - highest)
    whole = num // LANES * LANES
    for j in range(LANES):
        lanes[j] = _ZERO
    for t in range(0, whole, LANES):
        for j in range(LANES):
            lanes[j] = lanes[j] + scores[t + j]
    for t in range(whole, num):
        lanes[t - whole] = lanes[t - whole] + scores[t]
    return fold(lanes)


@compiled
def rotate(x: Floats, half: int, cos: Floats, sin: Floats) -> None:
    """Rotary embedding of a head's 2 · half dimensions in place, tables (half,)."""
    for j in range(half):
        low, high = x[j], x[j + half]
        x[j] = fma(low, cos[j], -(high * sin[j]))
        x[j + half] = fma(high, cos[j], low * sin[j])


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
            for i in range(num):
                row[i] = bfloat_of(row[i])
            if with_bits:
                for i in range(num):
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
