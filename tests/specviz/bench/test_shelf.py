"""The benchmarks that are kept: listed, opened with today's figures, never by a path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benching import ASKED, CELL, IDS, Place, cell, report

from specviz.bench import EXAMPLE, Shelf
from specviz.bench.shelf import UnknownBenchmark
from specviz.store import open_store


def test_the_example_opens_with_figures_of_todays_definitions(tmp_path: Path) -> None:
    report = Shelf(tmp_path).open(EXAMPLE)
    row = next(row for row in report["rows"] if row["method"] == "mlp_speculator" and not row["category"])
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


def test_a_list_begins_with_the_newest_and_ends_with_the_example(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "bench", tmp_path / "reports")
    for bench_id, day in zip(IDS, (2, 3, 1), strict=False):
        shelf.add(bench_id, ASKED, f"2026-01-0{day}")
    shelf.keep(IDS[1], report("toy", CELL, CELL))
    (tmp_path / "reports").mkdir()
    for name, day, is_complete in (("old", 1, True), ("new", 4, True), ("torn", 5, False), ("sampled", 6, True)):
        given = report(name, CELL, is_complete=is_complete, created_at=f"2026-01-0{day}", rows=[{"suite": name}] * 2)
        given["config"] = {"temperature": 0.8 if name == "sampled" else 0.0}
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
