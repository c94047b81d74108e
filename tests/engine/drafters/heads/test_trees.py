"""The compiled tree of the likeliest guesses is the one that `shapes.grow` makes of the same table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.drafters import shapes
from engine.drafters.heads import _trees
from engine.drafters.heads.hidden_transfer.plan import ranked_ends


@st.composite
def tables(draw: st.DrawFn) -> np.ndarray:
    """Probabilities (d, r), each row falling, no two products of them likely to be equal."""
    depth, ranks = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    seed = draw(st.integers(0, 2**32 - 1))
    found = np.random.default_rng(seed).dirichlet(np.ones(ranks + 1), size=depth)[:, :ranks]
    return -np.sort(-found, axis=1)


@given(tables(), st.integers(1, 20), st.sampled_from([0.0, 0.01, 0.1]))
def test_it_is_the_tree_that_greedy_growth_makes(table: np.ndarray, num_nodes: int, least: float) -> None:
    grown = _trees.grow(table, num_nodes, least)
    wanted = shapes.grow(table.tolist(), num_nodes, least)
    assert grown.depths.tolist() == wanted.depths.tolist()
    assert grown.ranks.tolist() == wanted.ranks.tolist()
    assert tuple(grown.parents.tolist()) == wanted.parents
    assert grown.shares.tolist() == pytest.approx(wanted.shares)


@given(tables(), st.integers(1, 12), st.integers(1, 14))
def test_its_ends_are_the_root_and_the_likeliest_to_end_at(table: np.ndarray, num_nodes: int, num_ends: int) -> None:
    grown = _trees.grow(table, num_nodes)
    likeliest = ranked_ends(shapes.grow(table.tolist(), num_nodes))[:num_ends]
    assert _trees.ends(grown, num_ends) == tuple(sorted(node for node, _ in likeliest))


def test_with_nothing_likely_the_first_guess_is_made_all_the_same() -> None:
    grown = _trees.grow(np.array([[0.001, 0.0005]]), 4, least=0.01)
    assert (grown.ranks.tolist(), grown.parents.tolist()) == ([0], [-1])
