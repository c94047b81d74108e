"""Attention of a prompt's rows, 32 at once, by the definition of products (products.py): scores, and weighted values.

Queries, keys, values and weights enter in bfloat16; weights are powers of e, and their sum is divided by at the end, in
float32. What a row does not see counts as zero, which changes no sum, so a row's bits depend neither on the rows beside
it, nor on threads, nor on whether tiles multiply. A unit of work is 32 rows of a head; before that, 32 columns of a key
head are packed as the matrices that are multiplied by. Knows numbers only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.runtime.cpu.products import COLUMNS, GROUP
from engine.runtime.cpu.records import Shape, Work
from engine.runtime.cpu.rounding import round_row
from engine.runtime.cpu.rows import inner, part, powers
from engine.runtime.cpu.tiles import product
from engine.runtime.cpu.vectors import LANES

ROWS = 32
"""Of a unit: two tiles."""
_ZERO = np.float32(0.0)
_BLOCK = GROUP * COLUMNS


def num_packing(shape: Shape) -> int:
    """Units of the packing."""
    return shape.num_kv_heads * _blocks(shape.first_column + shape.num_rows)


def num_attending(shape: Shape) -> int:
    """Units of the attention."""
    return shape.num_heads * _blocks(shape.num_rows)


def _blocks(size: int) -> int:
    return -(-size // COLUMNS)


@inner
def pack_columns(unit: int, shape: Shape, keys: Any, values: Any, work: Work) -> None:
    """32 cached columns of a key head: keys as columns of one matrix, values as rows of another."""
    end = shape.first_column + shape.num_rows
    num_blocks = (end + COLUMNS - 1) // COLUMNS
    kv, block = unit // num_blocks, unit % num_blocks
    packed, first = work.packed_keys[kv, block], block * COLUMNS
    for e in range(len(packed) // COLUMNS):
        for c in range(COLUMNS):
            number = packed.dtype.type(0)
            if first + c < end and e < shape.head_dim:
                number = keys[kv, (first + c) // LANES, e, (first + c) % LANES]
            packed[e // 2 * 2 * COLUMNS + 2 * c + e % 2] = number
    for part_of_head in range(work.packed_values.shape[1]):
        into = work.packed_values[kv, part_of_head, block * _BLOCK : (block + 1) * _BLOCK]
        for t in range(GROUP):
            for c in range(COLUMNS):
                e, number = part_of_head * COLUMNS + c, into.dtype.type(0)
                if first + t < end and e < shape.head_dim:
                    number = values[kv, first + t, e]
                into[t // 2 * 2 * COLUMNS + 2 * c + t % 2] = number


@inner
def attend_rows(thread: int, unit: int, shape: Shape, work: Work) -> None:
    """Up to 32 rows of a head, each of which looks at itself and at all columns before it."""
    per_head = (shape.num_rows + ROWS - 1) // ROWS
    head, first = unit // per_head, unit % per_head * ROWS
    count, dim = min(ROWS, shape.num_rows - first), shape.head_dim
    kv, reach = head // (shape.num_heads // shape.num_kv_heads), shape.first_column + first + 1
    num_blocks = (reach + count - 1 + COLUMNS - 1) // COLUMNS
    room, bits = work.prompt_rows[thread], work.prompt_bits[thread]
    query, query_bits, out = work.prompt_queries[thread], work.prompt_query_bits[thread], work.prompt_outputs[thread]
    _take_queries(first, count, head, shape, work, query, query_bits)
    product(query, query_bits, count, work.packed_keys[kv], 0, num_blocks, room, np.int64(0), shape.uses_tiles)
    for i in range(count):
        out[i, out.shape[1] - 1] = _weights(room[i], bits[i], reach + i, num_blocks, shape, work.lanes[thread])
    for b in range(work.packed_values.shape[1]):
        matrix = work.packed_values[kv, b, : num_blocks * _BLOCK].reshape(1, num_blocks * _BLOCK)
        product(room, bits, count, matrix, 0, 1, out, b * COLUMNS, shape.uses_tiles)
    for i in range(count):
        row, total = first + i, out[i, out.shape[1] - 1]
        found = work.attended[row, head * dim : (head + 1) * dim]
        for e in range(dim):
            found[e] = out[i, e] / total
        round_row(found, work.attended_bits[row, head * dim : (head + 1) * dim], dim, shape.uses_tiles)


@part
def _take_queries(first: int, count: int, head: int, shape: Shape, work: Work, query: Any, bits: Any) -> None:
    dim, width = shape.head_dim, work.packed_keys.shape[2] // COLUMNS
    for i in range(count):
        for e in range(width):
            query[i, e] = work.qkv[first + i, head * dim + e] if e < dim else _ZERO
        round_row(query[i], bits[i], width, shape.uses_tiles)


@part
def _weights(line: Any, bits: Any, reach: int, num_blocks: int, shape: Shape, lanes: Any) -> np.float32:
    """A row's scores to weights, zero for what it does not see; their sum before they are rounded."""
    total: np.float32 = powers(line, reach, lanes)
    for t in range((reach + LANES - 1) // LANES * LANES, num_blocks * COLUMNS):
        line[t] = _ZERO
    round_row(line, bits, num_blocks * COLUMNS, shape.uses_tiles)
    return total
