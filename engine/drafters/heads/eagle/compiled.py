"""EAGLE's layer compiled, beside a small target on a CPU: a level of a draft is one call.

Same arithmetic as network.py, in float32, its matrices in bytes where they are of bfloat16. Knows rows, columns and
tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from engine.drafters.heads._candidates import Candidates, Looks, Tokens
from engine.drafters.heads._compiled import (
    Layers,
    Scaled,
    affine,
    compiled,
    layers_of,
    matrix_of,
    multiply,
    ranked,
    run,
    scaled_of,
)
from engine.drafters.heads._decoder_compiled import Pass, feed_forward, norm, norm_heads, place
from engine.drafters.heads.eagle.network import MOST_ROWS, EagleCache, EagleNetwork
from engine.runtime.cpu.rowwise_attention import attend
from engine.runtime.cpu.small_products import Matrix, numbers_of, row_buffer, widened
from engine.runtime.cpu.softmax import Doubles, Floats, Integers, likeliest

_ZERO = np.float32(0.0)


class Maps(NamedTuple):
    """The layer's weights; what a version lacks has no rows."""

    embedding: Matrix
    """(v, d)."""
    entry: Layers
    """EAGLE-1's fc, (d, 2d) of embedding and state."""
    qkv: Layers
    output: Scaled
    gate_up: Scaled
    down: Scaled
    scores: Layers
    """(n, d)."""
    norms: Floats
    """EAGLE-3's, (3, d): of embeddings, of states and the last."""
    mlp_norm: Floats
    head_norms: Floats
    """(heads + kv heads, e)."""
    eps: np.float32
    scale: np.float32
    """Of scores of keys."""
    adds_to_normed: bool
    """Whether the residual is the normed state."""
    hands_on_normed: bool


def maps_of(network: EagleNetwork) -> Maps:
    """A network's weights, packed."""
    form, dtype, size = network.form, network.dtype, network.form.hidden_size
    is_first = form.version == 1

    counts = form.num_attention_heads, form.num_key_value_heads
    heads = [norm for norm, count in zip(network.head_norms, counts, strict=False) for _ in range(count)]

    def layers(module: nn.Module) -> Layers:
        weight, bias = matrix_of(module), module.bias
        return layers_of(weight, torch.zeros(len(weight)) if bias is None else torch.as_tensor(bias), dtype)

    def scaled(module: nn.Module) -> Scaled:
        return scaled_of(matrix_of(module), dtype)

    def rows(parts: Sequence[Tensor], width: int) -> Matrix:
        return numbers_of(torch.stack(list(parts)).float() if parts else torch.zeros(0, width))

    return Maps(
        embedding=numbers_of(network.embedding),
        entry=layers(network.fc) if is_first else layers_of(torch.zeros(0, 2 * size), torch.zeros(0), dtype),
        qkv=layers(network.qkv),
        output=scaled(network.o_proj),
        gate_up=scaled(network.gate_up),
        down=scaled(network.down),
        scores=layers(network.output),
        norms=rows([] if network.norm is None else [network.embedding_norm, network.hidden_norm, network.norm], size),
        mlp_norm=numbers_of(network.mlp_norm.float()),
        head_norms=rows(heads, form.head_dim),
        eps=np.float32(form.rms_norm_eps),
        scale=np.float32(form.head_dim**-0.5),
        adds_to_normed=form.norm_before_residual,
        hands_on_normed=form.norm_output and not is_first,
    )


class CompiledCache(EagleCache):
    """Compiled loops on one session's keys and values."""

    def __init__(self, network: EagleNetwork, maps: Maps, num_columns: int) -> None:
        form = network.form
        self.network, self._maps = network, maps
        heads, width = form.num_key_value_heads, form.head_dim
        self.keys = torch.zeros(heads, width, num_columns).mT
        self.values = torch.zeros(heads, num_columns, width)
        self._kv = self.keys.mT.numpy(), self.values.numpy()
        self._turns = tuple(part[:, 0].contiguous().numpy() for part in network.rotary.angles(num_columns, self.values))

    def read(self, hidden: Tensor, tokens: Sequence[int], column: int) -> Tensor:
        last = np.empty((1, self.network.form.hidden_size), np.float32)
        for first in range(0, len(tokens), MOST_ROWS):
            some = np.array(tokens[first : first + MOST_ROWS])
            states = self.network.fused(hidden[first : first + MOST_ROWS]).float().numpy()
            places = np.arange(column + first, column + first + len(some))
            where = Pass(places, places, np.ones((1, places[-1] + 1), np.bool_))
            run(encode, self._maps, self._turns, states, some, where, *self._kv, last)
        return torch.from_numpy(last)

    def advance(
        self, before: Tensor, rows: Tokens, tokens: Tokens, position: int, column: int, sees: Looks, top_k: int
    ) -> tuple[Tensor, Candidates]:
        end, num_rows = column + len(tokens), len(tokens)
        looks = np.ones((num_rows, end), np.bool_)
        looks[:, end - sees.shape[1] :] = sees
        where = Pass(np.full(num_rows, position), np.arange(column, end), looks)
        given = torch.empty(num_rows, before.shape[1])
        numbers = self._maps, self._turns, before.numpy(), rows, tokens, where, *self._kv, given.numpy()
        return given, self._named(ranked(foresee, *numbers, size=self._size(num_rows, top_k)))

    def likeliest(self, states: Tensor, top_k: int) -> Candidates:
        return self._named(ranked(score, self._maps, states.numpy(), size=self._size(len(states), top_k)))

    def _size(self, num_rows: int, top_k: int) -> tuple[int, int]:
        return num_rows, min(top_k, len(self.network.vocabulary))

    def _named(self, found: Candidates) -> Candidates:
        places, log_probs = found
        return self.network.vocabulary[places], log_probs


