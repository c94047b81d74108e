"""MLP Speculator's stages compiled: one call drafts all levels.

Same arithmetic as `network.Speculator`, in float32. Knows numbers only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.drafters.heads._compiled import Scaled, compiled, multiply, run, scaled_of
from engine.runtime.cpu.small_products import Matrix, numbers_of, row_buffer, widened
from engine.runtime.cpu.softmax import Doubles, Floats, Integers, likeliest

EPS = np.float32(1e-6)
_HALF, _ONE, _ROOT_HALF = np.float32(0.5), np.float32(1.0), np.float32(0.5**0.5)


class Stages(NamedTuple):
    """Weights of n stages, matrices packed for `linear`. Stage i has entry `own[i]` of what tied stages share."""

    first: Scaled
    """Projection of the first stage; of the later ones `later[i - 1]`."""
    later: Scaled
    own: Integers
    tables: Matrix
    """(t, v, m) embeddings, the mixing ratio in them."""
    norm_weights: Floats
    norm_biases: Floats
    heads: Scaled
    vocabulary: Integers
    """Token id of each score."""


class Grown(NamedTuple):
    """Branches of each level, (levels, most): `_levels.Level` by columns, of which the first `sizes` count."""

    tokens: Integers
    parents: Integers
    values: Doubles
    sizes: Integers


@compiled
def grow(stages: Stages, state: Floats, root_id: int, top_k: Integers, most: int, num_nodes: int, grown: Grown) -> None:
    """The `top_k[i]` best tokens behind each of the `most` best branches of every level, from the state (d,).

    Branches behind which none of the `num_nodes` best of all can be are not gone on with.
    """
    num_scores, inner = len(stages.vocabulary), stages.tables.shape[2]
    x, states = row_buffer(most, len(state)), row_buffer(most, inner)
    mixed, scores = row_buffer(most, inner), row_buffer(most, num_scores)
    x[0, : len(state)] = state
    kept, tokens, values = np.zeros(most, np.int64), np.full(most, root_id), np.zeros(most)
    best, log_probs = np.empty((most, top_k.max()), np.int64), np.empty((most, top_k.max()))
    likeliest_nodes = np.full(num_nodes, -np.inf)
    num_kept = 1
    for level in range(len(top_k)):
        own, size, proj, before = stages.own[level], top_k[level], stages.first, stages.later
        if level == 0:
            multiply(x, num_kept, proj.numbers, proj.scales, mixed)
        else:
            multiply(x, num_kept, before.numbers[level - 1], before.scales[level - 1], mixed)
        for row in range(num_kept):
            weight, bias = stages.norm_weights[own], stages.norm_biases[own]
            _activate(mixed[row, :inner], stages.tables[own, tokens[row]], weight, bias, states[row, :inner])
        multiply(states, num_kept, stages.heads.numbers[own], stages.heads.scales[own], scores)
        likeliest(scores, num_kept, num_scores, best[:num_kept, :size], log_probs[:num_kept, :size])
        for branch in range(num_kept * size):
            row, rank = branch // size, branch % size
            grown.parents[level, branch] = kept[row]
            grown.tokens[level, branch] = stages.vocabulary[best[row, rank]]
            grown.values[level, branch] = values[row] + log_probs[row, rank]
        grown.sizes[level] = num_kept * size
        order = np.argsort(-grown.values[level, : grown.sizes[level]], kind="mergesort")
        num_kept = _num_promising(grown.values[level][order], likeliest_nodes, most)
        if num_kept == 0:
            break
        x = row_buffer(most, inner)
        for row in range(num_kept):
            kept[row] = order[row]
            tokens[row], values[row] = grown.tokens[level, order[row]], grown.values[level, order[row]]
            x[row] = states[order[row] // size]


@compiled
def _num_promising(values: Doubles, best: Doubles, most: int) -> int:
    """How many of a level's values (falling) are worth going on with; the best of all so far are kept in `best`."""
    best[:] = np.sort(np.concatenate((best, values)))[::-1][: len(best)]
    count = 0
    while count < min(most, len(values)) and values[count] > best[-1]:
        count += 1
    return count


@compiled
def _activate(mixed: Floats, embedding: Matrix, weight: Floats, bias: Floats, state: Floats) -> None:
    """GELU(norm(mixed + embedding)) of (m,) numbers; the norm takes no mean off."""
    total = np.float32(0.0)
    for e in range(len(mixed)):
        mixed[e] += widened(embedding[e])
        total += mixed[e] * mixed[e]
    scale = _ONE / np.sqrt(total / np.float32(len(mixed)) + EPS)
    for e in range(len(mixed)):
        y = mixed[e] * scale * weight[e] + bias[e]
        state[e] = _HALF * y * (_ONE + np.float32(math.erf(y * _ROOT_HALF)))


class CompiledStages:
    """The stages, beside a small target."""

    def __init__(self, projs: Sequence[Tensor], own: Sequence[Any], vocabulary: Integers, dtype: torch.dtype) -> None:
        """Of n stages their projections and, of n or of one that is tied, the other parts of `network.Stage`."""
        tables, norm_weights, norm_biases, heads = (
            torch.stack([getattr(stage, name) for stage in own])
            for name in ("embedding", "norm_weight", "norm_bias", "head")
        )
        inner = norm_weights.shape[1]
        self._stages = Stages(
            first=scaled_of(projs[0], dtype),
            later=scaled_of(torch.stack([torch.zeros(inner, inner), *projs[1:]])[1:], dtype),
            own=np.minimum(np.arange(len(projs)), len(own) - 1),
            tables=numbers_of(tables.to(dtype)),
            norm_weights=norm_weights.numpy(),
            norm_biases=norm_biases.numpy(),
            heads=scaled_of(heads, dtype),
            vocabulary=vocabulary,
        )

    def grow(
        self, state: Tensor, root_id: int, top_k: Sequence[int], most: int, num_nodes: int
    ) -> list[tuple[Integers, Integers, Doubles]]:
        """Tokens, parents and values of each level, as `_levels.Level` has them."""
        size, sizes = (len(top_k), most * max(top_k, default=0)), np.zeros(len(top_k), np.int64)
        grown = Grown(np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size), sizes)
        run(grow, self._stages, state[0].numpy(), root_id, np.array(top_k, np.int64), most, num_nodes, grown)
        found = enumerate(sizes[sizes > 0].tolist())
        return [(grown.tokens[i, :n], grown.parents[i, :n], grown.values[i, :n]) for i, n in found]
