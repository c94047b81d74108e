"""Target and draft model of one tokenizer, whose tables are padded to different sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toys import (
    MAX_CONTEXT,
    ScriptedDrafter,
    Table,
    TableTarget,
    assert_fits,
    build,
    create,
    draft_for,
    greedy_text,
    loaded,
    output_ids,
    prompt_ids,
    tiny,
)
from transformers import LlamaConfig

from engine import models
from engine.config import GenerationConfig
from engine.errors import RunFailed
from engine.events import SessionFinished, Stepped
from engine.loop import generate
from engine.models import LoadedModel
from engine.target import Target
from engine.tree import DraftTree, chain

NARROW, WIDE = 64, 72


def padded(num_rows: int, *, likes_padding: bool = False, seed: int = 7) -> LoadedModel:
    """A model whose tokenizer knows 64 tokens, with so many rows; it may find what lies behind them likeliest."""
    config = LlamaConfig(**{**tiny("llama").model.config.to_dict(), "vocab_size": num_rows, "dtype": None})
    model: Any = build(config, seed=seed)
    if num_rows > NARROW:
        model.lm_head.bias = torch.nn.Parameter(torch.zeros(num_rows), requires_grad=False)
        model.lm_head.bias[NARROW:] = 30.0 if likes_padding else -30.0
    return loaded(model, NARROW, MAX_CONTEXT, name=f"{num_rows} rows")


PAIRS = {"wide draft": (NARROW, WIDE), "wide target": (WIDE, NARROW)}


@pytest.mark.parametrize("pair", PAIRS)
def test_rejection_ends_and_says_what_it_drew_from(pair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target, draft = Target(padded(PAIRS[pair][0], seed=1)), padded(PAIRS[pair][1])
    monkeypatch.setattr(models, "load_draft", lambda name, target: draft)
    num_rejected = 0
    for seed in range(5):
        config = GenerationConfig(max_new_tokens=8, temperature=1.0, rule="rejection", seed=seed, has_detail=False)
        drafter = create("draft_model", target, min_confidence=0.0)
        events = list(generate(target, drafter, prompt_ids(6), config))
        assert isinstance(events[-1], SessionFinished)
        assert events[-1].reason == "length", events[-1].message
        num_rejected += sum(len(e.nodes) > len(e.path) for e in events if isinstance(e, Stepped))
    assert num_rejected > 5, "nothing was rejected: the test shows nothing"


@pytest.mark.parametrize("num_rows", [3, 8])
def test_rejection_keeps_the_law_of_the_first_token_whatever_the_draft_models_rows(
    num_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = TableTarget(Table(5, seed=3))
    monkeypatch.setattr(models, "load_draft", lambda name, target: draft_for(num_rows, MAX_CONTEXT))
    counts = torch.zeros(5, 5)
    for seed in range(200):
        config = GenerationConfig(max_new_tokens=2, temperature=1.0, rule="rejection", seed=seed, has_detail=False)
        drafter = create("draft_model", target, depth=1)
        counts[tuple(output_ids(generate(target, drafter, [0], config)))] += 1
    first = target.table.probs([0])
    law = torch.stack([first[a] * target.table.probs([0, a]) for a in range(5)])
    assert_fits(counts, law)


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("settings", [{}, {"temperature": 0.9, "seed": 5}], ids=["greedy", "sampled"])
@pytest.mark.parametrize("pair", PAIRS)
def test_a_model_that_likes_its_padding_changes_no_text(
    pair: str, settings: dict[str, Any], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The target emits ids that the draft model has no row for, or the draft model finds such ids likeliest."""
    num_target, num_draft = PAIRS[pair]
    target, draft = Target(padded(num_target, likes_padding=True)), padded(num_draft, likes_padding=True)
    monkeypatch.setattr(models, "load_draft", lambda name, target: draft)
    prompt = prompt_ids(6)
    text = greedy_text(target, prompt, 12, **settings)
    assert (max(text) >= NARROW) == (num_target == WIDE)
    config = GenerationConfig(max_new_tokens=12, has_detail=False, **settings)
    drafter = create("draft_model", target, min_confidence=0.0, width=width)
    assert output_ids(generate(target, drafter, prompt, config)) == text[len(prompt) :]


def test_drafts_of_ids_that_the_target_has_no_row_for_are_dropped_with_what_hangs_below() -> None:
    tree = DraftTree((1, 64, 2, 3, -1), (-1, -1, 1, 0, 3), (0.5, 0.4, 0.3, 0.2, 0.1))
    kept = tree.within(64)
    assert (kept.tokens, kept.parents, kept.draft_probs) == ((1, 3), (-1, 0), (0.5, 0.2))
    assert tree.within(65).tokens == (1, 64, 2, 3)
    assert kept.within(4) is kept
    drawn = chain([1, 64], drawn_from=torch.ones(2, 65) / 65)
    assert drawn.within(65) is drawn
    with pytest.raises(RunFailed, match="64"):
        drawn.within(64)


def test_a_run_with_such_drafts_finishes_with_the_targets_text(llama: Target) -> None:
    prompt = prompt_ids(9)
    text = greedy_text(llama, prompt, 12)
    drafter = ScriptedDrafter(lambda context, budget: chain([text[len(context.ids)], 64, 4100, -7][:budget]))
    config = GenerationConfig(max_new_tokens=11, has_detail=False)
    events = list(generate(llama, drafter, prompt, config))
    assert output_ids(events) == text[len(prompt) : -1]
    assert all(len(event.nodes) == len(event.path) == 1 for event in events[2:-2] if isinstance(event, Stepped))