@compiled
def foresee(
    maps: Maps,
    turns: tuple[Floats, Floats],
    before: Floats,
    rows: Integers,
    ends: Integers,
    where: Pass,
    keys: Floats,
    values: Floats,
    given: Floats,
    tokens: Integers,
    log_probs: Doubles,
) -> None:
    """The layer's output (m, d) of rows that read rows of `before` and a token each, and what is likeliest there."""
    states = np.empty((len(rows), before.shape[1]), np.float32)
    for row in range(len(rows)):
        states[row] = before[rows[row]]
        if maps.hands_on_normed:
            norm(states[row], maps.norms[2], maps.eps, states[row])
    encode(maps, turns, states, ends, where, keys, values, given)
    score(maps, given, tokens, log_probs)


@compiled
def encode(
    maps: Maps,
    turns: tuple[Floats, Floats],
    states: Floats,
    tokens: Integers,
    where: Pass,
    keys: Floats,
    values: Floats,
    out: Floats,
) -> None:
    """Keep keys and values of rows' states (m, d) and tokens (m,); the output of the last q rows → out (q, d)."""
    (num_rows, size), num_asked, width = states.shape, len(out), keys.shape[1]
    num_heads = len(maps.qkv.scales) // width - 2 * len(keys)
    given, qkv, kept = row_buffer(num_rows, 2 * size), row_buffer(num_rows, len(maps.qkv.scales)), states.copy()
    _enter(maps, states, tokens, given, kept)
    affine(given, num_rows, maps.qkv, qkv)
    if len(maps.head_norms) > 0:
        norm_heads(qkv[:num_rows], maps.head_norms, maps.eps)
    queries = np.empty((num_rows, num_heads, width), np.float32)
    attended = np.empty((num_asked, num_heads, width), np.float32)
    place(qkv, turns[0], turns[1], where, keys, values, queries)
    attend(queries[num_rows - num_asked :], keys, values, where.mask, maps.scale, _ZERO, attended)
    x, y = row_buffer(num_asked, max(num_heads * width, size)), row_buffer(num_asked, size)
    x[:num_asked, : num_heads * width] = attended.reshape(num_asked, num_heads * width)
    multiply(x, num_asked, maps.output.numbers, maps.output.scales, y)
    for row in range(num_asked):
        out[row] = kept[num_rows - num_asked + row] + y[row, :size]
        norm(out[row], maps.mlp_norm, maps.eps, x[row, :size])
    feed_forward(maps.gate_up, maps.down, x, out)


@compiled
def _enter(maps: Maps, states: Floats, tokens: Integers, given: Floats, kept: Floats) -> None:
    """What attention reads of rows, and what it is added to, (m, d) which is `states` before."""
    num_rows, size = states.shape
    for row in range(num_rows):
        for e in range(size):
            given[row, e] = widened(maps.embedding[tokens[row], e])
        given[row, size : 2 * size] = states[row]
        if len(maps.norms) > 0:
            for part in range(2):
                own = given[row, part * size : (part + 1) * size]
                norm(own, maps.norms[part], maps.eps, own)
            if maps.adds_to_normed:
                kept[row] = given[row, size : 2 * size]
    if len(maps.entry.scales) > 0:
        joined = row_buffer(num_rows, size)
        affine(given, num_rows, maps.entry, joined)
        for row in range(num_rows):
            given[row, :size] = joined[row, :size]
            kept[row] = joined[row, :size]


@compiled
def score(maps: Maps, states: Floats, tokens: Integers, log_probs: Doubles) -> None:
    """The likeliest tokens, (m, k), behind rows of the layer's output (m, d)."""
    num_rows, size = states.shape
    x, scores = row_buffer(num_rows, size), row_buffer(num_rows, len(maps.scores.scales))
    for row in range(num_rows):
        x[row, :size] = states[row]
        if len(maps.norms) > 0:
            norm(states[row], maps.norms[2], maps.eps, x[row, :size])
    affine(x, num_rows, maps.scores, scores)
    likeliest(scores, num_rows, len(maps.scores.scales), tokens, log_probs)
