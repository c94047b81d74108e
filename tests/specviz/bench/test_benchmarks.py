"""Benchmarks from start to end: every run kept, stopped, resumed, held against plain ones; others served between."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from benching import ASKED, IDS, OWN, Place, at_run, benchmarks, cell, until_it_ends
from scripted import PATIENCE_S, ScriptedRecorder
from stored import session

from engine.bench import Skipped, journal
from engine.errors import BadInput
from engine.models import watch
from specviz.bench import Benchmarks, Progress, Shelf
from specviz.bench import benchmarks as running
from specviz.decoding.line import Ticket
from specviz.pages.bench import told_progress
from specviz.store import StoreError


def work(**fields: Any) -> Any:
    return SimpleNamespace(group_id="g", session_ids={}, **fields)


def test_a_benchmark_keeps_every_run_and_its_report(place: Place) -> None:
    benchmarks = place.benchmarks()
    bench_id = benchmarks.start(OWN)
    progress = until_it_ends(benchmarks)
    assert (progress.phase, progress.num_done, progress.num_total, progress.num_different) == ("finished", 12, 12, 0)
    report = place.shelf.open(bench_id)
    assert report["is_complete"]
    assert len(report["cells"]) == 12
    assert {row["suite"] for row in report["rows"]} == {"own prompts"}
    entry = place.shelf.entries()[0]
    assert (entry.id, entry.is_complete, entry.num_runs) == (bench_id, True, 12)


def test_the_runs_are_saved_as_a_group_with_plain_ones_beside_them(place: Place) -> None:
    benchmarks = place.benchmarks()
    bench_id = benchmarks.start(OWN)
    until_it_ends(benchmarks)
    assert place.store.flush()
    (group,) = place.store.list_groups()
    assert (group.kind, group.details["benchmark"]) == ("benchmark", bench_id)
    assert place.shelf.group(bench_id) == group.id
    runs = place.store.list_runs(100, group_id=group.id)
    assert len(runs) == 12
    assert {run.task for run in runs} == {"own prompts"}
    for run in runs:
        beside = place.store.get_run(run.baseline_run_id).prompt if run.baseline_run_id else None
        assert beside == (None if run.method == "plain" else run.prompt)


def test_a_stopped_benchmark_goes_on_where_its_last_whole_round_ended(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmarks = place.benchmarks()
    at_run(3, place.store, benchmarks.stop, monkeypatch)
    bench_id = benchmarks.start(OWN)
    assert until_it_ends(benchmarks).phase == "stopped"
    assert not place.shelf.entries()[0].is_complete
    before = place.shelf.journal(bench_id).read_text().splitlines()
    assert len(before) == 4, "the settings and three runs"
    again = place.benchmarks()  # as after a restart of the program
    again.resume(bench_id)
    assert until_it_ends(again).phase == "finished"
    cells = place.shelf.open(bench_id)["cells"]
    assert len({(c["prompt_index"], c["repeat"], c["method"]) for c in cells}) == len(cells) == 12
    assert place.store.flush()
    assert len(place.store.list_runs(100, group_id=place.shelf.group(bench_id))) >= 12, "one group, before and after"
    assert place.shelf.journal(bench_id).read_text().splitlines()[:3] == before[:3], "whole rounds are not run again"


def test_how_far_loading_is_stands_in_the_progress_and_stop_ends_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmarks, told = place.benchmarks(), []

    def load(model: str) -> None:
        watch.report("Fetching 40 %")
        told.append(benchmarks.progress.note)
        benchmarks.stop()
        watch.report()

    monkeypatch.setattr(place.sessions.device, "load", load)
    benchmarks.start(OWN)
    assert until_it_ends(benchmarks).phase == "stopped"
    assert told == ["Fetching 40 %"]


def test_resuming_a_finished_one_measures_nothing(place: Place) -> None:
    benchmarks = place.benchmarks()
    bench_id = benchmarks.start(OWN)
    until_it_ends(benchmarks)
    before = place.shelf.journal(bench_id).read_text()
    benchmarks.resume(bench_id)
    assert until_it_ends(benchmarks).phase == "finished"
    assert place.shelf.journal(bench_id).read_text() == before


def test_others_have_their_turn_between_rounds(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A visitor who joins the line while a benchmark runs is served before it ends."""
    benchmarks, served = place.benchmarks(), []

    def visit(ticket: Ticket) -> None:
        while ticket.position(PATIENCE_S, known=1) != 0:
            pass
        served.append(benchmarks.progress)
        ticket.leave()

    def arrive() -> None:
        threading.Thread(target=visit, args=(place.sessions.ticket(),)).start()

    at_run(1, place.store, arrive, monkeypatch)
    benchmarks.start(OWN)
    assert until_it_ends(benchmarks).phase == "finished"
    assert [(progress.is_going_on, progress.num_done) for progress in served] == [(True, 2)], "after the first round"


