"""The bench: who is asked what in which order, and what counts as a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import cast

import pytest
from toys import TableTarget

from engine import bench
from engine.bench.runner import Cell
from engine.errors import RunFailed
from tests.engine.bench.cells import CountingPeer, plan


def test_every_contender_has_its_turn_in_every_round_and_plain_always_runs(table_target: TableTarget) -> None:
    peer = CountingPeer()
    asked = plan("ab", "cde", "aa", num_repeats=3, peers=[peer])
    cells = list(bench.run(table_target, asked))
    assert all(isinstance(found, Cell) for found in cells)
    turns = Counter((c.prompt_index, c.repeat, c.method) for c in cast(list[Cell], cells))
    wanted = [(i, r, m) for i in range(3) for r in range(3) for m in ("plain", "prompt_lookup", "peer")]
    assert turns == Counter(wanted)
    assert len(peer.asked) == 9 + 1, "the first run of each contender is a warm-up"


def test_rounds_and_turns_are_shuffled_and_the_same_for_the_same_seed() -> None:
    asked = plan(*"abcdefgh", num_repeats=3, peers=[CountingPeer()])
    assert asked.rounds != sorted(asked.rounds)
    assert sorted(asked.rounds) == [(repeat, index) for repeat in range(3) for index in range(8)]
    assert len({tuple(asked.order(of)) for of in asked.rounds}) == 6, "all orders of three occur in 24 rounds"
    again = plan(*"abcdefgh", num_repeats=3, peers=[CountingPeer()])
    assert (again.rounds, [again.order(of) for of in again.rounds]) == (
        asked.rounds,
        [asked.order(of) for of in asked.rounds],
    )
    assert replace(again, seed=1).rounds != asked.rounds


def test_a_run_is_counted_whole(table_target: TableTarget) -> None:
    cells = {c.method: c for c in bench.run(table_target, plan("abab")) if isinstance(c, Cell)}
    assert cells["plain"].num_emitted == cells["plain"].target_passes == 6
    assert cells["prompt_lookup"].num_emitted == 6
    assert cells["prompt_lookup"].is_same_text
    for found in cells.values():
        inside = (found.draft_ms or 0) + (found.target_ms or 0) + (found.host_ms or 0)
        assert 0 < inside / 1000 <= found.seconds


def test_a_text_that_is_not_plains_is_said_to_be_another(table_target: TableTarget) -> None:
    cells = [c for c in bench.run(table_target, plan(peers=[CountingPeer()])) if isinstance(c, Cell)]
    assert {c.method for c in cells if not c.is_same_text} == {"peer"}


def test_a_run_that_fails_ends_the_bench(table_target: TableTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*args: object) -> None:
        raise RuntimeError("on fire")

    monkeypatch.setattr("engine.drafters.copying.prompt_lookup.PromptLookup.propose", explode)
    with pytest.raises(RunFailed, match=r"prompt_lookup failed: .*on fire"):
        list(bench.run(table_target, plan()))
