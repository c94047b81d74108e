"""Tree shapes as data: growth, measurement, and the number of nodes that pays."""

from __future__ import annotations

import itertools

import pytest
import torch

from engine.drafters import shapes
from engine.errors import BadInput

ACCURACY = [[0.6, 0.2, 0.1], [0.5, 0.25, 0.05], [0.4, 0.3, 0.1]]


def every_path() -> dict[tuple[int, ...], float]:
    shares = {}
    for depth in (1, 2, 3):
        for path in itertools.product(range(3), repeat=depth):
            share = 1.0
            for head, rank in enumerate(path):
                share *= ACCURACY[head][rank]
            shares[path] = share
    return shares


@pytest.mark.parametrize("num_nodes", [1, 4, 9, 39])
def test_growth_takes_the_likeliest_nodes(num_nodes: int) -> None:
    """No closed set of paths is better: parents never count less than their children."""
    shape = shapes.grow(ACCURACY, num_nodes)
    assert sum(shape.shares) == pytest.approx(sum(sorted(every_path().values())[-num_nodes:]))
    assert shape.shares == pytest.approx([every_path()[path] for path in shape.paths])


def test_growth_stops_at_what_is_seldom_right() -> None:
    whole = shapes.grow(ACCURACY, 39)
    for least in (0.02, 0.1, 0.35):
        kept = sum(share >= least for share in whole.shares)
        assert shapes.grow(ACCURACY, 39, least) == whole.limited(kept)
    assert shapes.grow(ACCURACY, 39, 0.9).paths == ((0,),)


def test_a_grown_tree_beats_the_whole_product_of_the_same_size() -> None:
    """Medusa's sparse tree against a Cartesian one of 3 · (1 + 2 · (1 + 1)) = 15 nodes."""
    product = [path for path in every_path() if all(rank < k for rank, k in zip(path, (3, 2, 1), strict=False))]
    assert len(product) == 15
    whole = 1 + sum(every_path()[path] for path in product)
    assert shapes.grow(ACCURACY, 15).expected_emitted > whole + 0.01


def test_measured_shares_are_joint_counts() -> None:
    """Two heads that are right together: independence would say 0.25 for (0, 0)."""
    ranks = torch.tensor([[0, 0], [0, 0], [1, 1], [1, 1]])
    shape = shapes.measured(ranks)
    assert dict(zip(shape.paths, shape.shares, strict=True)) == {(0,): 0.5, (1,): 0.5, (0, 0): 0.5, (1, 1): 0.5}
    assert shape.expected_emitted == 3
    assert shapes.accuracy_of(ranks, 2) == [[0.5, 0.5], [0.5, 0.5]]


def test_ranks_that_no_list_holds_end_a_path() -> None:
    shape = shapes.measured(torch.tensor([[0, 99, 0], [12, 0, 0]]), top_k=10)
    assert shape.paths == ((0,),)


def test_the_first_nodes_of_a_shape_are_a_shape() -> None:
    shape = shapes.grow(ACCURACY, 39)
    for num_nodes in range(40):
        cut = shape.limited(num_nodes)
        assert len(cut.parents) == num_nodes
        assert all(parent < node for node, parent in enumerate(cut.parents))
    shallow = shape.limited(depth=2, top_k=2)
    assert set(shallow.paths) == {(0,), (1,), (0, 0), (0, 1), (1, 0), (1, 1)}
    assert shallow.depth == 2


def test_the_number_of_nodes_follows_what_rows_cost() -> None:
    shape = shapes.grow(ACCURACY, 39)
    assert len(shapes.choose(shape, [1.0] * 40)) == 39
    assert len(shapes.choose(shape, [1.0, 3.0, 9.0, 27.0])) == 0
    costs = [1 + 0.1 * n for n in range(40)]
    best = max(range(40), key=lambda n: (1 + sum(shape.shares[:n])) / costs[n])
    assert len(shapes.choose(shape, costs)) == best
    assert len(shapes.choose(shape, costs, draft_cost=1.0)) >= best


def test_a_draft_is_as_deep_as_its_levels_pay() -> None:
    shape, costs = shapes.grow(ACCURACY, 39), [1 + 0.1 * n for n in range(40)]

    def rate(found: shapes.Shape, level_cost: float) -> float:
        return found.expected_emitted / (costs[len(found)] + found.depth * level_cost)

    depths = []
    for level_cost in (0.0, 0.2, 0.5, 5.0):
        found = shapes.choose_depth(shape, costs, level_cost)
        depths.append(found.depth)
        assert rate(found, level_cost) >= max(
            rate(shape.limited(num_nodes, depth), level_cost) for num_nodes in range(1, 12) for depth in (1, 2, 3)
        )
    assert depths == sorted(depths, reverse=True)
    assert depths[0] > depths[-1]


def test_a_shape_is_the_same_after_it_was_stored() -> None:
    shape = shapes.grow(ACCURACY, 12)
    again = shapes.from_rows(shape.rows())
    assert again.paths == shape.paths
    assert again.shares == pytest.approx(shape.shares, abs=1e-5)


@pytest.mark.parametrize("rows", [[[[0, 0], 0.5]], [[[0], 0.5], [[0], 0.1]], [[[-1], 0.5]], [[0]], 5, [[["x"], 1]]])
def test_a_shape_that_is_none_is_refused(rows: object) -> None:
    with pytest.raises(BadInput):
        shapes.from_rows(rows)
