"""Runs side by side on the page: held against the first; what cannot be compared is said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asking import ask
from stored import save, timed

from specviz.pages.saved import SavedRuns
from specviz.showing import comparison
from specviz.showing.channel import Streams
from specviz.store import Store


def test_a_paired_difference_counts_the_text_that_both_wrote() -> None:
    pair = comparison.paired(timed(10.0), timed(7.0, "abcdefghijklmnopqXst"))
    assert (pair.num_shared, pair.num_pairs) == (17, 2)
    assert pair.mean_ms == pytest.approx(-3.0)
    assert pair.spread_ms == pytest.approx(0.0)
    assert comparison.paired_text(pair) == (
        "3.00 ± 0.00 ms per token faster (n = 2 blocks of 8 tokens that both wrote)"
    )


def test_the_spread_of_paired_differences_is_a_samples() -> None:
    slow = [*timed(7.0)[:9], *timed(5.0)[9:]]
    pair = comparison.paired(timed(10.0), slow)
    assert pair.differences_ms == pytest.approx((-3.0, -5.0))
    assert pair.spread_ms == pytest.approx(2**0.5)


def test_texts_that_part_at_once_have_no_paired_difference() -> None:
    pair = comparison.paired(timed(10.0), timed(7.0, "Xbcdefgh"))
    assert pair.mean_ms is None
    assert "share only their first 0 tokens" in comparison.paired_text(pair)
    alone = comparison.paired(timed(10.0), timed(12.5, "abcdefgh"))
    assert comparison.paired_text(alone).startswith("2.50 ms per token slower (n = 1 ")
    assert "one pair alone shows no spread" in comparison.paired_text(alone)


def test_runs_side_by_side_have_figures_that_the_charts_can_draw(page: SavedRuns) -> None:
    found = ask(page.compare, ["plain", "fast"])
    assert [run["label"] for run in found["runs"]] == ["1 · plain", "2 · draft_model"]
    assert found["warnings"] == []
    assert [row[0] for row in found["settings"]] == ["method"]
    assert {name: len(figure["series"]) for name, figure in found["figures"].items()} == {
        "tokens": 2,
        "differences": 0,
        "acceptance": 2,
        "split": 3,
    }


def test_runs_side_by_side_are_held_against_the_first(store: Store) -> None:
    for name, step_ms, cut in (("first", 10.0, 0), ("quick", 7.0, 0), ("slow", 12.5, 1)):
        save(store, timed(step_ms, run_id=name)[: -1 if cut else None])
    found = ask(SavedRuns(store, Streams()).compare, ["first", "quick", "slow"])
    texts = [(pair["label"][:1], pair["text"].partition(" (")[0]) for pair in found["paired"]]
    assert texts == [("2", "3.00 ± 0.00 ms per token faster"), ("3", "2.50 ± 0.00 ms per token slower")]
    assert found["warnings"] == [comparison.WARNINGS["cut"]], "the last one has not ended"
    assert [run["id"] for run in found["runs"]] == ["first", "quick", "slow"]


@pytest.mark.parametrize(
    ("given", "said"),
    [(["fast"], "2 to 8 runs"), ([], "Choose a run"), (["fast", "nobody"], "no run 'nobody'"), ("x", "no runs' ids"),
     ([str(n) for n in range(9)], "at most 8"), (["fast", "fast"], "2 to 8")],
)  # fmt: skip
def test_runs_that_cannot_be_compared_get_a_sentence(page: SavedRuns, given: Any, said: str) -> None:
    assert said in ask(page.compare, given)["error"]


def test_an_address_names_runs_to_compare(page: SavedRuns) -> None:
    value, _ = page.arrive({"view": "sessions", "ids": "plain,fast,"})
    shown = json.loads(value)
    assert json.loads(shown["compare"])["runs"][1]["id"] == "fast"
    assert shown["open"] == ""
    page.store.trash(["fast"])
    value, _ = page.arrive({"view": "sessions", "ids": "plain,fast"})
    assert "may have been deleted" in json.loads(json.loads(value)["compare"])["error"]
