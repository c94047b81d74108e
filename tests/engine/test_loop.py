"""The loop: what a session counts, how it ends, and that nobody can break it from outside."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import (
    VOCAB_SIZE,
    Script,
    ScriptedDrafter,
    Table,
    TableTarget,
    finished,
    greedy_text,
    output_ids,
    prompt_ids,
    random_trees,
    right,
    steps_of,
    tiny,
    wrong,
)

from engine import drafters
from engine.config import GenerationConfig
from engine.drafters.base import Context
from engine.errors import BadInput, ContextFull
from engine.events import Event, Prefilled, SessionFinished, SessionStarted, Stepped
from engine.loop import generate
from engine.target import Target
from engine.tree import EMPTY_TREE, DraftTree, chain

PROMPT = [0, 3, 1]


def nothing(context: Context, budget: int) -> DraftTree:
    return EMPTY_TREE


def run(target: Target, script: Script, config: GenerationConfig, prompt: Sequence[int] = PROMPT) -> list[Event]:
    return list(generate(target, ScriptedDrafter(script), prompt, config))


def timeless(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Events without times and names."""
    changing = {"created_at", "session_id", "prefill_ns", "decode_ns"}
    changing |= {f"{phase}_ns" for phase in ("draft", "target", "verify", "commit", "host")}
    return [{k: v for k, v in vars(event).items() if k not in changing} for event in events]


def sampled(**settings: Any) -> GenerationConfig:
    return GenerationConfig(**{"temperature": 1.0, "max_new_tokens": 30, **settings})


# Counts


@given(st.integers(0, 10_000))
def test_counts_are_the_sums_over_the_steps(seed: int) -> None:
    target = TableTarget(Table(4, seed))
    truth = greedy_text(target, PROMPT, 30)
    events = run(target, random_trees(4, seed, truth=truth), GenerationConfig(max_new_tokens=30))
    counts, steps = finished(events).counts, steps_of(events)
    assert counts.steps == counts.target_passes == len(steps) <= counts.emitted
    assert counts.emitted == sum(len(step.emitted) for step in steps) == 30
    assert counts.proposed == sum(len(step.nodes) for step in steps)
    assert counts.accepted == sum(len(step.path) for step in steps)
    num_before = len(PROMPT)
    for number, step in enumerate(steps):
        is_last = number == len(steps) - 1
        depths = DraftTree(tuple(n.token_id for n in step.nodes), tuple(n.parent for n in step.nodes)).depths
        assert step.step == number
        assert 1 <= len(step.emitted) <= max(depths, default=0) + 1
        assert len(step.emitted) == len(step.path) + 1 or is_last
        assert sum(node.status == "accepted" for node in step.nodes) == len(step.path)
        num_before += len(step.emitted)
        assert step.kv_length == num_before - (len(step.emitted) == len(step.path) + 1)


def test_no_draft_costs_exactly_one_pass_a_token(table_target: TableTarget) -> None:
    events = run(table_target, nothing, GenerationConfig(max_new_tokens=7))
    assert finished(events).counts.target_passes == table_target.num_passes == 7
    assert {token.origin for step in steps_of(events) for token in step.emitted} == {"plain"}


def test_a_drafter_that_is_always_right_needs_a_pass_per_depth_plus_one(table_target: TableTarget) -> None:
    truth = greedy_text(table_target, PROMPT, 20)
    events = run(table_target, right(truth, depth=4), GenerationConfig(max_new_tokens=20))
    assert [len(step.emitted) for step in steps_of(events)] == [5, 5, 5, 5]
    assert [token.origin for token in steps_of(events)[0].emitted] == ["accepted"] * 4 + ["bonus"]


def test_a_drafter_that_is_always_wrong_costs_passes_and_changes_nothing(table_target: TableTarget) -> None:
    truth = greedy_text(table_target, PROMPT, 10)
    events = run(table_target, wrong(truth, 5), GenerationConfig(max_new_tokens=10))
    assert output_ids(events) == truth[len(PROMPT) :]
    assert finished(events).counts.accepted == 0
    origins = [token.origin for step in steps_of(events) for token in step.emitted]
    assert origins == ["correction"] * 9 + ["plain"]  # no draft for the last token: nothing could follow


