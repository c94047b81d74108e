"""Every rule that weighs draws, on every tree that a small model draws: the exact law, by enumeration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from coins import Coins, distance, law_of, tokens_of, toss
from toys import Table, create, output_ids

from engine import loop, verify
from engine.config import GenerationConfig
from engine.drafters.base import Room
from engine.drafters.growing import Growing
from engine.loop import generate
from engine.noise import Noise
from engine.target import Target
from tests.engine.drafters.small_models.tables import PROMPT, FromTable, exact_laws

pytestmark = pytest.mark.usefixtures("draft_models")

DRAWN = [rule for rule in verify.names() if verify.get(rule).draft_mode == "drawn"]
TREES: dict[str, tuple[str, dict[str, object], Room]] = {
    "chain": ("draft_model", {"depth": 2, "min_confidence": 0.0}, Room(9)),
    "chain that may end early": ("draft_model", {"depth": 3, "min_confidence": 0.45}, Room(9)),
    "best nodes expanded": ("draft_model", {"depth": 2, "width": 2}, Room(4)),
    "best nodes expanded, cut": ("draft_model", {"depth": 2, "width": 2}, Room(3)),
    "paths": ("spectr", {"depth": 2, "paths": 2}, Room(9)),
    "paths, cut": ("spectr", {"depth": 2, "paths": 2}, Room(3)),
    "branches": ("rsd", {"shape": "branches", "branches": "2,1"}, Room(9)),
    "branches, cut": ("rsd", {"shape": "branches", "branches": "2,2"}, Room(3)),
    "chain of branches": ("rsd", {"shape": "branches", "branches": "1,1"}, Room(9)),
    "greedy expansion": ("dyspec", {"nodes": 3, "depth": 2, "width": 2}, Room(9)),
    "greedy expansion, cut": ("dyspec", {"nodes": 8, "depth": 2, "width": 1}, Room(2)),
    "masks": ("pard", {"depth": 2, "min_confidence": 0.0}, Room(9)),
    "masks that may end early": ("pard", {"depth": 3, "min_confidence": 0.45}, Room(9)),
    "a tree of masks": ("pard", {"depth": 2, "width": 2}, Room(4)),
    "measured shape": ("sequoia", {"nodes": 3, "depth": 2, "children": 2}, Room(9)),
}


def pairs() -> Iterator[Any]:
    """Each tree with each rule that its drafter can draw for."""
    may = dict.fromkeys(("draft_model", "spectr", "rsd", "pard"), ("iid",))
    chains = ("chain", "chain that may end early", "chain of branches", "masks", "masks that may end early")
    for tree, (name, _, _) in TREES.items():
        for rule in DRAWN:
            drawing = verify.get(rule).drawing
            fits = {"in_turn": True, "iid": "iid" in may.get(name, ()), "chain": tree in chains}[drawing]
            if fits:
                yield pytest.param(tree, rule, id=f"{tree}-{rule}")


@pytest.mark.parametrize(("tree", "rule"), [*pairs()])
def test_the_joint_law_is_the_targets(tree: str, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Growing, "laws", exact_laws)
    name, options, room = TREES[tree]
    target = Table(3, seed=1)
    drafter = FromTable(name, Table(3, seed=2, sharpness=1.0), **options)
    if name == "sequoia":
        drafter.drafter.__dict__["_nums"] = {(): 2, (0,): 1}

    def emit(coins: Coins) -> tuple[int, ...]:
        drafted = drafter.draft(coins, room, rule)
        paths = [[], *([drafted.tokens[i] for i in drafted.path_to(node)] for node in range(len(drafted)))]
        rows = torch.stack([target.probs([*PROMPT, *path]) for path in paths])
        return tokens_of(drafted, toss(verify.get(rule)(), drafted, rows, coins))

    length = drafter.drafter.most_depth + 1
    assert distance(law_of(emit, _Behind(target), length), _Behind(target), length) < 1e-9


class _Behind(Table):
    """A table behind the prompt."""

    def __init__(self, table: Table) -> None:
        self.vocab_size, self.table = table.vocab_size, table

    def probs(self, ids: Any) -> Any:
        return self.table.probs([*PROMPT, *ids])


class Noting(Noise):
    """Notes what it is asked for."""

    asked: list[set[tuple[str, int]]]

    def waits(self, place: int, num_tokens: int, stream: str = "target", device: Any = "cpu") -> torch.Tensor:
        self.asked[-1].add((stream, place))
        return super().waits(place, num_tokens, stream, device)

    def draw(self, weights: torch.Tensor, place: int, stream: str = "target") -> int:
        self.asked[-1].add((stream, place))
        return super().draw(weights, place, stream)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("draft_model", {"min_confidence": 0.0}),
        ("draft_model", {"width": 3}),
        ("pard", {"min_confidence": 0.0}),
        ("pard", {"width": 3}),
        ("amusd", {"min_confidence": 0.0, "depth": 2}),
        ("spectr", {}),
        ("rsd", {}),
        ("rsd", {"shape": "branches"}),
        ("dyspec", {}),
        ("sequoia", {}),
    ],
)
def test_what_a_step_draws_with_no_other_step_draws_with(
    name: str, options: dict[str, object], llama: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule may have looked at drafts that it did not keep: their noise is known, and no draw any more."""
    asked: list[set[tuple[str, int]]] = []
    monkeypatch.setattr(Noting, "asked", asked, raising=False)
    monkeypatch.setattr(loop, "Noise", Noting)
    drafter = create(name, llama, **options)
    propose = drafter.propose

    def noted(context: Any, room: Room) -> Any:
        asked.append(set())
        return propose(context, room)

    monkeypatch.setattr(drafter, "propose", noted)
    config = GenerationConfig(max_new_tokens=16, temperature=1.0, rule="rejection", has_detail=False)
    output_ids(generate(llama, drafter, [1, 2, 3], config))
    drafted = [keys for step in asked if (keys := {key for key in step if key[0].startswith(name)})]
    assert len(drafted) > 2
    assert sum(map(len, drafted)) == len(set().union(*drafted))
