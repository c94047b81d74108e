"""Prompts and conversations to token ids, by a tokenizer and its chat template. Knows no model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from engine.conversation import Message
from engine.errors import BadInput, first_line

_SWITCH = re.compile(r"""\{%-?\s*(?:el)?if\b[^%]*?(?<![.\w'"])(enable_thinking|thinking)\b""")
"""A condition on a name that chat templates know the switch by; `message.thinking` is none."""


def token_ids(
    name: str,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str | Sequence[Message],
    *,
    is_raw: bool = False,
    thinks: bool | None = None,
) -> list[int]:
    """A prompt, or a conversation that ends with the user's message, for the model of this name.

    In the tokenizer's chat template where it has one, unless it `is_raw`; else the texts, parted by blank lines.
    `thinks` turns the template's switch on or off. Raises BadInput where the last message is empty, the template is
    broken, or has no such switch.
    """
    given = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    if not given or not given[-1]["content"].strip():
        raise BadInput("The prompt is empty; type a few words.")
    messages = [{**m, "content": m["content"].encode("utf-8", "replace").decode("utf-8")} for m in given]
    switch = _switch_of(name, tokenizer, thinks)
    if is_raw or not tokenizer.chat_template:
        return list(tokenizer("\n\n".join(m["content"] for m in messages))["input_ids"])
    return list(tokenizer(_in_template(name, tokenizer, messages, switch), add_special_tokens=False)["input_ids"])


def thinking_switch(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """What the chat template calls the switch that turns thinking on and off; None where it has none."""
    templates = tokenizer.chat_template or ""
    texts = templates.values() if isinstance(templates, dict) else [templates]
    found = _SWITCH.search("\n".join(map(str, texts)))
    return found[1] if found else None


def _switch_of(name: str, tokenizer: PreTrainedTokenizerBase, thinks: bool | None) -> dict[str, bool]:
    """The switch as the template is handed it. Raises BadInput where there is none to turn."""
    if thinks is None:
        return {}
    switch = thinking_switch(tokenizer)
    if switch is None:
        raise BadInput(f"The chat template of {name} has no switch for thinking; leave thinking at auto.")
    return {switch: thinks}


def _in_template(
    name: str, tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], switch: dict[str, Any]
) -> str:
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **switch))
    except Exception as error:  # a template is a program, and can fail in every way
        raise BadInput(f"The chat template of {name} cannot be used: {first_line(error)}.") from error
