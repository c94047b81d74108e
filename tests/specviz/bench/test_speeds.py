"""How long a benchmark may take, from what is known best."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benching import ASKED, IDS, OWN, Place, Runs, cell, report, until_it_ends
from stored import save, session

from specviz.bench import Shelf, speeds
from specviz.bench.shelf import EXAMPLE
from specviz.store import RunRow, StoreError, open_store


def test_the_time_is_told_from_what_is_known_best(place: Place) -> None:
    model, _ = place.shelf.cells(EXAMPLE)
    asked = replace(OWN, model=model)
    example = speeds.speeds(model, place.shelf, place.store)
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
        def list_runs(self, limit: int = 50, **conditions: Any) -> list[RunRow]:
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
