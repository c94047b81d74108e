"""What passes and drafts cost: measured apart from any session, once, in few passes where they are slow; smoothed."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from toys import ScriptedDrafter, Table, TableTarget, create, greedy_text, prompt_ids, tiny

from engine import drafters
from engine.config import GenerationConfig
from engine.drafters import Costs, costs, shapes
from engine.drafters.base import Context
from engine.drafters.costs import NUM_ROWS, roofline, row_costs
from engine.events import Stepped
from engine.loop import generate
from engine.runtime.passes import Rows
from engine.target import Pending, Target
from engine.tree import EMPTY_TREE, MAX_BUDGET, DraftTree


class Network:
    """What sessions share."""


class Clocked(TableTarget):
    """A pass of m rows takes `a_row` seconds for each by its own clock, and one at least."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, a_row: float, one: float) -> None:
        super().__init__(Table(4), max_context=2_000)
        self.now, self.a_row, self.one = 0.0, a_row, one
        self.passes: list[tuple[int, int]] = []
        for clock in ("perf_counter", "monotonic"):
            monkeypatch.setattr(f"engine.drafters.costs.time.{clock}", lambda: self.now)

    def launch(self, root_id: int, tree: DraftTree) -> Pending:
        self.passes.append((self.kv_length, len(tree) + 1))
        self.now += max(self.one, self.a_row * (len(tree) + 1))
        return super().launch(root_id, tree)


def test_the_benchs_curve_is_measured_at_the_context_length_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Clocked(monkeypatch, 0.001, 0.004)
    num_context, found = row_costs(target, 0.0)
    assert num_context == 256
    assert [cost.num_rows for cost in found] == list(NUM_ROWS)
    assert target.passes == [(256, cost.num_rows) for _ in range(4) for cost in found]
    assert [cost.ratio for cost in found] == pytest.approx([1, 1, 1, 2, 4, 8, 16])
    assert found[0].ms == pytest.approx(4)
    assert target.kv_length == 0


def test_rows_are_measured_once_when_first_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    target, opened = Clocked(monkeypatch, 0.001, 0.004), []
    found = Costs(lambda: opened.append(1) or target)  # type: ignore[func-returns-value]
    assert not opened
    assert found.rows is found.rows
    assert len(found.rows) == MAX_BUDGET + 1
    assert (found.rows[0], found.rows[63], found.rows[127]) == pytest.approx((1, 16, 32))
    assert found.ms(64) == pytest.approx(64)
    assert opened == [1]
    assert {context for context, _ in target.passes[2:]} == {256}


def test_a_large_model_is_measured_in_few_passes_and_without_a_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds a pass: of the rows five passes, of a draft four, and no prompt to read."""
    target = Clocked(monkeypatch, 0.25, 2.0)
    found = Costs(lambda: target)
    assert found.rows[15] == pytest.approx(2)
    assert [rows for _, rows in target.passes] == [1, 1, 1, 8, 16]
    assert max(context for context, _ in target.passes) <= 1
    target.passes.clear()
    found.draft(ScriptedDrafter(lambda context, budget: EMPTY_TREE), Network())
    assert target.passes == [(0, 1), (0, 1), (1, 1), (1, 1)]


def test_what_others_take_of_a_busy_machine_is_no_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two passes of three take twice as long: the first second does not show what each takes undisturbed."""
    target, num_passes = Clocked(monkeypatch, 0.002, 0.008), itertools.count(1)
    launch = target.launch

    def held_up(root_id: int, tree: DraftTree) -> Pending:
        before = target.now
        pending = launch(root_id, tree)
        target.now += target.now - before if next(num_passes) % 3 else 0.0
        return pending

    monkeypatch.setattr(target, "launch", held_up)
    found = Costs(lambda: target)
    assert (found.rows[15], found.rows[63]) == pytest.approx((4, 16))
    assert found.ms(1) == pytest.approx(8)
    assert 1.2 < target.now < 4


