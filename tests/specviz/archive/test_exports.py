"""Files that leave and come: all runs that were found, each once; limits to the last character; nothing that runs."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from asking import ask, page_of
from stored import finished, save, session, started, stepped

from engine.errors import BadInput
from specviz.archive import lines, tables
from specviz.pages import exports
from specviz.pages.saved import SavedRuns
from specviz.race import board
from specviz.race import table as race_table
from specviz.showing import listing
from specviz.showing.channel import Streams
from specviz.store import RunCopy, RunRow, Store, open_store

FORMULAS = ("=", "+", "-", "@", "\t", "\r")


@pytest.fixture
def store() -> Iterator[Store]:
    with open_store(":memory:") as opened:
        yield opened


def ask(handler: Any, given: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(handler(given))
    return found


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def page_of(store: Store, *names: str) -> SavedRuns:
    store.add_copies([RunCopy(tuple(session(name))) for name in names])
    return SavedRuns(store, Streams())


# how many runs a table holds


class Shelf:
    """A store of many runs, all alike."""

    def __init__(self, row: RunRow, num_runs: int) -> None:
        self.rows = [row] * num_runs

    def list_runs(self, limit: int = 50, **order: Any) -> list[RunRow]:
        return self.rows[:limit]

    def baselines(self, runs: Any) -> dict[str, RunRow]:
        return {}

    def count_runs(self, **conditions: Any) -> int:
        return len(self.rows)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_of_ten_thousand_runs_and_more_holds_them_all(
    store: Store, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page_of(store, "a")
    monkeypatch.setattr(tables, f"to_{kind}", lambda runs, _: f"{len(runs)}")
    assert exports.table(Shelf(store.get_run("a"), 10_050), {}, kind) == "10050"  # type: ignore[arg-type]


def test_where_a_table_cannot_hold_them_all_both_numbers_are_said(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_of(store, *"abcd")
    monkeypatch.setattr(exports, "MAX_TABLE_ROWS", 3)
    error = ask(page.export, {"kind": "csv", "listing": {}})["error"]
    assert error.startswith("4 runs were found; a table takes at most 3.")
    store.trash(["a"])
    assert len(rows_of(ask(page.export, {"kind": "csv", "listing": {}})["content"])) == 3


def test_all_that_was_found_is_more_than_a_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"r{place:02}" for place in range(listing.NUM_ROWS + 2)]
    page = page_of(store, *names)
    content = ask(page.export, {"kind": "csv", "listing": {"page": 1, "is_descending": False}})["content"]
    assert [row["id"] for row in rows_of(content)] == names, "whatever page is on screen"


def test_a_question_for_many_ids_is_put_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    page_of(store, *"abcdefg")
    store.add_tag("g", "last")
    for size in (1, 3, 7, 8):
        monkeypatch.setattr("specviz.store.reader.AT_ONCE", size)
        assert "".join(row.id for row in store.list_runs(100)) == "gfedcba"
        found = store.get_runs(["c", "nobody", "g", "a"])
        assert [(row.id, row.tags) for row in found] == [("c", ()), ("g", ("last",)), ("a", ())]


def test_a_table_of_what_was_found_follows_filter_and_order(store: Store) -> None:
    for name, decode_ns in (("slow", 40), ("fast", 10), ("middle", 20)):
        save(store, [*session(name)[:-1], replace(finished(), decode_ns=decode_ns)])
    save(store, session("other", method="plain"))
    asked = {"method": "draft_model", "sort": "speed", "is_descending": True}
    content = ask(SavedRuns(store, Streams()).export, {"kind": "csv", "listing": asked})["content"]
    assert [row["id"] for row in rows_of(content)] == ["fast", "middle", "slow"]


def test_chosen_runs_stand_in_the_order_in_which_they_were_chosen(store: Store) -> None:
    page = page_of(store, *"abc")
    content = ask(page.export, {"kind": "csv", "ids": ["b", "c", "a"]})["content"]
    assert [row["id"] for row in rows_of(content)] == ["b", "c", "a"]
    file = ask(page.export, {"kind": "jsonl", "ids": ["b", "c"]})["content"]
    assert [copy.run_id for copy in lines.from_lines(file)] == ["b", "c"]
    binary = ask(page.export, {"kind": "parquet", "ids": ["b"]})
    assert base64.b64decode(binary["content"])[:4] == b"PAR1"
    assert (binary["is_base64"], ask(page.export, {"kind": "csv", "ids": ["b"]})["is_base64"]) == (True, False)


def test_a_table_says_the_speedups_of_its_runs(store: Store) -> None:
    save(store, session("plain", method="plain"))
    save(store, [*session("fast")[:-1], replace(finished(), decode_ns=11)])
    store.set_baseline("fast", "plain")
    store.flush()
    (row,) = rows_of(ask(SavedRuns(store, Streams()).export, {"kind": "csv", "ids": ["fast"]})["content"])
    assert float(row["speedup"]) == pytest.approx(7.0)


# what comes in


def test_a_run_that_a_file_holds_twice_is_new_once(store: Store) -> None:
    page = SavedRuns(store, Streams())
    copy = RunCopy(tuple(session("a")))
    file = "\n".join(lines.to_lines([copy, copy, RunCopy((started("b"),))]))
    assert ask(page.take_in, {"text": file}) == {"added": ["a", "b"], "known": 0}
    assert ask(page.take_in, {"text": file}) == {"added": [], "known": 2}
    assert store.count_runs() == 2


def test_what_is_here_already_is_counted(store: Store) -> None:
    page = page_of(store, "a")
    file = "\n".join(lines.to_lines([RunCopy(tuple(session(name))) for name in "abc"]))
    assert ask(page.take_in, {"text": file}) == {"added": ["b", "c"], "known": 1}


def test_a_baseline_is_linked_wherever_in_the_file_it_stands(store: Store) -> None:
    fast = RunCopy(tuple(session("fast")), baseline_run_id="plain")
    plain = RunCopy(tuple(session("plain", method="plain")))
    lone = RunCopy(tuple(session("lone")), baseline_run_id="elsewhere")
    store.add_copies([fast, plain, lone])
    assert [store.get_run(name).baseline_run_id for name in ("fast", "plain", "lone")] == ["plain", None, None]


def test_limits_of_a_file_are_met_to_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = RunCopy(tuple(session("a", num_steps=2)))
    text = "\n".join(lines.to_lines([copy]))
    monkeypatch.setattr(lines, "MAX_CHARS", len(text))
    monkeypatch.setattr(lines, "MAX_RUNS", 1)
    monkeypatch.setattr(lines, "MAX_STEPS", 2)
    assert lines.from_lines(text) == [copy], "two steps, beside start, prefill and end"
    monkeypatch.setattr(lines, "MAX_STEPS", 1)
    with pytest.raises(BadInput, match="Line 4: a run has more than 1 steps"):
        lines.from_lines(text)
    with pytest.raises(BadInput, match="Line 4: a run has more than 1 steps"):
        lines.from_lines(text.rpartition("\n")[0])
    monkeypatch.setattr(lines, "MAX_CHARS", len(text) - 1)
    with pytest.raises(BadInput, match=f"The file has {len(text):,} characters; at most {len(text) - 1:,}"):
        lines.from_lines(text)


@pytest.mark.parametrize(
    ("written", "is_fit"),
    [
        ({"note": "x" * 4_000}, True),
        ({"note": "x" * 4_001}, False),
        ({"tags": [str(n) for n in range(20)]}, True),
        ({"tags": [str(n) for n in range(21)]}, False),
        ({"tags": ["x" * 40]}, True),
        ({"tags": ["x" * 41]}, False),
        ({"tags": ["x", 3]}, False),
        ({"task": "x" * 200}, True),
        ({"task": "x" * 201}, False),
        ({"baseline_run_id": "x" * 80}, True),
        ({"baseline_run_id": "x" * 81}, False),
        ({"audit": {"verdict": "identical"}}, True),
        ({"audit": {"gap": float("inf")}}, False),
    ],
)
def test_annotations_have_limits_to_the_last_character(written: dict[str, Any], is_fit: bool) -> None:
    text = "\n".join(lines.to_lines([RunCopy(tuple(session("a")))]))
    text += "\n" + json.dumps({"kind": "annotations", **written})
    if is_fit:
        (copy,) = lines.from_lines(text)
        name, value = next(iter(written.items()))
        assert getattr(copy, name) == (tuple(sorted(value)) if name == "tags" else value)
    else:
        with pytest.raises(BadInput, match="Line 6"):
            lines.from_lines(text)


@pytest.mark.parametrize(
    ("name", "value", "is_fit"),
    [
        ("session_id", "a" * 80, True),
        ("session_id", "a" * 81, False),
        ("session_id", "", False),
        ("model", "m" * 200, True),
        ("model", "m" * 201, False),
        ("device", "", False),
    ],
)
def test_names_of_a_run_have_limits_to_the_last_character(name: str, value: str, is_fit: bool) -> None:
    rows = [json.loads(line) for line in lines.to_lines([RunCopy(tuple(session("a")))])]
    text = "\n".join(map(json.dumps, [rows[0] | {name: value}, *rows[1:]]))
    if is_fit:
        assert getattr(lines.from_lines(text)[0].started, name) == value
    else:
        with pytest.raises(BadInput, match=name):
            lines.from_lines(text)


@pytest.mark.parametrize(
    ("path", "is_fit"), [([], True), ([0], True), ([0, 1], True), ([1], False), ([0, 0], False), ([0, 2], False)]
)
def test_an_accepted_path_is_one_of_its_tree(path: list[int], is_fit: bool) -> None:
    rows = [json.loads(line) for line in lines.to_lines([RunCopy(tuple(session("a", num_steps=1))[:3])])]
    rows[2]["path"] = path
    rows[2]["emitted"] = rows[2]["emitted"][1:]
    text = "\n".join(map(json.dumps, rows))
    if is_fit:
        assert lines.from_lines(text)
    else:
        with pytest.raises(BadInput, match="not a path of its tree"):
            lines.from_lines(text)


@pytest.mark.parametrize(("prob", "is_fit"), [(0, True), (1, True), (1.001, True), (1.002, False), (-0.001, False)])
def test_a_probability_lies_between_0_and_1(prob: float, is_fit: bool) -> None:
    rows = [json.loads(line) for line in lines.to_lines([RunCopy((started("a"), stepped()))])]
    rows[1]["emitted"][0]["alternatives"][0]["probability"] = prob
    text = "\n".join(map(json.dumps, rows))
    if is_fit:
        assert lines.from_lines(text)
    else:
        with pytest.raises(BadInput, match="a probability"):
            lines.from_lines(text)


# what a spreadsheet would run


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


# marks


def test_a_note_has_at_most_4000_characters_and_a_tag_40(store: Store) -> None:
    page = page_of(store, "a")
    assert ask(page.mark, {"action": "note", "ids": ["a"], "text": "x" * 4_000}) == {"noted": ["a"]}
    assert "4,000 characters" in ask(page.mark, {"action": "note", "ids": ["a"], "text": "y" * 4_001})["error"]
    assert store.get_run("a").note == "x" * 4_000
    assert ask(page.mark, {"action": "tag", "ids": ["a"], "text": "t" * 40}) == {"tagged": ["a"]}
    assert "error" in ask(page.mark, {"action": "tag", "ids": ["a"], "text": "t" * 41})


def test_the_21st_tag_is_refused_and_one_that_is_there_is_none(store: Store) -> None:
    page = page_of(store, "a", "b")
    words = [f"tag{place:02}" for place in range(20)]
    for word in words:
        assert ask(page.mark, {"action": "tag", "ids": ["a"], "text": word}) == {"tagged": ["a"]}
    assert ask(page.mark, {"action": "tag", "ids": ["a"], "text": "more"})["error"] == "A run takes at most 20 tags."
    assert "at most 20" in ask(page.mark, {"action": "tag", "ids": ["b", "a"], "text": "more"})["error"]
    assert store.get_run("b").tags == (), "nothing was changed"
    assert ask(page.mark, {"action": "tag", "ids": ["a"], "text": words[3]}) == {"tagged": ["a"]}
    assert store.get_run("a").tags == tuple(words)
    assert ask(page.mark, {"action": "untag", "ids": ["a"], "text": words[3]}) == {"tagged": ["a"]}
    assert ask(page.mark, {"action": "tag", "ids": ["a"], "text": "more"}) == {"tagged": ["a"]}


def test_a_note_is_for_the_first_run_alone(store: Store) -> None:
    page = page_of(store, "a", "b")
    assert ask(page.mark, {"action": "note", "ids": ["b", "a"], "text": "mine"}) == {"noted": ["b"]}
    assert (store.get_run("a").note, store.get_run("b").note) == ("", "mine")


@pytest.mark.parametrize(
    ("num_ids", "kind", "is_fit"),
    [(exports.MAX_WHOLE_RUNS, "jsonl", True), (exports.MAX_WHOLE_RUNS + 1, "jsonl", False), (51, "csv", True)],
)
def test_whole_runs_leave_fifty_at_a_time(store: Store, num_ids: int, kind: str, is_fit: bool) -> None:
    names = [f"r{place}" for place in range(num_ids)]
    store.add_copies([RunCopy((started(name),)) for name in names])
    answer = ask(SavedRuns(store, Streams()).export, {"kind": kind, "ids": names})
    assert ("content" in answer) == is_fit


def test_lists_of_ids_have_limits_to_the_last_one() -> None:
    names = [str(n) for n in range(listing.MAX_IDS)]
    assert listing.run_ids(names) == names
    with pytest.raises(BadInput, match="201 runs are chosen; this takes at most 200"):
        listing.run_ids([*names, "one more"])
    assert listing.run_ids(["", "a" * 300]) == ["a" * 200]
    assert len(listing.text("x" * 200, "search")) == 200
    found = [listing.parse({"is_descending": given}).is_descending for given in (False, True, None, 1)]
    assert found == [False, True, True, True]
    assert listing.parse({}).is_descending
    assert listing.parse({"page": listing.MAX_PAGE}).offset == listing.MAX_PAGE * 50
    with pytest.raises(BadInput):
        listing.parse({"page": listing.MAX_PAGE + 1})
