"""How a race is run: an order by lot, a warm-up as the lane itself, lanes that fail alone, one group."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from racing import Racer, contenders, methods, run_all
from scripted import ScriptedDevice, ScriptedRecorder
from scripted_kinds import ClockedDevice, Watched

from engine.errors import RunFailed
from engine.events import Event, SessionFinished, SessionStarted, Stepped
from specviz.decoding.device import Request
from specviz.decoding.session import Sessions
from specviz.race import board, words
from specviz.race.course import NOT_RUN, WARM_UP_TOKENS, course
from specviz.race.fold import RaceState, fold_all
from specviz.showing.notices import Auditing, Happening, InLane, Preparing, Racing, Unsaved
from specviz.store import StoreError


def racing(happenings: list[Happening]) -> Racing:
    return next(happening for happening in happenings if isinstance(happening, Racing))


class Deskless:
    """Catches the race's first word."""

    def __init__(self) -> None:
        self.order: tuple[int, ...] = ()
        self.store = ScriptedRecorder()

    def put(self, happening: Happening) -> None:
        if isinstance(happening, Racing):
            self.order = happening.order
            raise StopIteration


def test_the_order_is_drawn_anew_for_each_race() -> None:
    """Twenty races of four lanes alike by chance: once in 10²⁶."""
    lanes, orders = contenders(ScriptedDevice()), set()
    for _ in range(20):
        desk = Deskless()
        with pytest.raises(StopIteration):
            course(lanes).do(desk)  # type: ignore[arg-type]
        assert sorted(desk.order) == [0, 1, 2, 3]
        orders.add(desk.order)
    assert len(orders) > 1


def test_each_lane_runs_in_its_place_of_the_order() -> None:
    device = Watched()
    for seed in range(5):
        device.asked_for.clear()
        order = racing(run_all(device, ScriptedRecorder(), contenders(device), seed)).order
        measured = [request.options.get("depth") for request, _ in device.asked_for[1::2]]
        assert measured == [(None, 2, 3, 4)[place] for place in order]


def test_a_warm_up_is_the_lane_itself_but_shorter() -> None:
    device, recorder = Watched(), ScriptedRecorder()
    run_all(device, recorder, contenders(device, temperature=0.8, seed=5))
    lengths = [sum(len(e.emitted) for e in run if isinstance(e, Stepped)) for run in recorder.runs.values()]
    assert lengths == [30] * 4, "nobody keeps the warm-ups"
    for (warm, warm_id), (measured, run_id) in zip(device.asked_for[::2], device.asked_for[1::2], strict=True):
        assert warm == replace(measured, config=replace(measured.config, max_new_tokens=WARM_UP_TOKENS))
        assert warm_id != run_id, "nobody keeps it under the lane's id"


def test_a_race_reads_its_prompt_once_and_the_next_one_anew() -> None:
    """Lanes that each asked a template with a clock in it would race on texts that differ."""
    device = ClockedDevice()
    for tick in (1, 2):
        recorder = ScriptedRecorder()
        run_all(device, recorder, contenders(device))
        begun = [event for run in recorder.runs.values() for event in run if isinstance(event, SessionStarted)]
        assert [started.prompt_ids for started in begun] == [(tick,)] * 4


def test_a_warm_up_is_never_longer_than_the_run() -> None:
    device = Watched()
    run_all(device, ScriptedRecorder(), contenders(device, (2,), max_new_tokens=5))
    assert [request.config.max_new_tokens for request, _ in device.asked_for] == [5] * 4


def test_every_lane_is_held_against_the_plain_one_and_has_its_own_verdict() -> None:
    device, recorder = Watched(), ScriptedRecorder()
    seen = run_all(device, recorder, contenders(device))
    state = fold_all(RaceState(), seen)
    found = [view.audit.verdict if view.audit else None for view in state.views]
    assert found == [None, "plain 2", "plain 3", "plain 4"]
    ids = [lane.run_id for lane in state.lanes]
    assert recorder.baselines == dict.fromkeys(ids[1:], ids[0])
    assert [recorder.audits[run_id]["verdict"] for run_id in ids[1:]] == ["plain 2", "plain 3", "plain 4"]
    assert [view.started.session_id for view in state.views if view.started] == ids


