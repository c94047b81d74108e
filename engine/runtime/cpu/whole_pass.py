"""The layers of a Llama-shaped decoder over a few rows, compiled whole: one call a pass, shared by all threads.

A row's bits depend on that row and its ancestors alone: products go by one definition (products.py), attention sums
over a row's own context in its order, wherever in the cache its columns stand (pass_attention.py), and all else is
done row by row (rows.py). What is shared out among threads are whole results. Knows numbers only.

A layer is eight phases of units of work: norm, query-key-value product, rotation and cache, attention, output product,
norm, gate and up product with activation, down product; behind the last layer come the final norm and the output layer.
A ninth, activation alone, is for a prompt whose products the library computes (reading.py): phases may have no units.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.runtime.cpu.crew import DONE, NEXT, Control, enter, finish, leave, take, wait
from engine.runtime.cpu.pass_attention import attend
from engine.runtime.cpu.products import COLUMNS, Matrix
from engine.runtime.cpu.prompt_attention import attend_rows, pack_columns
from engine.runtime.cpu.records import Rows, Shape, Weights, Work
from engine.runtime.cpu.rounding import round_row, store
from engine.runtime.cpu.rows import Floats, activated, compiled, inner, part, rotate, scale_of
from engine.runtime.cpu.tiles import product
from engine.runtime.cpu.vectors import LANES, atomic_add, atomic_load, cycles, flush_denormals, restore_denormals

ROWS_AT_ONCE = 4
"""Rows of a unit of work where each is little."""
_ZERO = np.float32(0.0)
NORM, QKV, ROTATE, PACK, ATTEND, OUTPUT, MLP_NORM, GATE_UP, DOWN, ACTIVATE, NUM_PHASES = range(11)


def num_turning(shape: Shape) -> int:
    """Units of the rotation: blocks of the cache that the rows' keys go to."""
    return (shape.first_column % LANES + shape.num_rows - 1) // LANES + 1


@compiled
def run(
    thread: int,
    number: int,
    control: Control,
    shape: Shape,
    weights: Weights,
    keys: Any,
    values: Any,
    rows: Rows,
    work: Work,
) -> None:
    """One thread's share of a pass, or of some of its layers."""
    if not enter(control, number):
        return
    before = flush_denormals()
    units = work.units
    in_layer = units[NUM_PHASES - 1]
    in_layers = in_layer * (shape.end_layer - shape.first_layer)
    total = in_layers + (units[NUM_PHASES] + units[NUM_PHASES + 1] if shape.is_last else 0)
    looks = 0
    while True:
        unit = atomic_load(control, NEXT)
        if unit >= total:
            break
        layer, phase, begin = _locate(unit, units, in_layer, in_layers)
        if not take(control, unit, begin):
            looks = wait(looks)
            continue
        looks = 0
        started = cycles()
        _do(thread, shape.first_layer + layer, phase, unit - begin, shape, weights, keys, values, rows, work)
        work.spent[thread, phase if unit < in_layers else NUM_PHASES + phase] += cycles() - started
        atomic_add(control, DONE, 1)
    if thread == 0:
        finish(control, total)
    restore_denormals(before)
    leave(control)


@inner
def _locate(unit: int, units: Any, in_layer: int, in_layers: int) -> tuple[int, int, int]:
    """Layer, phase and first unit of that phase of a unit; the final norm is phase NORM behind the last layer."""
    if unit >= in_layers:
        is_head = unit - in_layers >= units[NUM_PHASES]
        return in_layers // in_layer, QKV if is_head else NORM, in_layers + (units[NUM_PHASES] if is_head else 0)
    layer = unit // in_layer
    rest = unit - layer * in_layer
    phase = 0
    while units[phase] <= rest:
        phase += 1
    return layer, phase, layer * in_layer + (units[phase - 1] if phase > 0 else 0)


