"""Benchmarks of the page: what is asked, what is kept, what goes on after a stop, what the figures say."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from benching import GIVEN, OWN, Place, TinyDevice, at_run, until_it_ends
from scripted import HOSTILE, PATIENCE_S, ScriptedDevice

from engine import models, suites
from engine.bench import journal
from engine.errors import BadInput
from engine.options import OptionSpec
from engine.target import Target
from specviz.bench import EXAMPLE, Asked, Benchmarks, Progress, Shelf, document, parse, speeds
from specviz.bench.request import _check_size
from specviz.bench.shelf import UnknownBenchmark
from specviz.decoding.device import Method
from specviz.decoding.line import Ticket
from specviz.decoding.session import Sessions
from specviz.figures import bench as figures
from specviz.pages.bench import BenchView, told_progress
from specviz.store import Store, open_store

DEPTH = OptionSpec("depth", 15, "How far.", low=1, high=64, unit="tokens")
LOOKUP = Method("prompt_lookup", "Prompt lookup", "Copies.", "nobody", "exact", (DEPTH,))
OWN = Asked("toy", (), 6, ("Tim found a red ball.", "The cat sat.", "Who?"), ("prompt_lookup",), 2, 5, 0.0)
GIVEN: tuple[Any, ...] = ("toy", ["story"], 2, "", ["prompt_lookup"], "", 1, 8, 0)


@dataclass
class TinyDevice(ScriptedDevice):
    """Measures a tiny model."""

    folder: Path = Path()
    loads: list[str] = field(default_factory=list)

    def methods(self) -> tuple[Method, ...]:
        return (*super().methods()[:1], LOOKUP)

    def load(self, model: str) -> Any:
        self.loads.append(model)
        return Target(models.load(str(self.folder), "cpu", "fp32"))


@dataclass
class Place:
    """A shelf with all that works on it."""

    sessions: Sessions
    store: Store
    shelf: Shelf

    def benchmarks(self) -> Benchmarks:
        return Benchmarks(self.sessions, self.store, self.shelf)

    def view(self, benchmarks: Benchmarks | None = None) -> BenchView:
        return BenchView(benchmarks or self.benchmarks(), self.sessions.device, self.store)


@pytest.fixture
def place(model_folder: Path, tmp_path: Path) -> Iterator[Place]:
    with open_store(":memory:") as store:
        yield Place(Sessions(TinyDevice(folder=model_folder), store), store, Shelf(tmp_path / "bench"))


def until_it_ends(benchmarks: Benchmarks) -> Progress:
    progress = benchmarks.progress
    while progress.is_going_on:
        progress = benchmarks.wait(progress, PATIENCE_S)
    return progress


def at_run(num: int, store: Store, act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Act while this run is timed, in the benchmark's own thread, however quick it is."""
    counted, begin = itertools.count(1), store.begin

    def acting(*given: Any, **named: Any) -> Any:
        if next(counted) == num:
            act()
        return begin(*given, **named)

    monkeypatch.setattr(store, "begin", acting)


def report_of(rows: dict[tuple[str, str], tuple[float, float]]) -> dict[str, Any]:
    """An opened report of made-up figures: (method, suite) → speedup and block efficiency."""
    known = {"category": "", "speedup_low": None, "speedup_high": None, "num_prompts": 1, "num_runs": 1}
    known |= {"relative_pass_cost": 1.0, "relative_draft_cost": 0.5, "same_text": "1/1"}
    found = [
        {**known, "method": m, "suite": s, "speedup": x, "block_efficiency": e, "expected_speedup": e / 1.5}
        for (m, s), (x, e) in rows.items()
    ]
    return {"rows": found, "overall": [row for row in found if row["suite"] == found[0]["suite"]], "cells": []}


@pytest.fixture(autouse=True)
def quick_row_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specviz.bench.benchmarks.ROW_COST_S", 0.0)


