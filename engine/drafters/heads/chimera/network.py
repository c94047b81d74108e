"""Chimera's network on draft trees: trigram encoder, full-context encoder with its cache, heads.

The same weights and arithmetic as `engine/training/chimera.py` on a few rows at a time, through torch, played on a
GPU; compiled, where small and on a CPU, in compiled.py. `Network` is what sessions share; the encoder's cache is a
session's own.
Knows tokens, places and rows of tensors; knows nothing of tree shapes, options or verdicts.

Place p of a text is where the target's hidden state h of token p and the trigram output g of token p + 1 stand
side by side, in columns 2p and 2p + 1 of the cache. Behind the last verified place come the columns of the draft:
g of a node, and c, what the encoder made of its parent, in place of the h that the target has not computed.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from engine.drafters.heads._candidates import Candidates, Tokens, ranked, read
from engine.drafters.heads._decoder_layer import (
    Angles,
    LayerCache,
    LayerShape,
    LayerWeights,
    TorchCache,
    TorchLayer,
    angles,
)
from engine.drafters.heads._decoder_played import PlayedCache
from engine.drafters.heads._layers import linear, player
from engine.drafters.heads._weights import Weights
from engine.errors import BadInput

if TYPE_CHECKING:
    from engine.models import LoadedModel

MAX_DRAFT_COLUMNS = 256
Triple = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class ChimeraShape(LayerShape):
    """Sizes, as `config.json` keeps them."""

    vocab_size: int
    num_heads: int = 4
    """Draft steps, each with a head of its own."""


def read_shape(weights: Weights) -> ChimeraShape:
    """The sizes that a weights folder states. Raises BadInput."""
    numbers: dict[str, Any] = {
        field.name: weights.number(field.name) for field in fields(ChimeraShape) if field.type == "int"
    }
    rest: dict[str, Any] = {name: float(weights.config.get(name, 0)) for name in ("rms_norm_eps", "rope_theta")}
    shape = ChimeraShape(**numbers, **{name: value for name, value in rest.items() if value > 0})
    if shape.hidden_size % (2 * shape.num_attention_heads):
        raise BadInput(f"{weights.folder}: {shape.num_attention_heads} attention heads do not divide the width.")
    return shape


@dataclass(frozen=True)
class NetworkWeights:
    """The matrices in float32."""

    shape: ChimeraShape
    parts: Tensor
    """(4d, 3d): the trigram block's first product and its by-pass, each a sum of a part of each token."""
    bias: Tensor
    down: Tensor
    layer: LayerWeights
    """The full-context encoder."""
    known: Tensor
    """(n · d, d): every head's matrix for h."""
    heads: list[Tensor]
    """(d, d) each: their matrices for c."""


def read_weights(weights: Weights) -> NetworkWeights:
    """A weights folder's matrices. Raises BadInput where one is missing or does not fit the sizes."""
    shape = read_shape(weights)
    d, f = shape.hidden_size, shape.intermediate_size

    def take(name: str, *size: int) -> Tensor:
        return weights.take(name, *size).float()

    attention_norm, mlp_norm = take("encoder.attention_norm.weight", d), take("encoder.mlp_norm.weight", d)
    q, k, v = (take(f"encoder.{name}_proj.weight", d, d) for name in "qkv")
    gate_up = [take(f"encoder.{name}_proj.weight", f, d) for name in ("gate", "up")]
    mix, down = take("trigram.mix.weight", 3 * d, 3 * d), take("trigram.down.weight", d, 3 * d)
    heads = [take(f"heads.{i}.weight", d, 2 * d) for i in range(shape.num_heads)]
    return NetworkWeights(
        shape=shape,
        parts=torch.cat((mix, down)),
        bias=take("trigram.mix.bias", 3 * d),
        down=down,
        layer=LayerWeights(
            num_heads=shape.num_attention_heads,
            eps=shape.rms_norm_eps,
            qkv=torch.cat((q * shape.head_dim**-0.5, k, v)) * attention_norm,
            output=take("encoder.o_proj.weight", d, d),
            gate_up=torch.cat(gate_up) * mlp_norm,
            down=take("encoder.down_proj.weight", d, f),
        ),
        known=torch.cat([head[:, :d] for head in heads]),
        heads=[head[:, d:] for head in heads],
    )


