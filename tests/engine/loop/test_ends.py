"""How a session ends, and where."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from toys import (
    VOCAB_SIZE,
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
)

from engine.config import GenerationConfig
from engine.loop import generate
from engine.target import Target
from tests.engine.loop.sessions import PROMPT, nothing, run


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
