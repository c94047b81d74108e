"""The contract of every drafting method, found from the registry: a new method is covered as it is.

Numbers in brackets: invariants of methods/trained.md 0.4 (T) and methods/training_free.md 0.3 (I).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from toys import (
    MAX_CONTEXT,
    Table,
    TableTarget,
    assert_fits,
    create,
    finished,
    greedy_text,
    output_ids,
    prompt_ids,
    steps_of,
    tiny,
)

from engine import drafters, options, verify
from engine.config import GenerationConfig
from engine.drafters.base import Context, Room
from engine.errors import BadInput
from engine.events import Event, Prefilled, SessionFinished, Stepped
from engine.loop import generate
from engine.runtime.runner import ModelRunner
from engine.target import Target
from engine.tree import DraftTree

NAMES = drafters.names()
EXACT = [name for name in NAMES if drafters.get(name).guarantee == "exact"]
SAMPLED: dict[str, Any] = {"temperature": 0.9, "top_p": 0.9, "seed": 3}
every_method = pytest.mark.parametrize("name", NAMES)
NEEDS = {name: drafters.get(name).needs for name in EXACT}
UNTRAINED = [name for name, needs in NEEDS.items() if not (needs.hidden_layers or needs.weights or needs.own_layers)]
"""Those that a target without a network can have; the others' law is told in heads/test_trained_heads.py."""
every_exact_method = pytest.mark.parametrize("name", EXACT)
pytestmark = pytest.mark.usefixtures("draft_models")

REPEATING = [*prompt_ids(7), *prompt_ids(7), *prompt_ids(4)]
"""A prompt that copying methods can use."""


def run(target: Target, name: str, prompt: Sequence[int], num_tokens: int = 24, **settings: Any) -> list[Event]:
    config = GenerationConfig(max_new_tokens=num_tokens, **settings)
    return list(generate(target, create(name, target), prompt, config))


def plain_text(prompt: Sequence[int], num_tokens: int = 24, **settings: Any) -> list[int]:
    """What plain decoding adds, on the weights of the fixture `llama`."""
    return _plain_text(tuple(prompt), num_tokens, tuple(settings.items()))


@functools.cache
def _plain_text(prompt: tuple[int, ...], num_tokens: int, settings: tuple[tuple[str, Any], ...]) -> list[int]:
    return greedy_text(Target(tiny("llama")), prompt, num_tokens, **dict(settings))[len(prompt) :]


# Exactness


def extremes(name: str) -> Iterator[dict[str, Any]]:
    """Each option at each end of its range, the others as they are."""
    for spec in options.specs(drafters.get(name).Options):
        ends = spec.choices or ((True, False) if spec.type is bool else (spec.low, spec.high))
        yield from ({spec.name: end} for end in ends if end is not None)


@every_exact_method
def test_at_the_ends_of_its_options_a_method_is_exact_or_says_why_not(name: str, llama: Target) -> None:
    text = plain_text(REPEATING, 14)
    config = GenerationConfig(max_new_tokens=14)
    for given in extremes(name):
        try:
            drafter = create(name, llama, **given)
        except BadInput:
            continue
        found = list(generate(llama, drafter, REPEATING, config))
        assert output_ids(found) == text, given


@every_exact_method
@pytest.mark.parametrize("settings", [{}, SAMPLED, {**SAMPLED, "repetition_penalty": 1.4}, {"repetition_penalty": 1.4}])
def test_the_text_is_that_of_plain_decoding(name: str, settings: dict[str, Any], llama: Target) -> None:
    """T1, I1 greedy; I2 seeded sampling; I7 a penalty per node."""
    for seed in range(3):
        prompt = [*REPEATING, seed]
        found = output_ids(run(llama, name, prompt, **settings))
        assert found == plain_text(prompt, **settings)


@pytest.mark.parametrize("name", UNTRAINED)
def test_the_law_of_the_first_tokens_is_the_targets(name: str) -> None:
    """T2, I3, with the rule that serves every drafter."""
    table = Table(3, seed=4)
    target, counts = TableTarget(table), torch.zeros(3, 3)
    for seed in range(250):
        config = GenerationConfig(max_new_tokens=2, temperature=1.0, seed=seed, has_detail=False)
        counts[tuple(output_ids(generate(target, create(name, target), [0, 1, 0, 1], config)))] += 1
    prompt = [0, 1, 0, 1]
    first = table.probs(prompt)
    assert_fits(counts, torch.stack([first[token] * table.probs([*prompt, token]) for token in range(3)]))


@every_exact_method
@pytest.mark.parametrize("settings", [{}, SAMPLED], ids=["greedy", "sampled"])
def test_a_session_ends_where_plain_decoding_ends(name: str, settings: dict[str, Any]) -> None:
    """T7, I6."""
    found = tiny("llama")
    target = Target(found)
    text = plain_text(REPEATING, **settings)
    letters = str(found.tokenizer.decode(text))
    for num_tokens in (1, 2, 7):
        events = run(target, name, REPEATING, num_tokens, **settings)
        assert output_ids(events) == text[:num_tokens]
    events = run(target, name, REPEATING, stop_strings=(letters[8:10],), **settings)
    assert found.tokenizer.decode(output_ids(events)) == letters[: letters.index(letters[8:10]) + 2]
    ending = Target(dataclasses.replace(found, name="ending"))
    ending.loaded.__dict__["eos_ids"] = frozenset({text[9]})
    events = run(ending, name, REPEATING, **settings)
    assert output_ids(events) == text[: text.index(text[9]) + 1]
    assert isinstance(events[-1], SessionFinished)
    assert events[-1].reason == "eos"


