"""What is read off a run's steps in more than one place; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.events import Emitted, Event, Node, Stepped

_REPLACEMENT = "\ufffd"
STATUSES = ("accepted", "rejected", "unreached")
"""Of a node, by the number that stands for it where a tree is sent in columns."""


def steps_of(events: Iterable[Event]) -> tuple[Stepped, ...]:
    """The steps among a run's events."""
    return tuple(event for event in events if isinstance(event, Stepped))


def times_ms(step: Stepped) -> tuple[float, float, float]:
    """Draft, target and host time in milliseconds, divided as in engine.metrics."""
    return step.draft_ns / 1e6, (step.target_ns + step.commit_ns) / 1e6, (step.verify_ns + step.host_ns) / 1e6


def step_ms(step: Stepped) -> float:
    """Everything that the step took, milliseconds."""
    return (step.draft_ns + step.target_ns + step.verify_ns + step.commit_ns + step.host_ns) / 1e6


def own_text(token: Emitted) -> str:
    """The text of a token by itself: of one that adds none to the output its name, of stray bytes the bytes."""
    if token.text and _REPLACEMENT not in token.text:
        return token.text
    same = (candidate.text for candidate in token.alternatives if candidate.token_id == token.token_id)
    return next(same, token.text)


def depths(nodes: Sequence[Node]) -> list[int]:
    """1 for a child of the root."""
    found: list[int] = []
    for node in nodes:
        found.append(1 if node.parent < 0 else found[node.parent] + 1)
    return found
