"""What drafting costs: a share of a pass, measured once per network, and more nodes where it is dear."""

from __future__ import annotations

import pytest
from toys import ScriptedDrafter

from engine.drafters import shapes
from engine.drafters.base import Context
from engine.drafters.costs import NUM_ROUNDS, draft_cost
from engine.target import Scored, Target
from engine.tree import EMPTY_TREE, DraftTree


class Network:
    """What sessions share."""


@pytest.fixture
def known_costs() -> None:
    """Here they are measured."""


def test_it_is_measured_once_per_network_on_a_clock(llama: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass takes 2 s by this clock, a draft 3 s, then 1 s."""
    seconds, draft_s, num_drafts = [0.0], [3.0], [0]
    monkeypatch.setattr("engine.drafters.costs.time.perf_counter", lambda: seconds[0])
    score = llama.score

    def draft(context: Context, budget: int) -> DraftTree:
        num_drafts[0] += 1
        seconds[0] += draft_s[0]
        return EMPTY_TREE

    def scored(root_id: int, tree: DraftTree) -> Scored:
        seconds[0] += 2.0
        return score(root_id, tree)

    monkeypatch.setattr(llama, "score", scored)
    drafter, network = ScriptedDrafter(draft), Network()
    assert draft_cost(drafter, llama, network) == 1.5
    assert num_drafts[0] == NUM_ROUNDS + 1
    draft_s[0] = 1.0
    assert draft_cost(drafter, llama, network) == 1.5, "known already"
    assert draft_cost(drafter, llama, Network()) == 0.5
    assert llama.kv_length == 0


def test_a_dearer_draft_has_more_nodes() -> None:
    shares, costs = [0.5 * 0.8**n for n in range(20)], [1 + 0.05 * n for n in range(21)]
    sizes = [shapes.best_size(shares, costs, draft_cost) for draft_cost in (0.0, 0.3, 1.0)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]
