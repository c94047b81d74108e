"""Whole sessions over static passes: every method step by step as over the others, greedy and sampled, in float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from toys import FAMILIES, MAX_CONTEXT, VOCAB_SIZE, build, create, loaded, masking, prompt_ids, steps_of, tiny
from toys.static_passes import run_static

from engine import drafters, models
from engine.config import GenerationConfig
from engine.drafters import Costs
from engine.loop import generate
from engine.models import loading
from engine.models.presets import ASSETS
from engine.target import Target

SAMPLED: dict[str, Any] = {"temperature": 0.9, "top_p": 0.9, "seed": 3}
PROMPT = [*prompt_ids(7), *prompt_ids(7), *prompt_ids(4)]
"""It repeats itself, and ends behind a border of the buckets."""
CPU = torch.device("cpu")
HEADS = ("mlp_speculator", "medusa", "chimera", "hidden_transfer", "hydra", "eagle", "dflash")
STORY_OPTIONS: dict[str, dict[str, Any]] = {
    "draft_model": {"model": str(ASSETS / "models/story-draft")},
    **{name: {"budget": 12} for name in HEADS},
}


@pytest.fixture(autouse=True)
def known_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drafts that do not hang on what this machine is busy with."""
    monkeypatch.setattr(drafters, "costs_of", lambda target: Costs.known([1.0] * 129, draft=0.2))


@pytest.fixture
def draft_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """A draft model of a target's own kind: each session packs weights of its own."""
    drafts = [loaded(masking(build(FAMILIES["llama"](), seed=7)), VOCAB_SIZE, MAX_CONTEXT) for _ in range(2)]
    turns = iter(drafts)
    monkeypatch.setattr(models, "load_draft", lambda name, target: next(turns))


def run(target: Target, name: str, prompt: Sequence[int] | str, settings: Mapping[str, Any], num: int = 24) -> Any:
    drafter = create(name, target)
    events = generate(target, drafter, prompt, GenerationConfig(max_new_tokens=num, **settings))
    return [
        ([(node.token_id, node.parent) for node in step.nodes], step.path, [token.token_id for token in step.emitted])
        for step in steps_of(list(events))
    ]


def assert_same(name: str, family: str, settings: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    dynamic = run(Target(tiny(family)), name, PROMPT, settings)
    run_static(monkeypatch, is_captured=True)
    target = Target(loaded(build(FAMILIES[family]()), VOCAB_SIZE, MAX_CONTEXT))
    assert target.runner.uses_transformers == (family == "gemma3")
    assert run(target, name, PROMPT, settings) == dynamic


@pytest.mark.parametrize("settings", [{}, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("name", drafters.names())
def test_every_method_goes_the_same_steps(
    name: str, settings: dict[str, Any], draft_models: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_same(name, "llama", settings, monkeypatch)


@pytest.mark.parametrize("name", ["plain", "draft_model", "token_recycling", "lookahead", "hidden_transfer"])
@pytest.mark.parametrize("family", ["qwen3", "mistral", "gemma3"])
def test_other_families_go_the_same_steps(
    name: str, family: str, draft_models: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_same(name, family, {}, monkeypatch)


@pytest.fixture(scope="module")
def story() -> tuple[Target, Target]:
    """The embedded target twice: as a CPU runs it, and over static passes."""
    dynamic = Target(models.load("story", "cpu", "float32"))
    with pytest.MonkeyPatch.context() as patched:
        run_static(patched)
        return dynamic, Target(loading._load(loading._Order("story", CPU, torch.float32)))


@pytest.mark.parametrize("name", ["plain", "prompt_lookup", "draft_model", "pard", *HEADS])
def test_the_story_pair_goes_the_same_steps(
    name: str, story: tuple[Target, Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for is_static, target in enumerate(story):
        models.forget()  # a draft model is packed for what runs it
        if is_static:
            run_static(monkeypatch, is_captured=True)
        drafter = drafters.create(name, STORY_OPTIONS.get(name, {}), target)
        events = generate(target, drafter, "Tell a story about a fox and a boat.", GenerationConfig(max_new_tokens=20))
        found.append([(step.path, [node.token_id for node in step.nodes]) for step in steps_of(list(events))])
    assert found[0] == found[1]
    assert sum(len(path) + 1 for path, _ in found[0]) >= 20
    assert len(story[1].runner._cache.room.graphs) > 0


def test_a_target_of_another_family_says_why_its_passes_are_not_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    run_static(monkeypatch)
    target = Target(loaded(build(FAMILIES["gpt2"]()), VOCAB_SIZE, MAX_CONTEXT))
    monkeypatch.setattr(target.runner, "is_row_invariant", False)
    assert target.caveat.endswith("launched kernel by kernel, because the gpt2 family has no static pass.")
