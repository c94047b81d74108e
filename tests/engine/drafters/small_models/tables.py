"""Members of the family that draft from a table in place of a model: what they would draw can be enumerated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from coins import CoinNoise, Coins
from torch import Tensor
from toys import Table, TableTarget, create

from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.growing import Growing
from engine.drafters.small_models._model import SmallModel
from engine.drafters.small_models.pard import Pard
from engine.drafters.trust import Trust
from engine.noise import Noise
from engine.tree import DraftTree

PROMPT = [0, 1]


def exact_laws(growing: Growing, nodes: Sequence[int], logits: Tensor) -> Tensor:
    """In place of `Growing.laws`: without float32's rounding, by which no law is to be judged."""
    return logits.softmax(dim=1)


class FromTable:
    """A drafter whose model is a table; `num_passes` of it in the last draft. Masks are read as token 0."""

    def __init__(self, name: str, table: Table, **options: object) -> None:
        drafter = create(name, TableTarget(Table(table.vocab_size, seed=1)), **options)
        assert isinstance(drafter, SmallModel)
        self.drafter, self.table, self.num_passes = drafter, table, 0
        if not isinstance(drafter, Pard):
            drafter.__dict__["_feed_nodes"] = self._read

    def _read(self, nodes: Sequence[int], growing: Growing) -> Tensor:
        self.num_passes += 1
        rows = [self.table.row([*growing.context.ids, *growing.path(node)]) for node in nodes]
        return torch.stack(rows)

    def draft(self, noise: Noise | Coins, room: Room, rule: str = "rejection", **settings: Any) -> DraftTree:
        """One step's tree behind the prompt."""
        config = GenerationConfig(**{"temperature": 1.0, "rule": rule, **settings})
        made = cast(Noise, CoinNoise(noise)) if isinstance(noise, Coins) else noise
        context = Context(list(PROMPT), config, made)
        self.drafter._rows, self.drafter._trust, self.num_passes = [], Trust(), 0
        self.drafter.context = context
        room = Room(room.nodes, min(room.depth, self.drafter.most_depth))
        num = room.depth if isinstance(self.drafter, Pard) else 1
        self.drafter._behind = torch.stack([self.table.row([*PROMPT, *[0] * depth]) for depth in range(num)])
        tree = self.drafter._draft(context, self.drafter._behind, room)
        assert len(tree) <= room.nodes
        assert tree.depth <= room.depth
        return tree
