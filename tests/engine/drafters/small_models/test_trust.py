"""How far the shared noise is trusted: what each exponent ranks by, and that a session learns the one that fits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toys import Table, create, output_ids, tiny

from engine.config import GenerationConfig
from engine.drafters.base import Room
from engine.drafters.small_models._model import SmallModel
from engine.drafters.trust import Trust
from engine.loop import generate
from engine.noise import Noise
from engine.target import Target
from tests.engine.drafters.small_models.tables import FromTable


def learned(share: float, num: int = 120) -> float:
    """The exponent behind draws from laws whose scores the drafter knows to a share: it is less sure of itself."""
    trust, generator = Trust(), torch.Generator().manual_seed(1)
    for place in range(num):
        scores = 3 * torch.randn(20, generator=generator)
        waits = Noise(5).waits(place, 20)
        trust.look((share * scores).softmax(dim=0), waits)
        trust.learn(int((scores.softmax(dim=0) / waits).argmax()))
    return trust.exponent


def test_a_drafter_equal_to_the_target_trusts_the_race_and_one_that_knows_less_trusts_it_less() -> None:
    assert [learned(share) for share in (1.0, 0.4, 0.15)] == [1.0, 0.5, 0.5]


def test_before_anything_is_known_the_race_is_trusted_and_weights_are_by_the_exponent() -> None:
    trust = Trust()
    law, waits = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([4.0, 1.0, 0.25])
    assert trust.exponent == 1.0
    torch.testing.assert_close(trust.weights(law, waits), law / waits)
    for _ in range(9):
        trust.look(law, waits)
        trust.learn(0)  # the likeliest, though its wait is the longest
    assert trust.exponent == 0.0
    torch.testing.assert_close(trust.weights(law, waits), law)
    trust.learn(2)
    assert trust.exponent == 0.0, "nothing was looked at"


@pytest.mark.usefixtures("draft_models")
def test_a_trees_nodes_stand_by_their_chance_with_the_noise_and_show_the_drafters_probability() -> None:
    table = Table(6, seed=3)
    drafter, noise = FromTable("draft_model", table, width=3, depth=1, nodes=3), Noise(4)
    tree = drafter.draft(noise, Room(9), "node_sampling")
    law = table.probs([0, 1]).float()
    wanted = (law / noise.waits(2, 6)).topk(3).indices.tolist()
    assert list(tree.tokens) == wanted
    assert tree.draft_probs == pytest.approx(law[wanted].tolist())


@pytest.mark.usefixtures("draft_models")
def test_a_session_learns_only_where_noise_is_shared() -> None:
    target = Target(tiny("llama"))
    sampled: dict[str, Any] = {"temperature": 1.0}
    for settings, learns in (({}, False), (sampled, True), ({**sampled, "rule": "rejection"}, False)):
        drafter = create("draft_model", target)
        assert isinstance(drafter, SmallModel)
        output_ids(generate(target, drafter, [1, 2, 3], GenerationConfig(max_new_tokens=24, **settings)))
        assert bool(drafter._trust._scores.any()) == learns, settings