@every_exact_method
def test_a_context_is_filled_to_its_last_token(name: str, llama: Target) -> None:
    prompt = prompt_ids(MAX_CONTEXT - 6)
    events = run(llama, name, prompt, 50)
    assert output_ids(events) == plain_text(prompt, 50)
    assert isinstance(events[-1], SessionFinished)
    assert (events[-1].reason, events[-1].counts.emitted) == ("context", 6)


@every_exact_method
def test_a_prompt_of_one_token_will_do(name: str, llama: Target) -> None:
    assert output_ids(run(llama, name, [5])) == plain_text([5])


DRAWN = [rule for rule in verify.names() if verify.get(rule).draft_mode == "drawn"]


@every_method
@pytest.mark.parametrize("rule", DRAWN)
def test_under_a_rule_that_weighs_draws_drafts_are_drawn_as_it_asks_or_refused(
    rule: str, name: str, llama: Target
) -> None:
    settings: dict[str, Any] = {"temperature": 1.0, "rule": rule}
    drafter = create(name, llama)
    if verify.get(rule).drawing not in drafter.drawings:
        with pytest.raises(BadInput, match=f"Rule {rule} needs .* and {name} .*node_sampling"):
            run(llama, name, REPEATING, **settings)
        return
    steps = steps_of(run(llama, name, REPEATING, **settings))
    assert sum(len(step.emitted) for step in steps) == 24


# Trees, counts, cache


@every_method
def test_counts_add_up(name: str, llama: Target) -> None:
    """T3, T9, I5: an empty draft costs one plain step, a step emits what it accepts and one more."""
    events = run(llama, name, REPEATING, 40)
    steps, finished = steps_of(events), events[-1]
    assert isinstance(finished, SessionFinished)
    assert finished.reason == "length"
    assert finished.counts.emitted == sum(len(step.emitted) for step in steps) == 40
    for step in steps[:-1]:
        tree = DraftTree(tuple(n.token_id for n in step.nodes), tuple(n.parent for n in step.nodes))
        assert len(step.emitted) == len(step.path) + 1 <= tree.depth + 1
        assert list(step.path) == list(tree.path_to(step.path[-1] if step.path else -1))
        assert (step.emitted[-1].origin == "plain") == (not step.nodes)


@every_method
def test_after_a_session_the_targets_cache_is_that_of_the_text(name: str, llama: Target) -> None:
    """T5, T6, I4."""
    fresh = ModelRunner(llama.loaded.model, MAX_CONTEXT, is_row_invariant=True)
    ids = list(REPEATING)
    for event in generate(llama, create(name, llama), REPEATING, GenerationConfig(max_new_tokens=24)):
        if isinstance(event, Prefilled):
            assert event.kv_length == len(REPEATING) - 1
        if not isinstance(event, Stepped):
            continue
        ids += [token.token_id for token in event.emitted]
        assert event.kv_length == llama.kv_length
        fresh.prefill(ids[: llama.kv_length])
        for layer in range(2):
            for kept, wanted in zip(llama.runner.kv(layer), fresh.kv(layer), strict=True):
                torch.testing.assert_close(kept, wanted, atol=1e-5, rtol=1e-5)


# State


def drafts(events: Sequence[Event]) -> list[Any]:
    return [[(n.token_id, n.parent, n.draft_prob) for n in step.nodes] for step in steps_of(events)]


@every_method
@pytest.mark.parametrize("settings", [{}, SAMPLED], ids=["greedy", "sampled"])
def test_the_same_session_twice_drafts_the_same(name: str, settings: dict[str, Any], llama: Target) -> None:
    first = drafts(run(llama, name, REPEATING, **settings))
    assert drafts(run(llama, name, REPEATING, **settings)) == first


@every_method
def test_nothing_that_a_session_learns_reaches_another(name: str, llama: Target) -> None:
    """T8, I8: cold, after another prompt, and while another session runs beside it."""
    cold = drafts(run(llama, name, REPEATING))
    run(llama, name, [*reversed(REPEATING), *REPEATING], 40)
    assert drafts(run(llama, name, REPEATING)) == cold
    other = Target(llama.loaded)
    beside = generate(other, create(name, other), prompt_ids(12, seed=9), GenerationConfig(max_new_tokens=60))
    mine = generate(llama, create(name, llama), REPEATING, GenerationConfig(max_new_tokens=24))
    found = []
    for event in mine:
        found.append(event)
        next(beside, None)
    assert drafts(found) == cold


@every_exact_method
@pytest.mark.parametrize("settings", [{}, SAMPLED], ids=["greedy", "sampled"])
def test_what_a_method_leaves_behind_when_it_fails_changes_no_text(
    name: str, settings: dict[str, Any], llama: Target
) -> None:
    """The rest is decoded plainly, on the cache in which the draft was made."""
    drafter, calls = create(name, llama), []
    propose = drafter.propose

    def failing(context: Context, room: Room) -> DraftTree:
        tree = propose(context, room)
        calls.append(tree)
        if len(calls) == 3:
            raise RuntimeError("a fault behind the draft")
        return tree

    drafter.propose = failing  # type: ignore[method-assign]
    config = GenerationConfig(max_new_tokens=12, after_fault="plain", **settings)
    events = list(generate(llama, drafter, REPEATING, config))
    assert output_ids(events) == plain_text(REPEATING, 12, **settings)
    assert len(calls) < 3 or "a fault behind the draft" in finished(events).message
