"""Drafts by levels: the dynamic tree and its rerank with known answers, a fixed shape, and what is not run."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from engine.drafters.heads._candidates import Candidates, Tokens
from engine.drafters.heads._levels import Level, along, best_nodes, grow
from engine.drafters.heads._trees import EAGLE_1

ROOT = 9


def scripted(
    laws: dict[int, list[tuple[int, float]]], seen: list[list[int]] | None = None
) -> Callable[..., Candidates]:
    """What follows a token hangs on it alone: its candidates, best first."""

    def advance(level: int, rows: Tokens, tokens: Tokens) -> Candidates:
        if seen is not None:
            seen.append(tokens.tolist())
        found = [laws[int(token)] for token in tokens]
        return np.array([[t for t, _ in law] for law in found]), np.log([[p for _, p in law] for law in found])

    return advance


LAWS = {
    ROOT: [(1, 0.6), (2, 0.31)],
    1: [(3, 0.5), (4, 0.4)],
    2: [(5, 0.9), (6, 0.05)],
    3: [(7, 0.9), (8, 0.1)],
    4: [(7, 0.5), (8, 0.1)],
    5: [(7, 0.6), (8, 0.4)],
}


def test_the_best_branches_of_a_level_are_gone_on_with_and_the_best_nodes_of_all_are_kept() -> None:
    """Values: 1 .6, 2 .31; 1-3 .3, 1-4 .24, 2-5 .279, 2-6 .016; 1-3 and 2-5 go on: 1-3-7 .27, 2-5-7 .167."""
    seen: list[list[int]] = []
    levels = grow(scripted(LAWS, seen), ROOT, depth=3, most=2, num_nodes=7)
    assert seen == [[ROOT], [1, 2], [3, 5]]
    tree = best_nodes(levels, 7)
    assert tree.tokens == (1, 2, 3, 5, 7, 4, 7)
    assert tree.parents == (-1, -1, 0, 1, 2, 0, 3)
    assert tree.draft_probs == pytest.approx((0.6, 0.31, 0.5, 0.9, 0.9, 0.4, 0.6))


def test_of_equal_values_parents_stand_first() -> None:
    laws = {token: [(token + 1, 1.0)] for token in range(12)}
    tree = best_nodes(grow(scripted(laws), ROOT - 9, depth=4, most=1, num_nodes=3), 3)
    assert (tree.tokens, tree.parents) == ((1, 2, 3), (-1, 0, 1))


def test_branches_that_cannot_reach_the_tree_are_not_run_and_nothing_is_lost() -> None:
    generator = np.random.default_rng(3)
    laws = {}
    for token in range(40):
        probs = np.sort(generator.dirichlet(np.ones(6)))[::-1][:3]
        laws[token] = list(zip(generator.permutation(40)[:3].tolist(), probs.tolist(), strict=True))
    for num_nodes, most in itertools.product((1, 4, 11), (1, 3)):
        seen: list[list[int]] = []
        tree = best_nodes(grow(scripted(laws, seen), 0, 4, most, num_nodes), num_nodes)
        wanted = best_nodes(_whole(scripted(laws), 0, 4, most), num_nodes)
        assert (tree.tokens, tree.parents) == (wanted.tokens, wanted.parents)
        assert sum(map(len, seen)) <= 1 + 3 * most


def _whole(advance: Callable[..., Candidates], root: int, depth: int, most: int) -> list[Level]:
    """As EAGLE-2 says it: the best of each level go on, whatever comes of them."""
    return grow(advance, root, depth, most, num_nodes=1000)


def test_a_fixed_shape_is_filled_by_rank_and_only_its_inner_nodes_are_run() -> None:
    tokens = [1, *(int("1" + "".join(map(str, path))) for path in EAGLE_1.paths)]
    laws = {token: [(10 * token + rank, 0.5 / (1 + rank)) for rank in range(4)] for token in tokens}
    seen: list[list[int]] = []
    tree = along(scripted(laws, seen), 1, EAGLE_1)
    assert [len(run) for run in seen] == [1, 4, 4, 1, 1]
    assert tree.tokens == tuple(tokens[1:])
    assert tree.parents == EAGLE_1.parents
    assert tree.draft_probs == pytest.approx([0.5 / (1 + path[-1]) for path in EAGLE_1.paths])