def test_a_draft_is_measured_once_per_network_against_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass takes 2 ms by this clock, a draft 3 ms, then 1 ms."""
    target, draft_s, num_drafts = Clocked(monkeypatch, 0.001, 0.002), [0.003], [0]

    def draft(context: Context, budget: int) -> DraftTree:
        num_drafts[0] += 1
        target.now += draft_s[0]
        return EMPTY_TREE

    drafter, network, found = ScriptedDrafter(draft), Network(), Costs(lambda: target)
    assert found.draft(drafter, network) == pytest.approx(1.5)
    assert num_drafts[0] == costs.NUM_DRAFT_ROUNDS + 1
    draft_s[0] = 0.001
    assert found.draft(drafter, network) == pytest.approx(1.5), "known already"
    assert found.draft(drafter, Network()) == pytest.approx(0.5)


@pytest.mark.parametrize("name", drafters.names())
@pytest.mark.usefixtures("draft_models")
def test_making_a_drafter_disturbs_no_session(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does measuring: both while a session runs, whose text stays what it was."""
    for patience in ("_SECONDS", "_BUSY_SECONDS"):
        monkeypatch.setattr(costs, patience, 0.0)
    target, config = Target(tiny("llama")), GenerationConfig(max_new_tokens=12, has_detail=False)
    prompt, found = prompt_ids(9), []
    wanted = greedy_text(target, prompt, 12)[9:]
    own = Costs(target.beside)
    for event in generate(target, create("plain", target), prompt, config):
        found += [token.token_id for token in event.emitted] if isinstance(event, Stepped) else []
        length = target.kv_length
        drafter: Any = create(name, target)
        drafter.options = type(drafter.options)()
        drafter.fit(own)
        assert target.kv_length == length
    assert found == wanted


def test_costs_are_kept_with_the_loaded_model(llama: Target) -> None:
    assert costs.of(llama) is costs.of(llama.beside())
    assert costs.of(llama) is not costs.of(Target(tiny("qwen2")))


def test_a_session_beside_another_has_a_cache_of_its_own(llama: Target) -> None:
    llama.prefill([1, 2, 3])
    other = llama.beside()
    other.prefill([4])
    assert (llama.kv_length, other.kv_length) == (3, 1)


def test_a_dearer_draft_has_more_nodes() -> None:
    shares, rows = [0.5 * 0.8**n for n in range(20)], [1 + 0.05 * n for n in range(21)]
    sizes = [shapes.best_size(shares, rows, draft_cost) for draft_cost in (0.0, 0.3, 1.0)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]


# The roofline


def test_a_roofline_is_flat_and_then_a_line() -> None:
    rows = roofline(NUM_ROWS, [1.0, 0.98, 1.01, 1.1, 1.3, 1.7, 2.5])
    assert rows[:4] == (1.0,) * 4
    assert [rows[n - 1] for n in NUM_ROWS[3:]] == pytest.approx([1.1, 1.3, 1.7, 2.5], abs=1e-6)
    assert rows[11] == pytest.approx(1.2)
    assert roofline(NUM_ROWS, [1.0, 0.98, 1.01, 1.1, 1.3, 1.7, 2.5], 104)[103] == pytest.approx(3.5)


def test_one_noisy_pass_of_few_rows_decides_nothing() -> None:
    quiet, noisy = ([1.0, few, few, 1.1, 1.3, 1.7, 2.5] for few in (1.0, 1.4))
    assert roofline(NUM_ROWS, quiet) == roofline(NUM_ROWS, noisy)
    assert roofline(NUM_ROWS, quiet) == roofline([1, 8, 16, 32, 64], [1.0, *quiet[3:]])


def test_one_row_costs_one_row_where_every_wider_pass_was_slow() -> None:
    rows = roofline(NUM_ROWS, [1.0, 1.4, 1.4, 1.5, 1.55, 1.7, 2.0])
    assert rows[0] == 1
    assert rows[1] > 1.3
    assert list(rows) == sorted(rows)


def test_rows_are_never_cheaper_than_one() -> None:
    assert roofline([1, 2, 4, 8, 16], [1.0, 0.9, 0.8, 0.9, 0.8]) == (1.0,) * 16


@pytest.mark.parametrize("num_rows", [[1], [1, 2], [1, 2, 4]])
def test_a_short_context_has_few_measured_numbers(num_rows: list[int]) -> None:
    rows = roofline(num_rows, [1.0, 1.5, 2.5][: len(num_rows)])
    assert len(rows) == num_rows[-1]
    assert list(rows) == sorted(rows)
    assert rows[0] >= 1


def test_what_leaving_early_costs_is_told_by_the_first_layer_and_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six layers of 2 ms, and 3 ms for what stands behind them, of a pass of 15 ms."""
    target = Clocked(monkeypatch, 0.0, 0.015)
    opened: list[int] = []

    def extend(inputs: Any, parents: Any, *, layers: range = range(6), num_logits: int = 0) -> Any:
        target.now += 0.002 * len(layers)
        return Rows(torch.empty(0), None, states=torch.zeros(1, 8))

    def scores(states: Any) -> torch.Tensor:
        target.now += 0.003
        return torch.zeros(1, 4)

    target.__dict__["runner"] = SimpleNamespace(num_layers=6, extend=extend, scores=scores)
    found = Costs(lambda: opened.append(1) or target)  # type: ignore[func-returns-value]
    assert found.exits == pytest.approx((2 / 15, 3 / 15))
    assert found.exits == Costs.known([1.0], exits=found.exits).exits
    assert opened == [1]
