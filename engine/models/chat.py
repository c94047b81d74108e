"""Prompts and conversations to token ids, by a tokenizer and its chat template. Knows no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from transformers import PreTrainedTokenizerBase

from engine.errors import BadInput, first_line

Message = Mapping[str, str]
"""`role` (user or assistant) and `content`, as chat templates read them."""


def token_ids(name: str, tokenizer: PreTrainedTokenizerBase, prompt: str | Sequence[Message]) -> list[int]:
    """A prompt, or a conversation that ends with the user's message, for the model of this name.

    In the tokenizer's chat template where it has one; else the texts, parted by blank lines. Raises BadInput where
    the last message is empty or the template is broken.
    """
    given = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    if not given or not given[-1]["content"].strip():
        raise BadInput("The prompt is empty; type a few words.")
    messages = [{**m, "content": m["content"].encode("utf-8", "replace").decode("utf-8")} for m in given]
    if not tokenizer.chat_template:
        return list(tokenizer("\n\n".join(m["content"] for m in messages))["input_ids"])
    return list(tokenizer(_in_template(name, tokenizer, messages), add_special_tokens=False)["input_ids"])


def _in_template(name: str, tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]]) -> str:
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    except Exception as error:  # a template is a program, and can fail in every way
        raise BadInput(f"The chat template of {name} cannot be used: {first_line(error)}.") from error
