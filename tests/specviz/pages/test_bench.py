"""The Benchmark view's handlers."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from benching import ASKED, CELL, IDS, Place, Runs, at_run, benchmarks, report, until_it_ends
from scripted import PATIENCE_S, ScriptedDevice

from engine import suites
from specviz.bench import EXAMPLE, Benchmarks, Progress
from specviz.pages import bench as page
from specviz.pages.bench import BenchView, told_progress

WHO: Any = SimpleNamespace(session_hash="v")


def view(tmp_path: Path, bench: Benchmarks | None = None) -> BenchView:
    return BenchView(bench or benchmarks(tmp_path), ScriptedDevice(), Runs())  # type: ignore[arg-type]


def test_the_board_is_never_empty_and_unknown_ids_get_a_sentence(place: Place) -> None:
    view = place.view()
    told, timer, stop, board, shown = view.arrive({"view": "bench"})
    assert json.loads(told)["phase"] == "idle"
    assert (timer.active, stop.interactive, shown["id"]) == (False, False, EXAMPLE)
    assert json.loads(board)["heat"]["rows"]
    unknown = json.loads(view.arrive({"view": "bench", "run": "nobody"})[3])
    assert "There is no benchmark 'nobody'" in unknown["alert"]
    assert unknown["entries"]
    assert "There is no" in view.export("nobody", "md")
    assert "Unknown kind" in view.export(EXAMPLE, "exe")


def test_start_says_why_not_and_else_shows_progress_until_the_end(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmarks, held = place.benchmarks(), threading.Event()
    at_run(1, place.store, lambda: held.wait(PATIENCE_S), monkeypatch)
    view = place.view(benchmarks)
    refused = view.start(WHO, "toy", [], 6, "", ["prompt_lookup"], "", 1, 8, 0)
    assert "nothing to ask" in json.loads(refused[0])["alert"]
    told, timer, stop, board, shown = view.start(WHO, "toy", [], 6, "Tim\nfox", ["prompt_lookup"], "", 1, 4, 0)
    assert (timer.active, stop.interactive) == (True, True)
    assert json.loads(board)["open"] == shown["id"]
    held.set()
    until_it_ends(benchmarks)
    told, timer, stop, board, shown = view.poll(shown)
    assert json.loads(told)["phase"] == "finished"
    assert (timer.active, stop.interactive) == (False, False)
    assert json.loads(board)["isComplete"]


def test_the_suites_to_choose_from_are_the_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mbpp.jsonl").write_text("{}")
    monkeypatch.setenv(suites.FOLDER_VARIABLE, str(tmp_path))
    for model, kind in (("story", "story"), ("toy", "general")):
        made = page.suites_for(model)
        assert made["choices"] == [*suites.own_names(kind), "mbpp"]
        assert len(made["value"]) == 3
        assert set(made["value"]) <= set(suites.own_names(kind))


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


def test_what_a_model_of_ones_own_needs_is_said_at_home_alone(tmp_path: Path) -> None:
    def needs(model: object, **device: Any) -> str:
        return BenchView(benchmarks(tmp_path), ScriptedDevice(**device), Runs()).needs(model)  # type: ignore[arg-type]

    assert needs("own", takes_own=True) == "Needs 1.0 GB; 2.0 GB are free."
    assert needs("toy", takes_own=True) == needs("toy") == "", "one of the menu"
    assert needs(["x"], takes_own=True).startswith("Unknown model")
    assert needs("a/b", takes_own=True) == "The Hub has no model a/b."
    assert needs("own") == "This instance runs its own models only."
