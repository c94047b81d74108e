"""Compiled products of a few float32 rows with a matrix, for networks so small that torch's calls cost more than they.

Each result is summed over the row's entries in order, in float32, whatever shares the call. A matrix may be of
bfloat16, as its bits, or of bytes: its numbers are widened on their way into a register, so half or a quarter of the
memory is waited for. Knows numbers only; compiled by numba at the first call and kept on disk for the next start.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit, prange, types
from numba.extending import intrinsic

from engine.runtime.compiled import ENTRY, INNER
from engine.runtime.cpu.softmax import Floats

Matrix = np.ndarray[Any, Any]
"""Numbers in float32, in bfloat16 as their bits (uint16), or whole ones in bytes (int8)."""

ROWS = 4
"""Rows that share one reading of a matrix."""
COLUMNS = 128
"""Of a matrix, that stand together in memory: a part that stays in a processor's nearest cache."""
PAGE_OFFSET = 64
MOST_BYTE = 127
_ZERO = np.float32(0.0)
# Contraction alone: a product and the sum behind it may be one instruction, in every lane alike.
_compiled = njit(**INNER, error_model="numpy", fastmath={"contract"})


@njit(**ENTRY)
def row_buffer(num_rows: int, width: int) -> Floats:
    """Zeros for `linear` to read or write, at least (num_rows, width), with room for idle rows and columns.

    Rows do not begin at like places of memory pages, or a store to one row would hold up loads from the next: three
    times as slow (docs/log.md, 2026-11-21).
    """
    width = (width + COLUMNS - 1) // COLUMNS * COLUMNS
    return np.zeros(((num_rows + ROWS - 1) // ROWS * ROWS, width + PAGE_OFFSET), np.float32)


def packed(weights: torch.Tensor, dtype: torch.dtype = torch.float32) -> Matrix:
    """Linear layers' weights (…, o, i) as `linear` reads each: (…, chunks, i, COLUMNS), the last chunk filled up."""
    *several, num_results, width = weights.shape
    num_chunks = -(-num_results // COLUMNS)
    whole = weights.new_zeros(*several, num_chunks * COLUMNS, width, dtype=dtype)
    whole[..., :num_results, :] = weights
    return numbers_of(whole.view(*several, num_chunks, COLUMNS, width).mT)


def packed_small(weights: torch.Tensor, dtype: torch.dtype) -> tuple[Matrix, Floats]:
    """Linear layers' weights (…, o, i) packed, and the numbers (…, o) that their results are to be multiplied with.

    Of bfloat16 in bytes, each row of a weight with its own scale; any other dtype as it is, with 1.
    """
    if dtype != torch.bfloat16:
        return packed(weights, dtype), np.ones(weights.shape[:-1], np.float32)
    scales = (weights.float().abs().amax(dim=-1) / MOST_BYTE).clamp(min=1e-12)
    return packed((weights.float() / scales[..., None]).round(), torch.int8), scales.numpy()


def numbers_of(tensor: torch.Tensor) -> Matrix:
    """A tensor on the CPU as compiled code reads it: bfloat16 as its bits, bytes as they are, the rest as float32."""
    tensor = tensor.detach().contiguous()
    if tensor.dtype == torch.int8:
        return tensor.numpy()
    return tensor.view(torch.uint16).numpy() if tensor.dtype == torch.bfloat16 else tensor.float().numpy()


def _widen(context: Any, number: Any) -> Any:
    """Numba's code for `widened`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if number == types.float32:
            return args[0]
        if number == types.int8:
            return builder.sitofp(args[0], context.get_value_type(types.float32))
        bits = builder.zext(args[0], context.get_value_type(types.uint32))
        upper = builder.shl(bits, context.get_constant(types.uint32, 16))
        return builder.bitcast(upper, context.get_value_type(types.float32))

    return types.float32(number), generate


widened: Any = intrinsic(_widen)
"""In compiled code, a matrix's number in float32: the bits of a bfloat16 are its upper half, a byte is its value."""


@njit(**ENTRY, parallel=True, error_model="numpy", fastmath={"contract"})
def linear(x: Floats, num_rows: int, matrix: Matrix, out: Floats) -> None:
    """The first `num_rows` rows of `x` times a packed matrix → `out`; both are of `row_buffer`."""
    width = matrix.shape[1]
    for chunk in prange(len(matrix)):
        first = chunk * COLUMNS
        for row in range(0, num_rows, ROWS):
            if row == num_rows - 1:
                multiply1(x[row, :width], matrix[chunk], out[row, first : first + COLUMNS])
                continue
            multiply4(
                x[row, :width],
                x[row + 1, :width],
                x[row + 2, :width],
                x[row + 3, :width],
                matrix[chunk],
                out[row, first : first + COLUMNS],
                out[row + 1, first : first + COLUMNS],
                out[row + 2, first : first + COLUMNS],
                out[row + 3, first : first + COLUMNS],
            )


@njit(**ENTRY, parallel=True, error_model="numpy", fastmath={"contract"})
def linear_each(x: Floats, matrices: Matrix, out: Floats) -> None:
    """Row i of `x` times packed matrix i (n, chunks, d, COLUMNS) → row i of `out`; both are of `row_buffer`."""
    num_chunks, width = matrices.shape[1:3]
    for place in prange(len(matrices) * num_chunks):
        row, chunk = place // num_chunks, place % num_chunks
        first = chunk * COLUMNS
        multiply1(x[row, :width], matrices[row, chunk], out[row, first : first + COLUMNS])


@_compiled
def multiply4(
    x_0: Floats,
    x_1: Floats,
    x_2: Floats,
    x_3: Floats,
    matrix: Matrix,
    out_0: Floats,
    out_1: Floats,
    out_2: Floats,
    out_3: Floats,
) -> None:
    """Four rows (d,) times a matrix (d, c) → four rows of its first n columns, (n,) each: lanes are columns."""
    num_columns, whole = len(out_0), len(x_0) // 4 * 4
    out_0[:] = out_1[:] = out_2[:] = out_3[:] = _ZERO
    for e in range(0, whole, 4):
        line_0, line_1, line_2, line_3 = matrix[e], matrix[e + 1], matrix[e + 2], matrix[e + 3]
        a_0, a_1, a_2, a_3 = x_0[e], x_0[e + 1], x_0[e + 2], x_0[e + 3]
        b_0, b_1, b_2, b_3 = x_1[e], x_1[e + 1], x_1[e + 2], x_1[e + 3]
        c_0, c_1, c_2, c_3 = x_2[e], x_2[e + 1], x_2[e + 2], x_2[e + 3]
        d_0, d_1, d_2, d_3 = x_3[e], x_3[e + 1], x_3[e + 2], x_3[e + 3]
        for t in range(num_columns):
            m_0, m_1, m_2, m_3 = widened(line_0[t]), widened(line_1[t]), widened(line_2[t]), widened(line_3[t])
            out_0[t] = add4(out_0[t], a_0, a_1, a_2, a_3, m_0, m_1, m_2, m_3)
            out_1[t] = add4(out_1[t], b_0, b_1, b_2, b_3, m_0, m_1, m_2, m_3)
            out_2[t] = add4(out_2[t], c_0, c_1, c_2, c_3, m_0, m_1, m_2, m_3)
            out_3[t] = add4(out_3[t], d_0, d_1, d_2, d_3, m_0, m_1, m_2, m_3)
    for e in range(whole, len(x_0)):
        for t in range(num_columns):
            out_0[t] += x_0[e] * widened(matrix[e, t])
            out_1[t] += x_1[e] * widened(matrix[e, t])
            out_2[t] += x_2[e] * widened(matrix[e, t])
            out_3[t] += x_3[e] * widened(matrix[e, t])


@_compiled
def multiply1(x: Floats, matrix: Matrix, out: Floats) -> None:
    """A row (d,) times a matrix (d, c) → its first n columns (n,): `multiply4`'s sums, without idle rows."""
    num_columns, whole = len(out), len(x) // 4 * 4
    out[:] = _ZERO
    for e in range(0, whole, 4):
        line_0, line_1, line_2, line_3 = matrix[e], matrix[e + 1], matrix[e + 2], matrix[e + 3]
        x_0, x_1, x_2, x_3 = x[e], x[e + 1], x[e + 2], x[e + 3]
        for t in range(num_columns):
            m_0, m_1, m_2, m_3 = widened(line_0[t]), widened(line_1[t]), widened(line_2[t]), widened(line_3[t])
            out[t] = add4(out[t], x_0, x_1, x_2, x_3, m_0, m_1, m_2, m_3)
    for e in range(whole, len(x)):
        for t in range(num_columns):
            out[t] += x[e] * widened(matrix[e, t])


@_compiled
def add4(
    total: np.float32,
    a: np.float32,
    b: np.float32,
    c: np.float32,
    d: np.float32,
    x: np.float32,
    y: np.float32,
    z: np.float32,
    w: np.float32,
) -> np.float32:
    """The total with four products added, one after the other."""
    total = total + a * x
    total = total + b * y
    total = total + c * z
    return total + d * w
