"""Example prompts by task and by the kind of model, and which task a prompt is of."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).resolve().parents[2] / "assets" / "prompts.json"


@dataclass(frozen=True)
class Example:
    """A prompt to start from."""

    id: str
    kind: str
    """Of the models that it is for, as `Preset.kind`."""
    task: str
    title: str
    prompt: str


@functools.cache
def examples() -> tuple[Example, ...]:
    """All example prompts, task by task."""
    tasks = json.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(Example(kind=task["kind"], task=task["task"], **row) for task in tasks for row in task["examples"])


def first_prompt(kind: str) -> str:
    """What stands in the prompt box at first, for this kind of model."""
    return next(example.prompt for example in examples() if example.kind == kind)


def prompt_for(kind: str, prompt: str) -> str:
    """The prompt, or the first one of this kind of model where it is an unchanged example of another kind."""
    is_others = any(example.prompt == prompt and example.kind != kind for example in examples())
    return first_prompt(kind) if is_others else prompt


def task_of(prompt: str) -> str:
    """The task of the example that this is, unchanged; else empty."""
    return next((example.task for example in examples() if example.prompt == prompt), "")
