"""PARD: what stands in the masks is what is drafted, in one pass, and no mask is kept; which models it takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from model_folders import load, refusal, save_model
from torch import Tensor
from toys import VOCAB_SIZE, build, draft_for, loaded, output_ids, prompt_ids, session_of, steps_of, stock_logits
from transformers import LlamaConfig

from engine import drafters, models
from engine.audit import plain_run
from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.small_models.pard import Pard, mask_of
from engine.events import Stepped
from engine.loop import generate
from engine.runtime.runner import ModelRunner
from engine.sampling import warp
from engine.target import Target
from tests.engine.drafters.small_models.draft_model.sessions import stock_of

MASK, CONTEXT = VOCAB_SIZE - 1, 400
PROMPT = prompt_ids(9)
SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "node_sampling": {"temperature": 0.8},
    "rejection": {"temperature": 0.8, "rule": "rejection"},
}


@pytest.fixture
def near(llama: Target, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model that agrees with the target now and then, behind text; its mask is the last token. Untouched."""
    found = loaded(stock_of(llama.loaded), VOCAB_SIZE, CONTEXT, name="near")
    found.model.config.pard_token = MASK
    monkeypatch.setattr(models, "load_draft", lambda spec, target: found)
    return stock_of(llama.loaded)


def made(target: Target, **options: object) -> Pard:
    drafter = drafters.create("pard", {"min_confidence": 0.0, **options}, target)
    assert isinstance(drafter, Pard)
    return drafter


def masked(model: Any, ids: Sequence[int], depth: int) -> Tensor:
    """Scores (depth, v) of what follows a text and stands in the masks behind it, of one pass over all of them."""
    return stock_logits(model, [*ids, *[MASK] * (depth - 1)])[-depth:]


