"""AMUSD: what is foreseen, that nothing depends on who is first, and how its thread ends."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from toys import (
    FAMILIES,
    MAX_CONTEXT,
    VOCAB_SIZE,
    Table,
    TableTarget,
    assert_fits,
    build,
    create,
    finished,
    greedy_text,
    loaded,
    output_ids,
    prompt_ids,
    session_of,
    steps_of,
)

from engine import models
from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.drafters.small_models import amusd
from engine.drafters.small_models.amusd import Amusd
from engine.drafters.trust import Trust
from engine.errors import RunFailed
from engine.events import Event
from engine.loop import generate
from engine.noise import Noise
from engine.target import Target

PROMPT = prompt_ids(9)
SAMPLED: dict[str, Any] = {"temperature": 0.9, "seed": 2}
PATIENCE = 20
"""Seconds after which a thread that does not come is a failure."""


def made(target: Target, **options: object) -> Amusd:
    drafter = create("amusd", target, **options)
    assert isinstance(drafter, Amusd)
    return drafter


def run(target: Target, drafter: Amusd, num: int = 24, **settings: Any) -> list[Event]:
    events = [*generate(target, drafter, PROMPT, GenerationConfig(max_new_tokens=num, **settings))]
    assert not [thread for thread in threading.enumerate() if thread.name == "specviz-beside"]
    return events


def drafts(events: list[Event]) -> list[list[tuple[int, float | None]]]:
    return [[(node.token_id, node.draft_prob) for node in step.nodes] for step in steps_of(events)]


@pytest.fixture
def twins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A draft model with the target's weights, and nothing else of it."""
    twin = loaded(build(FAMILIES["llama"]()), VOCAB_SIZE, MAX_CONTEXT)
    monkeypatch.setattr(models, "load_draft", lambda name, target: twin)


@pytest.mark.parametrize("settings", [{}, SAMPLED, {**SAMPLED, "repetition_penalty": 1.4}], ids=str)
def test_a_draft_model_that_is_always_right_is_always_a_step_ahead(
    settings: dict[str, Any], llama: Target, twins: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trust, "exponent", 1.0)  # what noise tells such a model is certain
    drafter = made(llama, depth=3, min_confidence=0.0)
    events = run(llama, drafter, 28, **settings)
    assert output_ids(events) == greedy_text(llama, PROMPT, 28, **settings)[len(PROMPT) :]
    assert [len(step.path) for step in steps_of(events)] == [3] * 7
    assert drafter.num_foreseen == 6


