"""MLP Speculator's stages compiled: one call drafts all levels.

A small network's draft is mostly the cost of calls: torch's take several times as long (docs/log.md, 2026-11-21). Same
arithmetic as `_speculator.Speculator` in float32. Knows numbers only.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit, prange

from engine.runtime.linear_kernel import linear, row_buffer
from engine.runtime.softmax_kernel import Doubles, Floats, Integers, keep_best, log_total

EPS = np.float32(1e-6)
_HALF, _ONE, _ROOT_HALF = np.float32(0.5), np.float32(1.0), np.float32(0.5**0.5)


class Stages(NamedTuple):
    """Weights of n stages, matrices packed for `linear`. Stage i has entry `own[i]` of what tied stages share."""

    first: Floats
    """Projection of the first stage; of the later ones `later[i - 1]`."""
    later: Floats
    own: Integers
    tables: Floats
    """(t, v, m) embeddings, the mixing ratio in them."""
    norm_weights: Floats
    norm_biases: Floats
    heads: Floats
    vocabulary: Integers
    """Token id of each score."""


class Grown(NamedTuple):
    """Branches of each level, (levels, most): `_speculator.Level` by columns, of which the first `sizes` count."""

    tokens: Integers
    parents: Integers
    values: Doubles
    sizes: Integers


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def grow(stages: Stages, state: Floats, root_id: int, top_k: Integers, most: int, grown: Grown) -> None:
    """The `top_k[i]` best tokens behind each of the `most` best branches of every level, from the state (d,)."""
    num_scores, inner = len(stages.vocabulary), stages.tables.shape[2]
    x, states = row_buffer(most, len(state)), row_buffer(most, inner)
    mixed, scores = row_buffer(most, inner), row_buffer(most, num_scores)
    x[0, : len(state)] = state
    kept, tokens, values = np.zeros(most, np.int64), np.full(most, root_id), np.zeros(most)
    num_kept = 1
    for level in range(len(top_k)):
        own, size = stages.own[level], top_k[level]
        linear(x, num_kept, stages.first if level == 0 else stages.later[level - 1], mixed)
        for row in range(num_kept):
            weight, bias = stages.norm_weights[own], stages.norm_biases[own]
            _activate(mixed[row, :inner], stages.tables[own, tokens[row]], weight, bias, states[row, :inner])
        linear(states, num_kept, stages.heads[own], scores)
        _rank_rows(scores[:, :num_scores], num_kept, size, values, grown.tokens[level], grown.values[level])
        for branch in range(num_kept * size):
            grown.parents[level, branch] = kept[branch // size]
            grown.tokens[level, branch] = stages.vocabulary[grown.tokens[level, branch]]
        grown.sizes[level] = num_kept * size
        order = np.argsort(-grown.values[level, : grown.sizes[level]], kind="mergesort")
        num_kept = min(most, len(order))
        x = row_buffer(most, inner)
        for row in range(num_kept):
            kept[row] = order[row]
            tokens[row], values[row] = grown.tokens[level, order[row]], grown.values[level, order[row]]
            x[row] = states[order[row] // size]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _activate(mixed: Floats, embedding: Floats, weight: Floats, bias: Floats, state: Floats) -> None:
    """GELU(norm(mixed + embedding)) of (m,) numbers; the norm takes no mean off."""
    total = np.float32(0.0)
    for e in range(len(mixed)):
        mixed[e] += embedding[e]
        total += mixed[e] * mixed[e]
    scale = _ONE / np.sqrt(total / np.float32(len(mixed)) + EPS)
    for e in range(len(mixed)):
        y = mixed[e] * scale * weight[e] + bias[e]
        state[e] = _HALF * y * (_ONE + np.float32(math.erf(y * _ROOT_HALF)))


@njit(cache=True, nogil=True, parallel=True, error_model="numpy")
def _rank_rows(scores: Floats, num_rows: int, size: int, before: Doubles, tokens: Integers, values: Doubles) -> None:
    for row in prange(num_rows):
        _rank(scores[row], row * size, size, before[row], tokens, values)


@njit(cache=True, nogil=True, error_model="numpy")
def _rank(scores: Floats, first: int, size: int, value: float, tokens: Integers, values: Doubles) -> None:
    """A branch's best places among (v,) scores, and its value with their log-probability. Spoils the scores."""
    best = np.empty(size, np.float32)
    keep_best(scores, tokens[first : first + size], best)
    total = log_total(scores, best[0])
    for rank in range(size):
        values[first + rank] = value + (np.float64(best[rank]) - np.float64(best[0]) - total)
