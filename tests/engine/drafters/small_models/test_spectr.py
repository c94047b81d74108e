"""SpecTr: independent paths that share nodes, how often each was drawn, and what is proposed where nothing is drawn."""

from __future__ import annotations

import pytest
import torch
from toys import Table, assert_fits

from engine.drafters.base import Room
from engine.noise import Noise
from tests.engine.drafters.small_models.tables import PROMPT, FromTable

pytestmark = pytest.mark.usefixtures("draft_models")
Q = Table(3, seed=6, sharpness=1.0)


def test_every_path_goes_on_though_it_shares_its_nodes() -> None:
    for seed in range(20):
        tree = FromTable("spectr", Q, paths=4, depth=3).draft(Noise(seed), Room(64), "k_seq")
        assert tree.draws is not None
        assert tree.draws.scheme == "iid"
        assert [sum(tree.depths[node] == depth for node in tree.draws.order) for depth in (1, 2, 3)] == [4, 4, 4]
        for node in range(len(tree)):
            if tree.depths[node] < 3:
                assert len(tree.draws_below[node + 1]) == tree.draws.order.count(node)


def test_two_paths_are_drawn_independently() -> None:
    drafter, counts = FromTable("spectr", Q, paths=2, depth=1), torch.zeros(3, 3)
    for seed in range(900):
        tree = drafter.draft(Noise(seed), Room(64))
        assert tree.draws is not None
        first, second = (tree.tokens[node] for node in tree.draws.order)
        counts[first, second] += 1
    law = Q.probs(PROMPT)
    assert_fits(counts, law[:, None] * law)


def test_a_step_with_less_room_draws_fewer_times_and_drops_nothing() -> None:
    tree = FromTable("spectr", Table(9, seed=1), paths=4, depth=3).draft(Noise(2), Room(6))
    assert tree.draws is not None
    assert len(tree.pruned(6, 3).draws.order) == len(tree.draws.order)  # type: ignore[union-attr]


@pytest.mark.parametrize(("rule", "temperature"), [("greedy", 0.0), ("node_sampling", 1.0)])
def test_where_nothing_is_drawn_paths_begin_differently(rule: str, temperature: float) -> None:
    drafter = FromTable("spectr", Table(9, seed=1), paths=4, depth=3)
    tree = drafter.draft(Noise(2), Room(64), rule, temperature=temperature)
    assert not tree.is_sampled
    assert [tree.depths.count(depth) for depth in (1, 2, 3)] == [4, 4, 4]
    assert len({tree.tokens[node] for node in tree.children[0]}) == 4