def test_a_drafter_is_told_what_was_emitted_and_nothing_else(table_target: TableTarget) -> None:
    truth = greedy_text(table_target, PROMPT, 12)
    drafter = ScriptedDrafter(random_trees(5, 3, truth=truth))
    list(generate(table_target, drafter, PROMPT, GenerationConfig(max_new_tokens=12)))
    assert list(itertools.chain(*(emitted for _, emitted in drafter.observed))) == truth[len(PROMPT) :]


def test_a_draft_beyond_budget_or_limit_is_cut_by_place_and_depth(table_target: TableTarget) -> None:
    truth = greedy_text(table_target, PROMPT, 9)

    def greedy_drafter(context: Context, budget: int) -> DraftTree:
        return chain([*truth[len(context.ids) :], *[0] * 500])

    events = run(table_target, greedy_drafter, GenerationConfig(max_new_tokens=9))
    assert output_ids(events) == truth[len(PROMPT) :]
    assert [len(step.nodes) for step in steps_of(events)] == [8]


# Ends


def end_token(text: Sequence[int], place: int) -> int | None:
    """The token at a place of the output, where it stands there for the first time."""
    token = text[len(PROMPT) + place]
    return token if token not in text[len(PROMPT) : len(PROMPT) + place] else None


@pytest.mark.parametrize("depth", range(1, 7))
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_every_end_inside_a_draft_is_where_plain_decoding_ends(depth: int, temperature: float) -> None:
    reasons = set()
    table = Table(5, seed=4)
    settings: dict[str, Any] = {"temperature": temperature, "has_detail": False}
    truth = greedy_text(TableTarget(table), PROMPT, 40, temperature=temperature)
    letters = TableTarget(table).loaded.tokenizer.decode(truth[len(PROMPT) :])
    endings: list[tuple[dict[str, Any], dict[str, Any]]] = [
        *(({"eos_id": eos_id}, {"max_new_tokens": 40}) for eos_id in range(5)),
        *(({}, {"max_new_tokens": n}) for n in (1, 2, 5, 11, 12, 13)),
        *(({}, {"max_new_tokens": 40, "stop_strings": (letters[i : i + 3],)}) for i in (0, 1, 6, 7)),
        *(({"max_context": n}, {"max_new_tokens": 40}) for n in (4, 5, 10, 11, 17)),
    ]
    for target_settings, run_settings in endings:
        target = TableTarget(table, **target_settings)
        config = GenerationConfig(**{**settings, **run_settings})
        plain = run(target, nothing, config)
        drafted = run(target, right(truth, depth), config)
        assert output_ids(drafted) == output_ids(plain)
        assert finished(drafted).reason == finished(plain).reason
        assert finished(drafted).counts.emitted == finished(plain).counts.emitted
        reasons.add(finished(plain).reason)
    assert reasons == {"eos", "length", "stop_string", "context"}


def test_nothing_is_emitted_behind_an_end_token_inside_a_draft() -> None:
    table = Table(5, seed=4)
    truth = greedy_text(TableTarget(table), PROMPT, 20)
    eos_id = next(token for place in range(2, 5) if (token := end_token(truth, place)) is not None)
    target = TableTarget(table, eos_id=eos_id)
    events = run(target, right(truth, depth=9), GenerationConfig(max_new_tokens=20))
    assert finished(events).reason == "eos"
    assert output_ids(events)[-1] == eos_id
    assert output_ids(events).count(eos_id) == 1
    last = steps_of(events)[-1]
    assert len(last.path) == len(last.emitted)
    assert all(token.origin == "accepted" for token in last.emitted)


def test_a_context_is_filled_to_the_last_token() -> None:
    events = run(TableTarget(Table(5), max_context=20), nothing, GenerationConfig(max_new_tokens=99))
    assert finished(events).reason == "context"
    assert len(PROMPT) + finished(events).counts.emitted == 20


def test_the_longest_stop_string_is_found() -> None:
    target = TableTarget(Table(5), max_context=400)
    settings: dict[str, Any] = {"temperature": 1.0, "has_detail": False, "max_new_tokens": 300}
    text = str(target.loaded.tokenizer.decode(output_ids(run(target, nothing, GenerationConfig(**settings)))))
    events = run(target, nothing, GenerationConfig(**settings, stop_strings=(text[5:205],)))
    assert finished(events).reason == "stop_string"
    assert finished(events).counts.emitted == 205


def test_a_stop_string_in_the_prompt_stops_nothing(table_target: TableTarget) -> None:
    prompt = str(table_target.loaded.tokenizer.decode(PROMPT))
    config = GenerationConfig(max_new_tokens=3, stop_strings=(prompt,))
    assert finished(run(table_target, nothing, config)).reason in ("length", "stop_string")
    assert finished(run(table_target, nothing, config)).counts.emitted == 3


