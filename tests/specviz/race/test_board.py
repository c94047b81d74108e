"""A race in numbers: labels and speedups of its lanes."""

from __future__ import annotations

import pytest
from racing import Racer, contenders, methods, run_all
from scripted import ScriptedDevice, ScriptedRecorder

from specviz.race import board
from specviz.race.fold import RaceState, fold_all
from specviz.showing.notices import Lane


def test_labels_tell_lanes_of_one_method_apart() -> None:
    device = Racer()
    state = fold_all(RaceState(), run_all(device, ScriptedRecorder(), contenders(device)))
    labels = [row.label for row in board.rows(state, methods(device))]
    assert labels == ["Plain decoding", "Scripted drafts · depth 2", "Scripted drafts", "Scripted drafts · depth 4"]


def test_the_speedup_is_against_the_plain_lane() -> None:
    device = Racer()
    state = fold_all(RaceState(), run_all(device, ScriptedRecorder(), contenders(device)))
    rows = board.rows(state, methods(device))
    assert rows[0].speedup is None
    assert rows[1].speedup == pytest.approx(3.0), "three tokens a step of the same length"


def test_a_lane_that_is_not_in_the_catalog_keeps_its_name() -> None:
    methods = {method.name: method for method in ScriptedDevice().methods()}
    assert board.label(Lane("gone", {"depth": 3}), methods) == "gone"
    assert board.label(Lane("scripted", {"depth": 3, "model": "x"}), methods) == "Scripted drafts · model x"
    assert board.label(Lane("scripted", {"depth": 4}), methods) == "Scripted drafts · depth 4"
    assert board.label(Lane("scripted", {"model": "x" * 50}), methods) == f"Scripted drafts · model {'x' * 40}"
