"""The race that comes with the program: small, whole, and named as what it is."""

from __future__ import annotations

import json

import gradio as gr
import pytest
from scripted import ScriptedDevice

from engine.metrics import speedup, summarise
from specviz import ASSETS
from specviz.decoding.session import Sessions
from specviz.pages import recorded_race
from specviz.pages.compare import Compare
from specviz.pages.inspector import Inspector
from specviz.race.fold import RaceState, fold_all
from specviz.showing.channel import Streams
from specviz.store import Store, UnknownRun


def test_it_is_small_and_its_lossless_lanes_are_identical() -> None:
    assert (ASSETS / "race.jsonl").stat().st_size < 300_000
    plain, *others = recorded_race.copies()
    assert plain.started.method == "plain"
    assert len(others) >= 2
    assert {(copy.audit or {}).get("verdict") for copy in others} == {"identical"}
    assert {copy.baseline_run_id for copy in others} == {plain.run_id}


def test_no_lane_is_quicker_than_its_tokens_a_pass_allow() -> None:
    """A pass over a draft costs no less than one over a token: more would be other work on the machine, measured."""
    plain, *others = recorded_race.copies()
    for copy in others:
        faster = speedup(plain.events, copy.events)
        assert faster is not None
        assert faster <= 1.05 * (summarise(copy.events).block_efficiency or 0)


def test_compare_shows_it_as_a_recording_with_its_own_figures(store: Store) -> None:
    compare = Compare(Sessions(ScriptedDevice(), store), store, Streams())
    shown = json.loads(compare.open(recorded_race.ID))
    first = recorded_race.copies()[0].started
    told = shown["race"]["recorded"]
    for word in ("A recording, not a run of this machine", first.model, first.machine["processor"], "press Race"):
        assert word in told
    assert [row["turn"] for row in sorted(shown["rows"], key=lambda row: row["turn"])] == [1, 2, 3, 4]
    assert shown["race"]["ids"] == [copy.run_id for copy in recorded_race.copies()]
    assert shown["board"]["cells"]
    assert store.list_runs() == [], "nothing of it is among the saved runs"


def test_a_page_that_joins_nothing_is_offered_it_and_a_link_to_it_opens_it(store: Store) -> None:
    """What is offered takes no race's place on the page; what was asked for does."""
    compare = Compare(Sessions(ScriptedDevice(), store), store, Streams())
    (offered, *_), *others = compare.join(gr.EventData(None, {"ids": ""}), gr.Request())
    assert json.loads(offered)["isOffer"] is True
    assert others == []
    assert "isOffer" not in json.loads(compare.open(recorded_race.ID))


def test_nobody_is_said_to_have_imported_it() -> None:
    state = fold_all(RaceState(), recorded_race.happenings())
    assert not any(view.is_claim for view in state.views)


def test_its_lanes_open_in_the_inspector(store: Store) -> None:
    run_id = recorded_race.copies()[1].run_id
    assert len(json.loads(Inspector(store).read(run_id))["steps"]) > 10
    assert "There is no run 'nobody'" in json.loads(Inspector(store).read("nobody"))["alert"]
    with pytest.raises(UnknownRun):
        recorded_race.events("nobody")
