"""Chimera's network on draft trees: trigram encoder, full-context encoder with its cache, heads.

The same weights and arithmetic as `engine/training/chimera.py` on a few rows at a time. `Network` is what sessions
share; `FullContext` is one session's cache. Knows tokens, places and rows of tensors; knows nothing of tree
shapes, options or verdicts.

Place p of a text is where the target's hidden state h of token p and the trigram output g of token p + 1 stand
side by side, in columns 2p and 2p + 1 of the cache. Behind the last verified place come the columns of the draft:
g of a node, and c, what the encoder made of its parent, in place of the h that the target has not computed.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from engine.drafters import _chimera_kernel as kernel
from engine.drafters._weights import Weights
from engine.errors import BadInput
from engine.runtime.attention import attend_fused, attend_row_invariant
from engine.runtime.linear import pack

if TYPE_CHECKING:
    from engine.models import LoadedModel

MAX_DRAFT_COLUMNS = 256
MOST_BYTES = 64 * 2**20
"""Of a table of token parts; above it parts are computed when a trigram is new."""
Triple = tuple[int, int, int]


@dataclass(frozen=True)
class ChimeraShape:
    """Sizes, as `config.json` keeps them."""

    hidden_size: int
    vocab_size: int
    num_attention_heads: int
    intermediate_size: int
    num_heads: int = 4
    """Draft steps, each with a head of its own."""
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10_000.0

    @property
    def head_dim(self) -> int:
        """Width of an attention head."""
        return self.hidden_size // self.num_attention_heads


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


class Network:
    """Weights in the form in which they run; read-only."""

    def __init__(self, weights: Weights, dtype: torch.dtype, device: torch.device) -> None:
        """Raises BadInput where a tensor is missing or does not fit the sizes."""
        self.shape = shape = read_shape(weights)
        self.dtype, self.device = dtype, device
        self.is_compiled = device.type == "cpu"
        d, f = shape.hidden_size, shape.intermediate_size

        def take(name: str, *size: int) -> Tensor:
            return weights.take(name, *size).float()

        attention_norm, mlp_norm = take("encoder.attention_norm.weight", d), take("encoder.mlp_norm.weight", d)
        q, k, v = (take(f"encoder.{name}_proj.weight", d, d) for name in "qkv")
        gate_up = [take(f"encoder.{name}_proj.weight", f, d) for name in ("gate", "up")]
        mix, bias = take("trigram.mix.weight", 3 * d, 3 * d), take("trigram.mix.bias", 3 * d)
        down = take("trigram.down.weight", d, 3 * d)
        # The block's first product and its by-pass are sums of a part of each token: y + W y and D y at once.
        self.parts = torch.cat((mix, down)).to(device, dtype)
        self.bias = bias.to(device, dtype)
        self.down = self._linear(down)
        # A norm's weight and the queries' scale are factors of the matrix behind them.
        self.qkv = self._linear(torch.cat((q * shape.head_dim**-0.5, k, v)) * attention_norm)
        self.output = self._linear(take("encoder.o_proj.weight", d, d))
        self.gate_up = self._linear(torch.cat(gate_up) * mlp_norm)
        self.mlp_down = self._linear(take("encoder.down_proj.weight", d, f))
        heads = [take(f"heads.{i}.weight", d, 2 * d) for i in range(shape.num_heads)]
        self.known = self._linear(torch.cat([head[:, :d] for head in heads]))
        self.heads = [self._linear(head[:, d:]) for head in heads]

    def _linear(self, weight: Tensor) -> nn.Module:
        return pack(weight.to(self.device, self.dtype).contiguous(), None)

    def grams(self, parts: Tensor) -> Tensor:
        """Trigram outputs (m, d) of their tokens' parts, (m, 3, 4d)."""
        size = self.shape.hidden_size
        if self.is_compiled:
            first, bypass = torch.empty(len(parts), 3 * size), torch.empty(len(parts), size)
            kernel.add_parts(parts.float().numpy(), self.bias.float().numpy(), first.numpy(), bypass.numpy())
            mixed = nn.functional.silu(first, inplace=True).to(self.dtype)
            compiled: Tensor = self.down.forward(mixed).add_(bypass.to(self.dtype))
            return compiled
        both = parts.sum(dim=1, dtype=torch.float32)
        mixed = nn.functional.silu(both[:, : 3 * size].to(self.dtype).add_(self.bias))
        found: Tensor = self.down.forward(mixed).add_(both[:, 3 * size :].to(self.dtype))
        return found

    def parts_of(self, embedded: Tensor, slot: int) -> Tensor:
        """What tokens (m, d) add to a trigram as its first, second or third: (m, 4d)."""
        size = self.shape.hidden_size
        return embedded.to(self.dtype) @ self.parts[:, slot * size : (slot + 1) * size].mT

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """The layer's output (m, d) from its input and what attention gave."""
        x = self.output.forward(attended).add_(x)
        gate_up = self.gate_up.forward(self.normed(x))
        half = gate_up.shape[1] // 2
        encoded: Tensor = self.mlp_down.forward(nn.functional.silu(gate_up[:, :half]).mul_(gate_up[:, half:])).add_(x)
        return encoded

    def normed(self, x: Tensor) -> Tensor:
        """X ÷ √(mean x² + ε), the mean in float32."""
        if self.is_compiled:
            rows = x.to(torch.float32, copy=True)
            kernel.normalise(rows.numpy(), np.float32(self.shape.rms_norm_eps))
            return rows.to(x.dtype)
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        scale = norm.square_().div_(x.shape[-1]).add_(self.shape.rms_norm_eps).rsqrt_()
        normed: Tensor = (x * scale).to(x.dtype)
        return normed

    def known_part(self, hidden: Tensor) -> list[Tensor]:
        """What a hidden state (1, d) adds to each head's (1, d)."""
        return list(self.known.forward(hidden).split(self.shape.hidden_size, dim=1))

    @functools.cached_property
    def frequencies(self) -> Tensor:
        """(e ÷ 2,) angles of the rotary embedding per position."""
        half = self.shape.head_dim // 2
        exponents = torch.arange(half, device=self.device, dtype=torch.float32) / half
        return self.shape.rope_theta**-exponents


