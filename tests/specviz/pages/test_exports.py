"""Files that leave: all runs that were found, each once, as many as are said."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from asking import ask, page_of, rows_of
from stored import copy_of, save, session, started

from specviz.archive import lines, tables
from specviz.pages import exports
from specviz.pages.saved import SavedRuns
from specviz.showing import listing
from specviz.showing.channel import Streams
from specviz.store import RunCopy, RunRow, Store


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
    content = exports.table(Shelf(store.get_run("a"), 10_050), {}, kind)  # type: ignore[arg-type]
    assert str(content).removeprefix("\ufeff") == "10050"


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


def test_a_table_of_what_was_found_follows_filter_and_order(store: Store) -> None:
    for name, decode_ns in (("slow", 40), ("fast", 10), ("middle", 20)):
        save(store, session(name, decode_ns=decode_ns))
    save(store, session("other", method="plain"))
    asked = {"method": "draft_model", "sort": "speed", "is_descending": True}
    content = ask(SavedRuns(store, Streams()).export, {"kind": "csv", "listing": asked})["content"]
    assert [row["id"] for row in rows_of(content)] == ["fast", "middle", "slow"]


def test_chosen_runs_stand_in_the_order_in_which_they_were_chosen(store: Store) -> None:
    page = page_of(store, *"abc")
    table = ask(page.export, {"kind": "csv", "ids": ["b", "c", "a"]})
    assert [row["id"] for row in rows_of(table["content"])] == ["b", "c", "a"]
    assert table["name"].endswith(".csv")
    file = ask(page.export, {"kind": "jsonl", "ids": ["b", "c"]})["content"]
    assert [copy.run_id for copy in lines.from_lines(file)] == ["b", "c"]
    binary = ask(page.export, {"kind": "parquet", "ids": ["b"]})
    assert base64.b64decode(binary["content"])[:4] == b"PAR1"
    assert (binary["is_base64"], ask(page.export, {"kind": "csv", "ids": ["b"]})["is_base64"]) == (True, False)


def test_a_csv_file_opens_as_utf_8_in_spreadsheets(store: Store) -> None:
    store.add_copies([copy_of("a", prompt="Été, 日本語")])
    answer = ask(SavedRuns(store, Streams()).export, {"kind": "csv", "ids": ["a"]})
    file = answer["content"].encode("utf-8")
    assert file.startswith(b"\xef\xbb\xbfid,")
    assert rows_of(file.decode("utf-8-sig"))[0]["prompt"] == "Été, 日本語"
    lines_file = ask(SavedRuns(store, Streams()).export, {"kind": "jsonl", "ids": ["a"]})["content"]
    assert lines_file.startswith("{"), "JSON has none"


def test_a_table_says_the_speedups_of_its_runs(store: Store) -> None:
    save(store, session("plain", method="plain"))
    save(store, session("fast", decode_ns=11))
    store.set_baseline("fast", "plain")
    store.flush()
    (row,) = rows_of(ask(SavedRuns(store, Streams()).export, {"kind": "csv", "ids": ["fast"]})["content"])
    assert float(row["speedup"]) == pytest.approx(7.0)


@pytest.mark.parametrize(
    ("num_ids", "kind", "is_fit"),
    [(exports.MAX_WHOLE_RUNS, "jsonl", True), (exports.MAX_WHOLE_RUNS + 1, "jsonl", False), (51, "csv", True)],
)
def test_whole_runs_leave_fifty_at_a_time(store: Store, num_ids: int, kind: str, is_fit: bool) -> None:
    names = [f"r{place}" for place in range(num_ids)]
    store.add_copies([RunCopy((started(name),)) for name in names])
    answer = ask(SavedRuns(store, Streams()).export, {"kind": kind, "ids": names})
    assert ("content" in answer) == is_fit


@pytest.mark.parametrize(
    "given",
    [{}, {"kind": ["csv"], "ids": ["fast"]},
     {"kind": "exe", "ids": ["fast"]}, {"kind": "jsonl"}, {"kind": "html", "ids": ["nobody"]},
     {"kind": "csv", "ids": ["nobody"]}, {"kind": "jsonl", "ids": [str(n) for n in range(exports.MAX_WHOLE_RUNS + 1)]}],
)  # fmt: skip
def test_a_file_that_cannot_be_made_gets_a_sentence(page: SavedRuns, given: Any) -> None:
    assert ask(page.export, given)["error"].endswith(".")
