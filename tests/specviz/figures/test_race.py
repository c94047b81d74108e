"""Figures of a race's lanes."""

from __future__ import annotations

from dataclasses import replace

from racing import row
from scripted import started, stepped

from engine.metrics import TimePerToken
from specviz.figures.race import acceptance, lane_keys, time_split, tokens_over_time, waste


def test_tokens_over_time_begin_at_zero_and_end_at_the_last_token() -> None:
    steps = [stepped(0, ["a", "b"]), stepped(1, ["c"])]
    lines = tokens_over_time([[started(), *steps], []], [row(), row()])["series"]
    assert [(line["x"], line["y"]) for line in lines] == [([0.0, 0.001, 0.002], [0, 2, 3]), ([0.0], [0])]


def test_acceptance_by_position_tells_how_many_steps_it_counts() -> None:
    figure = acceptance([[stepped(0, ["a", "b"]), stepped(1, ["c", "d", "e"])], []], [row(), row("Other")])
    (line,) = figure["series"]
    assert (line["x"], line["y"], line["n"]) == ([1, 2, 3, 4], [100.0, 50.0, 0.0, 0.0], [2, 2, 2, 1])
    assert line["labels"][1] == "50 % at depth 2 (n = 2)"
    assert figure["table"]["rows"][1] == ["Draft model", 2, "50 %", 2]


def test_lanes_of_one_method_have_colours_of_their_own() -> None:
    plain = replace(row("Plain"), method="plain")
    assert lane_keys([row(), plain, row(), plain]) == ["lane 0", "plain", "lane 2", "lane 3"]
    split = time_split([plain, replace(row(), time_per_token=TimePerToken(1.0, 2.0, 0.5))])
    assert [(series["name"], series["x"], series["y"]) for series in split["series"]] == [
        ("draft", ["Draft model"], [1.0]),
        ("target", ["Draft model"], [2.0]),
        ("host", ["Draft model"], [0.5]),
    ]
    assert waste([row(), plain])["series"][0]["y"] == [1.25, 1.25]
