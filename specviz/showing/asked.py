"""What a run was given, as plain values for the page: conversation, settings in words, tokens that were read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.conversation import Conversation
from engine.errors import BadInput
from engine.events import SessionStarted
from specviz.showing.trace import rule_of
from specviz.text import printable


def asked(started: SessionStarted, texts: Sequence[str] | None = None) -> dict[str, Any]:
    """`{messages, settings, ids, texts}`; `texts` of the prompt's tokens, where somebody knows them."""
    around = conversation_of(started.config)
    said = around.said(started.prompt)
    messages = [{"role": "user", "content": said}] if isinstance(said, str) else said
    told = {"messages": messages, "settings": settings(started), "ids": list(started.prompt_ids), "texts": texts}
    return dict(printable(told))


def conversation_of(config: dict[str, Any]) -> Conversation:
    """Of recorded settings; a prompt by itself where a file tells nonsense."""
    try:
        return Conversation.from_dict(config)
    except BadInput:
        return Conversation()


def settings(started: SessionStarted) -> list[str]:
    """In words: what decides over the text, beside method and model."""
    config = started.config
    told = [around_in_words(conversation_of(config)), f"rule {rule_of(config).replace('_', ' ')}"]
    told += [f"temperature {_number(config, 'temperature')}", f"at most {_number(config, 'max_new_tokens')} tokens"]
    told += [f"{name.replace('_', '-')} {_number(config, name)}" for name in ("top_k", "top_p") if name in config]
    told.append(f"seed {_number(config, 'seed')}")
    stops = config.get("stop_strings") or ()
    told += [f"stops at {stop!r}" for stop in stops]
    if config.get("timeout_s"):
        told.append(f"at most {_number(config, 'timeout_s')} s")
    return told


def around_in_words(around: Conversation) -> str:
    """What a prompt stood in: "chat template, system prompt, 2 earlier turns"."""
    has_system = around.messages[:1] != () and around.messages[0][0] == "system"
    num_turns = (len(around.messages) - has_system) // 2
    turns = f"{num_turns} earlier turn{'s' if num_turns > 1 else ''}" if num_turns else ""
    thinking = "" if around.thinks is None else f"thinking {around.thinking}"
    template = "raw, no chat template" if around.is_raw else "chat template"
    return ", ".join(filter(None, (template, "system prompt" if has_system else "", turns, thinking)))


def _number(config: dict[str, Any], name: str) -> str:
    value = config.get(name)
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
