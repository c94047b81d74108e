"""What a session tells, in which order, and that the same session tells the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from toys import (
    VOCAB_SIZE,
    ScriptedDrafter,
    Table,
    TableTarget,
    greedy_text,
    output_ids,
    prompt_ids,
    random_trees,
    steps_of,
    tiny,
)

from engine import drafters
from engine.config import GenerationConfig
from engine.drafters.base import Context
from engine.events import Prefilled, SessionFinished, SessionStarted, Stepped
from engine.loop import generate
from engine.target import Target
from engine.tree import DraftTree, chain
from tests.engine.loop.sessions import PROMPT, nothing, run, sampled, timeless


def test_events_come_in_order_and_tell_the_settings(table_target: TableTarget) -> None:
    config = sampled(max_new_tokens=4)
    events = list(generate(table_target, ScriptedDrafter(nothing), "dab", config, session_id="abc"))
    assert [type(event) for event in events] == [SessionStarted, Prefilled, *[Stepped] * 4, SessionFinished]
    started, prefilled = events[0], events[1]
    assert isinstance(started, SessionStarted)
    assert isinstance(prefilled, Prefilled)
    assert (started.session_id, started.prompt, started.prompt_ids) == ("abc", "dab", (3, 0, 1))
    assert (started.method, started.guarantee) == ("scripted", "exact")
    assert (started.model, started.device, started.dtype) == ("table", "cpu", "float32")
    assert started.config == config.to_dict()
    assert (prefilled.num_prompt_tokens, prefilled.kv_length) == (3, 2)


def test_the_emitted_texts_make_up_the_decoded_output(llama: Target) -> None:
    events = list(generate(llama, drafters.create("prompt_lookup", {}, llama), prompt_ids(9), sampled()))
    text = "".join(token.text for step in steps_of(events) for token in step.emitted)
    assert text == llama.loaded.tokenizer.decode(output_ids(events))


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_details_are_the_targets_probabilities_at_each_place(temperature: float) -> None:
    target = TableTarget(Table(8))
    events = run(target, random_trees(8, 5), GenerationConfig(temperature=temperature, max_new_tokens=12))
    ids = list(PROMPT)
    for step in steps_of(events):
        tree = DraftTree(tuple(n.token_id for n in step.nodes), tuple(n.parent for n in step.nodes))
        for index, node in enumerate(step.nodes):
            path = [tree.tokens[i] for i in tree.path_to(index)]
            probs = (target.table.row(ids + path[:-1]) / (temperature or 1)).softmax(dim=0)
            assert node.target_prob == pytest.approx(probs[node.token_id].item(), abs=1e-6)
            assert node.text == target.loaded.tokenizer.decode([node.token_id])
        for token in step.emitted:
            probs = (target.table.row(ids) / (temperature or 1)).softmax(dim=0)
            assert token.target_prob == pytest.approx(probs[token.token_id].item(), abs=1e-6)
            top = probs.topk(5)
            assert [c.token_id for c in token.alternatives] == top.indices.tolist()
            assert [c.probability for c in token.alternatives] == pytest.approx(top.values.tolist(), abs=1e-6)
            assert token.node is None or step.nodes[token.node].token_id == token.token_id
            ids.append(token.token_id)


def test_without_detail_the_same_tokens_come_and_no_probabilities(table_target: TableTarget) -> None:
    script = random_trees(5, 1)
    full = run(table_target, script, sampled())
    lean = run(table_target, script, sampled(has_detail=False))
    assert output_ids(lean) == output_ids(full)
    for step in steps_of(lean):
        assert all(node.target_prob is None for node in step.nodes)
        assert all(token.target_prob is None and token.alternatives == () for token in step.emitted)
    bare = [
        replace(
            step,
            nodes=tuple(replace(node, target_prob=None) for node in step.nodes),
            emitted=tuple(replace(token, target_prob=None, alternatives=()) for token in step.emitted),
        )
        for step in steps_of(full)
    ]
    assert timeless(bare) == timeless(steps_of(lean))


@pytest.mark.parametrize("settings", [{}, {"temperature": 1.0, "seed": 3}], ids=["greedy", "sampled"])
def test_the_same_session_twice_gives_the_same_events_apart_from_times(settings: dict[str, Any]) -> None:
    for target, vocab_size in ((TableTarget(Table(5)), 5), (Target(tiny("llama", "bfloat16")), VOCAB_SIZE)):
        config = GenerationConfig(max_new_tokens=25, **settings)
        script = random_trees(vocab_size, 2)
        assert timeless(run(target, script, config)) == timeless(run(target, script, config))


def test_another_seed_gives_another_text(table_target: TableTarget) -> None:
    texts = {tuple(output_ids(run(table_target, nothing, sampled(seed=seed)))) for seed in range(5)}
    assert len(texts) == 5


def test_times_are_measured_and_the_readers_own_time_is_not(table_target: TableTarget) -> None:
    decode_ns = 0
    for event in generate(table_target, ScriptedDrafter(nothing), PROMPT, GenerationConfig(max_new_tokens=5)):
        if isinstance(event, Stepped):
            phases = (event.draft_ns, event.target_ns, event.verify_ns, event.commit_ns, event.host_ns)
            assert min(phases) > 0
            decode_ns += sum(phases)
            torch.randn(200, 200) @ torch.randn(200, 200)
        if isinstance(event, SessionFinished):
            assert event.decode_ns == decode_ns


def test_hidden_states_are_given_to_a_drafter_that_needs_them(llama: Target) -> None:
    seen: list[Any] = []

    class Reader(ScriptedDrafter):
        needs = drafters.Needs(hidden_layers=(1, 2))

        def observe(self, verdict: Any, emitted: Sequence[int], scored: Any) -> None:
            seen.append(scored.hidden)

    def two(context: Context, budget: int) -> DraftTree:
        seen.append(context.prompt_hidden)
        return chain([1, 2])

    list(generate(llama, Reader(two), prompt_ids(6), GenerationConfig(max_new_tokens=4)))
    assert [tuple(layer.shape) for layer in seen[0]] == [(5, 64), (5, 64)]
    assert [tuple(layer.shape) for layer in seen[1]] == [(3, 64), (3, 64)]
    assert greedy_text(llama, prompt_ids(6), 4)
