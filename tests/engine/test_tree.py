"""Draft trees: shape, order and status, for any tree."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import trees

from engine.draws import Draws
from engine.errors import RunFailed
from engine.tree import EMPTY_TREE, DraftTree, chain


@given(trees())
def test_a_node_is_one_deeper_than_its_parent(tree: DraftTree) -> None:
    for depth, parent in zip(tree.depths, tree.parents, strict=True):
        assert depth == (1 if parent < 0 else tree.depths[parent] + 1)
    assert tree.depth == max(tree.depths, default=0)


@given(trees())
def test_children_list_every_node_once_below_its_parent_in_order(tree: DraftTree) -> None:
    assert len(tree.children) == len(tree) + 1
    assert sorted(node for nodes in tree.children for node in nodes) == list(range(len(tree)))
    for parent, nodes in enumerate(tree.children, start=-1):
        assert list(nodes) == [i for i, given_parent in enumerate(tree.parents) if given_parent == parent]


@given(trees())
def test_a_path_holds_a_node_and_all_its_ancestors_and_nobody_else(tree: DraftTree) -> None:
    ancestors: list[set[int]] = []
    for node, parent in enumerate(tree.parents):
        ancestors.append({node} | (ancestors[parent] if parent >= 0 else set()))
        path = tree.path_to(node)
        assert set(path) == ancestors[node]
        assert list(path) == sorted(path)
        assert len(path) == tree.depths[node]
    assert tree.path_to(-1) == ()


@given(trees(), st.data())
def test_what_hangs_below_a_rejected_node_is_unreached(tree: DraftTree, data: st.DataObject) -> None:
    path = tree.path_to(data.draw(st.integers(-1, len(tree) - 1)))
    statuses = tree.statuses(path)
    for node, status in enumerate(statuses):
        parent = tree.parents[node]
        parent_survived = parent < 0 or parent in path
        assert (status == "accepted") == (node in path)
        assert (status == "rejected") == (parent_survived and node not in path)


def test_what_was_drafted_behind_the_end_of_a_text_is_unreached() -> None:
    tree = DraftTree((5, 6, 7, 8, 9), (-1, -1, 0, 2, 2))
    assert tree.statuses((0, 2), 3) == ("accepted", "rejected", "accepted", "rejected", "rejected")
    assert tree.statuses((0, 2), 2) == ("accepted", "rejected", "accepted", "unreached", "unreached")
    assert tree.statuses((0,), 1) == ("accepted", "rejected", "unreached", "unreached", "unreached")
    assert tree.statuses((), 1) == ("rejected", "rejected", "unreached", "unreached", "unreached")


@given(trees(), st.integers(0, 13), st.integers(0, 6))
def test_pruning_keeps_a_tree_that_is_closed_under_parents(tree: DraftTree, max_nodes: int, max_depth: int) -> None:
    rows = torch.arange(len(tree) * 3.0).view(len(tree), 3)
    whole = DraftTree(tree.tokens, tree.parents, tuple(range(len(tree))), Draws(rows, tuple(range(len(tree)))))
    pruned = whole.pruned(max_nodes, max_depth)
    assert len(pruned) == min(max_nodes, sum(depth <= max_depth for depth in whole.depths))
    assert pruned.depth <= max_depth
    assert pruned.draft_probs is not None
    assert pruned.draws is not None
    assert pruned.draws.order == tuple(range(len(pruned)))
    for node, old in enumerate(int(prob) for prob in pruned.draft_probs):
        # The whole way down to a node is kept: same tokens, own draw distribution.
        assert [pruned.tokens[i] for i in pruned.path_to(node)] == [whole.tokens[i] for i in whole.path_to(old)]
        assert torch.equal(pruned.draws.rows[pruned.draws.row_of[node]], rows[old])


@given(trees(), st.integers(0, 13), st.integers(0, 6))
def test_pruning_never_looks_at_tokens(tree: DraftTree, max_nodes: int, max_depth: int) -> None:
    others = DraftTree(tuple(token + 1 for token in tree.tokens), tree.parents)
    assert tree.pruned(max_nodes, max_depth).parents == others.pruned(max_nodes, max_depth).parents


def test_a_chain_is_a_tree_whose_nodes_have_one_child() -> None:
    tree = chain([7, 8, 9], [0.5, 0.25, 0.125])
    assert tree.parents == (-1, 0, 1)
    assert tree.depth == 3
    assert tree.path_to(2) == (0, 1, 2)
    assert tree.draft_probs == (0.5, 0.25, 0.125)
    assert not tree.is_sampled


def test_no_draft_is_an_empty_tree() -> None:
    assert len(EMPTY_TREE) == 0
    assert EMPTY_TREE.depth == 0
    assert EMPTY_TREE.children == ((),)
    assert EMPTY_TREE.statuses(()) == ()


@pytest.mark.parametrize(
    ("tokens", "parents", "rows"),
    [((1, 2), (-1,), None), ((1, 2), (-1, 1), None), ((1,), (-2,), None), ((1,), (0,), None), ((1, 2), (-1, 0), 1)],
    ids=["lengths differ", "own parent", "below the root", "first has a parent", "a row too few"],
)
def test_a_malformed_tree_is_refused(tokens: tuple[int, ...], parents: tuple[int, ...], rows: int | None) -> None:
    with pytest.raises(RunFailed):
        DraftTree(tokens, parents, None, None if rows is None else Draws(torch.ones(rows, 3), tuple(range(rows))))
