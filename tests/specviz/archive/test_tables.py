"""Runs as a table: typed, its columns the runs' own, no cell a formula."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from asking import page_of, rows_of
from stored import finished, save, session

from specviz.archive import tables
from specviz.race import board
from specviz.race import table as race_table
from specviz.store import RunCopy, Store


@pytest.fixture
def two(store: Store) -> Store:
    save(store, session("plain", method="plain", prompt="=1+1"))
    fast = session("fast", prompt="=1+1")
    save(store, [*fast[:-1], finished(decode_ns=11)])
    store.set_baseline("fast", "plain")
    store.add_tag("fast", "a")
    store.add_tag("fast", "b")
    store.flush()
    return store


FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def test_csv_has_a_row_for_each_run_and_runs_no_formula(two: Store) -> None:
    runs = two.list_runs()
    found = list(csv.DictReader(io.StringIO(tables.to_csv(runs, {run.id: run for run in runs}), newline="")))
    rows = {row["id"]: row for row in found}
    assert rows["fast"]["prompt"] == "'=1+1"
    assert rows["fast"]["tags"] == "a, b"
    assert float(rows["fast"]["speedup"]) == pytest.approx(7.0)
    assert (rows["plain"]["speedup"], rows["plain"]["block_efficiency"]) == ("", "2.0")
    assert tuple(found[0]) == tables.COLUMNS


def test_parquet_has_the_same_rows_with_types(two: Store) -> None:
    import pyarrow.parquet as pq

    runs = two.list_runs()
    table = pq.read_table(io.BytesIO(tables.to_parquet(runs, {run.id: run for run in runs})))
    rows = {row["id"]: row for row in table.to_pylist()}
    assert rows["fast"]["prompt"] == "=1+1"
    assert rows["fast"]["speedup"] == pytest.approx(7.0)
    assert rows["plain"]["speedup"] is None
    assert json.loads(rows["fast"]["config"])["seed"] == 7
    assert {str(table.schema.field(name).type) for name in ("seed", "decode_ns", "num_prompt_tokens")} == {"int64"}


def test_acceptance_stands_under_the_names_that_servers_use(store: Store) -> None:
    """Two steps: two nodes drafted and one accepted, each."""
    page_of(store, "a")
    row = tables.to_row(store.get_run("a"), None)
    assert (row["mean_acceptance_length"], row["draft_acceptance_rate"]) == (2.0, 0.5)
    assert (row["acceptance_histogram"], row["joint_acceptance_rates"]) == ("[0, 2, 0]", "[1.0, 0.0]")
    assert row["conditional_acceptance_rates"] == "[1.0, 0.0]"
    former = tables.to_row(replace(store.get_run("a"), acceptance_histogram=None), None)
    assert {former[name] for name in (*tables._ACCEPTANCE, *tables._BY_LENGTH)} == {None}


def test_an_empty_table_still_has_its_columns() -> None:
    assert tables.to_csv([], {}).count("\r\n") == 1
    assert tables.to_parquet([], {})[:4] == b"PAR1"


def test_a_run_with_a_broken_half_can_be_exported(store: Store) -> None:
    save(store, session("a", prompt="half \ud83d"))
    assert "half \\ud83d" in tables.to_csv(store.list_runs(), {})
    assert tables.to_parquet(store.list_runs(), {})


@pytest.mark.parametrize("sign", FORMULAS)
def test_no_cell_begins_as_a_formula_does(store: Store, sign: str) -> None:
    text = f"{sign}1+1"
    store.add_copies([RunCopy(tuple(session("a", prompt=text, model=text)), note=text)])
    (row,) = rows_of(tables.to_csv(store.list_runs(), {}))
    assert (row["prompt"], row["model"], row["note"]) == (f"'{text}",) * 3
    lane = board.Row(text, "m", "exact", 1, "finished", 1, 1, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0, None, "", text, "")
    (cells,) = list(csv.DictReader(io.StringIO(race_table.to_csv([lane]), newline="")))
    assert (cells["Method"], cells["Same text?"], cells["Speedup (×)"]) == (f"'{text}", f"'{text}", "-1.0")


def test_other_texts_and_figures_are_left_alone(store: Store) -> None:
    store.add_copies([RunCopy(tuple(session("a", prompt="1 + 1 = 2")), note="'quoted")])
    (row,) = rows_of(tables.to_csv(store.list_runs(), {}))
    assert (row["prompt"], row["note"], row["seed"], row["tags"]) == ("1 + 1 = 2", "'quoted", "7", "")


def test_the_columns_of_a_row_are_the_runs_own(store: Store) -> None:
    """Every count and time under its own name: all of them are different numbers."""
    names = ("steps", "proposed", "accepted", "emitted", "target_passes")
    counts = {name: place for place, name in enumerate(names, 3)}
    times = ("prefill_ns", "decode_ns", "draft_ns", "target_ns", "verify_ns", "commit_ns", "host_ns")
    page_of(store, "a")
    numbers = counts | {name: 10_000 + place for place, name in enumerate(times)}
    row = tables.to_row(replace(store.get_run("a"), **numbers, num_prompt_tokens=17), None)  # type: ignore[arg-type]
    assert {name: row[name] for name in numbers} == numbers
    assert (row["block_efficiency"], row["acceptance_rate"], row["mean_accepted_length"]) == (6 / 3, 5 / 4, 5 / 3)
    assert row["tokens_per_second"] == pytest.approx(6 / 10_001 * 1e9)
    assert (row["num_prompt_tokens"], row["speedup"], row["verdict"]) == (17, None, None)
