"""Stored runs laid over each other: which way up, of which runs."""

from __future__ import annotations

from racing import row
from stored import timed

from specviz.figures import overlay


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
