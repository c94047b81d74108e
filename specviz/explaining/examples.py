"""Example prompts by task, and which task a prompt is of."""

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
    task: str
    title: str
    prompt: str


@functools.cache
def examples() -> tuple[Example, ...]:
    """All example prompts, task by task."""
    tasks = json.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(Example(task=task["task"], **row) for task in tasks for row in task["examples"])


def task_of(prompt: str) -> str:
    """The task of the example that this is, unchanged; else empty."""
    return next((example.task for example in examples() if example.prompt == prompt), "")
