"""Hydra's heads compiled: a level of a draft is one call. Same arithmetic as `network.TorchNetwork`, in float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engine.drafters.heads._candidates import Candidates, Tokens
from engine.drafters.heads._compiled import Layers, affine, compiled, layers_of, ranked
from engine.drafters.heads._decoder_compiled import CompiledCache, CompiledLayer
from engine.drafters.heads._decoder_layer import LayerCache
from engine.drafters.heads.hydra.network import Network
from engine.drafters.heads.hydra.weights import Affine, Head, HydraWeights
from engine.runtime.cpu.small_products import Matrix, numbers_of, row_buffer, widened
from engine.runtime.cpu.softmax import Doubles, Floats, Integers, likeliest, silu


class HeadMaps(NamedTuple):
    """Of one head."""

    first: Layers
    """(2d, (i + 2) · d): R above W."""
    blocks: Layers
    """(b, d, d)."""
    output: Layers
    """(n, d)."""


class CompiledNetwork(Network):
    """Packed matrices; `inputs` are of `row_buffer`."""

    def __init__(
        self,
        weights: HydraWeights,
        embedding: Tensor,
        outputs: Sequence[Affine],
        vocabulary: Tokens,
        dtype: torch.dtype,
    ) -> None:
        """`embedding (v, d)` is the target's; `outputs`, (n, d) of each head, score the vocabulary (n,)."""
        self.num_heads, self.device, self._width = len(weights.heads), embedding.device, weights.width
        self.prefix, self.vocabulary = weights.prefix, vocabulary
        self._layer = None if weights.prefix is None else CompiledLayer(weights.prefix.layer, dtype)
        self._table = numbers_of(embedding)
        packed: dict[int, Layers] = {}  # heads that share an output layer share it packed
        found = [packed.setdefault(output[0].data_ptr(), layers_of(*output, dtype)) for output in outputs]
        self._heads = [
            HeadMaps(layers_of(*head.first, dtype), layers_of(*_stacked(head), dtype), output)
            for head, output in zip(weights.heads, found, strict=True)
        ]

    def beginning(self, state: Tensor) -> Floats:
        inputs = row_buffer(1, self._width)
        inputs[0, : self._width] = state[0].float().numpy()
        return inputs

    def advance(self, head: int, inputs: Floats, rows: Tokens, tokens: Tokens, top_k: int) -> tuple[Floats, Candidates]:
        given = row_buffer(len(rows), (head + 2) * self._width)
        size = len(rows), min(top_k, len(self.vocabulary))
        numbers = self._heads[head], self._table, inputs, rows, tokens, given
        places, log_probs = ranked(foresee, *numbers, size=size)
        return given, (self.vocabulary[places], log_probs)

    def cache(self, num_columns: int) -> LayerCache:
        assert self._layer is not None
        return CompiledCache(self._layer, num_columns, self._angles(num_columns))


def _stacked(head: Head) -> Affine:
    width = len(head.first[1]) // 2
    matrices, biases = zip(*head.blocks, strict=True) if head.blocks else ((), ())
    return (
        torch.stack(matrices) if matrices else torch.zeros(0, width, width),
        torch.stack(biases) if biases else torch.zeros(0, width),
    )


@compiled
def foresee(
    head: HeadMaps,
    table: Matrix,
    inputs: Floats,
    rows: Integers,
    ends: Integers,
    given: Floats,
    tokens: Integers,
    log_probs: Doubles,
) -> None:
    """The likeliest tokens, (m, k), behind rows of `inputs`, each with a token's embedding put behind it: `given`."""
    num_rows, size = len(rows), table.shape[1]
    before = head.first.numbers.shape[1] - size
    for row in range(num_rows):
        given[row, :before] = inputs[rows[row], :before]
        for e in range(size):
            given[row, before + e] = widened(table[ends[row], e])
    both, y, scores = (
        row_buffer(num_rows, 2 * size),
        row_buffer(num_rows, size),
        row_buffer(num_rows, len(head.output.scales)),
    )
    affine(given, num_rows, head.first, both)
    for row in range(num_rows):
        y[row, :size] = both[row, size : 2 * size]
        silu(y[row, :size])
        y[row, :size] += both[row, :size]
    for block in range(len(head.blocks.biases)):
        maps = Layers(head.blocks.numbers[block], head.blocks.scales[block], head.blocks.biases[block])
        affine(y, num_rows, maps, both)
        for row in range(num_rows):
            silu(both[row, :size])
            y[row, :size] += both[row, :size]
    affine(y, num_rows, head.output, scores)
    likeliest(scores, num_rows, len(head.output.scales), tokens, log_probs)
