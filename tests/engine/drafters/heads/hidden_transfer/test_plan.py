"""Hidden Transfer's plan: which nodes are drafted and which look ahead is the best for the costs."""

from __future__ import annotations

import pytest

from engine.drafters.heads.hidden_transfer.plan import pass_cost, plan, ranked_ends
from engine.drafters.shapes import Shape, grow

SHAPE = Shape(((0,), (1,), (0, 0)), (0.5, 0.2, 0.3))


def test_a_step_ends_at_a_node_as_often_as_it_is_accepted_and_no_child_is() -> None:
    found = ranked_ends(SHAPE)
    assert [node for node, _ in found] == [-1, 2, 0, 1]
    assert [share for _, share in found] == pytest.approx([0.3, 0.3, 0.2, 0.2])


def test_where_rows_are_free_every_node_is_drafted_and_looks_ahead() -> None:
    found = plan(SHAPE, lambda num_rows, num_ends: 1.0)
    assert len(found.shape) == 3
    assert set(found.ends) == {-1, 0, 1, 2}


def test_where_rows_are_dear_a_node_that_seldom_pays_is_left_out() -> None:
    found = plan(SHAPE, pass_cost([1.0 + 0.15 * n for n in range(64)], [1, 1]))

    def rate(num_nodes: int, num_ends: int) -> float:
        """Tokens per time of the plan, by the definition."""
        shape = SHAPE.limited(num_nodes)
        missed = sum(share for _, share in ranked_ends(shape)[num_ends:])
        time = 1 + 0.15 * (num_nodes + num_ends) + missed * 1.15
        return (shape.expected_emitted + missed) / time

    best = max(((n, m) for n in (1, 2, 3) for m in range(1, n + 2)), key=lambda pair: rate(*pair))
    assert (len(found.shape), len(found.ends)) == best


def test_of_plans_that_promise_nearly_as_much_the_largest_is_taken() -> None:
    shape = Shape(((0,), (1,), (2,)), (0.5, 0.2, 0.2))
    assert len(plan(shape, lambda num_rows, num_ends: 1.0 + 0.13 * (num_rows == 4)).shape) == 3
    assert len(plan(shape, lambda num_rows, num_ends: 1.0 + 0.15 * (num_rows == 4)).shape) == 2


def test_extra_rows_cost_in_the_layers_that_they_pass() -> None:
    """Four layers and the output layer, two steps that enter before the fourth; rows are free up to 8."""
    cost = pass_cost([1.0] * 8 + [1.0 + 0.1 * n for n in range(1, 9)], [0, 0, 0, 2, 2])
    assert cost(8, 0) == pytest.approx(1.0)
    assert cost(2, 3) == pytest.approx(1.0)
    assert cost(4, 4) == pytest.approx((3 * 1.0 + 2 * 1.4) / 5)
    assert cost(8, 4) == pytest.approx((3 * 1.0 + 2 * 1.8) / 5)
    assert cost(32, 0) == pytest.approx(1.8 * 32 / 16)


def test_asked_for_numbers_are_kept() -> None:
    found = plan(grow([[0.5, 0.3], [0.5, 0.2]], 6), lambda num_rows, num_ends: 1.0, num_nodes=5, num_ends=2)
    assert len(found.shape) == 5
    assert len(found.ends) == 2
    assert found.ends[0] == -1
