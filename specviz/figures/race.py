"""The figures of a race: tokens over time, time per token, acceptance by position, wasted drafts.

One series a lane, in the colour, dash and marker that the lane has everywhere (`lane_keys`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from engine.definitions import DEFINITIONS
from engine.events import Event
from engine.metrics import acceptance_by_position
from specviz.decoding.device import PLAIN
from specviz.figures.row import Row
from specviz.showing.steps import step_ms, steps_of

if TYPE_CHECKING:
    from specviz.race.fold import RaceState

PHASES = {"draft": "draft_ms", "target": "target_ms", "host": "host_ms"}


def figures(state: RaceState, rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """All four, by name."""
    return growing(state, rows) | {"split": time_split(rows), "waste": waste(rows)}


def growing(state: RaceState, rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Those that are drawn before all lanes have run, by name."""
    runs = [view.events for view in state.views]
    return {"tokens": tokens_over_time(runs, rows), "acceptance": acceptance(runs, rows)}


def lane_keys(rows: Sequence[Row]) -> list[str]:
    """What colours go by: two lanes may run the same method. Only the first plain lane is the baseline's ink."""
    plain = next((place for place, row in enumerate(rows) if row.method == PLAIN), None)
    return [PLAIN if place == plain else f"lane {place}" for place in range(len(rows))]


def tokens_over_time(runs: Sequence[Sequence[Event]], rows: Sequence[Row]) -> dict[str, Any]:
    """Emitted tokens after each step, over the seconds inside the steps; each line begins at 0."""
    series: list[dict[str, Any]] = []
    for events, lane in zip(runs, _lanes(rows), strict=True):
        steps = steps_of(events)
        spent_ms = accumulate((step_ms(step) for step in steps), initial=0.0)
        emitted = accumulate((len(step.emitted) for step in steps), initial=0)
        series.append(lane | {"x": [round(ms / 1e3, 6) for ms in spent_ms], "y": list(emitted), "shape": "hv"})
    caption = (
        "One line a lane, all from the same start. Steeper is faster; a tall stair is a step that kept many drafts."
    )
    return {
        "kind": "lines",
        "title": "Tokens over time",
        "terms": ["emitted-tokens", "decode-ms"],
        "caption": caption,
        "x": {"title": "Time inside the steps", "unit": "s", "zero": True},
        "y": {"title": "Emitted tokens", "zero": True},
        "methods": lane_keys(rows),
        "markers": False,
        "series": series,
    }


def time_split(rows: Sequence[Row]) -> dict[str, Any]:
    """Milliseconds per emitted token: draft, target and host, one stack a lane."""
    timed = [row for row in rows if row.time_per_token]
    names = [row.label for row in timed]
    series = [
        {"name": phase, "role": phase, "x": names, "y": [getattr(row.time_per_token, name) for row in timed]}
        for phase, name in PHASES.items()
    ]
    return stacked_times("Time per emitted token", DEFINITIONS["time_per_token_ms"], series)


def stacked_times(title: str, caption: str, series: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A bar for each of several runs, made of what a token's time went into."""
    return {
        "kind": "stacked",
        "title": title,
        "terms": ["time-per-token-ms"],
        "caption": caption,
        "x": {"categories": True},
        "y": {"title": "Time per token", "unit": "ms", "zero": True},
        "series": series,
    }


def acceptance(runs: Sequence[Sequence[Event]], rows: Sequence[Row]) -> dict[str, Any]:
    """By depth: share of the steps that drafted so deep which were accepted so deep; n is the number of those steps."""
    series: list[dict[str, Any]] = []
    for events, lane in zip(runs, _lanes(rows), strict=True):
        places = acceptance_by_position(events)
        if places:
            labels = [f"{100 * p.share:.0f} % at depth {p.depth} (n = {p.num_drafted:,})" for p in places]
            numbers = {"x": [p.depth for p in places], "y": [round(100 * p.share, 2) for p in places]}
            series.append(lane | numbers | {"labels": labels, "n": [p.num_drafted for p in places]})
    return {
        "kind": "lines",
        "title": "Acceptance by draft position",
        "terms": ["acceptance-by-position"],
        "caption": DEFINITIONS["acceptance_by_position"],
        "x": {"title": "Draft position"},
        "y": {"title": "Accepted", "unit": "%", "range": [0, 104]},
        "methods": lane_keys(rows),
        "series": series,
        "table": {
            "head": ["Method", "Position", "Accepted", "n"],
            "rows": [
                [found["name"], depth, f"{share:.0f} %", n]
                for found in series
                for depth, share, n in zip(found["x"], found["y"], found["n"], strict=True)
            ],
        },
    }


def waste(rows: Sequence[Row]) -> dict[str, Any]:
    """Drafted and not accepted, per emitted token."""
    drafting = [row for row in rows if row.wasted_drafts_per_token is not None]
    return {
        "kind": "bars",
        "title": "Wasted drafts per emitted token",
        "terms": ["wasted-drafts-per-token"],
        "caption": DEFINITIONS["wasted_drafts_per_token"],
        "x": {"categories": True},
        "y": {"title": "Drafts", "unit": "per token", "zero": True},
        "showsLegend": False,
        "series": [
            {
                "name": "Wasted drafts",
                "role": "rejected",
                "x": [row.label for row in drafting],
                "y": [row.wasted_drafts_per_token for row in drafting],
            }
        ],
    }


def _lanes(rows: Sequence[Row]) -> list[dict[str, str]]:
    return [{"name": row.label, "method": key} for row, key in zip(rows, lane_keys(rows), strict=True)]