@pytest.mark.parametrize("reason", ["stopped", "timeout", "failed"])
@pytest.mark.parametrize("cut", ["plain", "scripted"])
def test_what_was_cut_short_is_not_judged(cut: str, reason: str) -> None:
    device, recorder = Watched(cut=cut, reason=reason), ScriptedRecorder()
    seen = run_all(device, recorder, contenders(device, (2,)))
    assert (recorder.audits, recorder.baselines) == ({}, {})
    assert not any(isinstance(happening, InLane) and isinstance(happening.happening, Auditing) for happening in seen)
    state = fold_all(RaceState(), seen)
    rows = board.rows(state, {})
    assert [row.speedup for row in rows] == [None, None]
    assert state.views[0 if cut == "plain" else 1].phase == ("failed" if reason == "failed" else "stopped")


def test_a_race_that_is_stopped_in_the_middle_runs_no_further_lane() -> None:
    device, recorder = Watched(), ScriptedRecorder()
    sessions, seen = Sessions(device, recorder), list[Happening]()
    generate = device.generate

    def stopping(*given: Any) -> Iterator[Event]:
        if len(device.asked_for) == 3:  # the second lane is about to be measured
            sessions.stop("v")
        return generate(*given)

    device.generate = stopping  # type: ignore[method-assign]
    for batch in sessions.perform(course(contenders(device), random.Random(1)), "v"):
        seen += batch
    state = fold_all(RaceState(), seen)
    problems = [state.views[place].alert for place in state.order]
    assert problems[2:] == [NOT_RUN, NOT_RUN]
    assert problems[0] == ""
    assert len(recorder.runs) == 2
    rows = board.rows(state, {})
    assert words.status_text(state, rows) == "Stopped. What was decoded is kept."
    stored = next(iter(recorder.groups.values()))["lanes"]
    assert [stored[place]["problem"] for place in state.order[2:]] == [NOT_RUN, NOT_RUN]


def test_a_lane_says_what_it_makes_ready_once() -> None:
    device = Watched()
    seen = run_all(device, ScriptedRecorder(), contenders(device))
    texts = [h.happening.text for h in seen if isinstance(h, InLane) and isinstance(h.happening, Preparing)]
    assert sorted(texts) == ["Loading toy and warming up plain", "Loading toy and warming up scripted"]


def test_methods_begin_in_the_order_that_is_told() -> None:
    """Of the first events too, whatever the lanes' places."""
    device = Watched()
    seen = run_all(device, ScriptedRecorder(), contenders(device), 4)
    begun = [h.place for h in seen if isinstance(h, InLane) and isinstance(h.happening, SessionStarted)]
    assert tuple(begun) == racing(seen).order


def test_no_lane_begins_before_the_one_before_it_has_ended() -> None:
    device = Racer()
    seen = run_all(device, ScriptedRecorder(), contenders(device))
    kinds = [type(h.happening) for h in seen if isinstance(h, InLane)]
    turns = [kind for kind in kinds if kind in (SessionStarted, SessionFinished)]
    assert turns == [SessionStarted, SessionFinished] * 4


def test_the_runs_are_one_group_that_knows_lanes_and_order() -> None:
    device, store = Racer(), ScriptedRecorder()
    seen = run_all(device, store, contenders(device))
    group_id, order = racing(seen).group_id, racing(seen).order
    group = store.groups[group_id]
    assert (group["kind"], group["title"]) == ("comparison", "Tell a story.")
    assert tuple(group["order"]) == order
    assert [lane["method"] for lane in group["lanes"]] == ["plain", "scripted", "scripted", "scripted"]
    assert {lane["run_id"] for lane in group["lanes"]} == set(store.runs)
    assert set(store.members.values()) == {group_id}


