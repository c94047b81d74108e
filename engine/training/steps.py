"""Small layers at many places of a text at once: what heads that have a target's tables, and attend, share.

Of those that draft from their own outputs (`Stepped`) every place of an answer is asked for the first step, a part of
them for later ones: a later step's columns are its place's own, so any places will do. Knows tensors and places; no
architecture, no loss.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from engine.training.heads import Heads

LATER_SHARE = 0.35
"""Places of a row at which steps after the first are trained."""
Column = tuple[Tensor, Tensor]
"""A key and a value of each query's own, (b, heads, r, e) each."""


class Scored(Protocol):
    """Draft step k, from 1, at r places."""

    @property
    def places(self) -> Tensor:
        """(b, r): p."""

    @property
    def logits(self) -> Tensor:
        """(b, r, v): scores of token p + k + 1."""


class Borrowing(Heads):
    """Over a frozen target's embedding and output layer, neither trained or kept."""

    embedding: Tensor
    output: Tensor
    num_passes: Tensor

    def __init__(self, embedding: Tensor, output: Tensor) -> None:
        """`embedding` and `output` are the target's own, (v, d)."""
        super().__init__()
        self.register_buffer("embedding", embedding, persistent=False)
        self.register_buffer("output", output, persistent=False)
        # Kept in checkpoints, so that a resumed run draws the places that an unbroken one draws.
        self.register_buffer("num_passes", torch.zeros((), dtype=torch.long))

    def tensors(self) -> dict[str, Tensor]:
        """Weights by their names in this module."""
        return {name: parameter.data for name, parameter in self.named_parameters()}

    def next_generator(self) -> torch.Generator:
        """Another one each pass."""
        self.num_passes += 1
        return torch.Generator().manual_seed(int(self.num_passes))

    def last(self, hidden: Tensor) -> Tensor:
        """The target's last states, (b, t, d), of those of one layer or several side by side."""
        return hidden[..., -self.output.shape[1] :]

    def expected(self, hidden: Tensor, places: Tensor) -> Tensor:
        """The target's law (b, r, v) behind places (b, r), by the last of states (b, t, d) or (b, t, n · d)."""
        with torch.no_grad():
            last = at(self.last(hidden), places).to(self.output.dtype)
            return nn.functional.linear(last, self.output).softmax(dim=-1)


class Stepped(Borrowing):
    """Heads that draft step by step."""

    @abstractmethod
    def steps(self, ids: Tensor, hidden: Tensor, places: Tensor, later: Tensor) -> Iterator[Scored]:
        """Every draft step: the first at `places (b, r)`, the others at those of them that `later (b, s)` counts out.

        `ids (b, t + 1)`, `hidden (b, t, d)`, places below t - num_heads. Step k is fed the text's token p + k.
        """

    def scores(self, ids: Tensor, hidden: Tensor) -> Iterator[Tensor]:
        """Logits (b, t - num_heads, v) of one head after another, later steps fed the text's own tokens."""
        places = torch.arange(hidden.shape[1] - self.num_heads, device=ids.device).expand(len(ids), -1)
        for step in self.steps(ids, hidden, places, places):
            yield step.logits

    def draw_places(self, is_asked: Tensor) -> tuple[Tensor, Tensor]:
        """Places asked (b, r), and which of them (b, s) later steps are trained at, drawn anew each pass."""
        generator = self.next_generator()
        places = (~is_asked).long().argsort(dim=1, stable=True)[:, : max(1, int(is_asked.sum(dim=1).max()))]
        drawn = torch.rand(places.shape, generator=generator).to(places.device) - is_asked.gather(1, places).float()
        return places, drawn.argsort(dim=1)[:, : max(1, round(LATER_SHARE * places.shape[1]))]


def at(values: Tensor, places: Tensor) -> Tensor:
    """(b, n, d) at (b, r) places → (b, r, d)."""
    rows = torch.arange(len(values), device=values.device)[:, None]
    return values[rows, places]


def attend(query: Tensor, keys: Tensor, values: Tensor, sees: Tensor, own: Sequence[Column] = ()) -> Tensor:
    """Queries (b, heads, r, e) on shared columns where `sees (b, 1, r, s)`, and on columns of their own."""
    if not own:
        return nn.functional.scaled_dot_product_attention(query, keys, values, attn_mask=sees)
    query = query * query.shape[-1] ** -0.5
    shared = (query @ keys.mT).masked_fill(~sees, -torch.inf)
    mine = torch.stack([(query * key).sum(dim=-1) for key, _ in own], dim=-1)
    weights = torch.cat((shared, mine), dim=-1).softmax(dim=-1).to(values.dtype)
    attended = weights[..., : shared.shape[-1]] @ values
    for column, (_, value) in enumerate(own, start=shared.shape[-1]):
        attended = attended + weights[..., column, None] * value
    return attended


def rotated(heads: Tensor, positions: Tensor, theta: float) -> Tensor:
    """Rotary embedding of (b, heads, m, e) at (b, m) positions."""
    half = heads.shape[-1] // 2
    exponents = torch.arange(half, device=heads.device, dtype=torch.float32) / half
    angles = positions[:, None, :, None].float() * theta**-exponents
    cos, sin = angles.cos().to(heads.dtype), angles.sin().to(heads.dtype)
    first, second = heads[..., :half], heads[..., half:]
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def distance(given: Tensor, wanted: Tensor, is_asked: Tensor) -> Tensor:
    """Mean smooth L1 between hidden states (b, r, d) where one is asked for, (b, r)."""
    found = nn.functional.smooth_l1_loss(given.float(), wanted.float(), reduction="none").mean(dim=-1)
    return (found * is_asked).sum() / is_asked.sum().clamp(min=1)
