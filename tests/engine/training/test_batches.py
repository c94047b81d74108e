"""Many texts at once: each as by itself, with what the output layer read."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toys import stock

from engine.training import batches

PROMPTS = [[5, 6, 7, 8, 9], [7], [11, 12, 13]]
END = 3


def alone(model: Any, prompt: list[int], num_tokens: int) -> tuple[list[int], torch.Tensor]:
    """Greedy continuation to the first END by whole passes, and the states of the last."""
    ids = list(prompt)
    for _ in range(num_tokens):
        with torch.inference_mode():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == END:
            break
    with torch.inference_mode():
        return ids, model.base_model(torch.tensor([ids[:-1]]))[0][0]


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2", "gemma2"])
def test_every_row_is_what_it_is_by_itself(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of unlike lengths, ending at unlike times, across the steps by which room grows."""
    monkeypatch.setattr(batches, "ROOM", 4)
    model = stock(family)
    own = model.config._attn_implementation
    found = batches.continued(model, PROMPTS, 9, (END,))
    assert model.config._attn_implementation == own
    for text, prompt in zip(found, PROMPTS, strict=True):
        ids, hidden = alone(model, prompt, 9)
        assert text.ids == ids
        torch.testing.assert_close(text.hidden.float(), hidden.float(), atol=0.05, rtol=0.05)


def test_rows_that_ended_are_let_go_and_the_others_stay_whole() -> None:
    model = stock("llama")
    texts = [alone(model, prompt, 12)[0] for prompt in PROMPTS]
    ends = [texts[0][len(PROMPTS[0])], texts[2][len(PROMPTS[2]) + 1]]
    found = batches.continued(model, PROMPTS, 12, ends)
    for text, whole, prompt in zip(found, texts, PROMPTS, strict=True):
        answer = whole[len(prompt) :]
        length = next((place + 1 for place, token in enumerate(answer) if token in (*ends, END)), 12)
        assert text.ids[: len(prompt) + length] == whole[: len(prompt) + length]
        assert len(text.hidden) == len(text.ids) - 1


def test_draws_are_of_the_likeliest_share() -> None:
    scores = torch.tensor([[4.0, 3.0, -9.0, 2.0]]).repeat(400, 1)
    drawn = batches._choose(scores, 1.0, 1.0)
    assert set(drawn.tolist()) == {0, 1, 3}
    assert set(batches._choose(scores, 1.0, 0.7).tolist()) == {0, 1}
    assert set(batches._choose(scores, 0.0, 1.0).tolist()) == {0}
    share = (drawn == 0).float().mean().item()
    assert abs(share - 0.665) < 0.08
