"""What happens to one row between products: norm, rotation, softmax, gated activation.

Sums run over 16 lanes by place and are folded in one order, products and additions are fused where it is written and
nowhere else: the same bits on every processor. Rows are filled up to whole groups with zeros. Knows numbers only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from engine.runtime import compiled as how
from engine.runtime.cpu.vectors import (
    I32,
    LANES,
    VECTOR,
    ZEROS,
    at,
    define,
    fma,
    fused_any,
    like,
    loaded,
    loop,
    spread,
    stored,
    times,
    with_lanes,
)

Floats = np.ndarray[Any, np.dtype[np.float32]]
compiled = how.entry(error_model="numpy")
inner = how.inner(error_model="numpy")
part = how.part(error_model="numpy")

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_LOWEST = -80.0
"""Exponents below this count as -∞: float32 has no normal number for their powers."""
_LOG2_E, _LN2_HIGH, _LN2_LOW = 1.4426950216293335, -0.693359375, 2.1219444170128554e-4
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
"""Cephes' polynomial for (eʳ - 1 - r) ÷ r² on |r| ≤ ½ ln 2, highest power first."""


def _exp(builder: Any, x: Any) -> Any:
    """E to numbers that are not positive, 0 for all below -80; what is not a number stays none."""
    kind = with_lanes(x, I32)
    is_none = builder.fcmp_ordered("<=", x, like(x, _LOWEST))
    held = builder.select(is_none, like(x, _LOWEST), x)
    # Not positive, so that cutting off rounds to nearest.
    power = builder.fptosi(builder.fsub(builder.fmul(held, _single(x, _LOG2_E)), like(x, 0.5)), kind)
    whole = builder.sitofp(power, x.type)
    rest = fused_any(builder, whole, _single(x, _LN2_HIGH), held)
    rest = fused_any(builder, whole, _single(x, _LN2_LOW), rest)
    y = _single(x, _EXP[0])
    for coefficient in _EXP[1:]:
        y = fused_any(builder, y, rest, _single(x, coefficient))
    y = builder.fadd(fused_any(builder, y, builder.fmul(rest, rest), rest), like(x, 1.0))
    bits = builder.shl(builder.add(power, like(power, 127)), like(power, 23))
    return builder.select(is_none, like(x, 0.0), builder.fmul(y, builder.bitcast(bits, x.type)))


def _single(x: Any, number: float) -> Any:
    """A constant, the nearest that float32 has."""
    return like(x, float(np.float32(number)))


def _silu(builder: Any, x: Any) -> Any:
    """X ÷ (1 + e⁻ˣ)."""
    is_positive = builder.fcmp_ordered(">", x, like(x, 0.0))
    power = _exp(builder, builder.select(is_positive, builder.fneg(x), x))
    share = builder.fdiv(builder.select(is_positive, like(x, 1.0), power), builder.fadd(like(x, 1.0), power))
    return builder.fmul(x, share)


def _powers(context: Any, line: Any, num: Any, lanes: Any) -> Any:
    def body(builder: Any, arguments: list[Any]) -> None:
        line, num, lanes = arguments
        lowest = like(ZEROS, float("-inf"))

        def vector(index: Any) -> Any:
            return at(builder, line, times(builder, index, 4 * LANES))

        def highest(index: Any, found: list[Any]) -> list[Any]:
            x = loaded(builder, vector(index), VECTOR)
            return [builder.select(builder.fcmp_ordered(">", x, found[0]), x, found[0])]

        (most,) = loop(builder, num, [lowest], highest)
        top = builder.extract_element(most, ir.Constant(I32, 0))
        for lane in range(1, LANES):
            x = builder.extract_element(most, ir.Constant(I32, lane))
            top = builder.select(builder.fcmp_ordered(">", x, top), x, top)
        tops = spread(builder, top)

        def power(index: Any, sums: list[Any]) -> list[Any]:
            found = _exp(builder, builder.fsub(loaded(builder, vector(index), VECTOR), tops))
            stored(builder, vector(index), found)
            return [builder.fadd(sums[0], found)]

        (sums,) = loop(builder, num, [ZEROS], power)
        stored(builder, at(builder, lanes), sums)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.call(define(builder.module, "specviz_powers", 3, body), args)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


def _activated(context: Any, found: Any, found_stride: Any, out: Any, out_stride: Any, num: Any, rows: Any) -> Any:
    def body(builder: Any, arguments: list[Any]) -> None:
        found, found_stride, out, out_stride, num, rows = arguments

        def row(number: Any, _: list[Any]) -> list[Any]:
            gates = builder.add(found, builder.mul(number, found_stride))
            results = builder.add(out, builder.mul(number, out_stride))

            def pair(index: Any, _: list[Any]) -> list[Any]:
                begin = builder.add(gates, times(builder, index, 8 * LANES))
                gate, up = (loaded(builder, at(builder, begin, offset), VECTOR) for offset in (0, 4 * LANES))
                place = at(builder, results, times(builder, index, 4 * LANES))
                stored(builder, place, builder.fmul(_silu(builder, gate), up))
                return []

            loop(builder, num, [], pair)
            return []

        loop(builder, rows, [], row)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.call(define(builder.module, "specviz_activate", 6, body), args)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), generate


_exponentiate: Any = intrinsic(_powers)
activated: Any = intrinsic(_activated)
"""In compiled code: (gates and what they let through, 16 numbers in turn; row stride; out; row stride; pairs of 16;
rows) → silu(gate) · up, in addresses and bytes."""


@inner
def fold(lanes: Floats) -> np.float32:
    """The sum of 16 lanes, halves on halves."""
    for half in (8, 4, 2, 1):
        for j in range(half):
            lanes[j] = lanes[j] + lanes[j + half]
    total: np.float32 = lanes[0]
    return total


@compiled
def scale_of(x: Floats, num: int, epsilon: np.float32, lanes: Floats) -> np.float32:
    """1 ÷ √(mean x² + ε) of the first `num` numbers of a row that goes on with zeros."""
    for j in range(LANES):
        lanes[j] = _ZERO
    for i in range(0, num, LANES):
        for j in range(LANES):
            lanes[j] = fma(x[i + j], x[i + j], lanes[j])
    scale: np.float32 = _ONE / np.sqrt(fold(lanes) / np.float32(num) + epsilon)
    return scale


@compiled
def powers(scores: Floats, num: int, lanes: Floats) -> np.float32:
    """Scores → e^(score - highest) in place; returns their sum, by places: lane t mod 16 takes place t."""
    end = (num + LANES - 1) // LANES * LANES
    for t in range(num, end):
        scores[t] = -np.inf
    _exponentiate(scores.ctypes.data, end // LANES, lanes.ctypes.data)
    total: np.float32 = fold(lanes)
    return total


@compiled
def rotate(x: Floats, half: int, cos: Floats, sin: Floats) -> None:
    """Rotary embedding of a head's 2 · half dimensions in place, tables (half,)."""
    for j in range(half):
        low, high = x[j], x[j + half]
        x[j] = fma(low, cos[j], -(high * sin[j]))
        x[j + half] = fma(high, cos[j], low * sin[j])
