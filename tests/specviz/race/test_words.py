"""A race in words: its state, verdicts, where texts part, its end."""

from __future__ import annotations

from typing import Any

import pytest
from racing import row
from scripted import started, stepped

from specviz.race import board, words
from specviz.race.divergence import divergence
from specviz.race.fold import RaceState, fold_race
from specviz.showing.notices import InLane, Lane, Preparing, Racing, Waiting


def lane(label: str, **fields: Any) -> board.Row:
    """Without speedup and verdict."""
    quiet = {"tokens_per_second": 20.0, "speedup": None, "verdict": "", "verdict_text": ""}
    return row(label, **(quiet | fields))


ENDED = RaceState("ended")


def test_the_fastest_lane_is_named() -> None:
    rows = [
        lane("plain", method="plain"),
        lane("slow", speedup=0.5),
        lane("fast", speedup=2.25),
        lane("also", speedup=2.0),
    ]
    assert words.status_text(ENDED, rows) == "Finished: fast was fastest, 2.25 × plain decoding."
    rows.append(lane("bad", problem="It broke."))
    assert words.status_text(ENDED, rows).endswith("× plain decoding. 1 of 5 lanes failed.")
    assert words.status_text(ENDED, [rows[0], rows[-1]]) == "Finished: 2 lanes. 1 of 2 lanes failed."


def test_a_speedup_beyond_the_tokens_a_pass_is_doubted() -> None:
    rows = [lane("fair", speedup=2.0, block_efficiency=2.0), lane("strange", speedup=5.69, block_efficiency=2.47)]
    (sentence,) = words.doubts(rows)
    assert sentence.startswith("strange is 5.69 × plain decoding with 2.47 tokens a pass: drafting alone gives no more")


def test_a_race_says_which_lane_is_on_the_device() -> None:
    lanes = (Lane("plain", {}), Lane("scripted", {}))
    state = fold_race(fold_race(RaceState(), Waiting(1)), Racing(lanes, (1, 0), "g"))
    rows = [lane("first", turn=2), lane("second", turn=1)]
    assert words.status_text(fold_race(RaceState(), Waiting(1)), []) == "Number 1 in the queue: one run is going on."
    assert words.status_text(fold_race(RaceState(), Preparing("x")), []) == "x …"
    assert words.status_text(state, rows) == "The next lane is being warmed up …"
    state = fold_race(state, InLane(1, Preparing("Loading toy")))
    assert words.status_text(state, rows) == "Loading toy …"
    state = fold_race(state, InLane(1, started()))
    assert (state.going_on, words.status_text(state, rows)) == (1, "Lane 1 of 2: second, alone on the device")
    assert words.order_text(state, rows).startswith(
        "Run one after another, each alone, in an order drawn by lot: second, first."
    )
    assert (state.turn(0), state.turn(1), words.order_text(ENDED, rows)) == (2, 1, "")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"verdict": "identical"}, ("✓ same text", "good")),
        ({"verdict": "near-tie"}, ("near-tie", "fair")),
        ({"verdict": "DIFFERENT"}, ("DIFFERENT", "bad")),
        ({"verdict": "DIFFERENT", "guarantee": "lossy"}, ("differs (lossy)", "fair")),
        ({"verdict": "not auditable"}, ("not auditable", "")),
        ({"verdict": "identical", "method": "plain"}, ("baseline", "")),
        ({"problem": "x", "phase": "failed", "emitted": 3}, ("failed", "bad")),
        ({"problem": "x", "phase": "failed", "emitted": 0}, ("not run", "bad")),
        ({}, ("", "")),
    ],
)
def test_a_lanes_verdict_has_its_words(fields: dict[str, Any], said: tuple[str, str]) -> None:
    assert words.verdict(lane("a", **fields)) == said


def test_a_divergence_says_where() -> None:
    assert words.divergence_text(lane("a", verdict_text="identical (4 tokens)"), None) == (
        "No token differs. identical (4 tokens)"
    )
    found = divergence([started(), stepped(0, ["a", "b", "c"])], [started(), stepped(0, ["a", "b"])])
    assert found is not None
    assert (found.position, found.plain.token_id, found.run.token_id) == (1, 101, 200)
    text = words.divergence_text(lane("a", verdict="near-tie", verdict_text="near-tie at token 1."), found)
    assert text.startswith("Token 1 is the first that differs. near-tie at token 1. The two scores are closer than")
    assert ".." not in text
    side = words.side(found.run)
    assert (side["id"], side["step"], side["t"], side["following"]) == (200, 0, "b", "")


def test_the_end_of_a_race_is_said_lane_by_lane() -> None:
    rows = [
        lane("plain", method="plain"),
        lane("fast", speedup=2.0, tokens_per_second=40.0),
        lane("bad", problem="Broke"),
    ]
    assert words.spoken_text(ENDED, rows) == (
        "Finished: fast was fastest, 2.00 × plain decoding. 1 of 3 lanes failed. plain: 20.0 tokens per second. "
        "fast: 40.0 tokens per second, 2.00 times plain. bad: Broke"
    )


@pytest.mark.parametrize(
    ("verdict", "guarantee", "says"),
    [
        ("near-tie", "exact", "closer than rounding"),
        ("lossy", "lossy", "This method is lossy"),
        ("DIFFERENT", "lossy", "This method is lossy"),  # as former versions stored it
        ("DIFFERENT", "exact", "this is an error"),
        ("not auditable", "exact", "the same distribution"),
    ],
)
def test_a_divergence_is_explained_by_its_cause(verdict: str, guarantee: str, says: str) -> None:
    found = divergence([started(), stepped(0, ["a", "b", "c"])], [started(), stepped(0, ["a", "b"])])
    assert says in words.divergence_text(lane("a", verdict=verdict, guarantee=guarantee), found)