@part
def _do(
    thread: int,
    layer: int,
    phase: int,
    unit: int,
    shape: Shape,
    weights: Weights,
    keys: Any,
    values: Any,
    rows: Rows,
    work: Work,
) -> None:
    if layer == len(weights.qkv):
        if phase == NORM:
            norm_rows(thread, unit, weights.norms[layer, 0], shape, work)
        else:
            _head(thread, unit, shape, weights, work)
    elif phase == NORM:
        norm_rows(thread, unit, weights.norms[layer, 0], shape, work)
    elif phase == QKV:
        _qkv(unit, weights.qkv[layer], shape, work)
    elif phase == ROTATE:
        turn_rows(thread, unit, layer, shape, weights, keys[layer], values[layer], rows, work)
    elif phase == PACK:
        pack_columns(unit, shape, keys[layer], values[layer], work)
    elif phase == ATTEND:
        if shape.is_prompt:
            attend_rows(thread, unit, shape, work)
        else:
            attend(thread, unit, shape, keys[layer], values[layer], rows, work)
    elif phase == OUTPUT:
        _add_product(
            thread, unit, work.attended, work.attended_bits, weights.output[layer], work.spans[OUTPUT], shape, work
        )
    elif phase == MLP_NORM:
        norm_rows(thread, unit, weights.norms[layer, 1], shape, work)
    elif phase == GATE_UP:
        _gate_up(thread, unit, weights.gate_up[layer], shape, work)
    elif phase == DOWN:
        _add_product(thread, unit, work.active, work.active_bits, weights.down[layer], work.spans[DOWN], shape, work)
    else:
        _activate_rows(unit, shape, work)


@inner
def norm_rows(thread: int, unit: int, weight: Floats, shape: Shape, work: Work) -> None:
    """Root mean square norms of some rows, rounded to what the next product reads."""
    for row in range(unit * ROWS_AT_ONCE, min((unit + 1) * ROWS_AT_ONCE, shape.num_rows)):
        x, out, bits = work.x[row], work.normed[row], work.normed_bits[row]
        scale = scale_of(x, shape.hidden, shape.epsilon, work.lanes[thread])
        for i in range(shape.hidden):
            out[i] = x[i] * scale * weight[i]
        round_row(out, bits, shape.hidden, shape.uses_tiles)


@inner
def _qkv(unit: int, matrix: Matrix, shape: Shape, work: Work) -> None:
    span = work.spans[QKV]
    for block in range(unit * span, min((unit + 1) * span, len(matrix)), 2):
        blocks = min(2, len(matrix) - block)
        product(
            work.normed,
            work.normed_bits,
            shape.num_rows,
            matrix,
            block,
            blocks,
            work.qkv,
            block * COLUMNS,
            shape.uses_tiles,
        )


