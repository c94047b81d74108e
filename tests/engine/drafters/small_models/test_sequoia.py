"""Sequoia: its tree is the best there is by the acceptance given, and the acceptance is counted as it happened."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import create, output_ids, tiny

from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.shapes import grow
from engine.drafters.small_models._model import SmallModel
from engine.drafters.small_models._positional import Acceptance, best_tree, tables
from engine.drafters.small_models.sequoia import Sequoia
from engine.loop import generate
from engine.noise import Noise
from engine.target import Target
from engine.tree import DraftTree

pytestmark = pytest.mark.usefixtures("draft_models")


@functools.cache
def best_score(rates: tuple[float, ...], num_nodes: int, depth: int) -> float:
    """Most expected tokens of a tree of exactly so many nodes, root included; by trying all of them."""

    @functools.cache
    def with_children(num: int, left: int) -> float:
        if num == 0:
            return 1.0 if left == 0 else -np.inf
        tried = (
            with_children(num - 1, left - size) + rates[num - 1] * best_score(rates, size, depth - 1)
            for size in range(1, left + 1)
        )
        return max(tried, default=-np.inf)

    if depth == 0:
        return 1.0 if num_nodes == 1 else -np.inf
    return max(with_children(num, num_nodes - 1) for num in range(len(rates) + 1))


def score(counts: dict[tuple[int, ...], int], rates: tuple[float, ...]) -> tuple[float, int, int]:
    """Expected tokens, nodes and depth of a tree told by its numbers of children."""
    value, size, deep = 1.0, 0, 0
    paths: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    for at, reached in paths:
        for b in range(counts.get(at, 0)):
            paths.append(((*at, b), reached * rates[b]))
            value, size, deep = value + reached * rates[b], size + 1, max(deep, len(at) + 1)
    return value, size, deep


@given(st.lists(st.floats(0.01, 0.9), min_size=1, max_size=3).map(tuple), st.integers(1, 3))
def test_no_tree_of_its_size_and_depth_promises_more(rates: tuple[float, ...], depth: int) -> None:
    scores, _ = tables(np.array(rates), 7, depth)
    for num_nodes in range(1, 8):
        assert scores[depth, num_nodes - 1] == pytest.approx(best_score(rates, num_nodes, depth))


@given(st.lists(st.floats(0.01, 0.9), min_size=1, max_size=4).map(tuple), st.integers(1, 4), st.integers(1, 12))
def test_the_tree_that_is_told_has_the_score_that_was_found(
    rates: tuple[float, ...], depth: int, num_nodes: int
) -> None:
    scores, _ = tables(np.array(rates), num_nodes + 1, depth)
    value, size, deep = score(best_tree(np.array(rates), np.ones(num_nodes + 1), depth), rates)
    assert value == pytest.approx(scores[1:, 1:].max())
    assert size <= num_nodes
    assert deep <= depth


def test_where_rates_fall_it_is_the_tree_that_grows_by_products() -> None:
    rates = (0.6, 0.2, 0.1, 0.05)
    value, size, _ = score(best_tree(np.array(rates), np.ones(25), 6), rates)
    assert size == 24
    assert value == pytest.approx(grow([rates] * 6, 24).expected_emitted)


def test_rows_that_cost_and_levels_that_cost_make_trees_smaller_and_flatter() -> None:
    rates = np.array([0.6, 0.2, 0.1])
    dear = best_tree(rates, 1 + 0.2 * np.arange(25), 6)
    assert score(dear, tuple(rates))[1] < 8
    flat = best_tree(rates, np.ones(25), 6, level_cost=1.0)
    assert score(flat, tuple(rates))[2] < 6
    assert score(best_tree(rates, np.array([1.0, 99, 99]), 2), tuple(rates))[1] >= 1, "a node at least, to learn by"


def test_acceptance_counts_the_children_of_what_was_reached() -> None:
    counted = Acceptance(3)
    before = counted.rates
    tree = DraftTree((1, 2, 3, 4, 5), (-1, -1, 1, 1, 0))
    counted.learn(tree, (1, 3))
    # Of the root and of node 1 the second of two was accepted; node 3 has no children, nodes 0 and 2 were not reached.
    assert counted.rates == pytest.approx([8 * before[0] / 10, (8 * before[1] + 2) / 10, before[2]])


@pytest.mark.parametrize("name", ["draft_model", "sequoia", "spectr", "dyspec", "rsd", "gsd"])
def test_a_draft_that_is_asked_for_again_is_the_same_and_leaves_nothing(name: str) -> None:
    """As where drafts are timed, to fit trees to the machine."""
    target = Target(tiny("llama"))
    drafter, context = create(name, target), Context([1, 2, 3, 4], GenerationConfig(), Noise(0))
    assert isinstance(drafter, SmallModel)
    drafter.start(context)
    first, again = (drafter.propose(context, Room(16)) for _ in range(2))
    assert (first.tokens, first.parents) == (again.tokens, again.parents)
    assert drafter.runner.num_pending <= len(first)


def test_a_session_learns_and_takes_the_shape_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own draft model knows nothing of the target: rates fall."""
    target = Target(tiny("llama"))
    drafter = create("sequoia", target)
    assert isinstance(drafter, Sequoia)
    first: dict[str, float] = {}
    start = drafter.start

    def noted(context: Context) -> None:
        start(context)
        first["rate"] = float(drafter._acceptance.rates[0])

    monkeypatch.setattr(drafter, "start", noted)
    output_ids(generate(target, drafter, [1, 2, 3], GenerationConfig(max_new_tokens=50)))
    assert drafter._acceptance.rates[0] < first["rate"] / 2
