"""A prompt read in large blocks, without a mask in memory; plain and drafted decoding share what is read."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.runtime import crossings
from engine.runtime.cuda.cache import StaticCache
from engine.runtime.cuda.decoder import StaticDecoder
from engine.runtime.cuda.layers import Attend, Write, causal, masked, normed, rotation, through
from engine.runtime.cuda.weights import Weights
from engine.runtime.passes import Inputs

ROWS = 2048
"""Of a block."""


@torch.inference_mode()
def read(
    decoder: StaticDecoder, inputs: Inputs, start: int, cache: StaticCache, hidden_layers: Sequence[int]
) -> tuple[Tensor, ...] | None:
    """Keys and values of a text's tokens, or states, from place `start` on; their hidden states (t, h) if asked for."""
    weights, end = decoder.weights, start + len(inputs)
    cache.room.reserve(end)
    asked = [layer % (decoder.num_layers + 1) for layer in hidden_layers]
    device = weights.embedding.device
    if isinstance(inputs, Tensor):
        x = inputs.to(weights.embedding.dtype)
    else:
        x = nn.functional.embedding(crossings.upload(torch.tensor(list(inputs)), device), weights.embedding)
    turn = rotation(weights, torch.arange(start, end, device=device))
    ways = {layer.window: _way(start, end, layer.window, weights) for layer in weights.layers}
    taken: dict[int, Tensor] = {}
    for number, layer in enumerate(weights.layers):
        if number in asked:
            taken[number] = x
        x = through(x, layer, weights, turn, _writing(cache.room.kv[number], start, end), ways[layer.window])
    if decoder.num_layers in asked:
        taken[decoder.num_layers] = normed(x, weights.norm, weights.epsilon)
    return tuple(taken[layer] for layer in asked) if hidden_layers else None


def _writing(kv: Tensor, start: int, end: int) -> Write:
    def write(made: Tensor) -> tuple[Tensor, Tensor]:
        kv[:, start:end].copy_(made.transpose(0, 1))
        keys, values = kv[:, :end].chunk(2)
        return keys, values

    return write


def _way(start: int, end: int, window: int | None, weights: Weights) -> Attend:
    """Attention of a block; where a window is shorter than the text, with a mask."""
    if window is None or end <= window:
        return causal(end - start, end)
    like = weights.embedding
    columns = torch.arange(end, device=like.device)
    back = columns[start:, None] - columns
    is_hidden = (back < 0) | (back >= window)
    bias = torch.zeros(end - start, end, dtype=like.dtype, device=like.device)
    return masked(bias.masked_fill_(is_hidden, -torch.inf), weights)
