"""Compiled exponential noise: engine/noise.py's, bit for bit, in a tenth of the time.

Exact whole numbers, and float64 sums, products and quotients in the same order, none of them contracted. Knows
numbers only; compiled by numba at the first call and kept on disk.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from engine.runtime.compiled import ENTRY, INNER
from engine.runtime.cpu.softmax import Doubles, Floats, Integers

_CHUNK = 1024
_WORD = np.uint32
_LN2 = math.log(2)


@njit(**ENTRY, error_model="numpy")
def fill(key: int, other_key: int, place: int, ids: Integers, waits: Floats) -> None:
    """Noise (n,) of some ids (n,) at a place."""
    x, y = np.empty(_CHUNK, np.uint32), np.empty(_CHUNK, np.uint32)
    bits = np.empty(_CHUNK, np.int64)
    for start in range(0, len(ids), _CHUNK):
        num = min(_CHUNK, len(ids) - start)
        for t in range(num):
            x[t] = ids[start + t]
        _threefry(_WORD(key), _WORD(other_key), _WORD(place), x[:num], y[:num])
        _exponentials(x[:num], y[:num], bits[:num], bits.view(np.float64)[:num], waits[start : start + num])


@njit(**INNER)
def _threefry(first: np.uint32, second: np.uint32, place: np.uint32, x: Any, y: Any) -> None:
    """Counters (x, place) become random words (x, y)."""
    third = _WORD(first ^ second ^ _WORD(0x1BD11BDA))
    for t in range(len(x)):
        a, b = _WORD(x[t] + first), _WORD(place + second)
        a, b = _four_rounds(a, b, 13, 15, 26, 6)
        a, b = _four_rounds(_WORD(a + second), _WORD(b + _WORD(third + _WORD(1))), 17, 29, 16, 24)
        a, b = _four_rounds(_WORD(a + third), _WORD(b + _WORD(first + _WORD(2))), 13, 15, 26, 6)
        a, b = _four_rounds(_WORD(a + first), _WORD(b + _WORD(second + _WORD(3))), 17, 29, 16, 24)
        a, b = _four_rounds(_WORD(a + second), _WORD(b + _WORD(third + _WORD(4))), 13, 15, 26, 6)
        x[t], y[t] = _WORD(a + third), _WORD(b + _WORD(first + _WORD(5)))


@njit(**INNER)
def _four_rounds(a: np.uint32, b: np.uint32, r: int, s: int, t: int, u: int) -> tuple[np.uint32, np.uint32]:
    for left in (r, s, t, u):
        a = _WORD(a + b)
        b = _WORD(_WORD(_WORD(b << _WORD(left)) | _WORD(b >> _WORD(32 - left))) ^ a)
    return a, b


@njit(**INNER, error_model="numpy")
def _exponentials(x: Any, y: Any, bits: Integers, numbers: Doubles, waits: Floats) -> None:
    """-ln u of uniforms made of random words; `numbers` is the memory of `bits`."""
    for t in range(len(x)):
        numbers[t] = np.float64(2 * ((np.int64(x[t]) << 20) | (np.int64(y[t]) >> 12)) + 1) * 2.0**-53
    for t in range(len(x)):
        exponent = (bits[t] - 0x3FE6A09E667F3BCD) >> 52
        bits[t] -= exponent << 52
        waits[t] = exponent
    for t in range(len(x)):
        s = (numbers[t] - 1.0) / (numbers[t] + 1.0)
        z = s * s
        series = ((((1 / 11 * z + 1 / 9) * z + 1 / 7) * z + 1 / 5) * z + 1 / 3) * z + 1.0
        waits[t] = -(np.float64(waits[t]) * _LN2 + (s + s) * series)
