"""Whether events read from a file follow each other as a session's do, after `records` has looked at each by itself.

The engine trusts its own events; a file may come from anybody, and what passes here must replay in every view.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.errors import BadInput
from engine.events import Event, Prefilled, SessionFinished, SessionStarted, Stepped
from specviz import times

_ID = re.compile(r"[A-Za-z0-9._-]{1,80}")
_NAMES = ("method", "guarantee", "model", "device", "dtype")


def check_session(events: Sequence[Event]) -> None:
    """Raises BadInput where a run's events do not follow each other as a session's do."""
    first = events[0]
    if not isinstance(first, SessionStarted):
        raise BadInput("A run begins with session_started.")
    _check_start(first)
    rest = [event for event in events[1:] if not isinstance(event, Prefilled)]
    if len(events) - 1 - len(rest) > 1 or (len(rest) < len(events) - 1 and not isinstance(events[1], Prefilled)):
        raise BadInput("A run has one prefilled event, right after session_started.")
    ends = [place for place, event in enumerate(rest) if isinstance(event, SessionFinished)]
    if ends not in ([], [len(rest) - 1]):
        raise BadInput("A run ends with session_finished; nothing comes behind it.")
    steps = [event for event in rest if isinstance(event, Stepped)]
    for place, step in enumerate(steps):
        if step.step != place:
            raise BadInput(f"Step {step.step} stands where step {place} should be.")
        _check_step(step)
    _check_end(events[-1], steps)


def _check_start(first: SessionStarted) -> None:
    if not _ID.fullmatch(first.session_id):
        raise BadInput("A session_id has 1 to 80 letters, digits, dots, dashes or underscores.")
    if not times.parsed(first.created_at):
        raise BadInput(f"created_at is {first.created_at[:40]!r}; wanted a time such as 2026-01-31T12:00:00+00:00.")
    for name in _NAMES:
        if not getattr(first, name):
            raise BadInput(f"{name} is empty.")


def _check_step(step: Stepped) -> None:
    for index, node in enumerate(step.nodes):
        if not -1 <= node.parent < index:
            raise BadInput(f"Step {step.step}: node {index} has parent {node.parent}; a parent comes before its child.")
    parents = (-1, *step.path)
    for parent, index in zip(parents, step.path, strict=False):
        if not (0 <= index < len(step.nodes) and step.nodes[index].parent == parent):
            raise BadInput(f"Step {step.step}: the accepted path is not a path of its tree.")
    for judged in step.judged:
        if not 0 <= judged.node < len(step.nodes):
            raise BadInput(f"Step {step.step}: node {judged.node} was judged, which is not there.")
    for law in step.drafted_from:
        if law.parent not in parents:
            raise BadInput(f"Step {step.step}: drafts were drawn below node {law.parent}, which is not on the path.")
    for token in step.emitted:
        if token.node is not None and not 0 <= token.node < len(step.nodes):
            raise BadInput(f"Step {step.step}: an emitted token names node {token.node}, which is not there.")
    if not step.emitted:
        raise BadInput(f"Step {step.step} emits nothing; every step emits at least one token.")


def _check_end(last: Event, steps: Sequence[Stepped]) -> None:
    if not isinstance(last, SessionFinished):
        return
    emitted = sum(len(step.emitted) for step in steps)
    if (last.counts.steps, last.counts.emitted) != (len(steps), emitted):
        raise BadInput(
            f"The end counts {last.counts.steps} steps and {last.counts.emitted} tokens; "
            f"there are {len(steps)} and {emitted}."
        )
