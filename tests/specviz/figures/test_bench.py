"""A benchmark's figures: of its own runs, the fastest first, as they are printed."""

from __future__ import annotations

import math
from typing import Any

import pytest
from benching import REPORT, line

from specviz.figures import bench
from specviz.figures import bench as figures


def report_of(rows: dict[tuple[str, str], tuple[float, float]]) -> dict[str, Any]:
    """An opened report of made-up figures: (method, suite) → speedup and block efficiency."""
    known = {"category": "", "speedup_low": None, "speedup_high": None, "num_prompts": 1, "num_runs": 1}
    known |= {"relative_pass_cost": 1.0, "relative_draft_cost": 0.5, "same_text": "1/1"}
    found = [
        {**known, "method": m, "suite": s, "speedup": x, "block_efficiency": e, "expected_speedup": e / 1.5}
        for (m, s), (x, e) in rows.items()
    ]
    return {"rows": found, "overall": [row for row in found if row["suite"] == found[0]["suite"]], "cells": []}


def split(suite: str) -> dict[str, tuple[list[str], list[float]]]:
    return {series["name"]: (series["x"], series["y"]) for series in bench.time_split(REPORT, suite)["series"]}


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
    assert (free["kind"], measured["texts"]) == ("lines", ["a"])
    slow = {**REPORT, "rows": [line("a", "s", 0.5, block_efficiency=0.5)]}
    assert bench.scatter(slow, "s")["series"][0]["x"] == [1, 1.08]
    table = bench.scatter(given, "s")["table"]["rows"]
    assert table == [["a", "3.00", "1.20", "0.25", "1.50", "2.00 [1.50, 2.50]"]]


def test_a_name_stands_above_its_point_unless_something_is_there() -> None:
    assert bench._places([(1.0, 1.0, "a")]) == ["top center"]
    assert bench._places([(1.0, 1.0, "a"), (4.0, 4.0, "b")]) == ["top center", "top center"]
    crowded = bench._places([(1.0, 1.0, "a"), (1.0, 1.06, "b"), (4.0, 4.0, "c")])
    assert crowded[0] != "top center", "the second point is just above the first"
