"""Attention of a pass: a unit of work is some queries of one key head, over each row's own context in its order."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.runtime.cpu.attention import QUERIES, STEP, score, weigh, weigh_listed
from engine.runtime.cpu.records import Rows, Shape, Work
from engine.runtime.cpu.rounding import round_row
from engine.runtime.cpu.rows import inner, part, powers
from engine.runtime.cpu.vectors import LANES

_ZERO = np.float32(0.0)


@inner
def attend(thread: int, unit: int, shape: Shape, keys: Any, values: Any, rows: Rows, work: Work) -> None:
    """Some queries of one key head: each is a row with one of the heads that share the key head."""
    group = shape.num_heads // shape.num_kv_heads
    num_queries = shape.num_rows * group
    per_head = (num_queries + QUERIES - 1) // QUERIES
    kv, first = unit // per_head, unit % per_head * QUERIES
    count = min(QUERIES, num_queries - first)
    scores, outputs = work.scores[thread], work.outputs[thread]
    dim, width = shape.head_dim, shape.head_width
    base = kv * values.shape[1] * width
    end = _gather(first, count, kv, group, shape, rows, work, outputs)
    score(
        scores.ctypes.data,
        scores.strides[0],
        outputs[QUERIES:].ctypes.data,
        outputs.strides[0],
        count,
        keys,
        kv * keys.shape[1] * keys.shape[2] * LANES,
        (end + STEP - 1) // STEP,
        width,
    )
    shared = _power(first, count, group, width, rows, scores, outputs, work.lanes[thread])
    if shared > 0:
        weigh(
            outputs.ctypes.data,
            outputs.strides[0],
            scores.ctypes.data,
            scores.strides[0],
            count,
            values,
            base,
            width,
            shared,
        )
    out_at, line_at, seen_at = outputs.ctypes.data, scores.ctypes.data, rows.seen.ctypes.data
    for i in range(count):
        row, head = (first + i) // group, kv * group + (first + i) % group
        offset, num_own = rows.offsets[row], rows.offsets[row + 1] - rows.offsets[row]
        _weigh_own(out_at, line_at, values, base, width, shared, rows.reach[row], seen_at + 8 * offset, num_own)
        total, out = outputs[i, width], work.attended[row, head * dim : (head + 1) * dim]
        for e in range(dim):
            out[e] = outputs[i, e] / total
        round_row(out, work.attended_bits[row, head * dim : (head + 1) * dim], dim, shape.uses_tiles)
        out_at, line_at = out_at + outputs.strides[0], line_at + scores.strides[0]


@part
def _gather(first: int, count: int, kv: int, group: int, shape: Shape, rows: Rows, work: Work, outputs: Any) -> int:
    """Queries side by side behind the outputs, which begin at zero; how many cached rows they look at."""
    dim, width, query, end = shape.head_dim, shape.head_width, outputs[QUERIES:], 0
    for i in range(count):
        row, head = (first + i) // group, kv * group + (first + i) % group
        last = rows.offsets[row + 1]
        end = max(end, rows.seen[last - 1] + 1 if last > rows.offsets[row] else rows.reach[row])
        for e in range(dim):
            query[i, e] = work.qkv[row, head * dim + e]
        for e in range(width):
            outputs[i, e] = _ZERO
    return end


@part
def _power(first: int, count: int, group: int, width: int, rows: Rows, scores: Any, outputs: Any, lanes: Any) -> int:
    """Scores to powers, a row's own context side by side in its order; how far all rows' contexts are the same."""
    shared: int = rows.reach[first // group]
    for i in range(count):
        row, line = (first + i) // group, scores[i]
        seen = rows.seen[rows.offsets[row] : rows.offsets[row + 1]]
        reach = rows.reach[row]
        shared = min(shared, reach)
        for t in range(len(seen)):
            line[reach + t] = line[seen[t]]
        outputs[i, width] = powers(line, reach + len(seen), lanes)
    return shared


@part
def _weigh_own(
    out_at: int, line_at: int, values: Any, base: int, width: int, shared: int, reach: int, seen_at: int, num_own: int
) -> None:
    """Values of one row's context behind what all rows share: cached ones up to its reach, then its own."""
    if reach > shared:
        weigh(out_at, 0, line_at + 4 * shared, 0, 1, values, base + shared * width, width, reach - shared)
    if num_own > 0:
        weigh_listed(out_at, line_at + 4 * reach, values, base, width, num_own, seen_at)
