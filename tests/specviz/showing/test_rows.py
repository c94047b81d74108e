"""Stored runs as rows: a speedup is against a plain run of the same conditions, a ratio has its own denominator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from stored import finished, save, session, started, stepped

from engine.events import Event, SessionFinished, SessionStarted, Stepped
from specviz.race import board
from specviz.race.fold import RaceState
from specviz.showing import tiles
from specviz.showing.fold import ViewState
from specviz.showing.notices import Lane
from specviz.showing.rows import stored_metrics, stored_speedup, to_row
from specviz.store import RunRow, Store, open_store

CONFIG = {"temperature": 0.5, "seed": 7, "max_new_tokens": 20, "stop_strings": []}
OTHERS: dict[str, dict[str, Any]] = {
    "dtype": {"dtype": "float32"},
    "machine": {"machine": {"processor": "x86", "threads": 1}},
    "device": {"device": "cuda:0"},
    "model": {"model": "another"},
    "prompt": {"prompt": "Another", "prompt_ids": (9,)},
    "seed": {"config": CONFIG | {"seed": 8}},
    "temperature": {"config": CONFIG | {"temperature": 0.6}},
    "length": {"config": CONFIG | {"max_new_tokens": 21}},
    "method": {"method": "draft_model"},
}
"""Plain runs that another run may not be compared with, by what they do not share."""


@pytest.fixture(scope="module")
def rows() -> Iterator[dict[str, RunRow]]:
    """A run that took 11 ns, and plain ones that took 77, all of 4 tokens."""
    with open_store(":memory:") as store:
        save(store, session("fast", decode_ns=11))
        save(store, session("plain", method="plain"))
        for name, fields in OTHERS.items():
            save(store, session(name, **({"method": "plain"} | fields)))
        yield {row.id: row for row in store.list_runs(100)}


def race(plain: list[Event], beside: list[Event] | None = None) -> RaceState:
    """A fast lane beside this plain one, with a plain run stored beside it where one is given."""
    fast = session("fast", decode_ns=11)
    first = plain[0]
    assert isinstance(first, SessionStarted)
    views = (ViewState(events=tuple(fast), plain_events=tuple(beside or ())), ViewState(events=tuple(plain)))
    lanes = (Lane("draft_model", {}), Lane(first.method, {}))
    return RaceState("ended", lanes=lanes, views=views, order=(1, 0))


def interrupted() -> list[Event]:
    """Two steps of 1 + 20 + 3 + 4 + 5 ns, no end."""
    return session("cut")[:-1]


def test_a_stored_speedup_is_plain_time_over_own_time(rows: dict[str, RunRow]) -> None:
    assert stored_speedup(rows["fast"], rows["plain"]) == pytest.approx(7.0)
    assert to_row(rows["fast"], rows["plain"])["speedup"] == "7.00"
    assert stored_speedup(rows["fast"], None) is None


@pytest.mark.parametrize("name", OTHERS)
def test_a_stored_run_has_no_speedup_against_another_kind_of_run(rows: dict[str, RunRow], name: str) -> None:
    assert stored_speedup(rows["fast"], rows[name]) is None


@pytest.mark.parametrize("status", ["stopped", "failed", "interrupted", "running"])
def test_a_stored_run_that_was_cut_short_has_no_speedup(rows: dict[str, RunRow], status: Any) -> None:
    cut = replace(rows["fast"], status=status)
    assert stored_speedup(cut, rows["plain"]) is None
    assert stored_speedup(rows["fast"], replace(rows["plain"], status=status)) is None
    assert stored_speedup(cut, replace(rows["plain"], status=status)) is None


def test_the_rule_is_no_difference(rows: dict[str, RunRow]) -> None:
    """Plain decoding has no drafts to verify."""
    other = replace(rows["fast"], config=CONFIG | {"rule": "rejection"})
    assert stored_speedup(other, rows["plain"]) == pytest.approx(7.0)


def test_a_lanes_speedup_is_against_the_plain_lane() -> None:
    fast, plain = board.rows(race(session("plain", method="plain")), {})
    assert (fast.speedup, plain.speedup) == (pytest.approx(7.0), None)
    assert (fast.turn, plain.turn) == (2, 1)


@pytest.mark.parametrize("name", OTHERS)
def test_a_lane_has_no_speedup_against_another_kind_of_run(name: str) -> None:
    fast, _ = board.rows(race(session("other", **({"method": "plain"} | OTHERS[name]))), {})
    assert fast.speedup is None


def test_a_lane_without_a_plain_one_goes_by_the_run_that_was_stored_beside_it() -> None:
    own = session("own", decode_ns=33, method="plain")
    fast, _ = board.rows(race(session("other", method="plain", dtype="float32"), own), {})
    assert fast.speedup == pytest.approx(3.0)
    fast, _ = board.rows(race(session("plain", method="plain"), own), {})
    assert fast.speedup == pytest.approx(7.0), "a plain lane comes first"


@pytest.mark.parametrize("reason", ["stopped", "failed", "timeout"])
def test_a_lane_has_no_speedup_against_a_run_that_was_cut_short(reason: Any) -> None:
    cut = [*session("plain", method="plain")[:-1], finished(reason)]
    assert board.rows(race(cut), {})[0].speedup is None


@pytest.mark.parametrize("name", [*OTHERS, "none"])
def test_the_tile_of_a_run_says_no_speedup_it_has_not(name: str) -> None:
    plain = session("other", **({"method": "plain"} | OTHERS.get(name, {})))
    events = tuple(session("fast", decode_ns=11))
    state = ViewState(phase="finished", events=events, plain_events=tuple(plain))
    (tile,) = (tile for tile in tiles.tiles(state) if tile.key == "speedup")
    assert tile.value == ("7.00" if name == "none" else "–")


def test_a_stored_runs_times_are_the_sum_of_all_its_laps(rows: dict[str, RunRow]) -> None:
    row = replace(rows["fast"], draft_ns=1, target_ns=20, verify_ns=300, commit_ns=4_000, host_ns=50_000)
    metrics = stored_metrics(row)
    assert (metrics.draft_ms, metrics.target_ms, metrics.host_ms) == (1e-6, 4.02e-3, 5.03e-2)
    assert metrics.tokens_per_second == pytest.approx(4 / 11e-9)
    assert stored_metrics(replace(row, decode_ns=None)).tokens_per_second == pytest.approx(4 / 54_321e-9)


def test_a_stored_runs_ratios_have_their_own_denominators(rows: dict[str, RunRow]) -> None:
    metrics = stored_metrics(replace(rows["fast"], steps=2, proposed=5, accepted=3, emitted=7))
    assert (metrics.block_efficiency, metrics.acceptance_rate, metrics.mean_accepted_length) == (3.5, 0.6, 1.5)
    shown = to_row(replace(rows["fast"], steps=2, proposed=5, accepted=3, emitted=7_000, decode_ns=10**10))
    assert (shown["efficiency"], shown["acceptance"], shown["tokens"], shown["speed"]) == (
        "3,500.00",
        "60 %",
        "7,000",
        "700.0",
    )
    assert to_row(replace(rows["fast"], proposed=0))["acceptance"] == "–"


def test_an_interrupted_run_has_the_figures_of_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(":memory:") as store:
        run = store.begin(interrupted()[0])  # type: ignore[arg-type]
        for event in interrupted()[1:]:
            run.append(event)
        store.flush()
        row = store.get_run("cut")
    assert stored_metrics(row).tokens_per_second == pytest.approx(4 / 66e-9)
    assert (row.commit_ns, row.verify_ns, row.host_ns, row.target_ns, row.draft_ns) == (8, 6, 10, 40, 2)
    state = RaceState("ended", lanes=(Lane("m", {}),), views=(ViewState("interrupted", events=tuple(interrupted())),))
    (lane,) = board.rows(state, {})
    assert lane.decode_ms == pytest.approx(66e-6)
    assert (lane.tokens_per_second, lane.emitted) == (pytest.approx(4 / 66e-9), 4)
    assert lane.problem == "Interrupted: this is what was saved."


def test_a_finished_lanes_time_is_its_own_word() -> None:
    state = RaceState("ended", lanes=(Lane("m", {}),), views=(ViewState("finished", events=tuple(session("a"))),))
    (lane,) = board.rows(state, {})
    assert (lane.decode_ms, lane.limit, lane.guarantee, lane.turn) == (77e-6, 20, "exact", None)
    assert (lane.block_efficiency, lane.acceptance_rate, lane.wasted_drafts_per_token) == (2.0, 0.5, 0.5)
    assert lane.time_per_token is not None
    assert (lane.time_per_token.draft_ms, lane.time_per_token.target_ms) == (0.5e-6, 12e-6)
    assert lane.time_per_token.host_ms == pytest.approx(4e-6)


def test_the_counts_of_a_cut_run_are_those_of_its_events(store: Store) -> None:
    nodes = stepped().nodes
    three = replace(stepped(), nodes=(*nodes, nodes[0]), path=(0,))
    run = store.begin(started("a"))
    for event in (three, Stepped(1, 1, (), (), (three.emitted[1],), 1, 1, 1, 1, 1, 1)):
        run.append(event)
    store.flush()
    row = store.get_run("a")
    assert (row.steps, row.proposed, row.accepted, row.emitted, row.target_passes) == (2, 3, 1, 3, 2)
    assert (row.num_prompt_tokens, row.prefill_ns, row.decode_ns) == (4, None, None)
    assert (row.temperature, row.seed, row.max_new_tokens) == (0.5, 7, 20)
    run.finish(finished())
    store.flush()
    assert isinstance(store.events("a")[-1], SessionFinished)
    assert store.get_run("a").proposed == 4, "the engine's own word"


def test_a_row_without_end_has_no_ratio_it_cannot_have(store: Store) -> None:
    store.begin(started(session_id="r"))
    assert store.flush()
    row = to_row(store.get_run("r"))
    assert (row["speed"], row["efficiency"], row["verdict"]) == ("–", "–", "–")
