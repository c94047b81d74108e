"""A prompt read many rows at once, into the cache that compiled passes go on with; few rows are a pass like any other.

Where tiles multiply, rows go through the pass itself, with a prompt's attention. Elsewhere the library multiplies them,
sooner: plain and drafted decoding share what is read here, so these sums may run in any order. Weights are unpacked for
the moment that they are multiplied, and all but products is the compiled pass's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.runtime.cpu import tiles
from engine.runtime.cpu.attention import QUERIES
from engine.runtime.cpu.crew import CREW
from engine.runtime.cpu.decoder import CompiledDecoder
from engine.runtime.cpu.kv import CompiledCache
from engine.runtime.cpu.linear import unpacked
from engine.runtime.cpu.products import COLUMNS, Matrix
from engine.runtime.cpu.records import Rows, Work
from engine.runtime.cpu.rows import Floats
from engine.runtime.cpu.whole_pass import (
    ACTIVATE,
    ATTEND,
    MLP_NORM,
    NORM,
    NUM_PHASES,
    ROTATE,
    ROWS_AT_ONCE,
    num_turning,
    run,
)
from engine.runtime.device import has_fast_bf16
from engine.runtime.passes import Inputs

ROWS = 1024
"""Of a block: enough that unpacking costs little beside them, and few enough to stay in the caches."""
FEWEST_ROWS = 128


def _is_tiled(decoder: CompiledDecoder) -> bool:
    return decoder.dtype == torch.bfloat16 and tiles.can_read()


@torch.inference_mode()
def read(
    decoder: CompiledDecoder, inputs: Inputs, start: int, cache: CompiledCache, hidden_layers: Sequence[int]
) -> tuple[Tensor, ...] | None:
    """Keys and values of a text's tokens, or states, from place `start` on; their hidden states (t, h) if asked for."""
    cache.reserve(start + len(inputs))
    with decoder.lock:
        block = (_TiledBlock if _is_tiled(decoder) else _Block)(decoder, inputs, start, cache)
        found = block.read([layer % (decoder.num_layers + 1) for layer in hidden_layers])
    return found if hidden_layers else None


class _Block:
    """The rows of one block in the decoder's memory."""

    def __init__(self, decoder: CompiledDecoder, inputs: Inputs, start: int, cache: CompiledCache) -> None:
        self.decoder, self.cache, self.num_rows = decoder, cache, len(inputs)
        is_narrow = decoder.dtype == torch.bfloat16 and has_fast_bf16()
        self.dtype = torch.bfloat16 if is_narrow else torch.float32
        self.memory, self.num_threads = decoder.memory, CREW.size
        self.memory.reserve(len(inputs), cache.capacity, self.num_threads)
        self.memory.x[: len(inputs), : decoder.hidden_size] = decoder.entering(inputs)
        places = range(start, start + len(inputs))
        reach, none = np.asarray(places) + 1, np.zeros(0, np.int64)
        self.rows = Rows(*decoder.rotary.at(places), reach, np.zeros(len(inputs) + 1, np.int64), none)
        whole = decoder.shape(0, decoder.num_layers, len(inputs), start, slice(0, 0), is_last=False)
        self.shape = whole._replace(uses_tiles=is_narrow)
        weights = decoder.weights
        largest = max(part[0].size for part in (weights.qkv, weights.output, weights.gate_up, weights.down))
        self.room = np.empty(largest, weights.qkv.dtype)
        self.work = self.memory.work(self.shape, self.num_threads, np.zeros((1, 1), np.float32))

    def read(self, hidden_layers: Sequence[int]) -> tuple[Tensor, ...]:
        """All layers; hidden states before these layers, the last of them behind the final norm."""
        taken = {}
        for layer in range(self.decoder.num_layers):
            if layer in hidden_layers:
                taken[layer] = self.memory.states(self.memory.x, self.num_rows, self.decoder.dtype)
            self._layer(layer)
        if hidden_layers:
            self._do(NORM, self.decoder.num_layers)
            taken[self.decoder.num_layers] = self.memory.states(self.memory.normed, self.num_rows, self.decoder.dtype)
        return tuple(taken[layer] for layer in hidden_layers)

    def _layer(self, layer: int) -> None:
        weights, memory, decoder = self.decoder.weights, self.memory, self.decoder
        attended = decoder.num_heads * decoder.head_dim
        num_turned = attended + 2 * decoder.num_kv_heads * decoder.head_dim
        self._do(NORM, layer)
        memory.tensor(memory.qkv)[: self.num_rows, :num_turned] = self._multiply(
            memory.normed, memory.bits[0], weights.qkv[layer], decoder.hidden_size, num_turned
        )
        self._do(ROTATE, layer)
        self._do(ATTEND, layer)
        self._add(self._multiply(memory.attended, memory.bits[1], weights.output[layer], attended, decoder.hidden_size))
        self._do(MLP_NORM, layer)
        size = len(weights.gate_up[layer]) * COLUMNS
        gates = self._multiply(memory.normed, memory.bits[0], weights.gate_up[layer], decoder.hidden_size, size)
        self._do(ACTIVATE, layer, gates.float().numpy())
        self._add(
            self._multiply(
                memory.active, memory.bits[2], weights.down[layer], decoder.intermediate_size, decoder.hidden_size
            )
        )

    def _multiply(self, x: Floats, bits: Any, matrix: Matrix, inner: int, num_columns: int) -> Tensor:
        """Rows in float32, or rounded as their bits, times a matrix: (rows, columns) in the library's dtype."""
        weight = unpacked(matrix, num_columns, inner, self.room).to(self.dtype)
        rows = torch.from_numpy(bits).view(torch.bfloat16) if self.dtype == torch.bfloat16 else torch.from_numpy(x)
        return rows[: self.num_rows, :inner] @ weight

    def _add(self, product: Tensor) -> None:
        self.memory.tensor(self.memory.x)[: self.num_rows, : self.decoder.hidden_size] += product

    def _do(self, phase: int, layer: int, gates: Floats | None = None) -> None:
        """A phase of the pass that is no product."""
        shape, few = self.shape, -(-self.num_rows // ROWS_AT_ONCE)
        queries = -(-self.num_rows * shape.num_heads // shape.num_kv_heads // QUERIES)
        shares = {ATTEND: shape.num_kv_heads * queries, ROTATE: num_turning(shape)}
        units = np.zeros(NUM_PHASES + 2, np.int64)
        units[phase:NUM_PHASES] = shares.get(phase, few)
        self._run(layer, self.work._replace(units=units, logits=self.work.logits if gates is None else gates))

    def _run(self, layer: int, work: Work) -> None:
        CREW.run(
            run,
            self.shape._replace(first_layer=layer, end_layer=layer + 1),
            self.decoder.weights,
            self.cache.keys,
            self.cache.values,
            self.rows,
            work,
            num_threads=self.num_threads,
        )


class _TiledBlock(_Block):
    """Rows that go through the pass itself, with a prompt's attention: the same bits on every processor."""

    def __init__(self, decoder: CompiledDecoder, inputs: Inputs, start: int, cache: CompiledCache) -> None:
        super().__init__(decoder, inputs, start, cache)
        self.memory.reserve_prompt(start + len(inputs), self.num_threads)
        self.shape = self.shape._replace(uses_tiles=tiles.can_use(), is_prompt=True)
        self.work = self.memory.work(self.shape, self.num_threads, np.zeros((1, 1), np.float32))

    def _layer(self, layer: int) -> None:
        self._run(layer, self.work)
