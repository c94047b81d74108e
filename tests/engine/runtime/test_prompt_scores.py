"""What the runner tells of a prompt while it reads it: every token's scores, a few at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from toys import FAMILIES, build, prompt_ids, stock_logits

from engine.runtime.cpu import reading
from engine.runtime.longrope import make_runner
from engine.runtime.runner import PREFILL_ROWS, ModelRunner

SIZES = {"gpt2": PREFILL_ROWS + 44, "gemma2": 30, "phi3_longrope": 40, "llama": reading.ROWS + reading.FEWEST_ROWS + 3}


def scores_told(runner: ModelRunner, text: list[int], layers: tuple[int, ...]) -> tuple[list[Tensor], object]:
    told: list[Tensor] = []
    return told, runner.prefill(text, layers, lambda scores: told.append(scores.float()))


@pytest.mark.parametrize(("family", "num_tokens"), [*SIZES.items(), ("llama", reading.ROWS + 5), ("llama", 20)])
def test_the_prompts_scores_are_told_in_order_and_never_many_at_once(family: str, num_tokens: int) -> None:
    config = FAMILIES[family]()
    config.max_position_embeddings = num_tokens + 60
    text = prompt_ids(num_tokens)
    runner = make_runner(build(config), num_tokens + 60, is_row_invariant=True)
    told, hidden = scores_told(runner, text, ())
    assert hidden is None
    assert max(map(len, told)) <= PREFILL_ROWS
    torch.testing.assert_close(torch.cat(told), stock_logits(build(config), text), atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("num_tokens", [20, reading.FEWEST_ROWS + 1])
def test_hidden_states_and_cache_are_the_same_whether_scores_are_told_or_not(num_tokens: int) -> None:
    config = FAMILIES["llama"]()
    config.max_position_embeddings = 200
    text = prompt_ids(num_tokens)
    runner = make_runner(build(config), 200, is_row_invariant=True)
    found = []
    for tell in (None, lambda scores: None):
        hidden = runner.prefill(text, (1, -1), tell)
        assert hidden is not None
        found.append([*hidden, runner.extend([1], [-1]).logits.clone()])
    for silent, told in zip(*found, strict=True):
        assert torch.equal(silent, told)
