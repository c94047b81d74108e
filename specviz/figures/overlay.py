"""Stored runs laid over each other: tokens over time, acceptance by position, time per token, paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.events import Event
from engine.metrics import tally, time_per_token
from specviz.figures.race import acceptance, lane_keys, time_split, tokens_over_time
from specviz.figures.row import Row
from specviz.showing.comparison import BLOCK, paired


def figures(runs: Sequence[Sequence[Event]], labels: Sequence[str], methods: Sequence[str]) -> dict[str, Any]:
    """All four, by name. The first run is the one that the others are held against."""
    rows = [_row(events, *named) for events, *named in zip(runs, labels, methods, strict=True)]
    return {
        "tokens": tokens_over_time(runs, rows),
        "differences": differences(runs, rows),
        "acceptance": acceptance(runs, rows),
        "split": time_split(rows),
    }


def differences(runs: Sequence[Sequence[Event]], rows: Sequence[Row]) -> dict[str, Any]:
    """Time per token minus the first run's, over the text that both wrote; every point is one pair."""
    series: list[dict[str, Any]] = []
    for events, row, key in zip(runs[1:], rows[1:], lane_keys(rows)[1:], strict=True):
        found = paired(runs[0], events).differences_ms
        places = [BLOCK * place + BLOCK // 2 for place in range(len(found))]
        if found:
            series.append({"name": row.label, "method": key, "x": places, "y": [round(ms, 3) for ms in found]})
    return {
        "kind": "lines",
        "title": "Time per token against the first run",
        "terms": ["paired-difference"],
        "caption": f"Blocks of {BLOCK} tokens that both runs wrote; below zero is faster than the first run.",
        "x": {"title": "Token of the text"},
        "y": {"title": "Difference", "unit": "ms per token"},
        "methods": lane_keys(rows),
        "marks": [{"y": 0, "text": rows[0].label}],
        "series": series,
    }


def _row(events: Sequence[Event], label: str, method: str) -> Row:
    """As a lane of a race, of which only name and time split are drawn here."""
    total = tally(events)
    return Row(label, method, phase="finished", emitted=total.emitted, time_per_token=time_per_token(total))
