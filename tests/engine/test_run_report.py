"""How a run's times are spread, and where its acceptance says that something is wrong."""

from __future__ import annotations

import pytest

from engine.events import Emitted, Event, Stepped
from engine.metrics import Acceptance
from engine.run_report import FEWEST_STEPS, is_beyond_drafting, latency, notices

MS = 1_000_000


def step(ms: int, num_tokens: int) -> Stepped:
    """Of so many milliseconds, one of each phase but the target pass."""
    emitted = (Emitted(1, "a", "plain"),) * num_tokens
    return Stepped(0, 0, (), (), emitted, MS, (ms - 4) * MS, MS, MS, MS, 9)


def test_percentiles_of_a_step_and_of_a_token() -> None:
    """Steps of 10, 20, 30 ms; the last emitted three tokens."""
    told = latency([step(10, 1), step(30, 3), step(20, 1)])
    assert told["step_time_ms"] == pytest.approx({"p50": 20, "p90": 28, "p99": 29.8})
    assert told["token_time_ms"] == pytest.approx({"p50": 10, "p90": 16, "p99": 19.6})


def test_speed_over_time_goes_by_sixteen_steps() -> None:
    events: list[Event] = [*[step(10, 2)] * 16, *[step(20, 1)] * 4]
    assert latency(events)["tokens_per_second_over_time"] == [pytest.approx([0.16, 200]), pytest.approx([0.24, 50])]


def test_a_run_without_steps_has_no_spread() -> None:
    assert latency([]) == {"step_time_ms": None, "token_time_ms": None, "tokens_per_second_over_time": []}


@pytest.mark.parametrize(
    ("histogram", "says"),
    [
        ((24, 1), "Hardly a draft is accepted (mean acceptance length 1.04, first position 4.0 %, 25 steps"),
        ((96, 0, 4), "Hardly a draft is accepted (mean acceptance length 1.08, first position 4.0 %, 100 steps"),
        ((94, 6), "Drafting gains little here (mean acceptance length 1.06, first position 6.0 %, 100 steps"),
        ((18, 2), ""),
        ((FEWEST_STEPS - 1, 0), ""),
        ((), ""),
    ],
)
def test_acceptance_that_says_that_something_is_wrong(histogram: tuple[int, ...], says: str) -> None:
    assert [told.split(" with a draft")[0] for told in notices(Acceptance(histogram, 99))] == [says] * bool(says)


@pytest.mark.parametrize(
    ("speedup", "efficiency", "is_beyond"),
    [(2.7, 2.5, True), (2.6, 2.5, False), (0.9, 1.0, False), (None, 2.0, False), (2.0, None, False)],
)
def test_no_draft_is_worth_more_than_its_tokens_a_pass(
    speedup: float | None, efficiency: float | None, is_beyond: bool
) -> None:
    """Five percent are allowed for: two runs by themselves differ by less."""
    assert is_beyond_drafting(speedup, efficiency) is is_beyond
