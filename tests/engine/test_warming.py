"""What runs before anything is measured: each method once, with a session of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from toys import ScriptedDrafter, Table, TableTarget

from engine import drafters, warming
from engine.config import GenerationConfig
from engine.drafters import Context, Room
from engine.errors import BadInput
from engine.options import option
from engine.target import Target
from engine.tree import DraftTree, chain
from engine.warming import NUM_TOKENS, is_warm, warm_up, warm_up_method

GREEDY, SAMPLED = GenerationConfig(), GenerationConfig(temperature=0.7, max_new_tokens=90, stop_strings=("a", "b"))


@dataclass(frozen=True)
class Depth:
    depth: int = option(1, "How far.", low=1, high=4)


class Counting(ScriptedDrafter):
    """Counts its sessions and its drafts, and sees their settings."""

    Options = Depth
    made: list[Counting]

    def __init__(self, options: Depth, target: Target) -> None:
        super().__init__(lambda context, budget: chain([0] * options.depth))
        self.options, self.drafts = options, 0
        self.made.append(self)

    def start(self, context: Context) -> None:
        super().start(context)
        self.config = context.config

    def propose(self, context: Context, room: Room) -> DraftTree:
        self.drafts += 1
        return super().propose(context, room).pruned(room.nodes, room.depth)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Counting]:
    """The drafters that were made; every method is a counting one, and the toy target can read the prompt."""
    monkeypatch.setattr(warming, "PROMPT", "abcab")
    monkeypatch.setattr(Counting, "made", [], raising=False)
    monkeypatch.setattr(drafters, "get", lambda name: Counting)
    return Counting.made


def table_target() -> TableTarget:
    return TableTarget(Table(5), max_context=128)


def test_a_method_is_warmed_once_for_each_of_its_options_and_kinds_of_decoding(made: list[Counting]) -> None:
    target = table_target()
    asked: list[tuple[str, dict[str, object], GenerationConfig]] = [
        ("a", {}, GREEDY), ("b", {}, GREEDY), ("a", {"depth": 2}, GREEDY), ("a", {}, SAMPLED)
    ]  # fmt: skip
    for number, one in enumerate(asked, 1):
        assert not is_warm(target, *one)
        warm_up_method(target, *one)
        warm_up_method(target, *one)
        assert is_warm(target, *one)
        assert len(made) == number
    assert is_warm(target, "a", {"depth": "1"}, GenerationConfig(max_new_tokens=3)), "the same, said otherwise"
    assert not is_warm(table_target(), "a", {}, GREEDY), "another loaded model"


def test_a_warm_up_drafts_a_few_times_under_the_runs_settings_and_leaves_no_session(made: list[Counting]) -> None:
    target = table_target()
    warm_up_method(target, "a", {}, SAMPLED)
    (drafter,) = made
    assert 2 <= drafter.drafts <= NUM_TOKENS
    assert sum(len(emitted) for _, emitted in drafter.observed) == NUM_TOKENS, "stop texts end nothing here"
    assert (drafter.config.temperature, drafter.config.max_new_tokens) == (0.7, NUM_TOKENS)
    assert target.kv_length == 0


def test_what_cannot_be_made_is_told_and_not_taken_for_warm(made: list[Counting]) -> None:
    target = table_target()
    for _ in range(2):
        with pytest.raises(BadInput, match="depth"):
            warm_up_method(target, "a", {"depth": 9}, GREEDY)
    assert made == []


def test_the_targets_passes_come_first_and_once(made: list[Counting], monkeypatch: pytest.MonkeyPatch) -> None:
    target, plain_passes = table_target(), table_target()
    warm_up(plain_passes)
    passes: list[int] = []
    for method in ("a", "b"):
        before = target.num_passes
        warm_up_method(target, method, {}, GREEDY)
        passes.append(target.num_passes - before)
    assert passes[0] - passes[1] == plain_passes.num_passes > 0


def test_a_path_with_a_gap_before_it_is_kept_in_the_cache(llama: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """What moves rows is compiled at its first call: in the first run's commit, were it not for this."""
    kept: list[tuple[int, ...]] = []
    commit: Callable[[Any], None] = llama.runner.commit

    def watched(rows: Any) -> None:
        kept.append(tuple(rows))
        commit(rows)

    monkeypatch.setattr(llama.runner, "commit", watched)
    warm_up(llama)
    assert (0, 2) in kept
    assert llama.kv_length == 0
