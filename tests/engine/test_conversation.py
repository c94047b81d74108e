"""What a prompt stands in is checked when it is made, and is kept with the session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from model_folders import load

from engine import drafters
from engine.config import GenerationConfig
from engine.conversation import ALONE, Conversation, messages_of
from engine.errors import BadInput
from engine.events import SessionFinished, SessionStarted
from engine.loop import generate
from engine.target import Target

SYSTEM, ASKED, SAID = ("system", "Be brief."), ("user", "Hi."), ("assistant", "Hello.")


@pytest.mark.parametrize("messages", [(), (SYSTEM,), (ASKED, SAID), (SYSTEM, ASKED, SAID, ASKED, SAID)])
def test_a_system_message_and_turns_in_order_are_taken(messages: Any) -> None:
    given = Conversation(messages=messages)
    assert Conversation.from_dict(json.loads(json.dumps(given.to_dict()))) == given


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"messages": (ASKED,)}, "before the prompt are user; wanted"),
        ({"messages": (SAID,)}, "before the prompt are assistant"),
        ({"messages": (ASKED, SAID, SYSTEM)}, "user, assistant, system; wanted"),
        ({"messages": (("tool", "x"),)}, "are 'tool'; wanted"),
        ({"messages": (("system", " "),)}, "is empty"),
        ({"template": "raw", "messages": (SYSTEM,)}, "raw prompt is read as it is"),
        ({"template": "raw", "thinking": "off"}, "raw prompt is read as it is"),
        ({"template": "none"}, "choose one of: chat, raw"),
        ({"thinking": "maybe"}, "choose one of: auto, on, off"),
    ],
)
def test_what_no_template_reads_is_refused_in_a_sentence(given: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        Conversation(**given)


@pytest.mark.parametrize("given", ["hi", 3, None, [3], [{"role": "user"}], [{"role": 1, "content": "x"}]])
def test_messages_in_raw_values_are_read_or_refused(given: Any) -> None:
    assert messages_of([{"role": "system", "content": "Be brief.", "name": "x"}]) == (SYSTEM,)
    with pytest.raises(BadInput, match="cannot be read; wanted a list"):
        messages_of(given)


def test_a_prompt_by_itself_leaves_settings_as_they_were() -> None:
    assert ALONE.to_dict() == {}
    assert Conversation.from_dict({"seed": 3}) == ALONE
    assert ALONE.said("Hi.") == "Hi."


def test_a_session_reads_the_whole_conversation_and_says_so(model_folder: Path) -> None:
    target = Target(load(model_folder))
    around = Conversation(messages=(SYSTEM, ASKED, SAID))
    config = GenerationConfig(max_new_tokens=1)
    first, *_, last = generate(target, drafters.create("plain", {}, target), "Go.", config, conversation=around)
    assert isinstance(first, SessionStarted)
    read = target.facts.decode(first.prompt_ids)
    assert [read.find(text) for text in ("Be brief.", "Hi.", "Hello.", "Go.")] == sorted(
        read.find(text) for text in ("Be brief.", "Hi.", "Hello.", "Go.")
    )
    assert first.prompt == "Go."
    assert Conversation.from_dict(first.config) == around
    assert GenerationConfig.from_dict(first.config) == config
    assert isinstance(last, SessionFinished)


def test_a_raw_prompt_is_read_without_the_template(model_folder: Path) -> None:
    found = load(model_folder)
    assert found.decode(found.encode("Hi.", is_raw=True)) == "Hi."
