"""How a race is run: an order by lot, a warm-up as the lane itself, and the same order when it is opened again."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from scripted import ScriptedDevice, ScriptedRecorder, Watched

from engine.events import Event, SessionStarted
from specviz.decoding.device import Request
from specviz.decoding.request import parse_race
from specviz.decoding.session import Sessions
from specviz.race import board, words
from specviz.race.course import NOT_RUN, WARM_UP_TOKENS, course
from specviz.race.fold import RaceState, fold_all
from specviz.race.reopening import reopen
from specviz.showing.notices import Auditing, Happening, InLane, Preparing, Racing
from specviz.store import Store, open_store


def asked(device: ScriptedDevice, depths: tuple[int, ...] = (2, 4, 6), **sampling: Any) -> tuple[Request, ...]:
    lanes = [{"method": "scripted", "options": {"depth": depth}} for depth in depths]
    settings = {"lanes": lanes, "sampling": {"max_new_tokens": 30} | sampling}
    return parse_race(device, "Tell a story.", "toy", json.dumps(settings))


def run_all(device: ScriptedDevice, store: Any, lanes: tuple[Request, ...], seed: int = 1) -> list[Happening]:
    work = course(lanes, random.Random(seed))
    return [happening for batch in Sessions(device, store).perform(work, "v") for happening in batch]


def racing(happenings: list[Happening]) -> Racing:
    return next(happening for happening in happenings if isinstance(happening, Racing))


@pytest.fixture
def store() -> Iterator[Store]:
    with open_store(":memory:") as opened:
        yield opened


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
    lanes, orders = asked(ScriptedDevice()), set()
    for _ in range(20):
        desk = Deskless()
        with pytest.raises(StopIteration):
            course(lanes)(desk)  # type: ignore[arg-type]
        assert sorted(desk.order) == [0, 1, 2, 3]
        orders.add(desk.order)
    assert len(orders) > 1


def test_each_lane_runs_in_its_place_of_the_order() -> None:
    device = Watched()
    for seed in range(5):
        device.asked_for.clear()
        order = racing(run_all(device, ScriptedRecorder(), asked(device), seed)).order
        measured = [request.options.get("depth") for request, _ in device.asked_for[1::2]]
        assert measured == [(None, 2, 4, 6)[place] for place in order]


def test_a_warm_up_is_the_lane_itself_but_shorter() -> None:
    device = Watched()
    run_all(device, ScriptedRecorder(), asked(device, temperature=0.8, seed=5))
    for (warm, warm_id), (measured, run_id) in zip(device.asked_for[::2], device.asked_for[1::2], strict=True):
        assert warm == replace(measured, config=replace(measured.config, max_new_tokens=WARM_UP_TOKENS))
        assert warm_id != run_id, "nobody keeps it under the lane's id"


def test_a_warm_up_is_never_longer_than_the_run() -> None:
    device = Watched()
    run_all(device, ScriptedRecorder(), asked(device, (2,), max_new_tokens=5))
    assert [request.config.max_new_tokens for request, _ in device.asked_for] == [5] * 4


def test_every_lane_is_held_against_the_plain_one_and_has_its_own_verdict() -> None:
    device, recorder = Watched(), ScriptedRecorder()
    seen = run_all(device, recorder, asked(device))
    state = fold_all(RaceState(), seen)
    found = [view.audit.verdict if view.audit else None for view in state.views]
    assert found == [None, "plain 2", "plain 4", "plain 6"]
    ids = [lane.run_id for lane in state.lanes]
    assert recorder.baselines == dict.fromkeys(ids[1:], ids[0])
    assert [recorder.audits[run_id]["verdict"] for run_id in ids[1:]] == ["plain 2", "plain 4", "plain 6"]
    assert [view.started.session_id for view in state.views if view.started] == ids


@pytest.mark.parametrize("reason", ["stopped", "timeout", "failed"])
@pytest.mark.parametrize("cut", ["plain", "scripted"])
def test_what_was_cut_short_is_not_judged(cut: str, reason: str) -> None:
    device, recorder = Watched(cut=cut, reason=reason), ScriptedRecorder()
    seen = run_all(device, recorder, asked(device, (2,)))
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
    for batch in sessions.perform(course(asked(device), random.Random(1)), "v"):
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
    seen = run_all(device, ScriptedRecorder(), asked(device))
    texts = [h.happening.text for h in seen if isinstance(h, InLane) and isinstance(h.happening, Preparing)]
    assert sorted(texts) == ["Loading toy and warming up plain", "Loading toy and warming up scripted"]


# opened again


def race_in(store: Store, device: ScriptedDevice, seed: int) -> tuple[RaceState, list[str]]:
    state = fold_all(RaceState(), run_all(device, store, asked(device), seed))
    assert store.flush()
    return state, [lane.run_id for lane in state.lanes]


def names(state: RaceState) -> list[Any]:
    """The lanes as they ran, by their draft depths."""
    return [state.lanes[place].options.get("depth") for place in state.order]


def test_a_race_whose_lanes_are_shown_in_another_order_ran_as_it_ran(store: Store) -> None:
    device = Watched()
    live, ids = race_in(store, device, 3)
    ran = [request.options.get("depth") for request, _ in device.asked_for[1::2]]
    assert names(live) == ran
    for turned in ([ids[2], ids[0], ids[3], ids[1]], ids[::-1], ids):
        again = fold_all(RaceState(), reopen(store, turned))
        assert [lane.run_id for lane in again.lanes] == turned
        assert names(again) == ran
        rows = board.rows(again, {})
        by_turn = sorted(
            (row.turn or 0, lane.options.get("depth")) for row, lane in zip(rows, again.lanes, strict=True)
        )
        assert [depth for _, depth in by_turn] == ran
        text = words.order_text(
            again,
            [replace(row, label=str(lane.options.get("depth"))) for row, lane in zip(rows, again.lanes, strict=True)],
        )
        assert f"drawn by lot: {', '.join(map(str, ran))}." in text


def test_a_lane_opened_alone_brings_its_baseline_and_no_order(store: Store) -> None:
    live, ids = race_in(store, Watched(), 1)
    again = fold_all(RaceState(), reopen(store, [ids[2]]))
    assert (again.order, len(again.views), again.group_id) == ((), 1, live.group_id)
    assert again.views[0].plain_events == live.views[0].events
    both = fold_all(RaceState(), reopen(store, [ids[0], ids[2]]))
    assert [view.plain_events for view in both.views] == [(), ()], "its baseline is a lane itself"
    assert [view.audit.verdict if view.audit else "" for view in both.views] == ["", "plain 4"]


def test_runs_of_two_races_are_of_no_group(store: Store) -> None:
    device = Watched()
    first, second = (race_in(store, device, seed)[1] for seed in (1, 2))
    again = fold_all(RaceState(), reopen(store, [first[1], second[1]]))
    assert (again.group_id, again.order, again.phase) == ("", (), "ended")


def test_methods_begin_in_the_order_that_is_told() -> None:
    """Of the first events too, whatever the lanes' places."""
    device = Watched()
    seen = run_all(device, ScriptedRecorder(), asked(device), 4)
    begun = [h.place for h in seen if isinstance(h, InLane) and isinstance(h.happening, SessionStarted)]
    assert tuple(begun) == racing(seen).order
