"""What came of a run: its text, its steps, its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from engine.config import GenerationConfig
from engine.events import Event, SessionFinished, Stepped
from engine.loop import generate
from engine.target import Target
from engine.tree import EMPTY_TREE
from toys.drafting import ScriptedDrafter


def greedy_text(target: Target, prompt_ids: Sequence[int], num_tokens: int, **settings: Any) -> list[int]:
    """Prompt and plain output together."""
    nobody = ScriptedDrafter(lambda context, budget: EMPTY_TREE)
    config = GenerationConfig(max_new_tokens=num_tokens, has_detail=False, **settings)
    return [*prompt_ids, *output_ids(generate(target, nobody, prompt_ids, config))]


def output_ids(events: Iterable[Event]) -> list[int]:
    """Emitted tokens; a run that failed fails the test."""
    ids = []
    for event in events:
        if isinstance(event, SessionFinished):
            assert event.reason != "failed", event.message
        if isinstance(event, Stepped):
            ids += [token.token_id for token in event.emitted]
    return ids


def steps_of(events: Sequence[Event]) -> list[Stepped]:
    """The steps among a run's events."""
    return [event for event in events if isinstance(event, Stepped)]


def finished(events: Sequence[Event]) -> SessionFinished:
    """How a whole run ended."""
    assert isinstance(events[-1], SessionFinished)
    return events[-1]
