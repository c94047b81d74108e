"""What drafting costs: a share of a pass, measured once per network, and more nodes where it is dear."""

from __future__ import annotations

import time

from toys import ScriptedDrafter

from engine.drafters import _shape
from engine.drafters._draft_cost import NUM_ROUNDS, draft_cost
from engine.drafters.base import Context
from engine.target import Target
from engine.tree import EMPTY_TREE, DraftTree


class Network:
    """What sessions share."""


def test_it_is_measured_once_per_network(llama: Target) -> None:
    seconds = [0.02]
    num_drafts = 0

    def draft(context: Context, budget: int) -> DraftTree:
        nonlocal num_drafts
        num_drafts += 1
        time.sleep(seconds[0])
        return EMPTY_TREE

    drafter, network = ScriptedDrafter(draft), Network()
    dear = draft_cost(drafter, llama, network)
    assert num_drafts == NUM_ROUNDS + 1
    seconds[0] = 0.0
    assert draft_cost(drafter, llama, network) == dear
    assert draft_cost(drafter, llama, Network()) < dear / 10
    assert llama.kv_length == 0


def test_a_dearer_draft_has_more_nodes() -> None:
    shares, costs = [0.5 * 0.8**n for n in range(20)], [1 + 0.05 * n for n in range(21)]
    sizes = [_shape.best_size(shares, costs, draft_cost) for draft_cost in (0.0, 0.3, 1.0)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]
