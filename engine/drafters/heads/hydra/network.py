"""Hydra's heads on branches of a draft, through torch, played on a GPU; where small and on a CPU, in compiled.py.

Ankner et al. (arXiv 2402.05109) and the released code. Head i reads a state and the embeddings of i + 1 tokens in a
row, which the first block R x + SiLU(W x) brings to the target's width; behind it stand residual blocks y + SiLU(V y)
and an output layer, the head's own or the target's. `inputs` of a row are what its head reads. Knows states, tokens
and rows; knows nothing of trees, options or verdicts.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from engine.drafters.heads import _borrowed
from engine.drafters.heads._candidates import Candidates, Tokens, ranked, read
from engine.drafters.heads._decoder_layer import Angles, LayerCache, TorchCache, TorchLayer
from engine.drafters.heads._decoder_played import PlayedCache
from engine.drafters.heads._layers import linear, normed, output_layer, player
from engine.drafters.heads.hydra.weights import HydraWeights, Prefix

if TYPE_CHECKING:
    from engine.models import LoadedModel


class Network(ABC):
    """Weights in the form in which they run for one target; read-only."""

    num_heads: int
    device: torch.device
    prefix: Prefix | None
    vocabulary: Tokens
    """Token id of each score."""

    @abstractmethod
    def beginning(self, state: Tensor) -> Any:
        """The inputs of a draft's one branch before the root's token is read, from a state (1, d)."""

    @abstractmethod
    def advance(self, head: int, inputs: Any, rows: Tokens, tokens: Tokens, top_k: int) -> tuple[Any, Candidates]:
        """Inputs of some rows, each with a token (m,) behind it, and the best tokens that the head gives there."""

    @abstractmethod
    def cache(self, num_columns: int) -> LayerCache:
        """Of a new session, for the layer of a `prefix`."""

    def prefixed(self, encoded: Tensor) -> Tensor:
        """What heads read of the layer's output (1, d)."""
        assert self.prefix is not None
        return normed(encoded, self.prefix.layer.eps)

    def _angles(self, num_positions: int) -> Angles:
        assert self.prefix is not None
        layer = self.prefix.layer
        rotary = _borrowed.Rotary(layer.num_heads, layer.head_dim, num_positions, self.prefix.rope)
        cos, sin = rotary.angles(num_positions, torch.zeros(1, device=self.device))
        return cos[:, 0].contiguous(), sin[:, 0].contiguous()


class TorchNetwork(Network):
    """Through torch, for any device and size."""

    def __init__(self, weights: HydraWeights, loaded: LoadedModel, vocabulary: Tokens) -> None:
        self.num_heads, self.device, self.dtype = len(weights.heads), loaded.device, loaded.dtype
        self.prefix, self.vocabulary, self._player = weights.prefix, vocabulary, player(loaded)
        self._layer = None if weights.prefix is None else TorchLayer(weights.prefix.layer, loaded)
        self._table = functools.cache(self._angles)
        self._embedding = embedding_of(loaded)
        self._heads = [
            (linear(loaded, *head.first), [linear(loaded, *block) for block in head.blocks]) for head in weights.heads
        ]
        own = [head.scoring(vocabulary) for head in weights.heads]
        shared = output_layer(loaded, vocabulary) if None in own else None
        self._outputs = [cast(nn.Module, shared) if part is None else linear(loaded, *part) for part in own]

    def beginning(self, state: Tensor) -> Tensor:
        return state.to(self.dtype)

    def advance(self, head: int, inputs: Tensor, rows: Tokens, tokens: Tokens, top_k: int) -> tuple[Tensor, Candidates]:
        work = partial(self._advance, head, top_k)
        inputs, found = self._player.run((head, top_k), work, (rows, tokens), (inputs,))
        places, log_probs = read(found, len(tokens))
        return inputs, (self.vocabulary[places], log_probs)

    def _advance(self, head: int, top_k: int, rows: Tensor, tokens: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        embedded = nn.functional.embedding(tokens, self._embedding).to(self.dtype)
        given = torch.cat((inputs.index_select(0, rows), embedded), dim=1)
        first, blocks = self._heads[head]
        kept, mixed = first.forward(given).chunk(2, dim=1)
        y = kept + nn.functional.silu(mixed)
        for block in blocks:
            y = y + nn.functional.silu(block.forward(y))
        return given, ranked(self._outputs[head].forward(y), top_k)

    def prefixed(self, encoded: Tensor) -> Tensor:
        (found,) = self._player.run("prefixed", lambda state: (Network.prefixed(self, state),), given=(encoded,))
        return found

    def cache(self, num_columns: int) -> LayerCache:
        assert self._layer is not None
        if self._layer.rooms is not None:
            return self._layer.rooms.lend(partial(PlayedCache, self._layer, self._table))
        return TorchCache(self._layer, num_columns, self._angles(num_columns))


def embedding_of(loaded: LoadedModel) -> Tensor:
    """(v, d) the target's token embeddings, without a factor that the target may have."""
    return cast(nn.Embedding, loaded.model.get_input_embeddings()).weight.detach()
