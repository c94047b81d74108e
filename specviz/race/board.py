"""A race in numbers: one row a lane. Ratios and their definitions come from `engine.metrics`."""

from __future__ import annotations

from collections.abc import Mapping

from engine.events import Event
from engine.metrics import speedup, tally, time_per_token, wasted_drafts_per_token
from specviz.decoding.device import PLAIN, Method
from specviz.figures.row import Row
from specviz.race.fold import RaceState
from specviz.showing.fold import ViewState
from specviz.showing.notices import Lane
from specviz.text import without_surrogates

MAX_OPTION_CHARS = 40


def rows(state: RaceState, methods: Mapping[str, Method]) -> tuple[Row, ...]:
    """All lanes, in the order in which they are shown."""
    return tuple(row(state, place, methods) for place in range(len(state.lanes)))


def row(state: RaceState, place: int, methods: Mapping[str, Method]) -> Row:
    """One lane."""
    lane, view = state.lanes[place], state.views[place]
    total = tally(view.events)
    metrics = total.metrics
    spent_ns = total.decode_ns if total.decode_ns is not None else total.draft_ns + total.target_ns + total.host_ns
    return Row(
        label=f"{label(lane, methods)}{' (imported)' if view.is_claim else ''}",
        method=lane.method,
        guarantee=view.started.guarantee if view.started else "",
        turn=state.turn(place),
        phase=view.phase,
        emitted=total.emitted,
        limit=_limit(view),
        decode_ms=spent_ns / 1e6,
        tokens_per_second=metrics.tokens_per_second,
        speedup=_speedup(state.baseline(place), view),
        block_efficiency=metrics.block_efficiency,
        acceptance_rate=metrics.acceptance_rate,
        wasted_drafts_per_token=wasted_drafts_per_token(total),
        time_per_token=time_per_token(total),
        verdict=view.audit.verdict if view.audit else "",
        verdict_text=view.audit.text if view.audit else "",
        problem=problem(view),
        is_claim=view.is_claim,
    )


def label(lane: Lane, methods: Mapping[str, Method]) -> str:
    """The method's title, and the options that are not its defaults."""
    known = methods.get(lane.method)
    if known is None:
        return without_surrogates(lane.method)
    defaults = {spec.name: spec.default for spec in known.options}
    changed = [(name, value) for name, value in lane.options.items() if defaults.get(name, value) != value]
    parts = [f"{name.replace('_', ' ')} {str(value)[:MAX_OPTION_CHARS]}" for name, value in changed]
    return without_surrogates(" · ".join([known.title, *parts]))


def problem(view: ViewState) -> str:
    """Why a lane has no whole run, in a sentence."""
    if view.phase == "failed":
        return view.alert or "The run failed."
    return "Interrupted: this is what was saved." if view.phase == "interrupted" else ""


def _speedup(plain: tuple[Event, ...], view: ViewState) -> float | None:
    """Empty for the baseline itself."""
    is_plain = view.started is not None and view.started.method == PLAIN
    return None if is_plain or not plain else speedup(plain, view.events)


def _limit(view: ViewState) -> int | None:
    given = view.started.config.get("max_new_tokens") if view.started else None
    return given if isinstance(given, int) else None