class Network(ABC):
    """Weights in the form in which they run for one target; read-only."""

    shape: ChimeraShape
    device: torch.device
    vocabulary: Tokens
    """Token id of each score."""

    @abstractmethod
    def context(self, max_context: int) -> LayerCache:
        """A new session's cache of h and g."""

    def sizes(self, max_context: int) -> tuple[int, Angles]:
        """Columns that a cache for so long a text has, and the angles of its positions."""
        shape, num_positions = self.shape, max_context + MAX_DRAFT_COLUMNS
        found = angles(shape.head_dim, shape.rope_theta, num_positions, self.device)
        return 2 * max_context + MAX_DRAFT_COLUMNS, found

    @abstractmethod
    def grams(self, triples: Sequence[Triple]) -> Tensor:
        """Trigram outputs (m, d)."""

    @abstractmethod
    def known_part(self, hidden: Tensor) -> Tensor:
        """What a hidden state (1, d) adds to each head's input, (n, d)."""

    @abstractmethod
    def likeliest(self, head: int, known: Tensor, encoded: Tensor, top_k: int) -> Candidates:
        """The likeliest tokens behind each row of c (q, d) and their log-probabilities; `known (d,)` is h's part."""


class TorchNetwork(Network):
    """Through torch, for any device and size."""

    def __init__(
        self, weights: NetworkWeights, loaded: LoadedModel, output_layer: nn.Module, vocabulary: Tokens
    ) -> None:
        """`output_layer` scores the tokens of the vocabulary (n,)."""
        self.shape, self.dtype, self.device = weights.shape, loaded.dtype, loaded.device
        self.parts, self.bias = (part.to(self.device, self.dtype) for part in (weights.parts, weights.bias))
        packed = partial(linear, loaded)
        self.layer = TorchLayer(weights.layer, loaded)
        self.down, self.known = packed(weights.down), packed(weights.known)
        self.heads = [packed(head) for head in weights.heads]
        self.embedding = cast(nn.Embedding, loaded.model.get_input_embeddings()).weight
        self.output_layer, self.vocabulary = output_layer, vocabulary
        self._player, self._table = player(loaded), functools.cache(self._angles)

    def context(self, max_context: int) -> LayerCache:
        if self.layer.rooms is not None:
            return self.layer.rooms.lend(partial(PlayedCache, self.layer, self._table))
        return TorchCache(self.layer, *self.sizes(max_context))

    def grams(self, triples: Sequence[Triple]) -> Tensor:
        told = np.array(triples, np.int64).reshape(-1, 3)
        (found,) = self._player.run("grams", lambda tokens: (self._grams(tokens),), (told,))
        return found[: len(told)]

    def _grams(self, tokens: Tensor) -> Tensor:
        size = self.shape.hidden_size
        embedded = nn.functional.embedding(tokens, self.embedding).to(self.dtype).flatten(1)
        both = embedded @ self.parts.mT
        mixed = nn.functional.silu(both[:, : 3 * size] + self.bias)
        found: Tensor = self.down.forward(mixed).add_(both[:, 3 * size :])
        return found

    def known_part(self, hidden: Tensor) -> Tensor:
        (known,) = self._player.run("known", lambda state: (self.known.forward(state),), given=(hidden.to(self.dtype),))
        return known.view(-1, self.shape.hidden_size)

    def likeliest(self, head: int, known: Tensor, encoded: Tensor, top_k: int) -> Candidates:
        work = partial(self._ranked, head, top_k)
        (found,) = self._player.run((head, top_k), work, given=(known[None], encoded))
        places, log_probs = read(found, len(encoded))
        return self.vocabulary[places], log_probs

    def _ranked(self, head: int, top_k: int, known: Tensor, encoded: Tensor) -> tuple[Tensor]:
        projected = self.heads[head].forward(encoded) + known
        return (ranked(self.output_layer.forward(projected), top_k),)

    def _angles(self, num_positions: int) -> Angles:
        return angles(self.shape.head_dim, self.shape.rope_theta, num_positions, self.device)
