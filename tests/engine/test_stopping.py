"""Where a session ends, what it says of a draft that goes on, and what text it leaves."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from reciter import Reciter
from toys import ScriptedDrafter, finished, right, steps_of
from vocabularies import USER, byte_fallback, byte_ids, ids_of

from engine.config import GenerationConfig
from engine.events import Event
from engine.loop import generate
from engine.metrics import acceptance_by_position
from engine.target import Target
from engine.tree import DraftTree, chain


def recite(names: list[str], drafter: ScriptedDrafter | None = None, **settings: Any) -> list[Event]:
    """What a target of byte-fallback vocabulary writes that recites these tokens, behind the prompt `on`."""
    tokenizer = byte_fallback()
    text = ids_of(tokenizer, "on", *names)
    drafter = drafter or ScriptedDrafter(lambda context, budget: DraftTree())
    config = GenerationConfig(**{"max_new_tokens": len(names), **settings})
    return list(generate(reciter(text), drafter, text[:1], config))


def reciter(text: list[int]) -> Target:
    target = Reciter(text, vocab_size=len(byte_fallback()))
    target.loaded = dataclasses.replace(target.loaded, tokenizer=byte_fallback())
    return target


def text_of(events: list[Event]) -> str:
    return "".join(token.text for step in steps_of(events) for token in step.emitted)


def test_a_text_that_ends_inside_a_character_shows_all_its_bytes() -> None:
    events = recite(["<0xF0>"] * 5)
    assert finished(events).reason == "length"
    assert text_of(events) == byte_fallback().decode(byte_ids(byte_fallback(), b"\xf0" * 5)) == "\ufffd" * 5
    assert text_of(recite(["a", "<0xF0>", "<0x9F>"])) == "a\ufffd\ufffd"
    assert text_of(recite(["<0xE6>", "<0xBC>", "<0xA2>", "▁the"], stop_strings=("the",))) == "漢 the"


@pytest.mark.parametrize("stop", [USER, "|user|", "a<|user|>", "<|user|> the"])
def test_a_stop_text_may_be_a_special_token(stop: str) -> None:
    events = recite(["a", USER, "▁the", "x"], stop_strings=(stop,))
    assert finished(events).reason == "stop_string"
    assert finished(events).counts.emitted == (3 if "the" in stop else 2)
    assert USER not in text_of(events)


def test_a_special_token_alone_stops_after_one() -> None:
    events = recite([USER] * 10, stop_strings=(USER,))
    assert (finished(events).reason, finished(events).counts.emitted) == ("stop_string", 1)


def test_a_long_stop_text_that_ends_inside_a_long_piece_stops() -> None:
    tokenizer = byte_fallback("-" * 150 + "x" * 100, "x" * 100 + "-" * 300)
    text = ids_of(tokenizer, "on", "-" * 150 + "x" * 100, "x" * 100 + "-" * 300, "a")
    target = Reciter(text, vocab_size=len(tokenizer))
    target.loaded = dataclasses.replace(target.loaded, tokenizer=tokenizer)
    config = GenerationConfig(max_new_tokens=3, stop_strings=("x" * 200,))
    events = list(generate(target, ScriptedDrafter(lambda context, budget: DraftTree()), text[:1], config))
    assert (finished(events).reason, finished(events).counts.emitted) == ("stop_string", 2)


def test_a_draft_behind_a_stop_text_is_unreached_and_counts_nowhere() -> None:
    names = ["a", "▁the", "x", "x"]
    text = ids_of(byte_fallback(), "on", *names)
    events = recite(names, ScriptedDrafter(right(text, 4)), stop_strings=("the",), max_new_tokens=9)
    (step,) = steps_of(events)
    assert finished(events).reason == "stop_string"
    assert [node.status for node in step.nodes] == ["accepted", "accepted", "unreached", "unreached"]
    assert [(p.num_drafted, p.num_accepted) for p in acceptance_by_position(events)] == [(1, 1), (1, 1)]


def test_a_draft_behind_an_end_is_unreached_and_one_beside_it_rejected() -> None:
    tokenizer = byte_fallback()
    end, a, x = ids_of(tokenizer, "</s>", "a", "x")
    target = reciter([x, a, end, x, x])
    config = GenerationConfig(max_new_tokens=9)
    # Two siblings at each place; the true one goes on.
    tree = DraftTree((a, x, end, x, x, a), (-1, -1, 0, 0, 2, 2))
    assert end in target.loaded.eos_ids
    (step,) = steps_of(list(generate(target, ScriptedDrafter(lambda context, budget: tree), [x], config)))
    statuses = [node.status for node in step.nodes]
    assert statuses == ["accepted", "rejected", "accepted", "rejected", "unreached", "unreached"]
    # An end that nobody drafted: the target was asked behind the last accepted node, so its children are rejected.
    wrong = chain([a, x, x])
    (step,) = steps_of(list(generate(target, ScriptedDrafter(lambda context, budget: wrong), [x], config)))
    assert [node.status for node in step.nodes] == ["accepted", "rejected", "unreached"]
