"""Benchmarks without a model: which run a run is held against, what is known of speeds, what a page is told."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from benching import ASKED, CELL, IDS, Runs, benchmarks, cell, report
from scripted import ScriptedDevice, ScriptedRecorder
from stored import save, session

from engine.bench import Cell, Skipped
from engine.errors import BadInput
from specviz.bench import EXAMPLE, Asked, Benchmarks, Progress, Shelf, speeds
from specviz.bench import benchmarks as running
from specviz.bench.request import parse
from specviz.decoding.session import Sessions
from specviz.pages import bench as page
from specviz.pages.bench import BenchView, told_progress
from specviz.store import RunRow, StoreError, open_store

CELL = Cell("s", "", 0, 0, "plain", 1, 10, 2.0, 10, 100.0, 800.0, 100.0, True)
ASKED = Asked("toy", ("story",), 2, (), ("scripted",), 1, 8, 0.0)
IDS = [letter * 32 for letter in "abcdef"]


def cell(method: str, seconds: float, num_emitted: int = 10, **fields: Any) -> Cell:
    return replace(CELL, method=method, seconds=seconds, num_emitted=num_emitted, **fields)


def benchmarks(tmp_path: Path, store: Any = None) -> Benchmarks:
    recorder = store or ScriptedRecorder()
    return Benchmarks(Sessions(ScriptedDevice(), recorder), recorder, Shelf(tmp_path / "bench", tmp_path / "reports"))


# runs and their baselines


def work(**fields: Any) -> Any:
    return SimpleNamespace(group_id="g", session_ids={}, **fields)


def test_each_turn_of_a_question_is_held_against_the_same_turn_of_plain_decoding(tmp_path: Path) -> None:
    recorder = ScriptedRecorder()
    bench, doing = benchmarks(tmp_path, recorder), work()
    for method in ("fast", "plain", "slow"):
        turns = tuple(session(f"{method} {turn}", method=method) for turn in range(3))
        bench._store_run(doing, cell(method, 1.0, suite="MT-bench"), turns)
    bench._store_baselines(doing)
    assert recorder.baselines == {
        f"{method} {turn}": f"plain {turn}" for method in ("fast", "slow") for turn in range(3)
    }
    assert set(recorder.tasks.values()) == {"MT-bench"}
    assert set(recorder.members.values()) == {"g"}
    assert list(recorder.runs["fast 1"]) == session("fast 1", method="fast")


def test_without_a_plain_run_in_the_round_nothing_is_linked(tmp_path: Path) -> None:
    recorder = ScriptedRecorder()
    bench, doing = benchmarks(tmp_path, recorder), work()
    bench._store_run(doing, cell("fast", 1.0), (session("fast"),))
    bench._store_baselines(doing)
    assert recorder.baselines == {}


@pytest.mark.parametrize(("known", "is_there"), [(None, False), ("old", True), ("old", False)])
def test_a_benchmark_that_goes_on_keeps_its_group(tmp_path: Path, known: str | None, is_there: bool) -> None:
    class Groups(ScriptedRecorder):
        def get_group(self, group_id: str) -> object:
            if not is_there:
                raise StoreError("There is no such group.")
            return group_id

    bench = benchmarks(tmp_path, Groups())
    bench.shelf.add(IDS[0], ASKED, "2026-01-01")
    if known:
        bench.shelf.keep(IDS[0], {"group_id": known})
    found = bench._group(work(bench_id=IDS[0], asked=ASKED))
    assert found == ("old" if is_there else "group-0")


# how far it is


def test_progress_counts_runs_questions_left_out_and_other_texts() -> None:
    records = [cell("plain", 2.0), cell("scripted", 1.0, is_same_text=False), Skipped("s", "", 1)]
    found = running._figures(work(records=records, plan=ASKED.plan()))
    assert (found["num_done"], found["num_total"], found["num_different"]) == (3, 3, 1)
    assert running._figures(work(records=records[:1], plan=ASKED.plan()))["num_different"] == 0


@pytest.mark.parametrize(
    ("progress", "told"),
    [
        (Progress(), ("", "", 0.0)),
        (Progress("x", "running", 1_200, 4_800, 0, 65.0), ("Measuring", "1,200 of 4,800 runs, about 65 s left", 0.25)),
        (
            Progress("x", "running", 3, 4, 2),
            ("Measuring", "3 of 4 runs, 2 with another text than plain decoding's", 0.75),
        ),
        (Progress("x", "waiting"), ("Waiting for the device.", "", 0.0)),
        (Progress("x", "waiting", note="Waiting for others: 1 ahead."), ("Waiting for others: 1 ahead.", "", 0.0)),
        (Progress("x", "preparing", note="Loading."), ("Loading.", "", 0.0)),
        (Progress("x", "stopped", 1, 2, note="Kept."), ("Stopped. Kept.", "1 of 2 runs", 0.5)),
        (Progress("x", "finished", 2, 2), ("Finished", "2 of 2 runs", 1.0)),
        (Progress("x", "failed", note="It broke."), ("It broke.", "", 0.0)),
    ],
)
def test_progress_is_told_in_words_and_as_a_share(progress: Progress, told: tuple[str, str, float]) -> None:
    found = told_progress(progress)
    assert (found["text"], found["more"], found["share"], found["phase"]) == (*told, progress.phase)


@pytest.mark.parametrize("phase", ["idle", "waiting", "preparing", "running", "stopped", "finished", "failed"])
def test_only_what_waits_or_runs_goes_on(phase: Any) -> None:
    assert Progress(phase=phase).is_going_on == (phase in ("waiting", "preparing", "running"))


def test_one_that_goes_on_is_not_begun_twice_and_the_next_forgets_the_last_ones_stop(tmp_path: Path) -> None:
    bench = benchmarks(tmp_path)
    bench.stop()
    bench._claim(IDS[0])
    assert not bench._has_stopped.is_set()
    assert bench.progress == Progress(IDS[0], "waiting", version=1)
    with pytest.raises(BadInput, match="is going on"):
        bench._claim(IDS[1])
    bench._tell(num_reports=3, seconds_left=4.0)
    bench._end("finished")
    assert bench.progress == Progress(IDS[0], "finished", version=3, num_reports=3)
    bench._claim(IDS[1])
    assert bench.progress == Progress(IDS[1], "waiting", version=4, num_reports=3)
    assert bench.wait(replace(bench.progress, version=0), 20.0) == bench.progress


# the shelf


def report(model: str, *cells: Cell, is_complete: bool = True, **fields: Any) -> dict[str, Any]:
    return {"model": model, "cells": [asdict(one) for one in cells], "is_complete": is_complete} | fields


def test_a_list_begins_with_the_newest_and_ends_with_the_example(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "bench", tmp_path / "reports")
    for bench_id, day in zip(IDS, (2, 3, 1), strict=False):
        shelf.add(bench_id, ASKED, f"2026-01-0{day}")
    shelf.keep(IDS[1], report("toy", CELL, CELL))
    (tmp_path / "reports").mkdir()
    for name, day, is_complete in (("old", 1, True), ("new", 4, True), ("torn", 5, False)):
        given = report(name, CELL, is_complete=is_complete, created_at=f"2026-01-0{day}", rows=[{"suite": name}] * 2)
        (tmp_path / "reports" / f"{name}.json").write_text(json.dumps(given))
    entries = shelf.entries()
    assert [entry.id for entry in entries] == [IDS[1], IDS[0], IDS[2], EXAMPLE]
    assert [(entry.num_runs, entry.is_complete) for entry in entries] == [(2, True), (0, False), (0, False), (1, True)]
    assert (entries[-1].title, entries[0].title) == ("Example: new", "story: scripted")
    assert shelf.cells(EXAMPLE) == ("new", [CELL])
    assert shelf.asked(IDS[2]) == ASKED


def test_a_reports_figures_are_of_its_runs(tmp_path: Path) -> None:
    """A method twice as fast on one suite and four times on the other: three times over both prompts."""
    shelf = Shelf(tmp_path)
    shelf.add(IDS[0], ASKED, "2026-01-01")
    cells = [cell("plain", 4.0), cell("fast", 2.0), cell("plain", 4.0, suite="t", prompt_index=1)]
    cells.append(cell("fast", 1.0, suite="t", prompt_index=1))
    shelf.keep(IDS[0], report("toy", *cells))
    opened = shelf.open(IDS[0])
    by_suite = {(row["method"], row["suite"]): row["speedup"] for row in opened["rows"]}
    assert by_suite == {("plain", "s"): 1.0, ("fast", "s"): 2.0, ("plain", "t"): 1.0, ("fast", "t"): 4.0}
    assert {row["method"]: (row["suite"], row["speedup"]) for row in opened["overall"]} == {
        "plain": ("all", 1.0),
        "fast": ("all", 3.0),
    }


# how long it may take


class Runs:
    """Saved runs of known speeds."""

    def __init__(self, *rows: RunRow) -> None:
        self.rows = rows

    def list_runs(self, limit: int = 50) -> list[RunRow]:
        return list(self.rows[:limit])


@pytest.fixture(scope="module")
def row() -> RunRow:
    with open_store(":memory:") as store:
        save(store, session("a"))
        return replace(store.get_run("a"), model="toy", prefill_ns=1_000_000_000, decode_ns=3_000_000_000, emitted=8)


def test_the_speed_of_saved_runs_is_all_time_by_all_tokens(row: RunRow) -> None:
    long = replace(row, decode_ns=19_000_000_000, emitted=40)
    others = [
        replace(row, **fields, emitted=1) for fields in ({"model": "big"}, {"status": "stopped"}, {"decode_ns": None})
    ]  # type: ignore[arg-type]
    found = speeds._of_runs("toy", Runs(row, long, *others, replace(row, method="plain")))
    assert found == {"draft_model": 0.5, "plain": 0.5}
    assert speeds._of_runs("toy", Runs(replace(row, prefill_ns=None, method="m"))) == {"m": 0.375}

    class Broken(Runs):
        def list_runs(self, limit: int = 50) -> list[RunRow]:
            raise StoreError("It is locked.")

    assert speeds._of_runs("toy", Broken()) == {}


def test_the_best_that_is_known_is_ones_own_newest_benchmark(tmp_path: Path, row: RunRow) -> None:
    shelf = Shelf(tmp_path / "bench", tmp_path / "reports")
    (tmp_path / "reports").mkdir()
    example = report(
        "toy", cell("plain", 90.0), cell("rare", 70.0), cell("draft_model", 80.0), created_at="2026-01-01", rows=[]
    )
    (tmp_path / "reports" / "example.json").write_text(json.dumps(example))
    plain = replace(row, method="plain")
    assert speeds.speeds("toy", shelf, Runs()) == speeds.Speeds(
        {"plain": 9.0, "rare": 7.0, "draft_model": 8.0}, "the example, measured elsewhere"
    )
    assert speeds.speeds("toy", shelf, Runs(plain)) == speeds.Speeds(
        {"plain": 0.5, "rare": 7.0, "draft_model": 8.0}, "saved runs"
    )
    for bench_id, day, seconds in zip(IDS, (1, 2, 3), (10.0, 20.0, 30.0), strict=False):
        shelf.add(bench_id, ASKED, f"2026-01-0{day}")
        model = "big" if day == 3 else "toy"
        extra = [cell("only then", 40.0)] if day == 1 else []
        shelf.keep(bench_id, report(model, cell("plain", seconds), *extra))
    own = speeds.speeds("toy", shelf, Runs(plain, row))
    assert own == speeds.Speeds({"plain": 2.0, "only then": 4.0, "rare": 7.0, "draft_model": 0.5}, "earlier benchmarks")
    assert speeds.speeds("nobody", shelf, Runs(plain)) is None


def test_the_time_is_told_with_what_it_is_made_of() -> None:
    asked = replace(ASKED, num_repeats=3)
    known = speeds.Speeds({"plain": 0.5, "scripted": 0.25}, "saved runs")
    text = speeds.in_words(asked, known)
    assert text == (
        "12 timed runs: 2 prompts × 2 methods × 3 repeats. About 66 s, from saved runs; less where answers end early."
    )
    assert speeds.in_words(ASKED, None).startswith("4 timed runs: 2 prompts × 2 methods. No speed")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1 s"),
        (89.4, "89 s"),
        (89.9, "90 s"),
        (90, "2 min"),
        (149, "2 min"),
        (5_340, "89 min"),
        (5_400, "1 h 30 min"),
        (7_300, "2 h 2 min"),
    ],
)
def test_durations_change_their_unit_at_ninety(seconds: float, text: str) -> None:
    assert speeds.duration(seconds) == text


# the page


def view(tmp_path: Path, bench: Benchmarks | None = None) -> BenchView:
    return BenchView(bench or benchmarks(tmp_path), ScriptedDevice(), Runs())  # type: ignore[arg-type]


def test_figures_are_sent_again_only_where_they_changed_and_are_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = benchmarks(tmp_path)
    shown = view(tmp_path, bench)
    monkeypatch.setattr(page.BenchView, "board", lambda self, bench_id, alert="": f"board of {bench_id}")
    bench._progress = Progress(IDS[0], "running", num_reports=2)

    def sent(bench_id: str, num_reports: int) -> tuple[Any, Any]:
        *_, board, state = shown.poll({"id": bench_id, "num_reports": num_reports})
        return (board, state) if isinstance(board, str) else (None, None)

    assert sent(IDS[0], 2) == (None, None)
    assert sent(IDS[1], 1) == (None, None), "another one is open"
    assert sent(IDS[0], 1) == (f"board of {IDS[0]}", {"id": IDS[0], "num_reports": 2})
    bench._progress = Progress(IDS[0], "finished", num_reports=2)
    assert sent(IDS[1], 2) == (f"board of {IDS[1]}", {"id": IDS[1], "num_reports": 2}), "Stop and list have changed"
    _, timer, stop, *_ = shown.poll({"id": IDS[0], "num_reports": 2})
    assert (timer.active, stop.interactive) == (False, False)


def test_the_page_opens_what_goes_on_else_the_newest_with_runs_else_the_example(tmp_path: Path) -> None:
    bench = benchmarks(tmp_path)
    shown = view(tmp_path, bench)
    assert shown._first() == EXAMPLE
    for bench_id, day in zip(IDS, (1, 2, 3), strict=False):
        bench.shelf.add(bench_id, ASKED, f"2026-01-0{day}")
    for bench_id in IDS[:2]:
        bench.shelf.keep(bench_id, report("toy", CELL, is_complete=bench_id == IDS[0]))
    assert shown._first() == IDS[1]
    bench._progress = Progress(IDS[2], "running")
    assert shown._first() == IDS[2]
    states = {entry["id"]: (entry["state"], entry["runs"]) for entry in shown._entries()}
    assert states == {
        IDS[2]: ("running", "0 runs"),
        IDS[1]: ("stopped", "1 run"),
        IDS[0]: ("complete", "1 run"),
    }


def test_a_long_list_keeps_its_newest_and_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = benchmarks(tmp_path)
    monkeypatch.setattr(page, "MAX_ENTRIES", 2)
    for bench_id, day in zip(IDS, (1, 2, 3, 4), strict=False):
        bench.shelf.add(bench_id, ASKED, f"2026-01-0{day}")
    (tmp_path / "reports").mkdir()
    given = report("toy", CELL, created_at="2026-01-01", rows=[])
    (tmp_path / "reports" / "example.json").write_text(json.dumps(given))
    assert [entry["id"] for entry in view(tmp_path, bench)._entries()] == [IDS[3], IDS[2], EXAMPLE]


def test_the_estimate_is_of_the_settings(tmp_path: Path) -> None:
    given = ("toy", ["story"], 2, "", ["scripted"], "", 1, 8, 0)
    assert view(tmp_path).estimate(*given).startswith("4 timed runs: 2 prompts × 2 methods.")
    assert "nothing to ask" in view(tmp_path).estimate("toy", [], *given[2:])


@pytest.mark.parametrize(
    ("place", "value", "is_fit"),
    [
        *((2, 1, True), (2, 100, True), (2, 101, False), (6, 20, True), (6, 0, False)),
        *((7, 1, True), (7, 2_000, True), (7, 2_001, False)),
        *((3, "\n".join(map(str, range(50))), True), (3, "x" * 20_000, True)),
    ],
)
def test_what_may_be_asked_has_limits_to_the_last_one(place: int, value: object, is_fit: bool) -> None:
    given: list[Any] = ["toy", ["story"], 2, "", ["scripted"], "", 1, 8, 0.5]
    given[place] = value
    if is_fit:
        asked = parse(ScriptedDevice(), *given)
        assert (asked.temperature, asked.methods, asked.suites) == (0.5, ("scripted",), ("story",))
    else:
        with pytest.raises(BadInput):
            parse(ScriptedDevice(), *given)


def test_what_is_asked_is_what_is_measured() -> None:
    given = (
        "toy",
        ["story", "story"],
        3,
        "one\ntwo",
        ["scripted", "plain", "scripted"],
        "scripted: depth=5",
        2,
        9,
        0.25,
    )
    asked = parse(ScriptedDevice(), *given)
    assert (asked.suites, asked.methods, asked.num_prompts, asked.num_repeats) == (("story",), ("scripted",), 3, 2)
    plan = asked.plan()
    assert (len(plan.questions), len(plan.rounds), plan.contenders) == (5, 10, ["plain", "scripted"])
    assert (plan.config.max_new_tokens, plan.config.temperature, plan.config.has_detail) == (9, 0.25, False)
    assert plan.methods == {"scripted": {"depth": 5}}
    assert asked.title == "story, own prompts: scripted (depth=5)"