def test_a_lane_that_fails_says_why_and_the_others_go_on() -> None:
    device, store = Racer(bad_depth=3), ScriptedRecorder()
    seen = run_all(device, store, contenders(device))
    state = fold_all(RaceState(), seen)
    assert [view.phase for view in state.views] == ["finished", "finished", "failed", "finished"]
    rows = board.rows(state, methods(device))
    assert rows[2].problem == "This depth breaks the scripted device."
    assert rows[2].speedup is None
    assert words.verdict(rows[2]) == ("not run", "bad")
    assert rows[3].speedup is not None
    problems = [lane["problem"] for lane in next(iter(store.groups.values()))["lanes"]]
    assert problems == [None, None, "This depth breaks the scripted device.", None]


def test_a_lane_that_breaks_in_the_middle_is_stored_as_failed() -> None:
    device, store = ScriptedDevice(), ScriptedRecorder()
    lanes = contenders(device, depths=(2,))
    generate = device.generate

    def breaking(request: Request, *rest: Any) -> Iterator[Event]:
        device.broken_at = 4 if request.method == "scripted" and request.config.max_new_tokens == 30 else None
        return generate(request, *rest)

    device.generate = breaking  # type: ignore[method-assign]
    state = fold_all(RaceState(), run_all(device, store, lanes))
    (row,) = board.rows(state, methods(device))[1:]
    assert row.problem == "The scripted device broke."
    assert row.emitted == 12
    assert words.verdict(row) == ("failed", "bad")
    last = next(run[-1] for run in store.runs.values() if len(run) < 10)
    assert isinstance(last, SessionFinished)
    assert last.reason == "failed"


def test_without_a_whole_plain_run_there_is_no_speedup_and_no_verdict() -> None:
    device, store = ScriptedDevice(), ScriptedRecorder()
    lanes = contenders(device)
    generate = device.generate

    def breaking(request: Request, *rest: Any) -> Iterator[Event]:
        if request.method == "plain":
            raise RunFailed("Plain decoding broke.")
        return generate(request, *rest)

    device.generate = breaking  # type: ignore[method-assign]
    state = fold_all(RaceState(), run_all(device, store, lanes))
    rows = board.rows(state, methods(device))
    assert rows[0].problem == "Plain decoding broke."
    assert [row.speedup for row in rows] == [None] * 4
    assert not store.audits


def test_stop_ends_the_lane_and_runs_no_other() -> None:
    device, store = ScriptedDevice(hold=threading.Event()), ScriptedRecorder()
    sessions, seen = Sessions(device, store), list[Happening]()
    assert device.hold is not None
    for batch in sessions.perform(course(contenders(device, max_new_tokens=16), random.Random(1)), "v"):
        seen += batch
        if any(isinstance(happening, Racing) for happening in batch):
            sessions.stop("v")
            device.hold.set()
    state = fold_all(RaceState(), seen)
    assert not store.runs
    assert [view.alert for view in state.views] == [NOT_RUN] * 4
    assert words.status_text(state, board.rows(state, methods(device))) == "Stopped. What was decoded is kept."


def test_a_store_that_makes_no_group_does_not_stop_the_race() -> None:
    class Full(ScriptedRecorder):
        def add_group(self, *given: Any) -> str:
            raise StoreError("The disk of runs.db is full.")

    device, store = Racer(), Full()
    seen = run_all(device, store, contenders(device))
    assert [type(happening) for happening in seen[:2]] == [Racing, Unsaved]
    assert len(store.runs) == 4
    assert "The disk of runs.db is full." in fold_all(RaceState(), seen).alert


def test_an_audit_that_breaks_costs_only_its_verdict() -> None:
    device = Racer()
    device.audit = lambda *given: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    state = fold_all(RaceState(), run_all(device, ScriptedRecorder(), contenders(device)))
    rows = board.rows(state, methods(device))
    assert [row.verdict for row in rows] == ["", "not audited", "not audited", "not audited"]
    assert not any(row.problem for row in rows)
