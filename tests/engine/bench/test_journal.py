"""The file of a bench's runs: kept one by one, gone on with, refused where it is another's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from toys import TableTarget, draft_for

from engine import bench
from engine.bench import journal, report
from engine.bench.runner import Cell, Record, Skipped, complete_rounds, of_whole_rounds
from engine.errors import BadInput
from tests.engine.bench.cells import SETTINGS, CountingPeer, plan


def interrupted(stream: Iterator[Record], after: int) -> list[Record]:
    return [next(stream) for _ in range(after)]


def test_an_interrupted_bench_goes_on_where_its_last_whole_round_ended(
    table_target: TableTarget, tmp_path: Path
) -> None:
    path, asked = tmp_path / "bench.jsonl", plan("a" * 60, *"abcd", num_repeats=2)
    first = interrupted(journal.keep(path, SETTINGS, [], bench.run(table_target, asked)), 6)
    whole = of_whole_rounds(first, asked)
    assert len(first) - len(whole) == 1, "a cell of the round that was broken off"
    with path.open("a") as file:
        file.write('{"cell": {"suite": "torn')
    finished = journal.read(path, SETTINGS, asked)
    assert finished == whole
    rest = list(journal.keep(path, SETTINGS, finished, bench.run(table_target, asked, finished)))
    assert complete_rounds([*finished, *rest], asked) == set(asked.rounds)
    cells = [r for r in [*finished, *rest] if isinstance(r, Cell)]
    assert len(cells) == len({(c.prompt_index, c.repeat, c.method) for c in cells}) == 16
    assert sum(isinstance(r, Skipped) for r in [*finished, *rest]) == 1
    assert journal.read(path, SETTINGS, asked) == [*finished, *rest]
    before = path.read_text()
    assert (
        list(journal.keep(path, SETTINGS, [*finished, *rest], bench.run(table_target, asked, [*finished, *rest]))) == []
    )
    assert path.read_text() == before


def test_each_run_is_in_the_file_before_the_next_one_starts(table_target: TableTarget, tmp_path: Path) -> None:
    path, seen = tmp_path / "bench.jsonl", 1
    for _ in journal.keep(path, SETTINGS, [], bench.run(table_target, plan())):
        seen += 1
        assert len(path.read_text().splitlines()) == seen


def test_a_bench_with_other_settings_is_refused_with_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "bench.jsonl"
    list(journal.keep(path, SETTINGS, [], iter(())))
    assert journal.read(path, SETTINGS, plan()) == []
    other = {**SETTINGS, "config": {"max_new_tokens": 7}, "dtype": "float32"}
    with pytest.raises(BadInput) as caught:
        journal.read(path, other, plan())
    assert "config.max_new_tokens was 6 and is 7; dtype was None and is float32" in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["hello\n", "[]\n", '{"cells": []}\n', '{"settings": {}}\n{"cell": {"seconds": 1}}\n'])
def test_a_file_of_another_kind_is_refused_and_stays_as_it_is(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text(text)
    with pytest.raises(BadInput, match="holds no unfinished bench"):
        journal.read(path, {}, plan())
    assert path.read_text() == text


def test_no_file_and_an_empty_file_are_a_start(tmp_path: Path) -> None:
    assert journal.read(tmp_path / "new.jsonl", SETTINGS, plan()) == []
    (tmp_path / "empty.jsonl").touch()
    assert journal.read(tmp_path / "empty.jsonl", SETTINGS, plan()) == []


def test_settings_tell_models_questions_and_methods_apart() -> None:
    def of(seed: int, **more: Any) -> dict[str, Any]:
        return report.settings(draft_for(8, 64, seed), plan(**more))

    assert json.loads(json.dumps(of(7))) == of(7)
    assert of(7)["weights"] != of(8)["weights"]
    assert of(7, num_repeats=2) != of(7)
    other = report.settings(draft_for(8, 64, 7), plan("ab", "cdd"))
    assert other["questions"] != of(7)["questions"]
    assert of(7)["contenders"] == {"plain": {}, "prompt_lookup": {}}
    assert of(7, peers=[CountingPeer()])["contenders"]["peer"] == {"prompt_lookup_num_tokens": 3}
