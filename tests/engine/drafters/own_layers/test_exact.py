"""Chains of the target's own layers under every rule that weighs draws: the exact joint law, by enumeration."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from coins import CoinNoise, Coins, distance, law_of, rows_of, tokens_of, toss
from torch import Tensor
from toys import Table

from engine import verify
from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.growing import Growing
from engine.drafters.own_layers._chains import OwnLayers
from engine.noise import Noise
from engine.tree import DraftTree
from tests.engine.drafters.small_models.tables import exact_laws

DRAWN = [rule for rule in verify.names() if verify.get(rule).draft_mode == "drawn"]


class OfTable(OwnLayers):
    """What its layers say stands in a table."""

    name = "own"

    def __init__(self, table: Table, least: float) -> None:
        self.options = SimpleNamespace(depth=2, min_confidence=least)
        self.runner = cast(Any, SimpleNamespace(num_pending=0))
        self.table = table

    def _read(self, token: int, node: int) -> Tensor:
        self.read = [] if node < 0 else [*self.read, token]
        return self.table.row(self.read)[None]

    def _left(self, growing: Growing) -> DraftTree:
        return growing.tree()


@pytest.mark.parametrize("least", [0.0, 0.45], ids=["whole", "may end early"])
@pytest.mark.parametrize("rule", DRAWN)
def test_the_joint_law_is_the_targets(rule: str, least: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Growing, "laws", exact_laws)
    target, drafter = Table(3, seed=1), OfTable(Table(3, seed=2, sharpness=1.0), least)

    def emit(coins: Coins) -> tuple[int, ...]:
        context = Context([0], GenerationConfig(temperature=1.0, rule=rule), cast(Noise, CoinNoise(coins)))
        drafter.start(context)
        tree = drafter.propose(context, Room(9))
        return tokens_of(tree, toss(verify.get(rule)(), tree, rows_of(tree, target), coins))

    assert distance(law_of(emit, target, 3), target, 3) < 1e-9
