"""Each ratio has the numerator and denominator that it says it has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.definitions import DEFINITIONS
from engine.events import Counts, Emitted, Event, Node, Prefilled, SessionFinished, SessionStarted, Stepped
from engine.metrics import (
    Acceptance,
    Metrics,
    acceptance,
    acceptance_by_position,
    per_step,
    speedup,
    summarise,
    tally,
    time_per_token,
    wasted_drafts_per_token,
)
from engine.run_report import run_report

STARTED = SessionStarted("1", "", "p", (1, 2), "plain", {}, "exact", "m", "cpu", "float32", {"rule": "auto"}, {})
MS = 1_000_000


def step(number: int, num_nodes: int, num_accepted: int, *, is_cut: bool = False) -> Stepped:
    nodes = tuple(Node(1, "a", i - 1, "accepted" if i < num_accepted else "rejected") for i in range(num_nodes))
    emitted = [Emitted(1, "a", "accepted", node=i) for i in range(num_accepted)]
    emitted += [] if is_cut else [Emitted(2, "b", "correction")]
    times: dict[str, Any] = {"draft_ns": 2 * MS, "target_ns": 5 * MS, "verify_ns": MS, "commit_ns": MS, "host_ns": MS}
    return Stepped(number, 0, nodes, tuple(range(num_accepted)), tuple(emitted), kv_length=9, **times)


def run(method: str = "x", decode_ns: int = 40 * MS) -> list[Event]:
    steps = [step(0, 4, 4), step(1, 4, 0), step(2, 4, 1), step(3, 2, 2, is_cut=True)]
    counts = Counts(4, 14, 7, 10, 4)
    started = replace(STARTED, method=method)
    return [started, Prefilled(2, 7 * MS, 1), *steps, SessionFinished("eos", counts, decode_ns)]


def test_ratios_follow_their_definitions() -> None:
    metrics = summarise(run())
    assert metrics.block_efficiency == 10 / 4
    assert metrics.mean_accepted_length == 7 / 4
    assert metrics.acceptance_rate == 7 / 14
    assert metrics.tokens_per_second == pytest.approx(10 / 0.040)
    assert metrics.time_to_first_token_ms == pytest.approx(7 + 10)
    assert (metrics.draft_ms, metrics.target_ms, metrics.host_ms) == pytest.approx((8, 24, 8))


def test_counts_are_those_that_the_session_reports() -> None:
    events = run()
    finished = events[-1]
    assert isinstance(finished, SessionFinished)
    assert tally(events).counts == finished.counts
    assert tally(events).reached_depth == {1: 3, 2: 2, 3: 1, 4: 1}


def test_a_running_session_has_figures_and_an_empty_one_has_none() -> None:
    assert summarise(run()[:3]).tokens_per_second == pytest.approx(5 / 0.010)
    assert summarise([]) == Metrics(None, None, None, None, None, 0.0, 0.0, 0.0)


def test_plain_decoding_has_block_efficiency_one_and_no_acceptance_rate() -> None:
    metrics = summarise([STARTED, *(step(i, 0, 0) for i in range(3))])
    assert metrics.block_efficiency == 1
    assert metrics.acceptance_rate is None


def test_speedup_is_time_per_token_against_a_measured_plain_run() -> None:
    assert speedup(run("plain", 80 * MS), run("x", 40 * MS)) == pytest.approx(2.0)


def test_speedup_is_empty_where_the_runs_may_not_be_compared() -> None:
    plain, ours = run("plain"), run("x")
    assert speedup([], ours) is None
    assert speedup(ours, ours) is None
    others: dict[str, Any] = {"model": "n", "dtype": "bfloat16", "device": "cuda", "prompt_ids": (3,)}
    others["config"] = {"seed": 1}
    for changed in ({name: value} for name, value in others.items()):
        assert speedup(plain, [replace(STARTED, method="x", **changed), *ours[1:]]) is None
    unfinished = SessionFinished("stopped", Counts(), 40 * MS)
    assert speedup(plain, [*ours[:-1], unfinished]) is None
    assert speedup(plain, ours[:-1]) is None


def test_every_figure_has_a_definition_in_words() -> None:
    others = {"speedup", "wasted_drafts_per_token", "time_per_token_ms", "acceptance_by_position", "decode_ms"}
    counts = {"num_spec_steps", "num_accepted_draft_tokens", "num_draft_tokens"}
    told = run_report(run())
    servers = {*told["speculative_decoding"], *told["latency"]} - counts
    assert "memory_bytes" in told
    assert set(DEFINITIONS) == {*Metrics.__dataclass_fields__, *others, *servers, "memory_bytes"}


def test_acceptance_as_servers_name_it() -> None:
    """Accepted 4 of 4, 0 of 4, 1 of 4, 2 of 2 at the end of the text; one step without a draft does not count."""
    events = [*run()[:-1], step(4, 0, 0)]
    assert acceptance(events).to_dict() == {
        "mean_acceptance_length": 1 + 7 / 4,
        "draft_acceptance_rate": 7 / 14,
        "acceptance_histogram": [1, 1, 1, 0, 1],
        "joint_acceptance_rates": [3 / 4, 2 / 4, 1 / 4, 1 / 4],
        "conditional_acceptance_rates": [3 / 4, 2 / 3, 1 / 2, 1 / 1],
        "num_spec_steps": 4,
        "num_accepted_draft_tokens": 7,
        "num_draft_tokens": 14,
    }
    assert per_step(events) == {"per_step_accepted": [4, 0, 1, 2], "per_step_drafted": [4, 4, 4, 2]}


def test_positions_that_were_drafted_and_never_reached_are_told_as_such() -> None:
    found = acceptance([step(0, 3, 0), step(1, 2, 1)])
    assert found.acceptance_histogram == (1, 1, 0, 0)
    assert found.joint_acceptance_rates == [1 / 2, 0, 0]
    assert found.conditional_acceptance_rates == [1 / 2, 0, None]
    plain = acceptance([STARTED, step(0, 0, 0)])
    assert plain == Acceptance()
    assert (plain.mean_acceptance_length, plain.joint_acceptance_rates) == (None, [])


def test_events_that_cannot_be_are_counted_all_the_same() -> None:
    """A store takes what it is given: a parent that is not there, more accepted than was drafted."""
    odd = replace(step(0, 1, 0), nodes=(Node(1, "a", 7, "rejected"),))
    more = replace(step(1, 1, 0), emitted=step(1, 2, 2).emitted)
    assert acceptance([odd, more]).acceptance_histogram == (1, 0, 1)


def test_requests_are_pooled_step_by_step() -> None:
    first, second = acceptance([step(0, 1, 1)]), acceptance([step(0, 3, 0), step(1, 3, 2)])
    pooled = sum((first, second), start=Acceptance())
    assert (pooled.acceptance_histogram, pooled.num_draft_tokens) == ((1, 1, 1, 0), 7)
    assert pooled.mean_acceptance_length == 1 + 3 / 3
    assert (first.mean_acceptance_length, second.mean_acceptance_length) == (2, 2)


def test_acceptance_by_position_counts_only_steps_that_drafted_so_deep() -> None:
    found = acceptance_by_position(run())
    assert [(place.depth, place.num_drafted, place.num_accepted) for place in found] == [
        (1, 4, 3),
        (2, 4, 2),
        (3, 3, 1),
        (4, 3, 1),
    ]
    assert found[0].share == 3 / 4
    assert acceptance_by_position([STARTED]) == []


def test_what_was_drafted_behind_the_end_of_a_text_counts_as_not_drafted() -> None:
    found = acceptance_by_position([step(0, 4, 4), step(1, 4, 1, is_cut=True), step(2, 3, 3, is_cut=True)])
    assert [(place.num_drafted, place.num_accepted) for place in found] == [(3, 3), (2, 2), (2, 2), (1, 1)]


def test_waste_and_time_are_per_emitted_token() -> None:
    total = tally(run())
    assert wasted_drafts_per_token(total) == 7 / 10
    split = time_per_token(total)
    assert split is not None
    assert (split.draft_ms, split.target_ms, split.host_ms) == pytest.approx((0.8, 2.4, 0.8))
    assert wasted_drafts_per_token(tally([STARTED])) is None
    assert time_per_token(tally([STARTED])) is None
