"""A start for a block drafter by least squares: each head looks so many places back, and adds what stands there.

Steps of gradient descent are dear. So layer by layer heads begin as linear maps: keys are one vector for whatever
stands at a place, and a query's is turned so that head j meets the key j places before its own; values and outputs are
what best makes, of the rows and features there, the target's states that the slots are asked for. Layers' MLPs add
nothing at first. Knows layers and rows; no loss, no files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.training.block_layers import Layer
from engine.training.heads import least_squares
from engine.training.steps import rotated

MOST_ANCHORS = 10_000
SHARPNESS = 2.5
"""Of queries' and keys' norms: with it a head's weight one place beside its own is a hundredth."""
PAIRS_SHARE = 0.25
"""Of a head's pairs of numbers, those that turn quickest, which tell places apart."""
RIDGE, NOISE = 0.1, 0.02


@dataclass(frozen=True)
class Sample:
    """Blocks at n anchors."""

    before: Tensor
    """(n, h, d): features of the h places before the anchor, zero where the text begins."""
    rows: Tensor
    """(n, r, d): what enters the next layer."""
    wanted: Tensor
    """(n, r - 1, d): what the slots should end up as, before the last norm's weight."""
    weights: Tensor
    """(r - 1,): what each slot counts."""

    def seen(self, given: Tensor) -> Tensor:
        """(n, r, h, d): behind each row what stands 1 to h places before it; `given (n, r, d)` are the block's own."""
        num_back = self.before.shape[1]
        every = torch.cat((self.before, given), dim=1).unfold(1, num_back, 1)[:, : given.shape[1]]
        return every.movedim(3, 2).flip(2)


def sample(features: Tensor, hidden: Tensor, texts: Tensor, num_back: int, size: int, seed: int) -> tuple[Tensor, ...]:
    """Anchors drawn from places whose block lies in one text: rows and places (n,), features (n, h, d) before them.

    And the target's states of the places that slots stand for, (n, r - 1, d). `features`, `hidden (b, t, d)`.
    """
    num_places = hidden.shape[1] - size
    is_whole = texts[:, :num_places] == texts[:, size:]
    is_whole &= (hidden[:, size:] != 0).any(dim=-1)
    every = is_whole.cpu().nonzero()
    drawn = torch.randperm(len(every), generator=torch.Generator().manual_seed(seed))[:MOST_ANCHORS]
    row, place = every[drawn].to(hidden.device).unbind(dim=1)
    back = place[:, None] - torch.arange(num_back - 1, -1, -1, device=row.device)
    is_own = (back >= 0) & (texts[row[:, None], back.clamp(min=0)] == texts[row, place][:, None])
    before = features[row[:, None], back.clamp(min=0)] * is_own[..., None]
    wanted = hidden[row[:, None], place[:, None] + torch.arange(1, size, device=row.device)]
    return row, place, before, wanted


def begin(layer: Layer, blocks: Sample) -> Sample:
    """Give a layer its start; the blocks as they leave it."""
    own, given = layer.self_attn, layer.input_layernorm(blocks.rows)
    seen = blocks.seen(given)
    num_heads = seen.shape[2]
    _look_back(layer, seen[:, :, 0].flatten(0, 1), given[:, 1:].flatten(0, 1))
    share = blocks.weights.sqrt()[:, None]
    missing = (blocks.wanted - blocks.rows[:, 1:]) * share
    maps = least_squares((seen[:, 1:].flatten(2) * share).flatten(0, 1), missing.flatten(0, 1), RIDGE)
    parts = maps.unflatten(1, (num_heads, -1)).movedim(1, 0)  # (h, d, d)
    own.v_proj.weight.copy_(_values(parts, own.dim, own.num_shared))
    groups = own.v_proj.weight.unflatten(0, (-1, own.dim)).repeat_interleave(own.num_shared, dim=0)
    left = parts @ groups.mT  # values are orthonormal
    own.o_proj.weight.copy_(left.movedim(0, 1).flatten(1))
    layer.mlp.down_proj.weight.zero_()
    added = torch.einsum("nrhd,hed,hoe->nro", seen, groups, left)
    return Sample(blocks.before, blocks.rows + added, blocks.wanted, blocks.weights)


def _values(parts: Tensor, dim: int, num_shared: int) -> Tensor:
    """(kv · e, d): of the maps (h, d, d) of heads that share values, the e directions that matter most to them."""
    stacked = parts.unflatten(0, (-1, num_shared)).flatten(1, 2)
    right: Tensor = torch.linalg.svd(stacked, full_matrices=False)[2]
    return right[:, :dim].flatten(0, 1)


def _look_back(layer: Layer, sources: Tensor, rows: Tensor) -> None:
    """Queries and keys by which head j, from 1, looks j places back, whatever stands there.

    `sources (n, d)` are what is looked at, `rows (m, d)` what looks.
    """
    own = layer.self_attn
    num_keys = own.k_proj.out_features // own.dim
    num_heads = own.q_proj.out_features // own.dim
    key = torch.zeros(own.dim, device=rows.device)
    num_pairs = max(1, round(PAIRS_SHARE * own.dim / 2))
    key[:num_pairs] = 1
    back = -torch.arange(1, num_heads + 1, device=rows.device)[None]
    queries = rotated(key.expand(1, 1, num_heads, -1), back, layer.theta)[0, 0]
    for projection, vectors, given in (
        (own.k_proj, key.expand(num_keys, -1), sources),
        (own.q_proj, queries, rows),
    ):
        one = least_squares(given, given.new_ones(len(given), 1), ridge=0.01)  # (1, d): about 1 of whatever is given
        noise = NOISE * torch.randn(projection.weight.shape, device=rows.device) / math.sqrt(len(key))
        projection.weight.copy_(vectors.reshape(-1, 1) * one + noise)
    for norm in (own.q_norm, own.k_norm):
        norm.weight.fill_(SHARPNESS)
