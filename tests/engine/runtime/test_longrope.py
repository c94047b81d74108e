"""LongRoPE: one kind of factors in the cache, and the text of transformers' own generate at every border."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toys import (
    BORDER,
    FAMILIES,
    VOCAB_SIZE,
    ScriptedDrafter,
    build,
    create,
    draft_for,
    greedy_text,
    loaded,
    output_ids,
    prompt_ids,
    right,
    stock,
    stock_logits,
    tiny,
)

from engine import drafters, models
from engine.config import GenerationConfig
from engine.errors import RunFailed
from engine.events import Stepped
from engine.loop import generate
from engine.runtime import runner as runner_module
from engine.runtime.longrope import LongRopeRunner, border_of, make_runner
from engine.target import Target
from engine.tree import EMPTY_TREE, chain

FAMILY = "phi3_longrope"
LENGTHS = (BORDER - 8, BORDER - 2, BORDER - 1, BORDER, BORDER + 1, BORDER + 2, 2 * BORDER)
NUM_TOKENS = 14
PLAIN = [name for name in drafters.names() if drafters.get(name).needs.describe() == "nothing"]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt beyond the border is read in several blocks, some of them before the border."""
    monkeypatch.setattr(runner_module, "PREFILL_ROWS", 10)


def reference(prompt: list[int], num_tokens: int) -> list[int]:
    """What `generate(do_sample=False)` writes behind a prompt, with the prompt."""
    ids = torch.tensor([prompt])
    model: Any = stock(FAMILY)
    how = {"do_sample": False, "max_new_tokens": num_tokens, "pad_token_id": 0}
    found: list[int] = model.generate(ids, attention_mask=torch.ones_like(ids), **how)[0].tolist()
    return found


@pytest.mark.parametrize("length", LENGTHS)
def test_text_is_that_of_generate_wherever_the_prompt_ends(length: int) -> None:
    target, prompt = Target(tiny(FAMILY)), prompt_ids(length, seed=length)
    wanted = reference(prompt, NUM_TOKENS)
    assert greedy_text(target, prompt, NUM_TOKENS) == wanted
    config = GenerationConfig(max_new_tokens=NUM_TOKENS, has_detail=False)
    drafter = ScriptedDrafter(right(wanted, 5))
    assert output_ids(generate(target, drafter, prompt, config)) == wanted[length:]
    assert max(len(verdict.path) for verdict, _ in drafter.observed) > 1, "nothing was accepted: the test shows nothing"


@pytest.mark.parametrize("name", PLAIN)
def test_every_method_crosses_the_border_with_the_same_text(name: str) -> None:
    target, prompt = Target(tiny(FAMILY)), prompt_ids(BORDER - 6, seed=3)
    wanted = greedy_text(target, prompt, 30)
    config = GenerationConfig(max_new_tokens=30, has_detail=False)
    assert output_ids(generate(target, create(name, target), prompt, config)) == wanted[len(prompt) :]


def test_a_draft_ends_at_the_border_and_is_free_behind_it() -> None:
    target = Target(tiny(FAMILY))
    assert [target.most_depth(n) for n in (BORDER - 3, BORDER, BORDER + 1)] == [3, 0, 160 - BORDER - 2]
    assert Target(tiny("phi3")).most_depth(BORDER - 3) == 160 - BORDER + 2
    prompt = prompt_ids(BORDER - 3, seed=1)
    text = reference(prompt, 12)
    config = GenerationConfig(max_new_tokens=12, has_detail=False)
    events = generate(target, ScriptedDrafter(right(text, 5)), prompt, config)
    drafted = [(event.kv_length, len(event.nodes)) for event in events if isinstance(event, Stepped)]
    # Three nodes to the border, and the token behind them is the first beyond it.
    assert drafted[0] == (BORDER, 3)
    assert drafted[1][1] == 5


def test_scores_on_both_sides_are_those_of_a_plain_pass() -> None:
    target, text = Target(tiny(FAMILY)), prompt_ids(BORDER + 6, seed=5)
    target.prefill(text[: BORDER - 3])
    for place in range(BORDER - 3, BORDER + 5):
        scores = target.score(text[place], EMPTY_TREE).logits[0]
        torch.testing.assert_close(scores, stock_logits(stock(FAMILY), text[: place + 1])[-1], atol=1e-4, rtol=1e-4)
        target.commit(())


def test_a_pass_that_would_reach_across_is_refused() -> None:
    target = Target(tiny(FAMILY))
    target.prefill(prompt_ids(BORDER - 2))
    with pytest.raises(RunFailed, match=f"beyond the {BORDER} tokens"):
        target.score(1, chain([1, 2]))


def test_a_session_after_a_long_one_begins_with_the_short_factors() -> None:
    runner, text = make_runner(tiny(FAMILY).model, 160, is_row_invariant=True), prompt_ids(8)
    runner.prefill(prompt_ids(2 * BORDER))
    runner.prefill(text[:-1])
    logits = runner.extend(text[-1:], [-1]).logits[0]
    torch.testing.assert_close(logits, stock_logits(stock(FAMILY), text)[-1], atol=1e-4, rtol=1e-4)


def test_a_border_is_found_where_there_are_two_kinds_of_factors() -> None:
    assert border_of(tiny(FAMILY).model) == BORDER
    assert border_of(tiny("phi3").model) is None
    assert isinstance(make_runner(tiny(FAMILY).model, 160, is_row_invariant=True), LongRopeRunner)
    held = make_runner(tiny(FAMILY).model, BORDER, is_row_invariant=True)
    assert not isinstance(held, LongRopeRunner), "a context that ends at the border never crosses it"


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("is_target_long", [True, False])
def test_a_draft_model_with_a_border_drafts_on_both_sides(
    is_target_long: bool, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = loaded(build(FAMILIES[FAMILY]()), VOCAB_SIZE, 160, name="twin")
    own = tiny(FAMILY) if is_target_long else draft_for(VOCAB_SIZE, 160)
    monkeypatch.setattr(models, "load_draft", lambda name, target: twin)
    target, prompt = Target(own), prompt_ids(BORDER - 7, seed=2)
    wanted = greedy_text(target, prompt, 24)
    drafter = create("draft_model", target, min_confidence=0.0, width=width)
    events = list(generate(target, drafter, prompt, GenerationConfig(max_new_tokens=24, has_detail=False)))
    assert output_ids(events) == wanted[len(prompt) :]
    steps = [event for event in events if isinstance(event, Stepped)]
    if is_target_long:  # its twin is right about nearly everything, before the border and behind it
        accepted = [len(step.path) for step in steps]
        assert sum(accepted) > 14
        assert accepted[-2] > 1
    else:
        assert sum(len(step.nodes) for step in steps) > len(steps)