@functools.lru_cache(maxsize=4)
def load_network(weights: Weights, dtype: torch.dtype, device: torch.device) -> Network:
    """The network of a weights folder, once for all sessions."""
    return Network(weights, dtype, device)


class FullContext:
    """The full-context encoder's keys and values in one session, float32, as attention on this device reads them."""

    def __init__(self, network: Network, max_context: int) -> None:
        shape, device = network.shape, network.device
        self.network = network
        heads, width, num_columns = shape.num_attention_heads, shape.head_dim, 2 * max_context + MAX_DRAFT_COLUMNS
        self.keys = torch.zeros(heads, width, num_columns, device=device).mT
        self.values = torch.zeros(heads, num_columns, width, device=device)
        angles = torch.arange(max_context + MAX_DRAFT_COLUMNS, device=device)[:, None] * network.frequencies
        self._cos, self._sin = angles.cos(), angles.sin()

    def write(self, x: Tensor, positions: Tensor, columns: Tensor) -> Tensor:
        """Keep keys and values of rows (m, d) in their columns (m,); their queries (m, heads, e)."""
        heads, width = self.network.shape.num_attention_heads, self.network.shape.head_dim
        qkv = self.network.qkv.forward(self.network.normed(x)).float()
        cos, sin = self._cos[positions], self._sin[positions]
        if self.network.is_compiled:
            query = torch.empty(len(x), heads, width)
            numbers = (part.numpy() for part in (qkv, cos, sin, columns, self.keys.mT, self.values, query))
            kernel.place(*numbers)
            return query
        query, key, value = qkv.view(len(x), 3, heads, width).unbind(1)
        query, key = (_rotated(part, cos[:, None], sin[:, None]) for part in (query, key))
        self.keys[:, columns], self.values[:, columns] = key.transpose(0, 1), value.transpose(0, 1)
        return query

    def attend(self, query: Tensor, end: int, mask: Tensor | None) -> Tensor:
        """Queries (q, heads, e) on all columns before `end`: (q, d). `mask (q, n)` says who sees the last n columns."""
        if mask is not None:
            mask = nn.functional.pad(mask, (end - mask.shape[1], 0), value=True)
        attend = attend_row_invariant if self.network.is_compiled else attend_fused
        attended = attend(query, self.keys[:, :end], self.values[:, :end], mask, 1.0)
        return attended.reshape(len(query), -1).to(self.network.dtype)

    def move(self, sources: Sequence[int], columns: Sequence[int]) -> None:
        """Keep what stands in `sources` in `columns`."""
        self.keys[:, columns] = self.keys[:, sources]
        self.values[:, columns] = self.values[:, sources]


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of (m, heads, e) by the cosines and sines (m, 1, e ÷ 2) of its positions."""
    low, high = x.chunk(2, dim=-1)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), dim=-1)


class TokenParts:
    """What each token adds to a trigram by its place in it, for one target: a table where the vocabulary is small."""

    def __init__(self, network: Network, embedding: Tensor) -> None:
        self.network, self.embedding = network, embedding
        num_bytes = len(embedding) * 3 * network.parts.shape[0] * network.parts.element_size()
        self.table = (
            self._parts(torch.arange(len(embedding))[:, None].expand(-1, 3)) if num_bytes <= MOST_BYTES else None
        )

    def __getitem__(self, triples: Tensor) -> Tensor:
        """(m, 3) tokens → (m, 3, 4d)."""
        return self._parts(triples) if self.table is None else self.table[triples, torch.arange(3)]

    @torch.inference_mode()
    def _parts(self, triples: Tensor) -> Tensor:
        embedded = nn.functional.embedding(triples, self.embedding)
        return torch.stack([self.network.parts_of(embedded[:, slot], slot) for slot in range(3)], dim=1)


@functools.lru_cache(maxsize=4)
def load_parts(network: Network, loaded: LoadedModel) -> TokenParts:
    """A target's token parts, once for all sessions."""
    return TokenParts(network, cast(nn.Embedding, loaded.model.get_input_embeddings()).weight)
