"""What a prompt stands in: what was said before it, the chat template or none, whether the model thinks first.

Plain values, checked when they are made; knows no tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import options
from engine.errors import BadInput
from engine.options import option

Message = Mapping[str, str]
"""`role` (system, user or assistant) and `content`, as chat templates read them."""
ROLES = ("system", "user", "assistant")
RAW = "raw"
_THINKS = {"auto": None, "on": True, "off": False}


@dataclass(frozen=True)
class Conversation:
    """Around one prompt, which is its last message. Raises BadInput for what no chat template reads.

    `messages`: role and content of what came before: a system message or none, then questions and answers in turn.
    """

    template: str = option(
        "chat", "Read the prompt in the model's chat template, or raw: as it is.", choices=("chat", RAW)
    )
    thinking: str = option(
        "auto", "Whether the model thinks first, where its chat template has that switch.", choices=tuple(_THINKS)
    )
    messages: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for spec in options.specs(type(self)):
            object.__setattr__(self, spec.name, spec.parse(getattr(self, spec.name)))
        _check_order([role for role, _ in self.messages])
        if any(not content.strip() for _, content in self.messages):
            raise BadInput("A message before the prompt is empty; write it or remove it.")
        if self.is_raw and (self.messages or self.thinks is not None):
            raise BadInput(
                "A raw prompt is read as it is: it has no system prompt, no earlier turns and no thinking switch. "
                "Clear them, or use the chat template."
            )

    @property
    def is_raw(self) -> bool:
        """Whether the prompt is read without the chat template."""
        return self.template == RAW

    @property
    def thinks(self) -> bool | None:
        """Whether the model is to think first; None leaves that to its template."""
        return _THINKS[self.thinking]

    def said(self, prompt: str) -> str | list[Message]:
        """All messages, the prompt last; the prompt itself where it is the only one."""
        if not self.messages:
            return prompt
        before = [{"role": role, "content": content} for role, content in self.messages]
        return [*before, {"role": "user", "content": prompt}]

    def to_dict(self) -> dict[str, Any]:
        """What is not as for a lone prompt, as plain values fit for JSON."""
        chosen = {spec.name: getattr(self, spec.name) for spec in options.specs(type(self))}
        told = {name: value for name, value in chosen.items() if value != getattr(ALONE, name)}
        return told | ({"messages": self.said("")[:-1]} if self.messages else {})

    @staticmethod
    def from_dict(given: Mapping[str, Any]) -> Conversation:
        """Of the settings of a recorded session; others are left aside. Raises BadInput."""
        chosen = {spec.name: given[spec.name] for spec in options.specs(Conversation) if spec.name in given}
        return Conversation(messages=messages_of(given.get("messages", ())), **chosen)


def messages_of(given: object) -> tuple[tuple[str, str], ...]:
    """Messages in raw values: a list of objects with `role` and `content`. Raises BadInput."""
    if not isinstance(given, Sequence) or isinstance(given, str) or not all(map(_is_message, given)):
        raise BadInput(
            'The messages before the prompt cannot be read; wanted a list such as [{"role": "system", "content": '
            '"Be brief."}].'
        )
    return tuple((message["role"], message["content"]) for message in given)


def _is_message(given: object) -> bool:
    return isinstance(given, Mapping) and all(isinstance(given.get(name), str) for name in ("role", "content"))


def _check_order(roles: Sequence[str]) -> None:
    """Raises BadInput where templates would refuse, or put the prompt where it does not belong."""
    turns = roles[1:] if roles[:1] == ["system"] else roles
    wanted = ["user", "assistant"] * (len(turns) // 2)
    if list(turns) != wanted:
        shown = ", ".join(role if role in ROLES else repr(role[:20]) for role in roles[:8])
        raise BadInput(
            f"The messages before the prompt are {shown}; wanted a system message or none, then user and assistant "
            "in turn, the assistant's last."
        )


ALONE = Conversation()
"""A prompt by itself, in the chat template."""
