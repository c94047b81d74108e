"""What a session counts."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from toys import (
    ScriptedDrafter,
    Table,
    TableTarget,
    finished,
    greedy_text,
    output_ids,
    random_trees,
    right,
    steps_of,
    wrong,
)

from engine.config import GenerationConfig
from engine.drafters.base import Context
from engine.loop import generate
from engine.tree import DraftTree, chain
from tests.engine.loop.sessions import PROMPT, nothing, run


@given(st.integers(0, 10_000))
def test_counts_are_the_sums_over_the_steps(seed: int) -> None:
    target = TableTarget(Table(4, seed))
    truth = greedy_text(target, PROMPT, 30)
    events = run(target, random_trees(4, seed, truth=truth), GenerationConfig(max_new_tokens=30))
    counts, steps = finished(events).counts, steps_of(events)
    assert counts.steps == counts.target_passes == len(steps) <= counts.emitted
    assert counts.emitted == sum(len(step.emitted) for step in steps) == 30
    assert counts.proposed == sum(len(step.nodes) for step in steps)
    assert counts.accepted == sum(len(step.path) for step in steps)
    num_before = len(PROMPT)
    for number, step in enumerate(steps):
        is_last = number == len(steps) - 1
        depths = DraftTree(tuple(n.token_id for n in step.nodes), tuple(n.parent for n in step.nodes)).depths
        assert step.step == number
        assert 1 <= len(step.emitted) <= max(depths, default=0) + 1
        assert len(step.emitted) == len(step.path) + 1 or is_last
        assert sum(node.status == "accepted" for node in step.nodes) == len(step.path)
        num_before += len(step.emitted)
        assert step.kv_length == num_before - (len(step.emitted) == len(step.path) + 1)


def test_no_draft_costs_exactly_one_pass_a_token(table_target: TableTarget) -> None:
    events = run(table_target, nothing, GenerationConfig(max_new_tokens=7))
    assert finished(events).counts.target_passes == table_target.num_passes == 7
    assert {token.origin for step in steps_of(events) for token in step.emitted} == {"plain"}


def test_a_drafter_that_is_always_right_needs_a_pass_per_depth_plus_one(table_target: TableTarget) -> None:
    truth = greedy_text(table_target, PROMPT, 20)
    events = run(table_target, right(truth, depth=4), GenerationConfig(max_new_tokens=20))
    assert [len(step.emitted) for step in steps_of(events)] == [5, 5, 5, 5]
    assert [token.origin for token in steps_of(events)[0].emitted] == ["accepted"] * 4 + ["bonus"]


def test_a_drafter_that_is_always_wrong_costs_passes_and_changes_nothing(table_target: TableTarget) -> None:
    truth = greedy_text(table_target, PROMPT, 10)
    events = run(table_target, wrong(truth, 5), GenerationConfig(max_new_tokens=10))
    assert output_ids(events) == truth[len(PROMPT) :]
    assert finished(events).counts.accepted == 0
    origins = [token.origin for step in steps_of(events) for token in step.emitted]
    assert origins == ["correction"] * 9 + ["plain"]  # no draft for the last token: nothing could follow


def test_a_drafter_is_told_what_was_emitted_and_nothing_else(table_target: TableTarget) -> None:
    truth = greedy_text(table_target, PROMPT, 12)
    drafter = ScriptedDrafter(random_trees(5, 3, truth=truth))
    list(generate(table_target, drafter, PROMPT, GenerationConfig(max_new_tokens=12)))
    assert list(itertools.chain(*(emitted for _, emitted in drafter.observed))) == truth[len(PROMPT) :]


def test_a_draft_beyond_budget_or_limit_is_cut_by_place_and_depth(table_target: TableTarget) -> None:
    truth = greedy_text(table_target, PROMPT, 9)

    def greedy_drafter(context: Context, budget: int) -> DraftTree:
        return chain([*truth[len(context.ids) :], *[0] * 500])

    events = run(table_target, greedy_drafter, GenerationConfig(max_new_tokens=9))
    assert output_ids(events) == truth[len(PROMPT) :]
    assert [len(step.nodes) for step in steps_of(events)] == [8]
