"""DFlash's layers compiled, beside a small target on a CPU: a block is one call, and what a step reads another.

Same arithmetic as network.py, in float32, its matrices in bytes where they are of bfloat16. Knows rows, columns and
tokens.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from engine.drafters.heads._compiled import Scaled, compiled, matrix_of, multiply, run, scaled_of
from engine.drafters.heads._decoder_compiled import Pass, feed_forward, norm, norm_heads, place
from engine.drafters.heads.dflash.network import DFlashCache, DFlashNetwork
from engine.runtime.cpu.rowwise_attention import Mask, attend
from engine.runtime.cpu.small_products import Matrix, numbers_of, row_buffer, widened
from engine.runtime.cpu.softmax import Floats, Integers

MOST_ROWS = 64
"""Places whose columns are made at once."""
_ZERO = np.float32(0.0)


class Maps(NamedTuple):
    """The weights; of layers one behind another."""

    embedding: Matrix
    """(v, d)."""
    mask: Floats
    """(d,)."""
    embedding_scale: np.float32
    entry: Scaled
    """(d, n · h)."""
    feature_norm: Floats
    """(d,)."""
    context: Scaled
    """(layers · 2 · kv · e, d)."""
    qkv: Scaled
    output: Scaled
    gate_up: Scaled
    down: Scaled
    norms: Floats
    """(layers, 2, d): before attention and before the MLP."""
    head_norms: Floats
    """(layers, heads + kv heads, e)."""
    eps: np.float32
    scale: np.float32
    """Of scores of keys."""


def maps_of(network: DFlashNetwork) -> Maps:
    """A network's weights, packed."""
    form, dtype, layers = network.form, network.dtype, network.layers

    def scaled(*modules: nn.Module) -> Scaled:
        return scaled_of(torch.stack([matrix_of(module) for module in modules]), dtype)

    return Maps(
        embedding=numbers_of(network.embedding),
        mask=network.mask[0].float().numpy(),
        embedding_scale=np.float32(form.embedding_scale),
        entry=scaled_of(matrix_of(network.fc), dtype),
        feature_norm=network.feature_norm.float().numpy(),
        context=scaled_of(matrix_of(network.context), dtype),
        qkv=scaled(*(layer.qkv for layer in layers)),
        output=scaled(*(layer.o_proj for layer in layers)),
        gate_up=scaled(*(layer.gate_up for layer in layers)),
        down=scaled(*(layer.down for layer in layers)),
        norms=torch.stack([torch.stack((layer.input_norm, layer.mlp_norm)) for layer in layers]).float().numpy(),
        head_norms=torch.stack([layer.head_norms for layer in layers]).float().numpy(),
        eps=np.float32(form.rms_norm_eps),
        scale=np.float32(form.head_dim**-0.5),
    )


class CompiledCache(DFlashCache):
    """Compiled loops on one session's keys and values."""

    def __init__(self, network: DFlashNetwork, maps: Maps, num_columns: int) -> None:
        form = network.form
        self.network, self._maps = network, maps
        shape = form.num_hidden_layers, form.num_key_value_heads
        self.keys = torch.zeros(*shape, form.head_dim, num_columns).mT
        self.values = torch.zeros(*shape, num_columns, form.head_dim)
        self._kv = self.keys.mT.numpy(), self.values.numpy()
        self._turns = tuple(part[:, 0].contiguous().numpy() for part in network.rotary.angles(num_columns, self.values))

    def read(self, hidden: Tensor, column: int) -> None:
        for first in range(0, len(hidden), MOST_ROWS):
            states = hidden[first : first + MOST_ROWS].float().numpy()
            places = np.arange(column + first, column + first + len(states))
            run(keep, self._maps, self._turns, states, places, *self._kv)

    def block(self, root_id: int, column: int) -> Tensor:
        form = self.network.form
        end = column + form.block_size
        found = torch.empty(form.block_size, form.hidden_size)
        run(block, self._maps, self._turns, root_id, column, self._looks(column, end), *self._kv, found.numpy())
        return found.to(self.network.dtype)

    def _looks(self, column: int, end: int) -> Mask:
        """(layers, m, end): which columns each layer's rows see."""
        looks = np.ones((len(self.network.layers), end - column, end), np.bool_)
        for number, layer in enumerate(self.network.layers):
            if layer.is_bounded:
                looks[number] = layer.sees(torch.arange(column, end), end).numpy()
        return looks


