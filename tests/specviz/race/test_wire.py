"""What is sent to a page of a race: every number under its own name, charts while nobody is timed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from racing import Racer, contenders, methods, raced, row, run_all
from scripted import ScriptedDevice, ScriptedRecorder, started
from scripted_kinds import HOSTILE, hostile_device
from stored import STEP

from engine.events import SessionFinished
from specviz.decoding.session import Sessions
from specviz.race import board
from specviz.race.course import course
from specviz.race.fold import RaceState, fold_all, fold_race
from specviz.race.wire import RaceStream
from specviz.showing import channel
from specviz.showing.notices import InLane, Lane, Racing


def lane(label: str, **fields: Any) -> board.Row:
    """Without speedup and verdict."""
    quiet = {"tokens_per_second": 20.0, "speedup": None, "verdict": "", "verdict_text": ""}
    return row(label, **(quiet | fields))


def test_deltas_and_a_snapshot_tell_the_same() -> None:
    device = hostile_device()
    lanes = contenders(device, depths=(2,))
    stream, state, taken = RaceStream(methods(device)), RaceState(), [[], []]  # type: ignore[var-annotated]
    for batch in Sessions(device, ScriptedRecorder()).perform(course(lanes), "v"):
        state = fold_all(state, batch)
        message = json.loads(stream.delta(state))
        for lane, new in zip(taken, message["lanes"], strict=False):
            lane += new
    last = json.loads(stream.snapshot(state))
    assert last["lanes"] == taken
    assert last["race"]["phase"] == "ended"
    assert [card["verdict"] for card in last["rows"]] == ["baseline", "✓ same text"]
    assert len(last["board"]["cells"][0]) == len(last["board"]["columns"])
    assert set(last["board"]["copies"]) == {"Markdown", "CSV", "LaTeX"}
    assert last["board"]["diffs"][0] is None
    shown = {token["t"] for step in last["lanes"][0] for token in step["k"]}
    assert shown == {word.replace("\ud800", "\\ud800") for word in HOSTILE}


def test_charts_grow_when_a_lane_has_run_and_never_while_one_is_timed() -> None:
    device = Racer()
    stream, state = RaceStream(methods(device)), RaceState()
    grown: list[dict[str, Any]] = []
    for happening in run_all(device, ScriptedRecorder(), contenders(device)):
        state = fold_all(state, [happening])
        message = json.loads(stream.delta(state))
        is_end = isinstance(happening, InLane) and isinstance(happening.happening, SessionFinished)
        assert ("charts" in message) == is_end
        grown += [message["charts"]] if is_end else []
    lines = [sum(len(series["x"]) > 1 for series in charts["tokens"]["series"]) for charts in grown]
    assert lines == [1, 2, 3, 4]
    last = json.loads(stream.snapshot(state))
    assert "charts" not in last
    assert {name: last["board"]["figures"][name] for name in ("tokens", "acceptance")} == grown[-1]


def test_a_page_that_comes_late_gets_the_charts_so_far() -> None:
    device = Racer()
    stream, state = RaceStream(methods(device)), RaceState()
    for happening in run_all(device, ScriptedRecorder(), contenders(device)):
        state = fold_all(state, [happening])
        if isinstance(happening, InLane) and isinstance(happening.happening, SessionFinished):
            break
    late = json.loads(stream.snapshot(state))
    assert set(late["charts"]) == {"tokens", "acceptance"}
    assert "board" not in late


def test_no_message_holds_a_tag_or_a_lone_surrogate() -> None:
    device = hostile_device()
    lanes = tuple(replace(lane, prompt="".join(HOSTILE)) for lane in contenders(device, depths=(2,)))
    stream, state = RaceStream(methods(device)), RaceState()
    for batch in Sessions(device, ScriptedRecorder()).perform(course(lanes), "v"):
        state = fold_all(state, batch)
    text = stream.snapshot(state)
    assert "<" not in text
    assert text.isascii()
    json.loads(text)["board"]["copies"]["CSV"].encode("utf-8")


def test_a_race_is_drawn_anew_where_something_has_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "DRAWN_EVERY_S", 1e9)
    stream, state = RaceStream({}), fold_race(RaceState(), Racing((Lane("plain", {}), Lane("m", {})), (0, 1), "g"))
    assert "rows" in json.loads(stream.delta(state))
    assert "rows" not in json.loads(stream.delta(state))
    state = fold_race(state, InLane(0, started()))
    assert "rows" in json.loads(stream.delta(state)), "a lane has begun"
    state = fold_race(state, InLane(0, STEP))
    assert "rows" not in json.loads(stream.delta(state)), "its rows take time from the run"
    monkeypatch.setattr(channel, "DRAWN_EVERY_S", -1.0)
    shown = json.loads(stream.delta(state))["rows"]
    assert [card["emitted"] for card in shown] == [3, 0]


def test_a_lanes_card_has_its_own_figures() -> None:
    methods = {method.name: method for method in ScriptedDevice().methods()}
    message = json.loads(RaceStream(methods).snapshot(raced()))
    plain, fast = message["rows"]
    assert (plain["label"], plain["turn"], plain["speedup"], plain["verdict"]) == (
        "Plain decoding",
        2,
        "1.00",
        "baseline",
    )
    assert (fast["label"], fast["turn"], fast["speedup"], fast["verdict"]) == ("draft_model", 1, "1.00", "✓ same text")
    assert (fast["emitted"], fast["limit"], fast["speed"], fast["seconds"]) == (4, 20, "51,948,051.9", "0.00")
    assert message["race"]["ids"] == ["p", "f"]
    assert message["board"]["diffs"] == [None, {"text": "No token differs. identical (4 tokens)", "tone": "good"}]
    assert [column["heading"] for column in message["board"]["columns"]][:3] == ["Method", "Ran as", "Tokens"]
    assert message["board"]["cells"][1][1:3] == ["1", "4"]


def test_the_steps_of_each_lane_stand_at_its_own_time() -> None:
    lanes = json.loads(RaceStream({}).snapshot(raced()))["lanes"]
    assert [[step["at"] for step in lane] for lane in lanes] == [[0.0, 0.0]] * 2, "nanoseconds"
    long = tuple(replace(step, target_ns=1_000_000 * (step.step + 1)) for step in raced().views[0].steps)
    state = raced()
    views = (replace(state.views[0], events=(*state.views[0].events[:2], *long)), state.views[1])
    first, _ = json.loads(RaceStream({}).snapshot(replace(state, views=views)))["lanes"]
    assert [step["at"] for step in first] == [1.0, 3.0]


def test_a_lanes_speedup_appears_when_the_plain_lane_has_ended() -> None:
    """Though nothing has happened in that lane since."""
    whole = raced()
    going_on = replace(whole.views[0], events=whole.views[0].events[:-1], phase="running")
    before = replace(whole, phase="racing", views=(going_on, whole.views[1]))
    stream = RaceStream({})
    assert json.loads(stream.delta(before))["rows"][1]["speedup"] == "–"
    assert json.loads(stream.delta(replace(whole, lanes=before.lanes)))["rows"][1]["speedup"] == "1.00"
