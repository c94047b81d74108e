"""A race folded from what happens: each lane as a run, its baseline found."""

from __future__ import annotations

from dataclasses import replace

from stored import session

from specviz.race.fold import RaceState
from specviz.showing.fold import ViewState
from specviz.showing.notices import Lane


def test_a_plain_lane_that_may_not_be_compared_gives_way_to_the_plain_run_beside_the_lane() -> None:
    other, own = tuple(session("p", method="plain", prompt_ids=(9,))), tuple(session("q", method="plain"))
    lanes = (Lane("plain", {}), Lane("draft_model", {}))
    fast = ViewState(events=tuple(session("f")), plain_events=own)
    assert RaceState(lanes=lanes, views=(ViewState(events=other), fast)).baseline(1) == own
    assert RaceState(lanes=lanes, views=(ViewState(events=own), fast)).baseline(1) == own
    assert RaceState(lanes=lanes, views=(ViewState(events=other), replace(fast, plain_events=()))).baseline(1) == ()
