"""Compiled distributions of few rows: softmax under temperature, top-k, top-p and repetition penalty.

A row is worked out alone, by one thread, and added up in one fixed order, so its probabilities are the same bits
whatever shares the call and however wide the processor's vectors are. Nothing is sorted but what may be kept. A row
with a number that is not finite among its highest gives NaN. Knows numbers only; compiled by numba at the first call
and kept on disk.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from engine.runtime.compiled import entry, inner, part
from engine.runtime.cpu.crew import CREW, DONE, NEXT, Control, enter, finish, leave
from engine.runtime.cpu.softmax import Doubles, Floats, Integers, exponentiate, keep_best, maximum
from engine.runtime.cpu.totals import highest_and_total
from engine.runtime.cpu.vectors import atomic_add

_LANES = 64
_CHUNK = 1024
_FIRST_REACH, _FARTHEST = np.float32(8.0), np.float32(80.0)
"""How far below the highest score, in nats, is looked for what is kept; beyond the last nothing has a probability."""
_PER_NAT, _NUM_BUCKETS = np.float32(32.0), 32 * 80 + 1
_LAST_BUCKET = np.float32(_NUM_BUCKETS - 1)
_SMALL_READING = 500_000
"""Scores in fewer than which waking a thread does not pay."""
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)


class Shape(NamedTuple):
    """What scores are made into distributions with."""

    scale: np.float32
    """1 ÷ temperature."""
    top_k: int
    """0 keeps all."""
    top_p: float
    penalty: np.float32


class Seen(NamedTuple):
    """Token ids before each row: those of row i are `ids[firsts[i] : firsts[i + 1]]`; an id may stand twice."""

    ids: Integers
    firsts: Integers


class _Row(NamedTuple):
    scores: Floats
    """Penalised, (v,)."""
    highest: np.float32
    total: float
    """Σ e^((score - highest) · scale) over what is kept."""
    floor: np.float32
    last: int
    """The lowest score that is kept, and the last id that is kept at it."""


@entry(error_model="numpy")
def fill(scores: Floats, seen: Seen, shape: Shape, probs: Floats) -> None:
    """Scores (n, v) → probabilities (n, v)."""
    memory = np.empty(scores.shape[1], np.float32)
    exponents = np.empty(_CHUNK, np.int32)
    for i in range(len(scores)):
        row = _row_of(scores[i], seen.ids[seen.firsts[i] : seen.firsts[i + 1]], shape, memory)
        _fill_row(row, shape.scale, exponents, exponents.view(np.float32), probs[i])


def chances(scores: Floats, rows: Integers, seen: Seen, shape: Shape, tokens: Integers, probs: Doubles) -> None:
    """Probability (m,) of token j in row `rows[j]` of scores (n, v); equal rows stand together. `seen` is by j."""
    begins = np.append(np.flatnonzero(np.diff(rows, prepend=-1)), len(rows))
    num_threads = _threads_for(scores, len(begins) - 1)
    CREW.run(_share_of_chances, begins, scores, rows, seen, shape, tokens, probs, num_threads=num_threads)


def best(scores: Floats, rows: Integers, seen: Seen, shape: Shape, tokens: Integers) -> None:
    """The likeliest tokens (m, k) of rows (m,) of scores (n, v), best first; what is cut off is among them."""
    CREW.run(_share_of_best, scores, rows, seen, shape, tokens, num_threads=_threads_for(scores, len(rows)))


def _threads_for(scores: Floats, num_rows: int) -> int:
    """Threads that reading so many rows is worth."""
    return 1 if num_rows * scores.shape[1] < _SMALL_READING else CREW.size


@entry(error_model="numpy")
def _share_of_chances(
    thread: int,
    number: int,
    control: Control,
    begins: Integers,
    scores: Floats,
    rows: Integers,
    seen: Seen,
    shape: Shape,
    tokens: Integers,
    probs: Doubles,
) -> None:
    """A unit is one row with all of its tokens: places `begins[u]` to `begins[u + 1]`."""
    if not enter(control, number):
        return
    memory = np.empty(scores.shape[1], np.float32)
    total = len(begins) - 1
    unit = atomic_add(control, NEXT, 1)
    while unit < total:
        j = begins[unit]
        row = _row_of(scores[rows[j]], seen.ids[seen.firsts[j] : seen.firsts[j + 1]], shape, memory)
        for place in range(j, begins[unit + 1]):
            probs[place] = _chance(row, shape.scale, tokens[place])
        atomic_add(control, DONE, 1)
        unit = atomic_add(control, NEXT, 1)
    if thread == 0:
        finish(control, total)
    leave(control)


@entry(error_model="numpy")
def _share_of_best(
    thread: int,
    number: int,
    control: Control,
    scores: Floats,
    rows: Integers,
    seen: Seen,
    shape: Shape,
    tokens: Integers,
) -> None:
    """A unit is one row."""
    if not enter(control, number):
        return
    memory, highest = np.empty(scores.shape[1], np.float32), np.empty(tokens.shape[1], np.float32)
    unit = atomic_add(control, NEXT, 1)
    while unit < len(rows):
        own = _penalised(scores[rows[unit]], seen.ids[seen.firsts[unit] : seen.firsts[unit + 1]], shape.penalty, memory)
        keep_best(own, tokens[unit], highest)
        atomic_add(control, DONE, 1)
        unit = atomic_add(control, NEXT, 1)
    if thread == 0:
        finish(control, len(rows))
    leave(control)


@inner(error_model="numpy")
def _row_of(scores: Floats, seen: Integers, shape: Shape, memory: Floats) -> _Row:
    own = _penalised(scores, seen, shape.penalty, memory)
    highest, total = highest_and_total(own, shape.scale)
    if ((shape.top_k == 0 or shape.top_k >= len(own)) and shape.top_p >= 1.0) or not np.isfinite(total):
        return _Row(own, highest, total, np.float32(-np.inf), len(own))
    return _cut(own, highest, total, shape)


@inner(error_model="numpy")
def _penalised(scores: Floats, seen: Integers, penalty: np.float32, memory: Floats) -> Floats:
    """Scores (v,) with the repetition penalty, in `memory (v,)` where there is one."""
    if penalty == _ONE:
        return scores
    for t in range(len(scores)):
        memory[t] = scores[t]
    for token in seen:
        memory[token] = scores[token] / penalty if scores[token] > _ZERO else scores[token] * penalty
    return memory


@part(error_model="numpy")
def _cut(scores: Floats, highest: np.float32, total: float, shape: Shape) -> _Row:
    """Top-k, then the smallest set of the likeliest whose share reaches top-p; of equals the lowest ids."""
    ids, powers = _candidates(scores, highest, total, shape)
    own, num = scores[ids], len(ids)
    floor, last = np.float32(-np.inf), len(scores)
    if shape.top_k > 0:
        place, _ = _last_kept(own, np.ones(num), np.float64(shape.top_k), highest, shape.scale)
        if place >= 0:
            floor, last, num = own[place], ids[place], 0
            for i in range(len(ids)):
                if own[i] > floor or (own[i] == floor and ids[i] <= last):
                    ids[num], own[num], powers[num] = ids[i], own[i], powers[i]
                    num += 1
        total = powers[:num].sum()
    if shape.top_p < 1.0:
        place, total = _last_kept(own[:num], powers[:num], shape.top_p * total, highest, shape.scale)
        if place >= 0:
            floor, last = own[place], ids[place]
    return _Row(scores, highest, total, floor, last)


@part(error_model="numpy")
def _candidates(scores: Floats, highest: np.float32, total: float, shape: Shape) -> tuple[Integers, Doubles]:
    """Ids, ascending, among which all are that can be kept, and e^((score - highest) · scale) of each."""
    reach = _FIRST_REACH
    while True:
        ids = _at_least(scores, highest - reach / shape.scale)
        powers = np.empty(len(ids), np.float64)
        for i in range(len(ids)):
            powers[i] = math.exp(np.float64((scores[ids[i]] - highest) * shape.scale))
        is_enough = len(ids) >= shape.top_k if shape.top_k > 0 else powers.sum() >= shape.top_p * total
        if is_enough or reach >= _FARTHEST:
            return ids, powers
        reach = min(reach * np.float32(2.0), _FARTHEST)


@part()
def _at_least(scores: Floats, floor: np.float32) -> Integers:
    """Ids of scores from `floor` up; blocks without one cost a look at their maximum."""
    ids, num = np.empty(len(scores), np.int64), 0
    for start in range(0, len(scores), _LANES):
        block = scores[start : start + _LANES]
        if maximum(block) >= floor:
            for t in range(len(block)):
                if block[t] >= floor:
                    ids[num] = start + t
                    num += 1
    return ids[:num]


@inner(error_model="numpy")
def _last_kept(
    scores: Floats, weights: Doubles, wanted: float, highest: np.float32, scale: np.float32
) -> tuple[int, float]:
    """Best first while the weight before is below `wanted`: the last one's place, and the weight with it.

    Place -1 where all are kept. Only scores that lie as close as those around the border are sorted.
    """
    buckets = np.empty(len(scores), np.int64)
    masses, kept, crossed = np.zeros(_NUM_BUCKETS), 0.0, 0
    for i in range(len(scores)):
        buckets[i] = min((highest - scores[i]) * scale * _PER_NAT, _LAST_BUCKET)
        masses[buckets[i]] += weights[i]
    while crossed < _NUM_BUCKETS and kept + masses[crossed] < wanted:
        kept += masses[crossed]
        crossed += 1
    if crossed == _NUM_BUCKETS:
        return -1, kept
    last = -1
    for member in _best_first(scores, buckets, crossed):
        if kept >= wanted:
            break
        kept += weights[member]
        last = member
    return last, kept


@part()
def _best_first(scores: Floats, buckets: Integers, bucket: int) -> Integers:
    """Places of a bucket's scores, the first of equals first: merged by twos, fours and so on.

    numpy's sort would take longer to compile than all else here.
    """
    order, num, width = np.empty(len(buckets), np.int64), 0, 1
    for i in range(len(buckets)):
        if buckets[i] == bucket:
            order[num] = i
            num += 1
    other = np.empty(num, np.int64)
    while width < num:
        for start in range(0, num, 2 * width):
            i, j = start, min(start + width, num)
            middle, end = j, min(j + width, num)
            for place in range(start, end):
                is_left = j == end or (i < middle and scores[order[i]] >= scores[order[j]])
                other[place] = order[i] if is_left else order[j]
                i, j = (i + 1, j) if is_left else (i, j + 1)
        order, other, width = other, order, 2 * width
    return order[:num]


@part(error_model="numpy")
def _chance(row: _Row, scale: np.float32, token: int) -> float:
    score = row.scores[token]
    if score < row.floor or (score == row.floor and token > row.last):
        return 0.0
    power = np.float64((score - row.highest) * scale)
    return math.exp(power) / row.total if power > -np.float64(_FARTHEST) or not np.isfinite(row.total) else 0.0


@part(error_model="numpy", fastmath={"contract"})
def _fill_row(row: _Row, scale: np.float32, exponents: Any, powers: Floats, probs: Floats) -> None:
    share = np.float32(1.0 / row.total)
    for start in range(0, len(probs), _CHUNK):
        own = probs[start : start + _CHUNK]
        for t in range(len(own)):
            own[t] = (row.scores[start + t] - row.highest) * scale
        exponentiate(own, _ZERO, exponents, powers)
        for t in range(len(own)):
            own[t] *= share
        if row.floor > -np.inf:
            for t in range(len(own)):
                score = row.scores[start + t]
                is_kept = score > row.floor or (score == row.floor and start + t <= row.last)
                own[t] = own[t] if is_kept else _ZERO
