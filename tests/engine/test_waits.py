"""Every method on a pretended CUDA device: no mix of devices, the processor's text, and few waits of the host."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from toys import FAMILIES, MAX_CONTEXT, VOCAB_SIZE, build, create, loaded, masking, output_ids, prompt_ids, steps_of
from toys.pretend_cuda import OnCuda, moved, pretended_cuda
from toys.static_passes import run_static

from engine import drafters, models
from engine.audit import audit, plain_run
from engine.config import GenerationConfig
from engine.drafters import Costs
from engine.events import Event, SessionFinished, SessionStarted
from engine.loop import generate
from engine.target import Target

PROMPT = [*prompt_ids(7), *prompt_ids(7), *prompt_ids(4)]
SAMPLED: dict[str, Any] = {"temperature": 0.9, "top_k": 30, "top_p": 0.9, "seed": 3}
MOST_WAITS = {
    **dict.fromkeys(
        ("draft_model", "rapid"), 2 + 4
    ),  # a token of the chain is looked at before the next; and what noise told is learnt
    "pard": 1 + 2,  # all masks at once; and what noise told is learnt
    "amusd": 2 + 4 + 5,  # and those that are foreseen meanwhile
    "chimera": 1 + 4,  # levels
    "eagle": 1 + 6,
    "dflash": 2 + 1,  # the places together; and what noise told is learnt
    "dspark": 2 + 7,  # places one by one
    "dflash2": 3 + 7,  # and their candidates
    "hydra": 1 + 4,  # heads
    "mlp_speculator": 1 + 4,  # stages
    "hidden_transfer": 1 + 1,
    "medusa": 1 + 1,
    "jacobi": 1 + 1,
    "lookahead": 1 + 1,
    "stand": 1 + 1,
    "token_recycling": 1 + 1,
    **dict.fromkeys(("self_speculation", "layer_skip", "del"), 2 + 16),  # a token of the chain; del looks at exits too
    **dict.fromkeys(("rsd", "sequoia", "spectr"), 2 + 8),  # a level
    **dict.fromkeys(("dyspec", "gsd"), 2 + 32),  # a node
}
"""A step's, where the drafter has to look at what the device made; the others wait once, for the verdict."""


@pytest.fixture(autouse=True)
def known_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drafts that are as long as they may be."""
    monkeypatch.setattr(drafters, "costs_of", lambda target: Costs.known([1.0] * 129, draft=0.2))


def target_of(family: str = "llama", *, is_moved: bool = True, seed: int = 0) -> Target:
    model = build(FAMILIES[family](), seed=seed)
    return Target(loaded(moved(model) if is_moved else model, VOCAB_SIZE, MAX_CONTEXT))


def run(target: Target, name: str, num: int = 7, **settings: Any) -> list[Event]:
    return list(generate(target, create(name, target), PROMPT, GenerationConfig(max_new_tokens=num, **settings)))


def reason_of(events: list[Event]) -> str:
    finished = events[-1]
    assert isinstance(finished, SessionFinished)
    return finished.reason + finished.message


@pytest.fixture(scope="module")
def wanted() -> dict[tuple[str, bool], list[int]]:
    """What plain decoding writes on this processor."""
    with pytest.MonkeyPatch.context() as patched:
        run_static(patched, first_length=256)
        target = target_of(is_moved=False)
        return {("llama", bool(kind)): output_ids(run(target, "plain", **kind)) for kind in ({}, SAMPLED)}


@pytest.mark.parametrize("settings", [{}, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("name", drafters.names())
def test_every_method_stays_on_the_device_and_waits_seldom(
    name: str, settings: dict[str, Any], wanted: dict[tuple[str, bool], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pretended_cuda() as waits:
        target = target_of()
        draft = loaded(moved(masking(build(FAMILIES["llama"](), seed=7))), VOCAB_SIZE, MAX_CONTEXT)
        monkeypatch.setattr(models, "load_draft", lambda name, target: draft)
        drafter = create(name, target)
        counted: list[Counter[str]] = []
        events = []
        for event in generate(target, drafter, PROMPT, GenerationConfig(max_new_tokens=7, **settings)):
            events.append(event)
            counted.append(Counter(waits))
        assert reason_of(events) == "length"
        assert output_ids(events) == wanted["llama", bool(settings)]
        steps = len(steps_of(events))
        later = [b - a for a, b in zip(counted[-steps - 1 :], counted[-steps:-1], strict=False)]
        assert max(found.total() for found in later) <= MOST_WAITS.get(name, 1), later


@pytest.mark.parametrize("rule", ["auto", "rejection"])
def test_a_tree_of_a_draft_model_waits_once_a_level(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_cuda() as waits:
        target = target_of()
        draft = loaded(moved(masking(build(FAMILIES["llama"](), seed=7))), VOCAB_SIZE, MAX_CONTEXT)
        monkeypatch.setattr(models, "load_draft", lambda name, target: draft)
        drafter = create("draft_model", target, width=3, depth=3, nodes=9)
        waits.clear()
        config = GenerationConfig(max_new_tokens=4, **{**SAMPLED, "rule": rule})
        events = list(generate(target, drafter, PROMPT, config))
        assert reason_of(events) == "length"
        if rule == "auto":
            assert waits["download"] <= len(steps_of(events)) * (2 + 3)
            assert not waits["upload"]


@pytest.mark.parametrize("family", ["qwen3", "gemma3", "gpt2"])
def test_other_families_stay_on_the_device(family: str) -> None:
    with pretended_cuda():
        target = target_of(family)
        for settings in ({}, {**SAMPLED, "repetition_penalty": 1.3}, {**SAMPLED, "rule": "typical"}):
            assert reason_of(run(target, "prompt_lookup", 6, **settings)) == "length"


def test_an_audit_of_a_sampled_run_that_differs_stays_on_the_device() -> None:
    with pretended_cuda():
        target = target_of()
        config = GenerationConfig(max_new_tokens=6, **SAMPLED)
        plain = plain_run(target, PROMPT, config)
        other = run(target, "plain", 6, **{**SAMPLED, "seed": 5})
        started = next(event for event in plain if isinstance(event, SessionStarted))
        assert audit(target, plain, [started, *other[1:]]).verdict == "DIFFERENT"
        assert audit(target, plain, plain).verdict == "identical"


def test_the_pretence_refuses_what_cuda_refuses_and_counts_what_is_waited_for() -> None:
    with pretended_cuda() as waits:
        there, here = torch.ones(3, device="cuda"), torch.ones(3)
        assert isinstance(there, OnCuda)
        with pytest.raises(RuntimeError, match="same device"):
            there + here
        with pytest.raises(RuntimeError, match="same device"):
            there[:2] = here[:2]
        assert (there + 1).device.type == "cuda"
        assert not waits
        assert there.sum().item() == 3
        assert there.tolist() == [1, 1, 1]
        assert there.cpu().numpy().sum() == 3
        assert waits == {"download": 3}
        there.copy_(here)
        assert float(there[[0, 1]].sum()) == 2
        assert waits == {"download": 4, "upload": 2}
