"""What rows cost: measured as said, and smoothed so that a noisy figure decides nothing."""

from __future__ import annotations

from typing import Any

import pytest
from toys import tiny

from engine.runtime import row_cost
from engine.runtime.row_cost import NUM_ROWS, relative_costs, roofline
from engine.target import Target


@pytest.fixture
def known_costs() -> None:
    """Here they are measured."""


def test_row_costs_are_measured_at_the_context_length_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    target, seen = Target(tiny("llama")), []
    score = target.score

    def watched(root_id: int, tree: Any) -> Any:
        seen.append((target.kv_length, len(tree) + 1))
        return score(root_id, tree)

    monkeypatch.setattr(target, "score", watched)
    num_context, costs = row_cost.row_costs(target, 0.0)
    assert num_context == target.max_context // 2 == 80
    assert [cost.num_rows for cost in costs] == [1, 2, 4, 8, 16, 32, 64]
    assert seen == [(80, cost.num_rows) for _ in range(4) for cost in costs]
    assert costs[0].ratio == 1.0
    assert all(cost.ratio == cost.ms / costs[0].ms for cost in costs)
    assert target.kv_length == 0


def test_relative_costs_start_at_one_never_fall_and_are_measured_once(
    llama: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_cost, "_FEW_SECONDS", 0.0)
    costs = relative_costs(llama)
    assert len(costs) == NUM_ROWS[-1]
    assert costs[0] == 1
    assert costs == sorted(costs)
    assert relative_costs(llama) is costs


def test_a_roofline_is_flat_and_then_a_line() -> None:
    costs = roofline(NUM_ROWS, [1.0, 0.98, 1.01, 1.1, 1.3, 1.7, 2.5])
    assert costs[:4] == [1.0] * 4
    assert [costs[n - 1] for n in NUM_ROWS[3:]] == pytest.approx([1.1, 1.3, 1.7, 2.5], abs=1e-6)
    assert costs[11] == pytest.approx(1.2)


def test_one_noisy_pass_of_few_rows_decides_nothing() -> None:
    quiet, noisy = ([1.0, few, few, 1.1, 1.3, 1.7, 2.5] for few in (1.0, 1.4))
    assert roofline(NUM_ROWS, quiet) == roofline(NUM_ROWS, noisy)


def test_one_row_costs_one_row_where_every_wider_pass_was_slow() -> None:
    costs = roofline(NUM_ROWS, [1.0, 1.4, 1.4, 1.5, 1.55, 1.7, 2.0])
    assert costs[0] == 1
    assert costs[1] > 1.3
    assert costs == sorted(costs)


def test_rows_are_never_cheaper_than_one() -> None:
    assert roofline([1, 2, 4, 8, 16], [1.0, 0.9, 0.8, 0.9, 0.8]) == [1.0] * 16


@pytest.mark.parametrize("num_rows", [[1], [1, 2], [1, 2, 4]])
def test_a_short_context_has_few_measured_numbers(num_rows: list[int]) -> None:
    costs = roofline(num_rows, [1.0, 1.5, 2.5][: len(num_rows)])
    assert len(costs) == num_rows[-1]
    assert costs == sorted(costs)
    assert costs[0] >= 1
