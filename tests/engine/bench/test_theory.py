"""What a bench expects: speedups from costs, and how long it will take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import TableTarget

from engine import bench
from engine.bench import estimate
from engine.bench.runner import Cell, Plan, Skipped
from engine.bench.theory import Work, chain_speedup, theory
from engine.config import GenerationConfig
from engine.events import SessionFinished, SessionStarted
from engine.suites import Question

PLAIN = Work(num_emitted=100, target_passes=100, draft_ms=0.0, target_ms=1000.0)
QUESTIONS = [Question("letters", (prompt,)) for prompt in ("ab", "cde", "aa")]
CONFIG = GenerationConfig(max_new_tokens=6, has_detail=False)
ASKED = Plan({"prompt_lookup": {}}, QUESTIONS, CONFIG, num_repeats=2)


def cell(method: str, index: int, repeat: int, seconds: float = 2.0) -> Cell:
    return Cell("letters", "", index, repeat, method, 1, 4, seconds, 4, 0.0, 1.0, 0.0, True)


@given(st.floats(0.0, 0.99), st.integers(1, 12), st.floats(0.0, 0.5))
def test_theory_is_theorem_3_8_where_its_model_holds(acceptance: float, length: int, cost: float) -> None:
    """A chain whose drafts are accepted independently, over a target whose wide passes cost no more."""
    per_pass = sum(acceptance**k for k in range(length + 1))
    passes = 1_000_000
    ours = Work(round(per_pass * passes), passes, draft_ms=passes * length * cost * 10.0, target_ms=passes * 10.0)
    found = theory(ours, PLAIN)
    assert found is not None
    assert found.expected_speedup == pytest.approx(chain_speedup(acceptance, length, cost), rel=1e-5)
    assert found.relative_pass_cost == pytest.approx(1.0)
    assert found.relative_draft_cost == pytest.approx(length * cost)


def test_wide_passes_and_drafts_take_their_share() -> None:
    found = theory(Work(300, 100, draft_ms=500.0, target_ms=1500.0), PLAIN)
    assert found is not None
    assert (found.relative_pass_cost, found.relative_draft_cost, found.expected_speedup) == (1.5, 0.5, 1.5)
    assert theory(PLAIN, PLAIN).expected_speedup == 1.0  # type: ignore[union-attr]
    assert theory(Work(0, 0, 0.0, 0.0), PLAIN) is None


def test_every_run_of_a_bench_is_counted_before_its_start() -> None:
    assert estimate.num_runs(ASKED) == 6 * 3 + 2  # six rounds of two and a reference, and a warm-up of two
    speeds = {"plain": 0.1, "prompt_lookup": 0.05}
    assert estimate.seconds_before(ASKED, speeds) == pytest.approx(6 * (6 * 0.25 + 0.15))
    assert estimate.seconds_before(ASKED, {"plain": 0.1}) == pytest.approx(6 * (6 * 0.3 + 0.2)), "unknown: as plain"


def test_what_is_left_goes_on_as_it_went() -> None:
    assert estimate.seconds_left(ASKED, []) is None
    done = [cell("plain", 0, 0), cell("prompt_lookup", 0, 0, seconds=1.0)]
    assert estimate.seconds_left(ASKED, done) == pytest.approx(5 * (2.0 + 2.0 + 1.0))
    skipped = Skipped("letters", "", 1)
    assert estimate.seconds_left(ASKED, [*done, skipped]) == pytest.approx(3 * 5.0)
    everything = [cell(m, i, r) for m in ("plain", "prompt_lookup") for i in range(3) for r in range(2)]
    assert estimate.seconds_left(ASKED, everything) == 0.0


def test_an_observer_sees_each_timed_run_with_its_events(table_target: TableTarget) -> None:
    seen = []
    cells = list(bench.run(table_target, ASKED, observe=lambda cell, sessions: seen.append((cell, sessions))))
    assert [found for found, _ in seen] == cells
    for found, (events,) in seen:
        first, last = events[0], events[-1]
        assert isinstance(first, SessionStarted)
        assert isinstance(last, SessionFinished)
        assert (first.method, last.counts.emitted) == (found.method, found.num_emitted)
    assert len({sessions[0][0].session_id for _, sessions in seen}) == len(cells)