@pytest.mark.parametrize("most", [amusd.MOST_WAITING, 8])
def test_what_is_drafted_is_what_a_draft_model_drafts(
    most: int, llama: Target, twins: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Foreseen or not, rolled back or not; and where rows that wait are kept at last."""
    monkeypatch.setattr(amusd, "MOST_WAITING", most)
    drafter, other = made(llama, depth=3), create("draft_model", llama, depth=3)
    asked: list[tuple[list[int], Room, tuple[int, ...]]] = []
    propose = drafter.propose

    def noted(context: Context, room: Room) -> Any:
        tree = propose(context, room)
        asked.append(([*context.ids], room, tree.tokens))
        return tree

    drafter.propose = noted  # type: ignore[method-assign]
    run(llama, drafter, 40, repetition_penalty=1.2)
    assert 0 < drafter.num_foreseen < len(asked) - 1
    for ids, room, tokens in asked:
        context = session_of(other, ids, repetition_penalty=1.2)
        assert other.propose(context, room).tokens == tokens


@pytest.mark.usefixtures("draft_models")
def test_drawn_drafts_that_were_foreseen_keep_the_law() -> None:
    """Rule rejection, three tokens: where the first draft and the guess come true, the last is a foreseen draft's."""
    table, num_foreseen = Table(2, seed=3, sharpness=1.0), 0
    target, counts = TableTarget(table), torch.zeros(2, 2, 2)
    for seed in range(120):
        drafter = made(target, depth=1)
        config = GenerationConfig(max_new_tokens=4, temperature=1.0, rule="rejection", seed=seed, has_detail=False)
        tokens = output_ids(generate(target, drafter, [0, 1], config))
        num_foreseen += drafter.num_foreseen
        counts[tuple(tokens[:3])] += 1
    assert num_foreseen > 20
    law = torch.zeros(2, 2, 2, dtype=torch.float64)
    for text in itertools.product(range(2), repeat=3):
        laws = [table.probs([0, 1, *text[:place]])[token] for place, token in enumerate(text)]
        law[text] = torch.stack(laws).prod()
    assert_fits(counts, law)


def ordered(monkeypatch: pytest.MonkeyPatch, target: Target, order: str) -> None:
    """Let the pass begin when the drafter is done, or the drafter when the pass is, or both when both are there."""
    foresee, launch = Amusd._foresee, target.launch
    done, both = threading.Event(), threading.Barrier(2)

    def meet() -> None:
        if order == "together":
            both.wait(PATIENCE)

    def drafting(self: Amusd, growing: Any) -> None:
        meet()
        assert order != "target first" or done.wait(PATIENCE)
        foresee(self, growing)
        done.set()

    def launched(root_id: int, tree: Any) -> Any:
        is_beside = any(thread.name == "specviz-beside" for thread in threading.enumerate()) or done.is_set()
        if is_beside:
            meet()
            assert order != "drafter first" or done.wait(PATIENCE)
        pending = launch(root_id, tree)
        done.set() if order == "target first" else done.clear()
        return pending

    def proposing(self: Amusd, context: Context, room: Room) -> Any:
        done.clear()
        return propose(self, context, room)

    propose = Amusd.propose
    monkeypatch.setattr(Amusd, "propose", proposing)
    monkeypatch.setattr(Amusd, "_foresee", drafting)
    target.__dict__["launch"] = launched


@pytest.mark.parametrize("settings", [{}, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("order", ["drafter first", "target first", "together"])
@pytest.mark.usefixtures("draft_models")
def test_nothing_depends_on_who_is_first(
    order: str, settings: dict[str, Any], llama: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = run(llama, made(llama), **settings)
    ordered(monkeypatch, llama, order)
    found = run(llama, made(llama), **settings)
    assert finished(found).reason == "length", finished(found).message
    assert drafts(found) == drafts(wanted)
    assert output_ids(found) == output_ids(wanted)


@pytest.mark.usefixtures("draft_models")
def test_a_fault_of_its_thread_ends_the_run_with_a_sentence(llama: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Amusd, growing: Any) -> None:
        raise RunFailed("The draft model broke.")

    monkeypatch.setattr(Amusd, "_foresee", fails)
    end = finished(run(llama, made(llama)))
    assert (end.reason, end.message, end.counts.emitted) == ("failed", "The draft model broke.", 0)


@pytest.mark.usefixtures("draft_models")
def test_a_fault_of_the_pass_leaves_no_thread(llama: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(root_id: int, tree: Any) -> Any:
        raise RunFailed("The pass broke.")

    llama.__dict__["launch"] = fails
    end = finished(run(llama, made(llama)))
    assert (end.reason, end.message) == ("failed", "The pass broke.")


@pytest.mark.usefixtures("draft_models")
def test_a_stopped_run_ends_at_once_and_leaves_no_thread(llama: Target) -> None:
    asked: list[int] = []

    def stops() -> bool:
        asked.append(1)
        return len(asked) > 2

    events = [*generate(llama, made(llama), PROMPT, GenerationConfig(max_new_tokens=40), should_stop=stops)]
    assert (finished(events).reason, finished(events).counts.steps) == ("stopped", 2)
    assert threading.active_count() == len([t for t in threading.enumerate() if t.name != "specviz-beside"])


def test_where_passes_are_not_compiled_it_drafts_in_the_callers_thread(
    llama: Target, twins: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There a model may draft for itself, and one pass at a time goes through its layers."""
    monkeypatch.setattr(amusd, "runs_compiled", lambda device: False)
    names: list[str] = []
    foresee: Callable[..., None] = Amusd._foresee

    def noted(self: Amusd, growing: Any) -> None:
        names.append(threading.current_thread().name)
        foresee(self, growing)

    monkeypatch.setattr(Amusd, "_foresee", noted)
    events = run(llama, made(llama, depth=3, min_confidence=0.0), 28)
    assert output_ids(events) == greedy_text(llama, PROMPT, 28)[len(PROMPT) :]
    assert set(names) == {threading.current_thread().name}


@pytest.mark.usefixtures("draft_models")
def test_a_draft_that_is_asked_for_again_is_the_same(llama: Target) -> None:
    drafter, context = made(llama), Context(list(PROMPT), GenerationConfig(), Noise(0))
    drafter.start(context)
    first, again = (drafter.propose(context, Room(9)) for _ in range(2))
    drafter.while_scoring(context)
    assert first.tokens == again.tokens
