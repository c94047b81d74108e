"""Whole sessions over static passes: every method step by step as over the others, greedy and sampled, in float32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from engine.target import Target

SAMPLED: dict[str, Any] = {"temperature": 0.9, "top_p": 0.9, "seed": 3}
PROMPT = [*prompt_ids(7), *prompt_ids(7), *prompt_ids(4)]
"""It repeats itself, and ends behind a border of the buckets."""
CPU = torch.device("cpu")


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
def story() -> Iterator[tuple[Target, Target]]:
    """The embedded target twice: as a CPU runs it, and over static passes."""
    dynamic = Target(models.load("story", "cpu", "float32"))
    with pytest.MonkeyPatch.context() as patched:
        run_static(patched, is_captured=True)
        fresh = loading._load(loading._Order("story", CPU, torch.float32))
        yield dynamic, Target(fresh)


@pytest.mark.parametrize("name", ["plain", "mlp_speculator", "medusa", "chimera", "hidden_transfer", "prompt_lookup"])
def test_the_embedded_target_writes_the_same_text(name: str, story: tuple[Target, Target]) -> None:
    prompt = "Tell a story about a fox and a boat."
    texts = []
    for target in story:
        drafter = drafters.create(name, {}, target)
        events = generate(target, drafter, prompt, GenerationConfig(max_new_tokens=30))
        texts.append([token.token_id for step in steps_of(list(events)) for token in step.emitted])
    assert texts[0] == texts[1]
    assert len(texts[0]) == 30
    assert len(story[1].runner._cache.room.graphs) > 0


def test_a_target_of_another_family_says_why_its_passes_are_not_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    run_static(monkeypatch)
    target = Target(loaded(build(FAMILIES["gpt2"]()), VOCAB_SIZE, MAX_CONTEXT))
    monkeypatch.setattr(target.runner, "is_row_invariant", False)
    assert target.caveat.endswith("launched kernel by kernel, because the gpt2 family has no static pass.")
