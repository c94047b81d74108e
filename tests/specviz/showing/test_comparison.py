"""Runs side by side: what differs, what is unfair, how far apart they are on the text that they share."""

from __future__ import annotations

import math
from typing import Any

import pytest
from stored import TEXT, finished, started, step, timed
from stored import stepped as two_nodes

from engine.events import Event, SessionStarted
from specviz.showing import comparison


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


def test_only_settings_that_differ_are_shown() -> None:
    runs = [started("a"), started("b", dtype="float32", config={"seed": 8}, method_options={"depth": 4, "k": 2})]
    rows, num_same = comparison.differences(runs)
    found = {name: values for name, *values in rows}
    assert found["dtype"] == ["bfloat16", "float32"]
    assert found["seed"] == ["7", "8"]
    assert found["option k"] == ["–", "2"]
    assert "option depth" not in found
    assert "prompt" not in found
    assert num_same == 8


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"prompt": "Another"}, "prompts"),
        ({"dtype": "float32"}, "precisions"),
        ({"machine": {"processor": "arm"}}, "machines"),
        ({"device": "cuda:0"}, "devices"),
        ({"model": "other"}, "targets"),
        ({"config": {"temperature": 0.5, "seed": 8}}, "seeds"),
        ({"config": {"temperature": 0.9, "seed": 7}}, "sampling"),
    ],
)
def test_what_makes_a_comparison_unfair_is_said(fields: dict[str, Any], word: str) -> None:
    runs: list[SessionStarted] = [started("a"), started("b", **fields)]
    (warning,) = comparison.warnings(runs, ["finished", "finished"])
    assert word in warning
    assert comparison.warnings([started("a"), started("b")], ["finished"] * 2) == []
    assert "came to their end" in comparison.warnings([started("a")], ["stopped"])[0]
