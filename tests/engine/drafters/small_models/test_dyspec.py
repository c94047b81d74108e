"""DySpec: it grows where values are highest, values never rise, and few passes serve many nodes."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from toys import Table

from engine.drafters.base import Room
from engine.noise import Noise
from engine.tree import DraftTree
from tests.engine.drafters.small_models.tables import PROMPT, FromTable

pytestmark = pytest.mark.usefixtures("draft_models")
Q = Table(6, seed=5, sharpness=2.0)


def texts(tree: DraftTree) -> dict[tuple[int, ...], float]:
    """Each node's text with the drafter's probability of it."""
    found = {}
    for node in range(len(tree)):
        text = tuple(tree.tokens[i] for i in tree.path_to(node))
        found[text] = math.prod(float(Q.probs([*PROMPT, *text[:i]])[token]) for i, token in enumerate(text))
    return found


@pytest.mark.parametrize("width", [1, 8])
def test_greedily_it_is_the_tree_of_the_likeliest_texts(width: int) -> None:
    drafter = FromTable("dyspec", Q, nodes=12, depth=3, width=width)
    tree = drafter.draft(Noise(0), Room(64), "greedy", temperature=0.0)
    every = {(): 1.0}
    frontier = [()]
    for _ in range(3):
        grown = {
            (*text, token): every[text] * prob
            for text in frontier
            for token, prob in enumerate(Q.probs([*PROMPT, *text]).tolist())
        }
        every, frontier = every | grown, list(grown)  # type: ignore[assignment]
    del every[()]
    wanted = sorted(every, key=lambda text: -every[text])[:12]
    assert set(texts(tree)) == set(wanted)


@pytest.mark.parametrize("seed", range(4))
def test_values_never_rise_and_add_up_to_what_is_expected(seed: int) -> None:
    """A slot's value is the chance that its token is examined; the token's, that it is accepted by a target like q."""
    tree = FromTable("dyspec", Q, nodes=16, depth=4).draft(Noise(seed), Room(64))
    values: list[float] = []
    node_values = {-1: 1.0}
    taken: dict[int, float] = {}
    slots: dict[int, float] = {}
    for node, (parent, token) in enumerate(zip(tree.parents, tree.tokens, strict=True)):
        law = Q.probs([*PROMPT, *(tree.tokens[i] for i in tree.path_to(parent))])
        slot = slots.get(parent, node_values[parent])
        values.append(slot)
        conditional = float(law[token]) / (1 - taken.get(parent, 0.0))
        node_values[node], slots[parent] = slot * conditional, slot * (1 - conditional)
        taken[parent] = taken.get(parent, 0.0) + float(law[token])
    assert all(later <= earlier + 1e-6 for earlier, later in itertools.pairwise(values))
    assert tree.draws is not None
    assert tree.draws.scheme == "without_replacement"


@pytest.mark.parametrize("width", [1, 4])
def test_several_nodes_wait_for_one_pass(width: int) -> None:
    drafter = FromTable("dyspec", Q, nodes=24, depth=5, width=width)
    tree = drafter.draft(Noise(1), Room(64))
    assert len(tree) == 24
    assert drafter.num_passes <= (24 if width == 1 else 10)


def test_a_support_of_few_tokens_is_used_up_and_no_more() -> None:
    tree = FromTable("dyspec", Q, nodes=30, depth=2).draft(Noise(1), Room(64), top_k=2)
    assert len(tree) == 6
    assert tree.draws is not None
    assert torch.count_nonzero(tree.draws.rows[0]) == 2
    assert FromTable("dyspec", Q, depth=4).draft(Noise(1), Room(64), top_k=1).parents == (-1, 0, 1, 2)
