"""What charts and comparisons draw of runs of known times: which way up, of which runs, divided by what."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from racing import row
from stored import finished, started
from stored import stepped as two_nodes

from engine.events import Emitted, Event, Node, Stepped
from engine.metrics import TimePerToken
from specviz.bench.document import _shade, to_html
from specviz.figures import bench, overlay, race
from specviz.race import board
from specviz.showing import comparison

TEXT = "abcdefghijklmnopqrst"


def row(label: str, method: str = "draft_model", **fields: Any) -> board.Row:
    given = board.Row(label, method, "exact", 1, "finished", 4, 8, 1.0, 2.0, 3.0, 4.0, 0.5, 0.25, None, "", "", "")
    return replace(given, **fields)


def step(number: int, texts: str, ms: float, **fields: Any) -> Stepped:
    tokens = tuple(Emitted(ord(letter), letter, "plain") for letter in texts)
    laps = {"draft_ns": 0, "target_ns": int(ms * 1e6), "verify_ns": 0, "commit_ns": 0, "host_ns": 0}
    return replace(two_nodes(number), nodes=(), path=(), emitted=tokens, **(laps | fields))


def timed(step_ms: float, texts: str = TEXT) -> list[Event]:
    """One token a step, each in the given time."""
    steps = [step(place, letter, step_ms) for place, letter in enumerate(texts)]
    return [started(), *steps, finished()]


# stored runs over each other


def test_below_zero_is_faster_than_the_first_run() -> None:
    """7 ms a token against 10 ms, on 17 tokens that both wrote: two blocks of eight, drawn at their middles."""
    runs = [timed(10.0), timed(7.0, "abcdefghijklmnopqXst"), timed(12.5)]
    rows = [row("first"), row("fast"), row("slow", method="plain")]
    found = overlay.differences(runs, rows)
    fast, slow = found["series"]
    assert (fast["name"], fast["x"], fast["y"]) == ("fast", [4, 12], [-3.0, -3.0])
    assert (slow["name"], slow["x"], slow["y"]) == ("slow", [4, 12], [2.5, 2.5])
    assert (fast["method"], slow["method"], found["methods"]) == ("lane 1", "plain", ["lane 0", "lane 1", "plain"])
    assert found["marks"] == [{"y": 0, "text": "first"}]
    assert overlay.differences([runs[0], timed(7.0, "X")], rows[:2])["series"] == []


def test_the_four_figures_are_of_the_runs_that_were_given() -> None:
    found = overlay.figures([timed(10.0, "ab"), timed(5.0, "abc")], ["1 · a", "2 · b"], ["a", "plain"])
    lines = found["tokens"]["series"]
    assert [(line["name"], line["method"]) for line in lines] == [("1 · a", "lane 0"), ("2 · b", "plain")]
    assert [(line["x"], line["y"]) for line in lines] == [
        ([0.0, 0.01, 0.02], [0, 1, 2]),
        ([0.0, 0.005, 0.01, 0.015], [0, 1, 2, 3]),
    ]
    target = found["split"]["series"][1]
    assert (target["name"], target["x"], target["y"]) == ("target", ["1 · a", "2 · b"], [10.0, 5.0])


def test_a_pair_is_two_blocks_at_the_same_place_of_the_same_text() -> None:
    ours = [started(), step(0, "abcd", 40.0), step(1, "efghijkl", 8.0), step(2, "mnop", 4.0), finished()]
    pair = comparison.paired(ours, timed(2.0))
    assert (pair.num_shared, pair.num_pairs) == (16, 2)
    assert pair.differences_ms == pytest.approx((2.0 - 5.5, 2.0 - 1.0))
    assert pair.mean_ms == pytest.approx(-1.25)
    assert pair.spread_ms == pytest.approx(4.5 / math.sqrt(2))
    assert "1.25 ± 3.18 ms per token faster (n = 2 blocks of 8" in comparison.paired_text(pair)
    turned = comparison.paired(timed(2.0), ours)
    assert turned.differences_ms == pytest.approx((3.5, -1.0))
    assert "1.25 ± 3.18 ms per token slower" in comparison.paired_text(turned)


@pytest.mark.parametrize(("num_tokens", "num_pairs"), [(7, 0), (8, 1), (15, 1), (16, 2)])
def test_only_whole_blocks_are_compared(num_tokens: int, num_pairs: int) -> None:
    assert comparison.paired(timed(1.0), timed(2.0, TEXT[:num_tokens])).num_pairs == num_pairs


def test_a_steps_time_is_all_its_laps() -> None:
    laps = {"draft_ns": 10**6, "target_ns": 2 * 10**6, "verify_ns": 3 * 10**6, "commit_ns": 4 * 10**6}
    one = step(0, "abcdefgh", 0, **laps, host_ns=6 * 10**6)
    assert race.step_ms(one) == 16.0
    assert comparison.paired(timed(1.0), [started(), one]).differences_ms == pytest.approx((1.0,))


def test_the_figures_side_by_side_are_each_runs_own() -> None:
    first: list[Event] = [started(), two_nodes(0), two_nodes(1), finished()]
    found = {name: values for name, *values in comparison.measures([first, timed(10.0, "abc")])}
    assert found["Emitted tokens"] == ["4", "3"]
    assert found["Block efficiency"] == ["2.00", "1.00"]
    assert found["Acceptance rate"] == ["50 %", "–"]
    assert found["Tokens/s"] == ["51,948,051.9", "38,961,039.0"]
    assert found["First token, ms"] == ["0", "10"]


def test_settings_of_three_runs_differ_where_any_two_do() -> None:
    runs = [started("a"), started("b"), started("c", config={"seed": 8})]
    rows, _ = comparison.differences(runs)
    found = {name: values for name, *values in rows}
    assert found["seed"] == ["7", "7", "8"]
    assert found["temperature"] == ["0.5", "0.5", "–"]
    assert len(comparison.warnings(runs, ["finished"] * 3)) == 2
    assert comparison.warnings(runs[:2], ["finished", "interrupted"]) == [comparison.WARNINGS["cut"]]


# races


def test_acceptance_by_position_is_of_the_steps_that_drafted_so_deep() -> None:
    deep = (Node(1, "a", -1, "accepted"), Node(2, "b", 0, "accepted"), Node(3, "c", 1, "rejected"))
    tokens = (Emitted(1, "a", "accepted", 0), Emitted(2, "b", "accepted", 1), Emitted(9, "z", "correction"))
    whole = replace(two_nodes(0), nodes=deep, path=(0, 1), emitted=tokens)
    none = replace(two_nodes(1), nodes=deep[:1], path=(), emitted=tokens[2:])
    found = race.acceptance([[started(), whole, none, whole]], [row("a")])
    (line,) = found["series"]
    assert (line["x"], line["y"], line["n"]) == ([1, 2, 3], [66.67, 100.0, 0.0], [3, 2, 2])
    assert found["table"]["rows"] == [["a", 1, "67 %", 3], ["a", 2, "100 %", 2], ["a", 3, "0 %", 2]]
    assert found["y"]["range"][0] == 0


def test_wasted_drafts_leave_out_lanes_that_draft_nothing_and_keep_zero() -> None:
    rows = [row("a", wasted_drafts_per_token=1.5), row("b", wasted_drafts_per_token=None)]
    rows.append(row("c", wasted_drafts_per_token=0.0))
    (bars,) = race.waste(rows)["series"]
    assert (bars["x"], bars["y"]) == (["a", "c"], [1.5, 0.0])


def test_a_time_split_stacks_draft_target_and_host() -> None:
    rows = [
        row("a", time_per_token=TimePerToken(1.0, 2.0, 3.0)),
        row("b"),
        row("c", time_per_token=TimePerToken(4, 5, 6)),
    ]
    found = [(series["role"], series["x"], series["y"]) for series in race.time_split(rows)["series"]]
    assert found == [("draft", ["a", "c"], [1.0, 4]), ("target", ["a", "c"], [2.0, 5]), ("host", ["a", "c"], [3.0, 6])]


# benchmarks


def cell(method: str, suite: str, num_emitted: int, seconds: float, *parts: float | None) -> dict[str, Any]:
    names = dict(zip(("draft_ms", "target_ms", "host_ms"), parts or (None,) * 3, strict=True))
    return {"method": method, "suite": suite, "num_emitted": num_emitted, "seconds": seconds} | names


def line(method: str, suite: str, speedup: float, **fields: Any) -> dict[str, Any]:
    known = {"category": "", "speedup_low": None, "speedup_high": None, "num_prompts": 2, "same_text": "2/2"}
    known |= {"tokens_per_second": 10.0, "block_efficiency": 2.0, "expected_speedup": 1.5}
    known |= {"relative_pass_cost": 1.2, "relative_draft_cost": 0.25}
    return known | {"method": method, "suite": suite, "speedup": speedup} | fields


REPORT: dict[str, Any] = {
    "rows": [
        *(line("a", "s", 2.0), line("b", "s", 4.0), line("a", "t", 3.0), line("b", "t", 0.5)),
        line("a", "s", 9.0, category="c"),
    ],
    "overall": [line("a", "all", 2.5), line("b", "all", 1.25)],
    "cells": [
        cell("a", "s", 10, 1.0, 100.0, 300.0, 100.0),
        cell("a", "s", 10, 1.0, 100.0, 300.0, 100.0),
        cell("b", "s", 100, 1.0, 200.0, 400.0, 200.0),
        cell("a", "t", 50, 5.0, 1_000.0, 1_000.0, 1_000.0),
        cell("b", "t", 40, 2.0),
    ],
}


def split(suite: str) -> dict[str, tuple[list[str], list[float]]]:
    return {series["name"]: (series["x"], series["y"]) for series in bench.time_split(REPORT, suite)["series"]}


def test_a_suites_time_is_that_of_its_own_runs() -> None:
    assert split("s") == {
        "draft": (["b", "a"], pytest.approx([2.0, 10.0])),
        "target": (["b", "a"], pytest.approx([4.0, 30.0])),
        "host": (["b", "a"], pytest.approx([2.0, 10.0])),
        bench.OUTSIDE: (["b", "a"], pytest.approx([2.0, 50.0])),
    }
    assert split("t")[bench.OUTSIDE] == (["a", "b"], pytest.approx([40.0, 50.0])), "a peer does not say its parts"
    assert split("all")["draft"] == (["a", "b"], pytest.approx([1_200 / 70, 200 / 140]))
    hatched = [series["isHatched"] for series in bench.time_split(REPORT, "s")["series"]]
    assert hatched == [False, False, False, True]


def test_lists_begin_with_the_fastest_and_leave_categories_out() -> None:
    assert bench.suites(REPORT) == ["s", "t"]
    assert bench.methods(REPORT) == ["a", "b"]
    assert [found["method"] for found in bench.rows_of(REPORT, "s")] == ["b", "a"]
    assert [found["method"] for found in bench.rows_of(REPORT, "t")] == ["a", "b"]
    assert [found["speedup"] for found in bench.rows_of(REPORT, "all")] == [2.5, 1.25]


def test_the_heat_map_is_coloured_by_the_logarithm() -> None:
    found = bench.heat(REPORT)
    assert (found["rows"], found["columns"], found["middle"]) == (["a", "b"], ["s", "t", "all"], 0)
    assert found["values"][1] == [2.0, -1.0, math.log2(1.25)]
    assert found["texts"][1] == ["4.00", "▼ 0.50", "1.25"]
    assert found["labels"][1][1] == "▼ 0.50 from 2 prompts; same text as plain 2/2"
    only = {**REPORT, "rows": REPORT["rows"][:2]}
    assert bench.heat(only)["columns"] == ["s"], "one suite needs no column for all"
    single = {**REPORT, "rows": [line("a", "s", 2.0, num_prompts=1)]}
    assert bench.heat(single)["labels"][0] == ["2.00 from 1 prompt; same text as plain 2/2"]


def test_points_stand_at_their_efficiency_and_speedup() -> None:
    given = {**REPORT, "rows": [line("a", "s", 2.0, block_efficiency=3.0, speedup_low=1.5, speedup_high=2.5)]}
    given["rows"].append(line("peer", "s", 5.0, expected_speedup=None, block_efficiency=None))
    free, expected, measured = bench.scatter(given, "s")["series"]
    assert (free["x"], free["y"]) == ([1, pytest.approx(3.24)], [1, pytest.approx(3.24)])
    assert (expected["x"], expected["y"], expected["isOpen"]) == ([3.0], [1.5], True)
    assert (measured["x"], measured["y"], measured["low"], measured["high"]) == ([3.0], [2.0], [1.5], [2.5])
    assert measured["labels"] == ["speedup 2.00, block efficiency 3.00, pass cost 1.20, draft cost 0.25"]
    assert expected["labels"][0].startswith("speedup 1.50")
    slow = {**REPORT, "rows": [line("a", "s", 0.5, block_efficiency=0.5)]}
    assert bench.scatter(slow, "s")["series"][0]["x"] == [1, 1.08]
    table = bench.scatter(given, "s")["table"]["rows"]
    assert table == [["a", "3.00", "1.20", "0.25", "1.50", "2.00 [1.50, 2.50]"]]


def test_a_name_stands_above_its_point_unless_something_is_there() -> None:
    assert bench._places([(1.0, 1.0, "a")]) == ["top center"]
    assert bench._places([(1.0, 1.0, "a"), (4.0, 4.0, "b")]) == ["top center", "top center"]
    crowded = bench._places([(1.0, 1.0, "a"), (1.0, 1.06, "b"), (4.0, 4.0, "c")])
    assert crowded[0] != "top center", "the second point is just above the first"


def test_faster_is_blue_slower_orange_and_as_fast_nothing() -> None:
    assert _shade(1.0, 2.0) == "background: rgba(109, 179, 221, 0.50)"
    assert _shade(-1.0, 2.0) == "background: rgba(240, 163, 107, 0.50)"
    assert _shade(0.0, 2.0) == "background: rgba(109, 179, 221, 0.00)"
    assert _shade(4.0, 2.0).endswith("1.00)")
    assert _shade(None, 2.0) == ""


@pytest.mark.parametrize("is_complete", [True, False])
def test_a_report_that_was_interrupted_says_so(is_complete: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specviz.bench.document.markdown.head", lambda report: "head")
    monkeypatch.setattr("specviz.bench.document.markdown.row_cost_line", lambda cost: "costs")
    page = to_html({**REPORT, "is_complete": is_complete, "row_cost": [], "skipped": []})
    assert ("Interrupted: only the rounds that were finished" in page) == (not is_complete)
    assert page.index("<h2>s</h2>") < page.index("<h2>t</h2>")
    table = page[page.index("<h2>s</h2>") : page.index("<h2>t</h2>")]
    assert table.index("<td>b</td>") < table.index("<td>a</td>")
    assert "<td>b</td><td>10.00</td><td>4.00</td><td>2.00</td><td>1.50</td><td>1.20</td><td>0.25</td>" in table
