"""The figures of a race as numbers: tokens over time, time per token, acceptance by position, wasted drafts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from engine.events import Event, Stepped
from engine.metrics import acceptance_by_position
from specviz.race.board import Row
from specviz.race.fold import RaceState


def figures(state: RaceState, rows: Sequence[Row]) -> dict[str, Any]:
    """Plain values, one entry a lane; `lane` is its place."""
    runs = [view.events for view in state.views]
    return {
        "tokens": [{"lane": place, **tokens_over_time(run)} for place, run in enumerate(runs)],
        "split": [{"lane": place, **time_split(row)} for place, row in enumerate(rows)],
        "acceptance": [{"lane": place, **acceptance(run)} for place, run in enumerate(runs)],
        "waste": [{"lane": place, "drafts": row.wasted_drafts_per_token} for place, row in enumerate(rows)],
    }


def tokens_over_time(events: Sequence[Event]) -> dict[str, list[float]]:
    """Milliseconds inside the steps and emitted tokens, after each step; begins at 0."""
    steps = [event for event in events if isinstance(event, Stepped)]
    spent = accumulate((step_ms(step) for step in steps), initial=0.0)
    emitted = accumulate((len(step.emitted) for step in steps), initial=0)
    return {"ms": [round(ms, 3) for ms in spent], "tokens": list(emitted)}


def step_ms(step: Stepped) -> float:
    """Everything that the step took, milliseconds."""
    return (step.draft_ns + step.target_ns + step.verify_ns + step.commit_ns + step.host_ns) / 1e6


def time_split(row: Row) -> dict[str, float | None]:
    """Milliseconds per emitted token."""
    split = row.time_per_token
    if split is None:
        return {"draft": None, "target": None, "host": None}
    return {"draft": split.draft_ms, "target": split.target_ms, "host": split.host_ms}


def acceptance(events: Sequence[Event]) -> dict[str, list[float]]:
    """By depth: share of the steps that drafted so deep which were accepted so deep, and how many those steps were."""
    places = acceptance_by_position(events)
    return {
        "depth": [place.depth for place in places],
        "share": [place.share for place in places],
        "n": [place.num_drafted for place in places],
    }