# from start to end


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
    monkeypatch.setattr("engine.bench.report._commit", lambda: "other")
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


# what is asked


def test_a_request_survives_its_file() -> None:
    asked = parse(TinyDevice(), *GIVEN)
    assert Asked.from_dict(json.loads(json.dumps(asked.to_dict()))) == asked
    assert len(asked.plan().questions) == 2
    assert asked.plan().contenders == ["plain", "prompt_lookup"]


@pytest.mark.parametrize(
    ("place_of", "value", "says"),
    [
        (0, "nonsense", "Unknown model"),
        (1, [], "nothing to ask"),
        (1, ["/etc/passwd.jsonl"], "Unknown suite"),
        (1, [["story"]], "Unknown suite"),
        (2, 0, "from 1 to 100"),
        (2, "many", "from 1 to 100"),
        (3, "\n".join("x" * 51), "at most 50"),
        (3, "x" * 20_001, "20,001 characters"),
        (4, [], "nothing to measure"),
        (4, ["plain"], "nothing to measure"),
        (4, ["magic"], "Unknown method"),
        (6, 21, "from 1 to 20"),
        (7, 0, "max_new_tokens"),
        (7, 5_000, "at most 2,000"),
        (8, -1, "temperature"),
        (5, "magic: depth=2", "Unknown method"),
        (5, "prompt_lookup: width=2", "Unknown option of prompt_lookup"),
        (5, "prompt_lookup: depth=many", "depth"),
        (5, "prompt_lookup: depth=999", "depth"),
        (5, "prompt_lookup", "wanted each once"),
        (5, "prompt_lookup: depth", "wanted each once"),
        (5, "prompt_lookup: depth=2, depth=3", "wanted each once"),
        (5, "prompt_lookup: depth=2\nprompt_lookup: depth=3", "two lines"),
        (5, "plain: depth=2", "Unknown option of plain"),
        (5, "prompt_lookup: depth=2\n" * 41, "at most 40"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(place_of: int, value: object, says: str) -> None:
    given = [*GIVEN]
    given[place_of] = value
    with pytest.raises(BadInput, match=says):
        parse(TinyDevice(), *given)


def test_options_of_a_method_are_measured_kept_and_named(place: Place) -> None:
    asked = parse(TinyDevice(), *GIVEN[:5], "  prompt_lookup : depth = 2 \n\n", *GIVEN[6:])
    assert asked.options == {"prompt_lookup": {"depth": 2}}
    assert asked.title.endswith("prompt_lookup (depth=2)")
    assert asked.plan().methods == {"prompt_lookup": {"depth": 2}}
    assert Asked.from_dict(json.loads(json.dumps(asked.to_dict()))) == asked
    benchmarks = place.benchmarks()
    benchmarks.start(replace(OWN, options=asked.options))
    assert until_it_ends(benchmarks).phase == "finished"
    assert place.store.flush()
    chosen = {run.method: run.method_options.get("depth") for run in place.store.list_runs(100)}
    assert chosen == {"plain": None, "prompt_lookup": 2}


def test_a_request_of_before_there_were_options_is_read() -> None:
    values = OWN.to_dict()
    del values["options"]
    assert Asked.from_dict(values) == OWN


def test_options_of_a_method_that_is_not_chosen_are_refused() -> None:
    device = TinyDevice()
    asked = parse(device, *GIVEN)
    with pytest.raises(BadInput, match="choose it or remove its line"):
        _check_size(replace(asked, options={"draft_model": {"depth": 2}}))


def test_too_many_runs_are_refused_with_their_number() -> None:
    given = ("toy", suites.names(), 24, "", ["prompt_lookup"], "", 20, 8, 0)
    with pytest.raises(BadInput, match=r"6,720 runs.*at most 5,000"):
        parse(TinyDevice(), *given)


def test_own_prompts_are_one_per_line() -> None:
    asked = parse(TinyDevice(), "toy", [], 1, " one \n\n two \ud800\n", ["prompt_lookup"], "", 1, 8, 0)
    assert asked.own_prompts == ("one", "two \\ud800")


# how long it takes


def test_the_time_is_told_from_what_is_known_best(place: Place) -> None:
    asked = replace(OWN, model="story")
    example = speeds.speeds("story", place.shelf, place.store)
    assert example is not None
    assert "the example" in speeds.in_words(asked, example)
    assert speeds.speeds("nobody", place.shelf, place.store) is None
    assert "first round will tell" in speeds.in_words(asked, None)
    benchmarks = place.benchmarks()
    bench_id = benchmarks.start(OWN)
    until_it_ends(benchmarks)
    model, _ = place.shelf.cells(bench_id)
    own = speeds.speeds(model, place.shelf, place.store)
    assert own is not None
    assert own.source == "earlier benchmarks"
    assert set(own.seconds_per_token) == {"plain", "prompt_lookup"}


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (66, "66 s"), (120, "2 min"), (7300, "2 h 2 min")])
def test_durations_are_told_to_a_sensible_precision(seconds: float, text: str) -> None:
    assert speeds.duration(seconds) == text


# the shelf


def test_the_example_opens_with_figures_of_todays_definitions(tmp_path: Path) -> None:
    report = Shelf(tmp_path).open(EXAMPLE)
    row = next(row for row in report["rows"] if row["method"] == "draft_model" and not row["category"])
    theory = row["block_efficiency"] / (row["relative_pass_cost"] + row["relative_draft_cost"])
    assert row["expected_speedup"] == pytest.approx(theory)
    assert {row["suite"] for row in report["overall"]} == {"all"}


@pytest.mark.parametrize("bench_id", ["", "../../etc", "0" * 32, "example.json", "\ud800", "x" * 500])
def test_an_id_that_is_none_never_becomes_a_path(bench_id: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownBenchmark, match="There is no benchmark"):
        Shelf(tmp_path).open(bench_id)
    with pytest.raises(UnknownBenchmark):
        Shelf(tmp_path).journal(f"../{bench_id}")


def test_a_torn_or_foreign_folder_is_passed_over(tmp_path: Path) -> None:
    for name, text in (("a" * 32, '{"asked": '), ("b" * 32, "[]"), ("notes", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "request.json").write_text(text)
    assert [entry.id for entry in Shelf(tmp_path).entries()] == [EXAMPLE]


def test_a_shelf_of_a_database_in_memory_is_gone_with_the_program(place: Place) -> None:
    assert place.store.folder("bench") is None
    with open_store(Path(place.shelf._folder.parent) / "runs.db") as store:
        folder = store.folder("bench")
    assert folder is not None
    assert folder.name == "runs-bench"


# figures


def test_slower_than_plain_is_marked_as_it_is_printed() -> None:
    row = {"speedup_low": None, "speedup_high": None}
    assert figures.speedup_text({**row, "speedup": 0.994}) == "▼ 0.99"
    assert figures.speedup_text({**row, "speedup": 0.996}) == "1.00"
    interval = {"speedup": 2.4, "speedup_low": 1.94, "speedup_high": 2.86}
    assert figures.speedup_text(interval, has_interval=True) == "2.40 [1.94, 2.86]"


def test_the_heat_map_has_a_line_per_method_and_a_place_for_what_was_not_measured() -> None:
    found = figures.heat(report_of({("slow", "s"): (0.5, 1.0), ("fast", "s"): (2.0, 3.0), ("fast", "t"): (4.0, 5.0)}))
    assert (found["rows"], found["columns"]) == (["fast", "slow"], ["s", "t", "all"])
    assert found["values"][0][:2] == [1.0, 2.0]
    assert found["values"][1][:2] == [-1.0, None]
    assert found["texts"][1][:2] == ["▼ 0.50", ""]


def test_the_theory_stands_beside_the_measured_point() -> None:
    found = figures.scatter(report_of({("a", "s"): (2.0, 3.0)}), "s")
    free, expected, measured = found["series"]
    assert free["kind"] == "lines"
    assert (expected["x"], expected["y"], expected["isOpen"]) == ([3.0], [2.0], True)
    assert (measured["x"], measured["y"], measured["texts"]) == ([3.0], [2.0], ["a"])
    assert found["table"]["rows"] == [["a", "3.00", "1.00", "0.50", "2.00", "2.00"]]


def test_names_of_points_that_lie_together_keep_clear_of_each_other() -> None:
    places = figures._places([(2.0, 2.0, "one"), (2.0, 2.0, "two"), (2.0, 2.0, "three")])
    assert len(set(places)) == 3


def test_time_per_token_is_a_sum_over_a_sum() -> None:
    cells = [
        {"num_emitted": 10, "seconds": 1.0, "draft_ms": 100.0, "target_ms": 600.0, "host_ms": 100.0},
        {"num_emitted": 30, "seconds": 1.0, "draft_ms": 100.0, "target_ms": 600.0, "host_ms": 100.0},
    ]
    assert figures.per_token_ms(cells) == pytest.approx(
        {"draft": 5.0, "target": 30.0, "host": 5.0, figures.OUTSIDE: 10.0}
    )


# texts to keep


@pytest.mark.parametrize("kind", document.KINDS)
def test_a_report_is_kept_with_what_it_has_to_be_read_with(kind: str, tmp_path: Path) -> None:
    report = Shelf(tmp_path).open(EXAMPLE)
    text = document.write(report, kind)
    speedup = report["rows"][0]["speedup"]
    written = str(speedup) if kind == "json" else f"{speedup:.2f}"
    for said in (report["machine"]["processor"], report["dtype"], "prompt_lookup", written):
        assert said in text


def test_the_html_page_asks_for_nothing_and_runs_nothing(tmp_path: Path) -> None:
    report = Shelf(tmp_path).open(EXAMPLE)
    for row in [*report["rows"], *report["overall"]]:
        row["method"] = HOSTILE[0] + row["method"]
        row["suite"] = row["suite"] if row["suite"] == "all" else HOSTILE[5]
    text = document.to_html({**report, "model": HOSTILE[2], "commit": HOSTILE[0]})
    assert not [word for word in HOSTILE if "<" in word and word in text]
    assert "<script" not in text
    assert "://" not in text.replace("https://example.com/", "")


def test_a_json_report_is_what_the_command_line_writes(tmp_path: Path) -> None:
    report = json.loads(document.write(Shelf(tmp_path).open(EXAMPLE), "json"))
    assert "overall" not in report
    assert report["rows"]
    assert report["cells"]


# the page


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
    refused = view.start("toy", [], 6, "", ["prompt_lookup"], "", 1, 8, 0)
    assert "nothing to ask" in json.loads(refused[0])["alert"]
    told, timer, stop, board, shown = view.start("toy", [], 6, "Tim\nfox", ["prompt_lookup"], "", 1, 4, 0)
    assert (timer.active, stop.interactive) == (True, True)
    assert json.loads(board)["open"] == shown["id"]
    held.set()
    until_it_ends(benchmarks)
    told, timer, stop, board, shown = view.poll(shown)
    assert json.loads(told)["phase"] == "finished"
    assert (timer.active, stop.interactive) == (False, False)
    assert json.loads(board)["isComplete"]


def test_journals_of_the_page_are_the_command_lines(place: Place) -> None:
    benchmarks = place.benchmarks()
    bench_id = benchmarks.start(OWN)
    until_it_ends(benchmarks)
    path = place.shelf.journal(bench_id)
    settings = json.loads(path.read_text().splitlines()[0])["settings"]
    assert len(journal.read(path, settings, OWN.plan())) == 12