def test_one_at_a_time_and_a_sentence_for_the_second(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmarks, refused = place.benchmarks(), []

    def start_again() -> None:
        with pytest.raises(BadInput, match="is going on") as caught:
            benchmarks.start(OWN)
        refused.append(caught.value)
        benchmarks.stop()

    at_run(1, place.store, start_again, monkeypatch)
    benchmarks.start(OWN)
    until_it_ends(benchmarks)
    assert len(refused) == 1


def test_a_fault_is_a_sentence_and_what_was_measured_stays(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmarks = place.benchmarks()
    at_run(4, place.store, benchmarks.stop, monkeypatch)
    bench_id = benchmarks.start(OWN)
    until_it_ends(benchmarks)

    def explode(*args: object) -> None:
        raise RuntimeError("on fire")

    with monkeypatch.context() as patch:
        patch.setattr("engine.drafters.copying.prompt_lookup.PromptLookup.propose", explode)
        benchmarks.resume(bench_id)
        progress = until_it_ends(benchmarks)
    assert progress.phase == "failed"
    assert "on fire" in told_progress(progress)["text"]
    assert place.shelf.open(bench_id)["cells"]
    benchmarks.resume(bench_id)
    assert until_it_ends(benchmarks).phase == "finished"


def test_another_program_version_is_refused_with_what_differs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmarks = place.benchmarks()
    at_run(2, place.store, benchmarks.stop, monkeypatch)
    bench_id = benchmarks.start(OWN)
    until_it_ends(benchmarks)
    monkeypatch.setattr("engine.bench.report.commit", lambda: "other")
    benchmarks.resume(bench_id)
    progress = until_it_ends(benchmarks)
    assert progress.phase == "failed"
    assert "commit was" in progress.note


def test_no_disk_is_a_sentence_and_nothing_runs(place: Place, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    benchmarks = Benchmarks(place.sessions, place.store, Shelf(tmp_path / "file"))
    with pytest.raises(BadInput, match="cannot be kept"):
        benchmarks.start(OWN)
    assert benchmarks.progress.phase == "failed"


def test_journals_of_the_page_are_the_command_lines(place: Place) -> None:
    benchmarks = place.benchmarks()
    bench_id = benchmarks.start(OWN)
    until_it_ends(benchmarks)
    path = place.shelf.journal(bench_id)
    settings = json.loads(path.read_text().splitlines()[0])["settings"]
    assert len(journal.read(path, settings, OWN.plan())) == 12


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


def test_progress_counts_runs_questions_left_out_and_other_texts() -> None:
    records = [cell("plain", 2.0), cell("scripted", 1.0, is_same_text=False), Skipped("s", "", 1)]
    found = running._figures(work(records=records, plan=ASKED.plan()))
    assert (found["num_done"], found["num_total"], found["num_different"]) == (3, 3, 1)
    assert running._figures(work(records=records[:1], plan=ASKED.plan()))["num_different"] == 0


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
