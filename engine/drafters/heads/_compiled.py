"""What networks beside a small target share in compiled form: records of weights, the loops on them, and their calls.

A small network's draft is mostly the cost of calls: torch's take several times as long (docs/log.md, 2026-11-21). So a
method compiles its arithmetic into one call a draft or a few (its `kernel.py`), of these parts. Matrices are packed for
`linear`, in bytes where they are of bfloat16. Knows numbers only; imported where the compiled form is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from engine.runtime.compiled import entry
from engine.runtime.cpu import softmax
from engine.runtime.cpu.small_products import Matrix, linear, linear_each, packed_small, row_buffer
from engine.runtime.cpu.softmax import Doubles, Floats, Integers, silu
from engine.runtime.cpu.threads import compiled_threads

if TYPE_CHECKING:
    from engine.drafters.heads._candidates import Candidates

compiled = entry(error_model="numpy", fastmath={"contract"})
"""How kernels are compiled: a product and the sum behind it may be one instruction, and nothing else is reordered."""


class Layers(NamedTuple):
    """Affine maps (…, d, i)."""

    numbers: Matrix
    scales: Floats
    """(…, d): what the product's results are multiplied with."""
    biases: Floats
    """(…, d)."""


class Scaled(NamedTuple):
    """Linear maps (…, o, i)."""

    numbers: Matrix
    scales: Floats
    """(…, o): what the product's results are multiplied with."""


def layers_of(weights: Tensor, biases: Tensor, dtype: torch.dtype) -> Layers:
    """Of weights (…, d, i) and biases (…, d)."""
    return Layers(*packed_small(weights, dtype), biases.float().numpy())


def scaled_of(weights: Tensor, dtype: torch.dtype) -> Scaled:
    """Of weights (…, o, i)."""
    return Scaled(*packed_small(weights, dtype))


def matrix_of(module: nn.Module) -> Tensor:
    """A linear layer's weight (o, i)."""
    return torch.as_tensor(module.weight).detach()


def run(kernel: Callable[..., None], *numbers: Any) -> None:
    """Call a kernel, which writes to the last of its arguments."""
    with compiled_threads():
        kernel(*numbers)


def ranked(kernel: Callable[..., None], *numbers: Any, size: tuple[int, int]) -> Candidates:
    """What a kernel writes to two last arguments: tokens and log-probabilities, of `size` each."""
    tokens, log_probs = np.empty(size, np.int64), np.empty(size)
    run(kernel, *numbers, tokens, log_probs)
    return tokens, log_probs


def likeliest(scores: Floats, top_k: int) -> Candidates:
    """Of scores (rows, v)."""
    return ranked(softmax.likeliest, scores, *scores.shape, size=(len(scores), top_k))


@compiled
def multiply(x: Floats, num_rows: int, numbers: Matrix, scales: Floats, out: Floats) -> None:
    """The first rows of `x` times a linear map (o, i) → `out`; both are of `row_buffer`."""
    linear(x, num_rows, numbers, out)
    for row in range(num_rows):
        out[row, : len(scales)] *= scales


@compiled
def affine(x: Floats, num_rows: int, maps: Layers, out: Floats) -> None:
    """The first rows of `x` through an affine map → `out`; both are of `row_buffer`."""
    multiply(x, num_rows, maps.numbers, maps.scales, out)
    for row in range(num_rows):
        out[row, : len(maps.scales)] += maps.biases


@compiled
def read_out(y: Floats, num_rows: int, blocks: Layers, output: Scaled, tokens: Integers, log_probs: Doubles) -> None:
    """The likeliest tokens, (num_rows, k), of rows that pass residual blocks y + SiLU(W y + b) and an output layer.

    `y` is of `row_buffer`; `blocks` are (b, n, d, d), of each block a layer for every row and perhaps for more.
    """
    size, vocab_size = blocks.biases.shape[2], len(output.scales)
    mixed, scores = row_buffer(num_rows, size), row_buffer(num_rows, vocab_size)
    for block in range(len(blocks.biases)):
        linear_each(y, blocks.numbers[block, :num_rows], mixed)
        for row in range(num_rows):
            mixed[row, :size] *= blocks.scales[block, row]
            mixed[row, :size] += blocks.biases[block, row]
            silu(mixed[row, :size])
            y[row, :size] += mixed[row, :size]
    multiply(y, num_rows, output.numbers, output.scales, scores)
    softmax.likeliest(scores, num_rows, vocab_size, tokens, log_probs)
