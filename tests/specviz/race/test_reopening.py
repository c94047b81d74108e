"""Stored runs side by side again: as they ran, whatever is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from racing import Racer, contenders, methods, race_in, run_all
from scripted_kinds import Watched

from engine.errors import BadInput
from specviz.race import board, words
from specviz.race.differences import differences, warnings
from specviz.race.fold import RaceState, fold_all
from specviz.race.reopening import reopen, run_ids
from specviz.store import Store, UnknownRun


def opened(store: Store, ids: Sequence[str]) -> RaceState:
    return fold_all(RaceState(), reopen(store, ids))


def names(state: RaceState) -> list[Any]:
    """The lanes as they ran, by their draft depths."""
    return [state.lanes[place].options.get("depth") for place in state.order]


def test_a_race_whose_lanes_are_shown_in_another_order_ran_as_it_ran(store: Store) -> None:
    device = Watched()
    live, ids = race_in(store, device, seed=3)
    ran = [request.options.get("depth") for request, _ in device.asked_for[1::2]]
    assert names(live) == ran
    for turned in ([ids[2], ids[0], ids[3], ids[1]], ids[::-1], ids):
        again = opened(store, turned)
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
    live, ids = race_in(store, Watched())
    again = opened(store, [ids[2]])
    assert (again.order, len(again.views), again.group_id) == ((), 1, live.group_id)
    assert again.views[0].plain_events == live.views[0].events
    both = opened(store, [ids[0], ids[2]])
    assert [view.plain_events for view in both.views] == [(), ()], "its baseline is a lane itself"
    assert [view.audit.verdict if view.audit else "" for view in both.views] == ["", "plain 3"]


def test_runs_of_two_races_are_of_no_group(store: Store) -> None:
    device = Watched()
    first, second = (race_in(store, device, seed=seed)[1] for seed in (1, 2))
    again = opened(store, [first[1], second[1]])
    assert (again.group_id, again.order, again.phase) == ("", (), "ended")


def test_a_stored_race_opens_as_it_was(store: Store) -> None:
    device = Racer()
    live, ids = race_in(store, device)
    again = opened(store, ids)
    assert again.order == live.order
    assert again.group_id == live.group_id
    assert board.rows(again, methods(device)) == board.rows(live, methods(device))
    assert [view.events for view in again.views] == [view.events for view in live.views]


def test_a_lane_that_never_ran_still_says_why(store: Store) -> None:
    device = Racer(bad_depth=3)
    _, ids = race_in(store, device)
    rows = board.rows(opened(store, ids), methods(device))
    assert rows[2].problem == "This depth breaks the scripted device."
    assert rows[2].label == "Scripted drafts"


def test_a_part_of_a_race_keeps_its_baseline(store: Store) -> None:
    device = Racer()
    live, ids = race_in(store, device)
    again = opened(store, ids[1:3])
    wanted = [row.speedup for row in board.rows(live, methods(device))[1:3]]
    assert [row.speedup for row in board.rows(again, methods(device))] == wanted
    assert again.order == ()


def test_a_deleted_run_leaves_a_sentence_in_its_lane(store: Store) -> None:
    device = Racer()
    _, ids = race_in(store, device)
    store.delete_run(ids[1])
    rows = board.rows(opened(store, ids), methods(device))
    assert "There is no run" in rows[1].problem
    assert rows[2].speedup is not None
    with pytest.raises(UnknownRun, match="nobody"):
        list(reopen(store, ["nobody", "nothing"]))


def test_runs_of_different_races_are_comparable_only_where_they_are_alike(store: Store) -> None:
    device = Racer()
    _, ids = race_in(store, device, (2,))
    other = tuple(replace(lane, prompt="Tell another story.") for lane in contenders(device, (3,)))
    state = fold_all(RaceState(), run_all(device, store, other))
    assert store.flush()
    mixed = opened(store, [ids[0], state.lanes[1].run_id])
    runs = [view.started for view in mixed.views]
    assert mixed.group_id == ""
    assert warnings(runs) == ("These runs have different prompts: no speedup is shown across them.",)
    assert [(found.name, found.values) for found in differences(runs)] == [
        ("prompt", ("Tell a story.", "Tell another story."))
    ]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("", "names no runs"),
        (" , ", "names no runs"),
        (",".join("abcdefghi"), "9 runs are too many"),
        ("x" * 81, "not a"),
    ],
)
def test_an_address_that_names_no_few_runs_is_a_sentence(given: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        run_ids(given)
    assert run_ids("a, b,a,") == ("a", "b")
