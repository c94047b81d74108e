"""What a run was given, for the page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from scripted import started

from engine.config import GenerationConfig
from engine.conversation import Conversation
from specviz.showing.asked import around_in_words, asked, conversation_of

TURN = (("user", "Hi."), ("assistant", "Hello \ud800"))


def test_messages_settings_and_tokens_of_a_run() -> None:
    first = started(config=GenerationConfig(temperature=0.5, stop_strings=("\n\n",), timeout_s=2, rule="node_sampling"))
    first = replace(first, config={**first.config, **Conversation(messages=(("system", "Be brief."), *TURN)).to_dict()})
    told = asked(first, ["a", "b", "c"])
    assert [message["content"] for message in told["messages"]] == [
        "Be brief.",
        "Hi.",
        "Hello \\ud800",
        "Tell a story.",
    ]
    assert told["settings"] == [
        *("chat template, system prompt, 1 earlier turn", "rule node sampling", "temperature 0.5"),
        *("at most 200 tokens", "top-k 0", "top-p 1", "seed 0", "stops at '\\n\\n'", "at most 2 s"),
    ]
    assert (told["ids"], told["texts"]) == ([1, 2, 3], ["a", "b", "c"])


def test_a_run_of_former_days_was_a_prompt_by_itself() -> None:
    told = asked(replace(started(), config={}))
    assert told["messages"] == [{"role": "user", "content": "Tell a story."}]
    assert (told["settings"][0], told["texts"]) == ("chat template", None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "chat template"),
        ({"template": "raw"}, "raw, no chat template"),
        ({"thinking": "off", "messages": TURN * 2}, "chat template, 2 earlier turns, thinking off"),
    ],
)
def test_what_a_prompt_stood_in_is_said_in_words(given: dict[str, Any], words: str) -> None:
    assert around_in_words(Conversation(**given)) == words


def test_nonsense_of_a_foreign_file_is_a_prompt_by_itself() -> None:
    for config in ({"messages": 3}, {"template": "none"}, {"messages": [{"role": "tool", "content": "x"}]}):
        assert conversation_of(config) == Conversation()