@inner
def turn_rows(
    thread: int, unit: int, layer: int, shape: Shape, weights: Weights, keys: Any, values: Any, rows: Rows, work: Work
) -> None:
    """Biases, norms and rotation of some rows' queries and keys; keys and values into the cache.

    The rows of a unit are those whose keys share a block of the cache: two threads that write to one block would wait
    for each other at every number (docs/log.md, 2026-12-01).
    """
    dim, num_turned = shape.head_dim, shape.num_heads + shape.num_kv_heads
    begin = unit * LANES - shape.first_column % LANES
    for row in range(max(begin, 0), min(begin + LANES, shape.num_rows)):
        qkv = work.qkv[row]
        if shape.has_bias:
            for i in range(weights.qkv_bias.shape[1]):
                qkv[i] = qkv[i] + weights.qkv_bias[layer, i]
        for head in range(num_turned):
            x = qkv[head * dim : (head + 1) * dim]
            if shape.has_head_norms:
                _norm_head(x, weights.head_norms[layer, 1 if head >= shape.num_heads else 0], thread, shape, work)
            rotate(x, dim // 2, rows.cos[row], rows.sin[row])
        column = shape.first_column + row
        for head in range(shape.num_kv_heads):
            key = qkv[(shape.num_heads + head) * dim :]
            value = qkv[(num_turned + head) * dim :]
            lane, line = keys[head, column // LANES, :, column % LANES], values[head, column]
            for e in range(dim):
                store(lane, e, key[e])
            for e in range(dim):
                store(line, e, value[e])
        for i in range(shape.num_heads * dim):
            qkv[i] = qkv[i] * shape.scale


@inner
def _norm_head(x: Floats, weight: Floats, thread: int, shape: Shape, work: Work) -> None:
    """A head's own norm; a head that is no whole number of vectors is copied to where zeros follow it."""
    room = work.outputs[thread, 0]
    for i in range(len(room)):
        room[i] = x[i] if i < shape.head_dim else _ZERO
    scale = scale_of(room, shape.head_dim, shape.epsilon, work.lanes[thread])
    for i in range(shape.head_dim):
        x[i] = x[i] * scale * weight[i]


@inner
def _add_product(
    thread: int, unit: int, x: Floats, bits: Any, matrix: Matrix, span: int, shape: Shape, work: Work
) -> None:
    """A product added to the rows."""
    results, column = work.results[thread], np.int64(0)
    for block in range(unit * span, min((unit + 1) * span, len(matrix)), 2):
        blocks = min(2, len(matrix) - block)
        product(x, bits, shape.num_rows, matrix, block, blocks, results, column, shape.uses_tiles)
        begin = block * COLUMNS
        end = min(begin + blocks * COLUMNS, shape.hidden)
        for row in range(shape.num_rows):
            line, found = work.x[row, begin:end], results[row]
            for i in range(end - begin):
                line[i] = line[i] + found[i]


@inner
def _gate_up(thread: int, unit: int, matrix: Matrix, shape: Shape, work: Work) -> None:
    results, span, column = work.results[thread], work.spans[GATE_UP], np.int64(0)
    for block in range(unit * span, min((unit + 1) * span, len(matrix)), 2):
        blocks = min(2, len(matrix) - block)
        product(work.normed, work.normed_bits, shape.num_rows, matrix, block, blocks, results, column, shape.uses_tiles)
        begin = block * COLUMNS // 2
        out, bits = work.active[: shape.num_rows, begin:], work.active_bits[: shape.num_rows, begin:]
        activate(results, blocks, out, bits, shape.uses_tiles)


@inner
def _activate_rows(unit: int, shape: Shape, work: Work) -> None:
    """Gates of some rows that stand where logits would."""
    begin, end = unit * ROWS_AT_ONCE, min((unit + 1) * ROWS_AT_ONCE, shape.num_rows)
    blocks = work.logits.shape[1] // (2 * LANES)
    activate(work.logits[begin:end], blocks, work.active[begin:end], work.active_bits[begin:end], shape.uses_tiles)


@compiled
def activate(found: Floats, blocks: int, out: Floats, bits: Any, with_bits: bool) -> None:
    """Rows of gates, 16 in turn with what they let through → activated, rounded to what the next product reads."""
    activated(found.ctypes.data, found.strides[0], out.ctypes.data, out.strides[0], blocks, len(out))
    for row in range(len(out)):
        round_row(out[row], bits[row], blocks * LANES, with_bits)


@inner
def _head(thread: int, unit: int, shape: Shape, weights: Weights, work: Work) -> None:
    span, first = work.spans[NUM_PHASES], shape.first_scored
    for block in range(unit * span, min((unit + 1) * span, len(weights.head)), 2):
        blocks = min(2, len(weights.head) - block)
        product(
            work.normed[first:],
            work.normed_bits[first:],
            shape.num_scored,
            weights.head,
            block,
            blocks,
            work.logits,
            block * COLUMNS,
            shape.uses_tiles,
        )
        if shape.has_head_bias:
            for row in range(shape.num_scored):
                for i in range(block * COLUMNS, (block + blocks) * COLUMNS):
                    work.logits[row, i] = work.logits[row, i] + weights.head_bias[i]
