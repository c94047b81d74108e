"""What drafters learn of a prompt's scores: gathered in blocks, each its own share, by whoever asked for them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from reciter import Reciter, prose
from toys import create, greedy_text, output_ids, prompt_ids, stock, stock_logits

from engine.config import GenerationConfig
from engine.drafters import Needs
from engine.drafters.tables.token_recycling import K, filled_up
from engine.loop import generate
from engine.runtime.prompt_top import PromptTop
from engine.target import Target


def test_the_likeliest_tokens_are_gathered_block_by_block() -> None:
    logits = torch.randn(50, 30, generator=torch.Generator().manual_seed(1))
    top = PromptTop(4, has_probs=True)
    for block in logits.split(16):
        top.add(block)
    wanted = logits.softmax(dim=1).topk(4, dim=1)
    assert torch.equal(top.ids(4), wanted.indices)
    torch.testing.assert_close(top.probs(3), wanted.values[:, :3])
    assert top.ids(2).shape == (50, 2)
    assert PromptTop(4, has_probs=False).ids(4).shape == (0, 4), "a prompt of one token"


@pytest.mark.parametrize("name", ["token_recycling", "stand"])
def test_a_session_begins_with_what_the_target_finds_likely_in_the_prompt(name: str, llama: Target) -> None:
    prompt = prompt_ids(30)
    drafter: Any = create(name, llama, prompt_scores=True, reads_prompt=False)
    next(events := generate(llama, drafter, prompt, GenerationConfig()))
    next(events)
    scores = stock_logits(stock("llama"), prompt[:-1]).softmax(dim=1)
    for place, token in enumerate(prompt[:-1]):
        wanted = scores[place].topk(8)
        if name == "stand":
            if place:
                entry = drafter.memory.entries[tuple(prompt[max(0, place - 3) : place + 1])]
                assert entry.tokens[:8] == wanted.indices.tolist()
                assert entry.probs[:8] == pytest.approx(wanted.values.tolist(), abs=1e-4)
        elif token not in prompt[place + 1 : -1]:
            assert drafter.table[token].tolist() == wanted.indices.tolist()
    text = greedy_text(llama, prompt, 20)[30:]
    drafter = create(name, llama, prompt_scores=True)
    assert output_ids(generate(llama, drafter, prompt, GenerationConfig(max_new_tokens=20))) == text


@pytest.mark.parametrize("name", ["token_recycling", "stand"])
def test_a_prompt_that_is_known_makes_the_first_steps_longer(name: str) -> None:
    text = [*prose(120, seed=3), *prose(60, seed=3)]
    emitted = []
    for has_scores in (False, True):
        target = Reciter(text)
        drafter = create(name, target, prompt_scores=has_scores, reads_prompt=False)
        steps = list(generate(target, drafter, text[:120], GenerationConfig(max_new_tokens=60, has_detail=False)))
        emitted.append(sum(len(step.emitted) for step in steps[2:8]))  # type: ignore[union-attr]
    assert emitted[1] > emitted[0] + 3


def test_who_did_not_ask_is_told_nothing(llama: Target) -> None:
    given = {"fallback": "stand", "fallback.prompt_scores": True, "reads_prompt": False, "fallback.reads_prompt": False}
    drafter: Any = create("token_recycling", llama, **given)
    assert drafter.needs == Needs(prompt_top_k=10, prompt_probs=True)
    events = generate(llama, drafter, prompt_ids(12), GenerationConfig())
    next(events)
    next(events)
    assert (drafter.first.table == -1).all()
    assert drafter.second.memory.entries


def test_what_followed_stands_before_what_is_likely() -> None:
    def row(*tokens: int) -> list[int]:
        return [*tokens, *[-1] * K][:K]

    first, then = torch.tensor([row(5, 6), row(*range(8))]).numpy(), torch.tensor([row(7, 5, 8), row(9)]).numpy()
    assert filled_up(first, then).tolist() == [row(5, 6, 7, 8), list(range(8))]
    assert filled_up(first[:0], then[:0]).shape == (0, K)
