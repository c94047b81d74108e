"""The draft model's cache: that of a fresh prefill, nothing fed twice, and the end of its context."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from toys import VOCAB_SIZE, draft_for, greedy_text, output_ids

from engine import models
from engine.config import GenerationConfig
from engine.drafters.small_models.draft_model import DraftModel
from engine.events import Stepped
from engine.loop import generate
from engine.runtime.runner import ModelRunner
from engine.target import Target
from tests.engine.drafters.small_models.draft_model.sessions import PROMPT, RULES, SHAPES, make, watched


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_drafts_cache_is_that_of_a_fresh_prefill_after_every_step(
    shape: str, rule: str, llama: Target, near: models.LoadedModel
) -> None:
    drafter = make(llama, **SHAPES[shape])
    fresh = ModelRunner(near.model, near.max_context, is_row_invariant=False)
    ids, num_accepted = list(PROMPT), 0
    for step in watched(llama, drafter, GenerationConfig(max_new_tokens=40, **RULES[rule])):
        ids += [token.token_id for token in step.emitted]
        num_accepted += len(step.path)
        num_cached = drafter.runner.num_committed
        # All but the root, and but the last accepted node where the draft model never saw it.
        assert len(ids) - 2 <= num_cached <= len(ids) - 1 or len(ids) == len(PROMPT) + 40
        assert drafter.runner.num_pending == 0
        fresh.prefill(ids[:num_cached])
        for layer in range(2):
            for kept, wanted in zip(drafter.runner.kv(layer), fresh.kv(layer), strict=True):
                torch.testing.assert_close(kept, wanted, atol=1e-4, rtol=1e-4)
    assert num_accepted > 5, "nothing was accepted: the test shows nothing"


@pytest.mark.parametrize("shape", SHAPES)
def test_no_token_is_fed_twice(
    shape: str, llama: Target, near: models.LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafter = make(llama, **SHAPES[shape])
    fed: list[tuple[int, int]] = []
    extend = drafter.runner.extend

    def counted(ids: Sequence[int], parents: Sequence[int], **more: Any) -> Any:
        fed.append((drafter.runner.num_committed + drafter.runner.num_pending, len(ids)))
        return extend(ids, parents, **more)

    monkeypatch.setattr(drafter.runner, "extend", counted)
    num_before = len(PROMPT)
    for number, step in enumerate(watched(llama, drafter, GenerationConfig(max_new_tokens=40))):
        if number == 0:
            assert fed.pop(0) == (0, len(PROMPT) - 1)
        if step.nodes:
            # First what the target emitted and the draft model never saw: one token, or two after a full draft.
            first, num_rows = fed.pop(0)
            assert first + num_rows == num_before
            assert num_rows <= 2
            # Then the draft, level by level; its last level needs no pass.
            assert len(fed) <= int(str(SHAPES[shape]["depth"])) - 1
            assert all(later[0] == earlier[0] + earlier[1] for earlier, later in itertools.pairwise(fed))
        num_before += len(step.emitted)
        fed.clear()


def test_a_draft_model_with_a_shorter_context_drops_out_and_the_text_goes_on(
    llama: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "load_draft", lambda name, target: draft_for(VOCAB_SIZE, 32))
    config = GenerationConfig(max_new_tokens=60)
    found = list(generate(llama, make(llama, depth=4, min_confidence=0.0), PROMPT, config))
    assert output_ids(found) == greedy_text(llama, PROMPT, 60)[len(PROMPT) :]
    sizes = [len(event.nodes) for event in found if isinstance(event, Stepped)]
    assert sizes[0] == 4
    assert sizes[-2:] == [0, 0]


def test_without_a_known_draft_model_the_method_says_what_to_do(llama: Target) -> None:
    assert "option model" in str(DraftModel.unavailable(llama))
    assert DraftModel.unavailable(None) is None