def started(drafter: Pard, ids: Sequence[int], **settings: Any) -> Context:
    context = session_of(drafter, list(ids), **settings)
    return context


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("width", [1, 3])
def test_a_step_is_one_pass_over_new_text_and_masks_of_which_no_mask_is_kept(
    width: int, settings: str, llama: Target, near: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafter = made(llama, depth=4, width=width)
    fresh, passes = ModelRunner(near, CONTEXT, is_row_invariant=False), list[list[int]]()
    extend = drafter.runner.extend

    def noted(ids: Sequence[int], parents: Sequence[int], **more: Any) -> Any:
        passes.append([*ids])
        return extend(ids, parents, **more)

    monkeypatch.setattr(drafter.runner, "extend", noted)
    ids, num_read, num_accepted = [*PROMPT], 0, 0
    for step in generate(llama, drafter, PROMPT, GenerationConfig(max_new_tokens=30, **SETTINGS[settings])):
        if not isinstance(step, Stepped):
            continue
        num_masks = min(4, len(PROMPT) + 30 - len(ids) - 1) - 1
        if num_masks >= 0:
            assert [token for read in passes for token in read] == [*ids[num_read:], *[MASK] * num_masks]
            assert len(passes) <= 2, "a pass over the prompt, and one a step"
            num_read = len(ids)
            assert (drafter.runner.num_committed, drafter.runner.num_pending) == (num_read, 0)
            fresh.prefill(ids)
            for kept, wanted in zip(drafter.runner.kv(1), fresh.kv(1), strict=True):
                torch.testing.assert_close(kept, wanted, atol=1e-4, rtol=1e-4)
        ids += [token.token_id for token in step.emitted]
        num_accepted += len(step.path)
        passes.clear()
    assert num_accepted > 2, "nothing was accepted: the test shows nothing"


def test_a_chain_is_what_stands_in_the_masks_to_the_first_weak_token(llama: Target, near: Any) -> None:
    for seed in range(6):
        ids = prompt_ids(11, seed=seed)
        best = masked(near, ids, 6).softmax(dim=-1).max(dim=-1)
        drafter = made(llama, depth=6)
        assert drafter.propose(started(drafter, ids), Room(64)).tokens == tuple(best.indices.tolist())
        weak = next((d for d, prob in enumerate(best.values.tolist()) if prob < 0.2), 5)
        drafter = made(llama, depth=6, min_confidence=0.2)
        assert drafter.propose(started(drafter, ids), Room(64)).tokens == tuple(best.indices.tolist()[: weak + 1])


def test_with_a_penalty_a_chain_knows_its_own_tokens(llama: Target, near: Any) -> None:
    ids, config = prompt_ids(11), GenerationConfig(repetition_penalty=1.8)
    drafter = made(llama, depth=6)
    tree = drafter.propose(started(drafter, ids, repetition_penalty=1.8), Room(64))
    for depth, row in enumerate(masked(near, ids, 6)):
        assert tree.tokens[depth] == warp(row[None], config, [[*ids, *tree.tokens[:depth]]]).argmax()


def test_a_trees_nodes_are_the_likeliest_of_all_combinations(llama: Target, near: Any) -> None:
    drafter, ids = made(llama, depth=2, width=16, nodes=12), prompt_ids(11)
    first, second = masked(near, ids, 2).softmax(dim=-1).double()
    values = {(token,): first[token].item() for token in range(VOCAB_SIZE)}
    pairs = [(a, b) for a in range(VOCAB_SIZE) for b in range(VOCAB_SIZE)]
    values |= {(a, b): (first[a] * second[b]).item() for a, b in pairs}
    tree = drafter.propose(started(drafter, ids), Room(64))
    found = {tuple(tree.tokens[i] for i in tree.path_to(node)) for node in range(len(tree))}
    assert found == set(sorted(values, key=lambda path: -values[path])[:12])


@pytest.mark.parametrize("width", [1, 2])
def test_drawn_nodes_state_the_law_of_their_mask_whatever_was_drawn_before(
    width: int, llama: Target, near: Any
) -> None:
    drafter, settings = made(llama, depth=3, width=width), {"temperature": 0.9, "top_k": 9, "rule": "rejection"}
    laws, ids = warp(masked(near, PROMPT, 3), GenerationConfig(**settings)), PROMPT
    tree = drafter.propose(started(drafter, ids, **settings), Room(64))
    assert len(tree) == (3 if width == 1 else 2 + 4 + 4)
    assert tree.draws is not None
    for node, depth in enumerate(tree.depths):
        torch.testing.assert_close(tree.draws.rows[tree.draws.row_of[node]], laws[depth - 1], atol=1e-3, rtol=1e-3)


def test_a_long_text_that_another_drafter_led_to_is_read_in_blocks(llama: Target, near: Any) -> None:
    drafter, ids = made(llama, depth=3), prompt_ids(CONTEXT - 60, seed=4)
    context = started(drafter, ids[:20])
    context.ids = list(ids)
    assert drafter.propose(context, Room(64)).tokens == tuple(masked(near, ids, 3).argmax(dim=-1).tolist())
    assert drafter.runner.num_committed == len(ids)


def test_where_the_models_context_ends_drafts_do(llama: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "load_draft", lambda spec, target: draft_for(VOCAB_SIZE, 32))
    drafter = made(llama, depth=8)
    assert len(drafter.propose(started(drafter, prompt_ids(23)), Room(64))) == 8
    assert not drafter.propose(started(drafter, prompt_ids(24)), Room(64))


# Which models it takes


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as PARD's are: a causal model with rows more than its tokenizer has tokens, and a mask among them."""
    folder = save_model(tmp_path_factory.mktemp("models") / "pard")
    config = json.loads((folder / "config.json").read_text())
    sizes = {**config, "vocab_size": config["vocab_size"] + 8, "pard_token": config["vocab_size"], "spd_type": "pard"}
    build(LlamaConfig(**{key: value for key, value in sizes.items() if key != "dtype"})).save_pretrained(folder)
    return folder


def test_a_published_folder_drafts_and_the_text_is_the_targets(published: Path, model_folder: Path) -> None:
    target = Target(load(model_folder))
    ids, config = target.facts.encode("Once upon a time"), GenerationConfig(max_new_tokens=24)
    drafter = made(target, model=str(published), depth=5)
    found = list(generate(target, drafter, ids, config))
    assert output_ids(found) == output_ids(plain_run(target, ids, config))
    assert max(len(step.nodes) for step in steps_of(found)) == 5
    assert drafter._mask_id == target.facts.vocab_size


def test_the_embedded_model_foresees_the_embedded_target() -> None:
    target = Target(models.load("story", "cpu"))
    ids, config = (
        target.facts.encode("Write a story about a little cat named Tom."),
        GenerationConfig(max_new_tokens=48),
    )
    drafter = drafters.create("pard", {}, target)
    found = list(generate(target, drafter, ids, config))
    assert output_ids(found) == output_ids(plain_run(target, ids, config))
    assert len(steps_of(found)) < 30


def test_a_model_without_a_mask_is_refused_with_what_to_do(model_folder: Path, draft_folder: Path) -> None:
    target = Target(load(model_folder))
    said = refusal(lambda: made(target, model=str(draft_folder)))
    assert str(draft_folder) in said
    assert "pard_token" in said
    assert "train pard" in said


@pytest.mark.parametrize("given", [-1, 40, "<mask>", 3.0])
def test_a_mask_that_is_no_token_is_refused(given: object) -> None:
    said = refusal(lambda: mask_of(SimpleNamespace(pard_token=given), 40, "m"))
    assert repr(given) in said
    assert "below 40" in said
    assert mask_of(SimpleNamespace(pard_token=39, spd_type="pard"), 40, "m") == 39


def test_pard_2_is_named_and_refused() -> None:
    config = SimpleNamespace(pard_token=3, spd_type="pard2", pard2_target_layers=[-1, -8])
    assert "PARD-2" in refusal(lambda: mask_of(config, 40, "m"))


def test_a_target_without_a_model_of_its_own_is_told_how_to_get_one(llama: Target) -> None:
    assert "option model" in str(Pard.unavailable(llama))
    assert "option model" in refusal(lambda: made(llama))
    assert Pard.unavailable(None) is None
