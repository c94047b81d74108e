"""The compiled pass's small parts, called from Python; and the definition of a product, written in numpy."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from engine.runtime.cpu import linear, tiles
from engine.runtime.cpu.crew import CREW
from engine.runtime.cpu.products import COLUMNS, GROUP, Matrix, empty, pack, width_of
from engine.runtime.cpu.rounding import round_row
from engine.runtime.cpu.rows import powers, rotate, scale_of
from engine.runtime.cpu.vectors import LANES
from engine.runtime.cpu.whole_pass import activate

Floats = np.ndarray[Any, np.dtype[np.float32]]
BITS = {torch.bfloat16: np.uint16, torch.float16: np.int16, torch.float32: np.float32}
TINIEST = np.float32(2.0**-126)


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal numbers of a dtype."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


# The definition


def flushed(numbers: Any) -> Floats:
    """Denormal numbers as zeros of their sign."""
    single = np.asarray(numbers, np.float32)
    return np.where(np.abs(single) < TINIEST, np.copysign(np.float32(0), single), single)


def fused(a: Floats, b: Floats, c: Floats) -> Floats:
    """A · b + c in float32, rounded once: in float64 by rounding to odd, which a second rounding does not show."""
    product = flushed(a).astype(np.float64) * flushed(b).astype(np.float64)
    added = flushed(c).astype(np.float64)
    total = product + added
    part = total - product
    error = (product - (total - part)) + (added - part)
    is_inexact = np.isfinite(total) & (error != 0) & (total.view(np.int64) & 1 == 0)
    odd = np.nextafter(total, np.where(error > 0, np.inf, -np.inf))
    return flushed(np.where(is_inexact, odd, total))


def by_definition(x: Tensor, weight: Tensor) -> Floats:
    """Rows (n, i) times a linear layer's weight (o, i), both of one dtype → (n, o)."""
    inner = width_of(x.shape[1], GROUP)
    rows, columns = (np.pad(part.float().numpy(), ((0, 0), (0, inner - x.shape[1]))) for part in (x, weight))
    result = np.zeros((len(x), len(weight)), np.float32)
    with np.errstate(all="ignore"):
        for group in range(0, inner, GROUP):
            halves = [np.zeros_like(result), np.zeros_like(result)]
            for k in range(group, group + GROUP):
                halves[k % 2] = fused(rows[:, k, None], columns[None, :, k], halves[k % 2])
            result = flushed(result + flushed(halves[0] + halves[1]))
    return result


# The compiled parts


def multiply(x: Tensor, matrix: Matrix, num_threads: int = 1, junk: float = 0.0) -> Floats:
    """Rows (n, i) of a matrix's dtype times the matrix → (n, columns); `junk` stands behind the last row."""
    num_rows, inner = x.shape
    shape = width_of(num_rows, tiles.TILE_ROWS), width_of(inner, GROUP)
    rows = np.full(shape, junk, np.float32)
    rows[:num_rows] = np.pad(x.float().numpy(), ((0, 0), (0, shape[1] - inner)))
    uses_tiles = x.dtype == torch.bfloat16 and num_rows > tiles.FEW_ROWS and tiles.can_use()
    bits = (
        torch.from_numpy(rows).bfloat16().view(torch.uint16).numpy() if uses_tiles else np.zeros((1, 1), matrix.dtype)
    )
    out = empty((shape[0], len(matrix) * COLUMNS), np.float32)
    CREW.run(linear._multiply, rows, bits, num_rows, matrix, out, uses_tiles, num_threads=num_threads)
    return out[:num_rows]


@njit(nogil=True, cache=True)
def rounded(row: Floats, bits: Any, with_bits: bool) -> None:
    """Round a row to the dtype of `bits`, and write them there too if asked."""
    round_row(row, bits, len(row), with_bits)


def exponentiated(scores: Floats) -> tuple[Floats, float]:
    """e to what scores are below their highest, with their sum."""
    line = np.zeros(width_of(len(scores), LANES), np.float32)
    line[: len(scores)] = scores
    total = powers(line, len(scores), np.zeros(LANES, np.float32))
    assert np.isnan(total) or not line[len(scores) :].any(), "what stands behind the scores counts for nothing"
    return line[: len(scores)], float(total)


def gated(gate: Floats, up: Floats) -> Floats:
    """silu(gate) · up, unrounded."""
    size = width_of(len(gate), LANES)
    parts = np.stack([np.pad(part, (0, size - len(part))).reshape(-1, LANES) for part in (gate, up)], axis=1)
    out = np.zeros((1, size), np.float32)
    activate(np.ascontiguousarray(parts).reshape(1, -1), size // LANES, out, np.zeros((1, 1), np.float32), False)
    return out[0, : len(gate)]


def scale(x: Floats, epsilon: float = 1e-5) -> float:
    """1 ÷ √(mean x² + ε)."""
    line = np.pad(x, (0, width_of(len(x), LANES) - len(x)))
    return float(scale_of(line, len(x), np.float32(epsilon), np.zeros(LANES, np.float32)))


def turned(x: Floats, cos: Floats, sin: Floats) -> Floats:
    """A head after its rotation."""
    found = x.copy()
    rotate(found, len(x) // 2, cos, sin)
    return found


def digest() -> str:
    """A hash of what all of these compute."""
    found = hashlib.blake2b(digest_size=16)
    for dtype in (torch.bfloat16, torch.float32):
        matrix = pack(drawn(64, 200, dtype=dtype))
        for num_rows in (1, 2, 7, 33):
            found.update(multiply(drawn(num_rows, 200, seed=num_rows, dtype=dtype), matrix).tobytes())
    x, y = (30 * drawn(1000, seed=seed).numpy() for seed in (1, 2))
    line, total = exponentiated(x)
    numbers = [line, np.float32(total), gated(x, y), np.float32(scale(x)), turned(x, np.cos(y[:500]), np.sin(y[:500]))]
    for part in numbers:
        found.update(part.tobytes())
    rounded(x, np.zeros(len(x), np.uint16), False)
    found.update(x.tobytes())
    return found.hexdigest()
