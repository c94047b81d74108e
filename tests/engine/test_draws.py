"""Draws keep what they are draws of, whatever is merged and however it is cut; equal texts become one node."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.draws import Draws, Scheme
from engine.errors import RunFailed
from engine.tree import DraftTree, chain

PATHS = st.lists(st.lists(st.integers(0, 2), max_size=4), max_size=5)


def merged(paths: Sequence[Sequence[int]], scheme: Scheme = "conditional") -> DraftTree:
    """The paths as one tree; each draw has a row of its own, told by its number."""
    numbers = itertools.count()
    row_of = [[next(numbers) for _ in path] for path in paths]
    rows = torch.arange(float(sum(map(len, paths))))[:, None].expand(-1, 3)
    return DraftTree.merged(paths, draws=(rows, row_of, scheme))


def text_of(tree: DraftTree, node: int) -> list[int]:
    return [tree.tokens[i] for i in tree.path_to(node)]


@given(PATHS)
def test_merged_texts_are_each_there_once_in_the_order_of_their_first_token(paths: list[list[int]]) -> None:
    tree = DraftTree.merged(paths)
    begun = dict.fromkeys(tuple(path[:end]) for path in paths for end in range(1, len(path) + 1))
    assert [tuple(text_of(tree, node)) for node in range(len(tree))] == list(begun)
    assert tree.within(3) is tree
    assert not tree.is_sampled


@given(PATHS)
def test_a_shared_node_has_the_probability_that_stood_there_first(paths: list[list[int]]) -> None:
    probs = [[i + place / 10 for place in range(len(path))] for i, path in enumerate(paths)]
    tree = DraftTree.merged(paths, probs)
    first: dict[tuple[int, ...], float] = {}
    for path, own in zip(paths, probs, strict=True):
        for end, prob in enumerate(own, start=1):
            first.setdefault(tuple(path[:end]), prob)
    assert tree.draft_probs == tuple(first[tuple(text_of(tree, node))] for node in range(len(tree)))


@given(PATHS)
def test_every_draw_of_merged_texts_names_its_node_and_its_row(paths: list[list[int]]) -> None:
    tree = merged(paths)
    assert tree.draws is not None
    wanted = [path[:end] for path in paths for end in range(1, len(path) + 1)]
    assert [text_of(tree, node) for node in tree.draws.order] == wanted
    assert tree.draws.row_of == tuple(range(len(wanted)))
    for parent, draws in enumerate(tree.draws_below, start=-1):
        assert list(draws) == [i for i, node in enumerate(tree.draws.order) if tree.parents[node] == parent]


@given(PATHS)
def test_merged_independent_draws_have_one_row_a_parent(paths: list[list[int]]) -> None:
    tree = merged(paths, "iid")
    assert tree.draws is not None
    for draws in tree.draws_below:
        assert len({tree.draws.row_of[draw] for draw in draws}) <= 1


@given(PATHS, st.integers(0, 8), st.integers(0, 5), st.data())
def test_whether_a_draw_is_kept_depends_on_earlier_draws_alone(
    paths: list[list[int]], max_nodes: int, max_depth: int, data: st.DataObject
) -> None:
    """Everything from some draw on is drawn again; the fate of that draw is the same."""
    num_draws = sum(map(len, paths))
    if not num_draws:
        return
    place = data.draw(st.integers(0, num_draws - 1))
    numbers = itertools.count()
    again = [[t if next(numbers) < place else data.draw(st.integers(0, 2)) for t in path] for path in paths]
    kept = [
        [row in cast(Draws, merged(some).pruned(max_nodes, max_depth).draws).row_of for row in range(place + 1)]
        for some in (paths, again)
    ]
    assert kept[0] == kept[1]


@given(PATHS, st.integers(0, 8), st.integers(0, 5))
def test_a_cut_tree_keeps_the_draws_of_its_nodes_as_far_as_it_had_room(
    paths: list[list[int]], max_nodes: int, max_depth: int
) -> None:
    whole, tree = merged(paths), merged(paths).pruned(max_nodes, max_depth)
    assert whole.draws is not None
    assert tree.draws is not None
    assert len(tree) <= max_nodes
    texts = [text_of(whole, node) for node in whole.draws.order]
    for node, row in zip(tree.draws.order, tree.draws.row_of, strict=True):
        assert text_of(tree, node) == texts[row]
    shallow = [row for row, text in enumerate(texts) if len(text) <= max_depth]
    assert list(tree.draws.row_of) == shallow[: len(tree.draws.row_of)]
    if len(tree) < max_nodes:
        assert len(tree.draws.row_of) == len(shallow)


def test_the_law_of_a_later_draw_without_replacement_lacks_what_was_drawn() -> None:
    row = torch.tensor([0.5, 0.3, 0.2])
    draws = Draws(row[None], (0, 0), "without_replacement")
    assert torch.equal(draws.law(0, []), row.double())
    torch.testing.assert_close(draws.law(1, [0]), torch.tensor([0, 0.6, 0.4], dtype=torch.float64))
    assert row.tolist() == pytest.approx([0.5, 0.3, 0.2]), "the row itself is as it was"
    for scheme in ("iid", "conditional"):
        assert torch.equal(Draws(row[None], (0, 0), scheme).law(1, [0]), row.double())


ROW = torch.ones(1, 3) / 3


@pytest.mark.parametrize(
    ("draws", "said"),
    [
        (lambda: Draws(ROW, (0,), "iid", (0, 1)), "2 draws with 1 rows"),
        (lambda: Draws(ROW, (0, 1)), "there are 1"),
        (lambda: Draws(ROW, (0,)), "do not make 2 nodes"),
        (lambda: Draws(ROW, (0, 0), "iid", (1, 0)), "do not make 2 nodes"),
        (lambda: Draws(ROW, (0, 0, 0), "without_replacement", (0, 1, 0)), "twice without replacement"),
        (lambda: Draws(ROW.expand(2, 3), (0, 1), "iid"), "several rows"),
    ],
)
def test_draws_that_do_not_fit_are_refused(draws: object, said: str) -> None:
    with pytest.raises(RunFailed, match=said):
        DraftTree((1, 2), (-1, -1), None, draws())  # type: ignore[operator]


def test_equal_siblings_are_refused_where_they_were_not_drawn() -> None:
    twice = DraftTree((1, 2, 1), (-1, 0, -1))
    with pytest.raises(RunFailed, match="equal siblings"):
        twice.within(3)
    assert chain([1, 1]).within(3).tokens == (1, 1)
    drawn = DraftTree(twice.tokens, twice.parents, None, Draws(ROW.expand(2, 3), (0, 1, 0), "iid"))
    assert drawn.within(3) is drawn