@compiled
def keep(
    maps: Maps, turns: tuple[Floats, Floats], states: Floats, places: Integers, keys: Floats, values: Floats
) -> None:
    """Keep the columns of places (m,) with states (m, n · h), in keys (l, kv, e, c) and values (l, kv, c, e)."""
    (num_rows, width), size, (num_layers, num_kv, head_dim) = states.shape, len(maps.mask), keys.shape[:3]
    given, features = row_buffer(num_rows, width), row_buffer(num_rows, size)
    given[:num_rows, :width] = states
    multiply(given, num_rows, maps.entry.numbers, maps.entry.scales, features)
    for row in range(num_rows):
        norm(features[row, :size], maps.feature_norm, maps.eps, features[row, :size])
    own = 2 * num_kv * head_dim
    found, nobody = row_buffer(num_rows, num_layers * own), np.empty((num_rows, 0, head_dim), np.float32)
    multiply(features, num_rows, maps.context.numbers, maps.context.scales, found)
    where = Pass(places, places, np.ones((1, 1), np.bool_))
    for layer in range(num_layers):
        part = found[:num_rows, layer * own : (layer + 1) * own]
        norm_heads(part, maps.head_norms[layer, len(maps.head_norms[layer]) - num_kv :], maps.eps)
        place(part, turns[0], turns[1], where, keys[layer], values[layer], nobody)


@compiled
def block(
    maps: Maps,
    turns: tuple[Floats, Floats],
    root_id: int,
    column: int,
    looks: Mask,
    keys: Floats,
    values: Floats,
    out: Floats,
) -> None:
    """The last layer's output (m, d) of a root and masks, whose own columns stand behind `column` of the text."""
    num_rows, size = out.shape
    for e in range(size):
        out[0, e] = widened(maps.embedding[root_id, e]) * maps.embedding_scale
        out[1:, e] = maps.mask[e] * maps.embedding_scale
    places = np.arange(column, column + num_rows)
    for layer in range(len(maps.norms)):
        _attended(maps, layer, turns, Pass(places, places, looks[layer]), keys[layer], values[layer], out)
        x = row_buffer(num_rows, size)
        for row in range(num_rows):
            norm(out[row], maps.norms[layer, 1], maps.eps, x[row, :size])
        gates = Scaled(maps.gate_up.numbers[layer], maps.gate_up.scales[layer])
        feed_forward(gates, Scaled(maps.down.numbers[layer], maps.down.scales[layer]), x, out)


@compiled
def _attended(
    maps: Maps, layer: int, turns: tuple[Floats, Floats], where: Pass, keys: Floats, values: Floats, out: Floats
) -> None:
    """Add to rows (m, d) what attention finds; keep their keys and values."""
    (num_rows, size), (num_kv, width) = out.shape, keys.shape[:2]
    num_turned = len(maps.head_norms[layer])
    num_heads = num_turned - num_kv
    inner = num_heads * width
    x, qkv = row_buffer(num_rows, max(inner, size)), row_buffer(num_rows, (num_turned + num_kv) * width)
    for row in range(num_rows):
        norm(out[row], maps.norms[layer, 0], maps.eps, x[row, :size])
    multiply(x, num_rows, maps.qkv.numbers[layer], maps.qkv.scales[layer], qkv)
    norm_heads(qkv[:num_rows], maps.head_norms[layer], maps.eps)
    queries = np.empty((num_rows, num_heads, width), np.float32)
    attended = np.empty((num_rows, num_heads, width), np.float32)
    place(qkv, turns[0], turns[1], where, keys, values, queries)
    attend(queries, keys, values, where.mask, maps.scale, _ZERO, attended)
    y = row_buffer(num_rows, size)
    x[:num_rows, :inner] = attended.reshape(num_rows, inner)
    multiply(x, num_rows, maps.output.numbers[layer], maps.output.scales[layer], y)
    for row in range(num_rows):
        out[row] += y[row, :size]
