"""Acceptance over the runs of a bench: pooled by step, and the mean of the runs' own."""

from __future__ import annotations

import pytest

from engine.bench import report
from engine.bench.acceptance import of_turns
from engine.events import Emitted, Event, Node, Stepped
from tests.engine.bench.cells import cell


def step(num_nodes: int, num_accepted: int) -> Stepped:
    nodes = tuple(Node(1, "a", i - 1, "accepted" if i < num_accepted else "rejected") for i in range(num_nodes))
    emitted = (*[Emitted(1, "a", "accepted", node=i) for i in range(num_accepted)], Emitted(2, "b", "correction"))
    return Stepped(0, 0, nodes, tuple(range(num_accepted)), emitted, 1, 1, 1, 1, 1, 9)


def test_the_turns_of_a_run_count_together() -> None:
    first: list[Event] = [step(2, 2), step(1, 0)]
    assert of_turns((first, [step(3, 1)])) == {"acceptance_histogram": [1, 1, 1, 0], "num_draft_tokens": 6}
    assert of_turns(([step(0, 0)],)) == {"acceptance_histogram": [], "num_draft_tokens": 0}
    assert of_turns(()) == {}, "a peer does not say"


def test_a_long_run_weighs_more_in_the_pool_and_not_in_the_mean_of_runs() -> None:
    """One step that accepted 2 of 2; three steps of which one accepted 1, of 3 drafted."""
    counts: list[tuple[list[int], int]] = [([0, 0, 1], 2), ([2, 1], 3)]
    ours = [
        cell("fast", 1.0, prompt_index=i, acceptance_histogram=histogram, num_draft_tokens=num)
        for i, (histogram, num) in enumerate(counts)
    ]
    plain = [cell("plain", 1.0, prompt_index=i, acceptance_histogram=[], num_draft_tokens=0) for i in range(2)]
    rows = {row.method: row for row in report.to_rows([*ours, *plain])}
    fast = rows["fast"]
    assert fast.mean_acceptance_length == 1 + 3 / 4
    assert fast.mean_acceptance_length_per_run == pytest.approx((3 + 4 / 3) / 2)
    assert fast.draft_acceptance_rate == 3 / 5
    assert fast.acceptance_histogram == [2, 1, 1]
    assert fast.joint_acceptance_rates == [2 / 4, 1 / 4]
    assert fast.conditional_acceptance_rates == [2 / 4, 1 / 2]
    assert rows["plain"].mean_acceptance_length is None
    assert rows["plain"].joint_acceptance_rates is None


def test_cells_of_a_former_version_have_no_acceptance() -> None:
    rows = report.to_rows([cell("plain", 1.0), cell("fast", 1.0)])
    assert {row.acceptance_histogram for row in rows} == {None}
