"""What heads on DFlash's block share in training: the token before each slot, a start, a backbone to begin with.

Knows DFlash's slots and the order's backbone; no head's arithmetic, no loss.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar, cast

import torch
from torch import Tensor, nn

from engine.training.dflash import DFlash, form_of
from engine.training.following import factors
from engine.training.head_training import train_heads
from engine.training.material import Material
from engine.training.packing import IGNORED
from engine.training.recipes import Recipe
from engine.training.runs import Order

HEAD_ALONE = 1
"""The variant that leaves the backbone as it is."""
MOST_RANK, LEAST_RANK, RANK_STEP = 128, 32, 16
MOST_NUMBERS = 2_000_000
"""Of a table with a row for each token of the target; where its vocabulary is large, rows are shorter."""


def rank_for(num_tokens: int) -> int:
    """Numbers of a token's row in the tables that heads have of the token before."""
    return min(MOST_RANK, max(LEAST_RANK, MOST_NUMBERS // num_tokens // RANK_STEP * RANK_STEP))


class Headed(DFlash):
    """DFlash whose slots are told the token before them, the text's own in training."""

    most_bytes = 6_000_000
    own: ClassVar[tuple[str, ...]]
    """How the names of the head's parameters begin."""

    @property
    def rank(self) -> int:
        """Of what the token before adds."""
        return rank_for(self.form.vocab_size)

    @abstractmethod
    def law(self, states: Tensor, before: Tensor) -> Tensor:
        """Logits (b, a, v) of a slot with states (b, a, d), behind tokens (b, a)."""

    @abstractmethod
    def begin_head(self, before: Tensor, behind: Tensor) -> None:
        """Begin with adding `before (v, rank)` of the token before times `behind (n, rank)` to scores."""

    def foreseen(self, ids: Tensor, hidden: Tensor, places: Tensor) -> Iterator[Tensor]:
        """Logits (b, a, v) of the slots, each behind the text's own token."""
        for slot, states in enumerate(self.states(ids, hidden, places)):
            yield self.law(states, ids.gather(1, places + slot + 1))

    @torch.no_grad()
    def fit_head(self, ids: Tensor, hidden: Tensor) -> None:
        """The head's start on the laws of the backbone as it is."""
        self.begin_head(*factors(self._places(ids, hidden), self.form.vocab_size, self.rank))

    def leave_backbone(self) -> None:
        """Train the head alone."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.startswith(self.own))

    def _places(self, ids: Tensor, hidden: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Tokens before slots of blocks at every place of rows, with the drafter's and the target's laws there."""
        for row, states in zip(ids.split(1), hidden.split(1), strict=True):
            labels = self.labels(row)[:, 0]
            places, given = _found(labels[0] != IGNORED), row.clamp(min=0)
            if not len(places):
                continue
            for slot, states_there in enumerate(self.states(given, states.float(), places[None])):
                kept = _found(labels[slot][places] != IGNORED)
                behind = places[kept] + slot + 1
                law = nn.functional.linear(states_there[0, kept].float(), self.output.float()).softmax(dim=-1)
                wanted = self.expected(states, behind[None])[0]
                yield given[0, behind], law, wanted.float()


def _found(is_asked: Tensor) -> Tensor:
    """Where it is true, (n,)."""
    return is_asked.cpu().nonzero()[:, 0].to(is_asked.device)


Kind = TypeVar("Kind", bound=Headed)


def made(kind: type[Kind], material: Material) -> Kind:
    """A network of this kind for a target."""
    embedding = cast(nn.Embedding, material.target.get_input_embeddings()).weight
    return kind(form_of(material), embedding, material.output_table.to(embedding.dtype), material.target)


def begun(
    kind: type[Kind], material: Material, recipe: Recipe, *, begin: Path | None = None, variant: int | None = None
) -> Kind:
    """The network with a given backbone, or one fitted to text that the target wrote, and its head's start."""
    found = made(kind, material).to(material.target.device)
    ids, hidden = material.sample(recipe.seed)
    if begin is None:
        found.fit(ids, hidden)
    else:
        found.begin_with(begin)
    found.reading(material)
    found.fit_head(ids, hidden)
    if variant == HEAD_ALONE:
        found.leave_backbone()
    return found


def train_begun(order: Order, kind: type[Headed]) -> None:
    """What `train METHOD` does for a head on the block."""
    train_heads(order, order.name, partial(begun, kind, begin=order.begin, variant=order.variant))
