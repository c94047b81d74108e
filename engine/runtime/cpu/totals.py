"""A row's highest score and Σ e^((score - highest) · scale) in one reading: what a probability is divided by.

A long row waits for memory, so it is read once: piece by piece, each against the highest score so far, and what was
added up before is scaled where a higher one turns up. The sums run over lanes by place and are folded in one order,
with fused products where it is written and nowhere else: the same bits on every processor. Knows numbers only.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from engine.runtime.compiled import ENTRY
from engine.runtime.cpu.softmax import Floats
from engine.runtime.cpu.vectors import (
    F32,
    I32,
    I64,
    INTS,
    LANES,
    VECTOR,
    ZEROS,
    at,
    fetch,
    fused,
    like,
    loaded,
    loop,
    spread,
    stored,
    times,
)

_SIDE_BY_SIDE = 2
PIECE = 1024
_NUM_TURNS = ir.Constant(I64, PIECE // (LANES * _SIDE_BY_SIDE))
_AHEAD = 2 * 4 * PIECE
"""Bytes ahead that a piece's search for the highest asks for."""
_LOWEST = -126.0
"""The least power of two that is a normal number; what lies lower counts as that."""
_LEAST = np.float32(np.finfo(np.float32).min)
_LOG2_E = np.float32(1.4426950408889634)
_EXP2 = (1.3264726899e-3, 9.6715126606e-3, 5.5507337442e-2, 2.4022242085e-1, 6.9314697760e-1, 1.0)
"""Minimax polynomial for 2ʳ on |r| ≤ ½, highest power first: 9e-8."""
_ROUND = 1.5 * 2**23
"""Added to a small number, its last bits hold it rounded to a whole number."""


def _greater(builder: Any, a: Any, b: Any) -> Any:
    """The greater of two, lane by lane; `a` where `b` is not a number."""
    return builder.select(builder.fcmp_ordered(">", b, a), b, a)


def _across(builder: Any, vector: Any) -> Any:
    """The greatest of all lanes, in every lane."""
    for half in (8, 4, 2, 1):
        order = ir.Constant(INTS, [lane ^ half for lane in range(LANES)])
        vector = _greater(builder, vector, builder.shuffle_vector(vector, vector, order))
    return vector


def _at_turn(builder: Any, begin: Any, turn: Any, place: int, ahead: int = 0) -> Any:
    start = builder.add(begin, times(builder, turn, 4 * LANES * _SIDE_BY_SIDE))
    return at(builder, start, 4 * LANES * place + ahead)


def _highest(context: Any, begin: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def body(turn: Any, found: list[Any]) -> list[Any]:
            for place in range(_SIDE_BY_SIDE):
                fetch(builder, _at_turn(builder, args[0], turn, place, _AHEAD))
            vectors = [loaded(builder, _at_turn(builder, args[0], turn, i), VECTOR) for i in range(_SIDE_BY_SIDE)]
            return [_greater(builder, *pair) for pair in zip(found, vectors, strict=True)]

        found = loop(builder, _NUM_TURNS, [like(ZEROS, float(_LEAST))] * _SIDE_BY_SIDE, body)
        most = _across(builder, functools.reduce(functools.partial(_greater, builder), found))
        return builder.extract_element(most, ir.Constant(I32, 0))

    return types.float32(types.int64), generate


def _add_power(builder: Any, x: Any, top: Any, scale: Any, lowest: Any, total: Any) -> Any:
    """Total + 2^((x - top) · scale), x no higher than top; what is not a number stays none."""
    below = builder.fsub(x, top)
    below = builder.select(builder.fcmp_ordered("<", below, lowest), lowest, below)
    rounded = fused(builder, below, scale, like(x, _ROUND))
    rest = fused(builder, below, scale, builder.fsub(like(x, _ROUND), rounded))
    y = like(x, float(np.float32(_EXP2[0])))
    for coefficient in _EXP2[1:]:
        y = fused(builder, y, rest, like(x, float(np.float32(coefficient))))
    bits = builder.add(builder.bitcast(rounded, INTS), ir.Constant(INTS, [127] * LANES))
    power = builder.bitcast(builder.shl(bits, ir.Constant(INTS, [23] * LANES)), VECTOR)
    return fused(builder, y, power, total)


def _powers(context: Any, begin: Any, highest: Any, scale: Any, lanes: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        begin, highest, scale, lanes = args
        lowest = spread(builder, builder.fdiv(ir.Constant(F32, _LOWEST), scale))
        top, scale = spread(builder, highest), spread(builder, scale)

        def body(turn: Any, sums: list[Any]) -> list[Any]:
            vectors = [loaded(builder, _at_turn(builder, begin, turn, i), VECTOR) for i in range(_SIDE_BY_SIDE)]
            return [_add_power(builder, x, top, scale, lowest, own) for x, own in zip(vectors, sums, strict=True)]

        sums = loop(builder, _NUM_TURNS, [ZEROS] * _SIDE_BY_SIDE, body)
        stored(builder, at(builder, lanes), functools.reduce(builder.fadd, sums))
        return context.get_dummy_value()

    return types.void(types.int64, types.float32, types.float32, types.int64), generate


_highest_of_piece: Any = intrinsic(_highest)
"""Of a piece at an address; the least float32 where nothing is higher."""
_powers_of_piece: Any = intrinsic(_powers)
"""Sums (16,) of a piece's 2^((x - highest) · scale), by places, at an address."""


@njit(**ENTRY, error_model="numpy")
def highest_and_total(scores: Floats, scale: np.float32) -> tuple[np.float32, float]:
    """Of scores (v,). Where a number among them is not finite or all are -∞ the total is none either."""
    lanes, last, totals = np.empty(LANES, np.float32), np.empty(PIECE, np.float32), np.zeros(LANES)
    highest = _LEAST
    for start in range(0, len(scores), PIECE):
        piece = scores[start : start + PIECE]
        if len(piece) < PIECE:
            for i in range(PIECE):
                last[i] = piece[i] if i < len(piece) else -np.inf
            piece = last
        found = _highest_of_piece(piece.ctypes.data)
        if found > highest:
            totals *= math.exp(np.float64(highest - found) * np.float64(scale))
            highest = found
        _powers_of_piece(piece.ctypes.data, highest, scale * _LOG2_E, lanes.ctypes.data)
        for lane in range(LANES):
            totals[lane] += lanes[lane]
    return (highest, totals.sum()) if highest > _LEAST else (-np.float32(np.inf), np.nan)
