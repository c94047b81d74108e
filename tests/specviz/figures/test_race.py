"""Figures of a race: one series a lane, divided by what they say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from racing import row
from scripted import stepped
from stored import started, step, timed
from stored import stepped as two_nodes

from engine.events import Emitted, Node
from engine.metrics import TimePerToken
from specviz.figures import race
from specviz.figures.race import acceptance, lane_keys, time_split, tokens_over_time, waste
from specviz.showing import comparison


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


def test_a_steps_time_is_all_its_laps() -> None:
    laps = {"draft_ns": 10**6, "target_ns": 2 * 10**6, "verify_ns": 3 * 10**6, "commit_ns": 4 * 10**6}
    one = step(0, "abcdefgh", 0, **laps, host_ns=6 * 10**6)
    assert race.step_ms(one) == 16.0
    assert comparison.paired(timed(1.0), [started(), one]).differences_ms == pytest.approx((1.0,))


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