def test_a_timeout_ends_the_session_between_two_steps(
    table_target: TableTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count()
    monkeypatch.setattr("engine.loop.time.monotonic", lambda: float(next(seconds)))
    events = run(table_target, nothing, GenerationConfig(max_new_tokens=50, timeout_s=5.0))
    assert finished(events).reason == "timeout"
    assert 0 < finished(events).counts.emitted < 10


def test_a_stop_request_ends_the_session_at_the_next_step(table_target: TableTarget) -> None:
    truth = greedy_text(table_target, PROMPT, 50)
    asked = iter([False, False, True])
    drafter = ScriptedDrafter(right(truth, 2))
    config = GenerationConfig(max_new_tokens=50)
    events = list(generate(table_target, drafter, PROMPT, config, should_stop=lambda: next(asked)))
    assert finished(events).reason == "stopped"
    assert output_ids(events) == truth[len(PROMPT) :][:6]


def test_a_closed_session_leaves_the_target_fit_for_the_next(llama: Target) -> None:
    prompt = prompt_ids(6)
    truth = greedy_text(llama, prompt, 12)
    session = generate(llama, ScriptedDrafter(random_trees(VOCAB_SIZE)), prompt_ids(9, seed=2), GenerationConfig())
    for _ in range(5):
        next(session)
    session.close()  # type: ignore[attr-defined]
    assert greedy_text(llama, prompt, 12) == truth


# Faults


class Broken(ScriptedDrafter):
    """Raises in one of its verbs, from the second step on."""

    def __init__(self, verb: str, error: BaseException) -> None:
        super().__init__(nothing)
        self.verb, self.error = verb, error

    def start(self, context: Context) -> None:
        self._raise("start")

    def propose(self, context: Context, room: Any) -> DraftTree:
        if self.observed:
            self._raise("propose")
        return chain([0])

    def observe(self, *args: Any) -> None:
        if self.observed:
            self._raise("observe")
        super().observe(*args)

    def _raise(self, verb: str) -> None:
        if verb == self.verb:
            raise self.error


ERRORS = [RuntimeError, ValueError, KeyError, AttributeError, ZeroDivisionError]
ERRORS += [OSError, MemoryError, NotImplementedError, StopIteration]


@pytest.mark.parametrize("verb", ["start", "propose", "observe"])
@pytest.mark.parametrize("error", ERRORS)
def test_a_drafter_that_raises_ends_the_session_and_is_not_raised(
    error: type[Exception], verb: str, table_target: TableTarget
) -> None:
    events = list(generate(table_target, Broken(verb, error("boom")), PROMPT, GenerationConfig(max_new_tokens=9)))
    assert finished(events).reason == "failed"
    assert "boom" in finished(events).message


def test_drafts_of_token_ids_that_do_not_exist_are_dropped(llama: Target) -> None:
    drafter = ScriptedDrafter(lambda context, budget: chain([VOCAB_SIZE + 5]))
    events = list(generate(llama, drafter, prompt_ids(4), GenerationConfig(max_new_tokens=9)))
    assert finished(events).reason == "length"
    assert finished(events).counts.proposed == 0
    assert [*prompt_ids(4), *output_ids(events)] == greedy_text(llama, prompt_ids(4), 9)


@pytest.mark.parametrize("prompt", ["", "  \n", []], ids=["empty", "blank", "no tokens"])
def test_an_empty_prompt_is_refused_before_the_first_event(prompt: Any, table_target: TableTarget) -> None:
    with pytest.raises(BadInput):
        generate(table_target, ScriptedDrafter(nothing), prompt, GenerationConfig())


def test_a_prompt_that_fills_the_context_is_refused_with_the_numbers(llama: Target) -> None:
    for num_tokens in (llama.max_context, llama.max_context + 40):
        with pytest.raises(ContextFull, match=f"{num_tokens} tokens.*holds {llama.max_context}; at most"):
            generate(llama, ScriptedDrafter(nothing), prompt_ids(num_tokens), GenerationConfig())
    longest = prompt_ids(llama.max_context - 1)
    events = list(generate(llama, ScriptedDrafter(nothing), longest, GenerationConfig()))
    assert (finished(events).reason, finished(events).counts.emitted) == ("context", 1)


# Events


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
