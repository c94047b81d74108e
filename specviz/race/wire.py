"""A race on its way to the browser: numbered deltas, or everything in one snapshot. ASCII JSON text.

A message is `{stream, seq, reset, alert, lanes}`, with `{race, rows}` where they have changed, `{charts}` when a lane
has run and `{board}` at the end. A lane holds its new steps, written as by `showing.wire`. Texts are data: the page
sets them by textContent only.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from engine.events import Event
from specviz.decoding.device import Method
from specviz.figures.race import figures, growing, lane_keys, step_ms
from specviz.figures.row import Row
from specviz.race import board, table, words
from specviz.race.differences import differences, warnings
from specviz.race.divergence import divergence
from specviz.race.fold import RaceState
from specviz.showing.fold import ViewState
from specviz.showing.tiles import NONE, number
from specviz.showing.wire import step_view
from specviz.text import printable, to_wire

ROWS_EVERY_S = 0.3


class RaceStream:
    """One race on its way to one page."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        self.id = uuid.uuid4().hex
        self._methods = methods
        self._seq = -1
        self._state = RaceState()
        self._logs: list[_Log] = []
        self._known: dict[int, tuple[ViewState, tuple[Event, ...], Row]] = {}
        self._drawn_at = 0.0
        self._guard = threading.Lock()

    def delta(self, state: RaceState) -> str:
        """What is new since the last call."""
        with self._guard:
            has_moved = _outline(state) != _outline(self._state)
            has_ended = _num_ended(state) > _num_ended(self._state)
            is_reset, lanes = self._take(state)
            message = self._head(state) | {"reset": is_reset, "lanes": lanes}
            if is_reset or has_moved or time.monotonic() - self._drawn_at > ROWS_EVERY_S:
                self._drawn_at = time.monotonic()
                message |= self._figures(state)
            if has_ended:  # and not meanwhile: drawing slows a run that is being timed (docs/log.md)
                message |= self._charts(state)
            return to_wire(printable(message))

    def snapshot(self, state: RaceState | None = None) -> str:
        """Everything, as of `state` or of the last call."""
        with self._guard:
            if state is not None:
                self._take(state)
            message = self._head(self._state) | self._figures(self._state)
            message |= self._charts(self._state) | self._board(self._state)
            message |= {"reset": True, "snapshot": True, "lanes": [log.steps for log in self._logs]}
            return to_wire(printable(message))

    def _take(self, state: RaceState) -> tuple[bool, list[list[dict[str, Any]]]]:
        """Encode the new steps. Returns whether another race is on screen, and each lane's new steps."""
        self._seq += 1
        is_reset = state.lanes is not self._state.lanes
        if is_reset:
            self._logs, self._known = [_Log() for _ in state.lanes], {}
        self._state = state
        return is_reset, [log.take(view) for log, view in zip(self._logs, state.views, strict=True)]

    def _head(self, state: RaceState) -> dict[str, Any]:
        return {"stream": self.id, "seq": self._seq, "alert": state.alert}

    def _figures(self, state: RaceState) -> dict[str, Any]:
        rows = self._rows(state)
        race = {
            "phase": state.phase,
            "text": words.status_text(state, rows),
            "meta": words.meta_text(state),
            "order": words.order_text(state, rows),
            "keys": lane_keys(rows),
            "ids": [lane.run_id for lane in state.lanes],
            "isSaved": bool(state.group_id),
        }
        return {"race": race, "rows": [_card(row) for row in rows]}

    def _rows(self, state: RaceState) -> list[Row]:
        """Worked out anew only where something has happened in the lane: others are being timed."""
        rows = []
        for place, view in enumerate(state.views):
            plain = state.baseline(place)
            known = self._known.get(place)
            if known is None or known[0] is not view or known[1] is not plain:
                known = self._known[place] = (view, plain, board.row(state, place, self._methods))
            rows.append(known[2])
        return rows

    def _charts(self, state: RaceState) -> dict[str, Any]:
        """Of the lanes that have run, until there is a board."""
        is_going = state.phase == "racing" and _num_ended(state) > 0
        return {"charts": growing(state, self._rows(state))} if is_going else {}

    def _board(self, state: RaceState) -> dict[str, Any]:
        """What is shown when all lanes have ended."""
        rows = self._rows(state)
        runs = [view.started for view in state.views]
        shown = {
            "columns": [_heading(column) for column in table.COLUMNS],
            "cells": [table.cells(row) for row in rows],
            "copies": {"Markdown": table.to_markdown(rows), "CSV": table.to_csv(rows), "LaTeX": table.to_latex(rows)},
            "figures": figures(state, rows),
            "diffs": [_diff(state, place, row) for place, row in enumerate(rows)],
            "warnings": warnings(runs),
            "settings": [asdict(setting) for setting in differences(runs)],
        }
        return {"board": shown, "spoken": words.spoken_text(state, rows)} if state.phase == "ended" else {}


class _Log:
    """The steps of one lane, as the page draws them."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self._elapsed_ms = 0.0

    def take(self, view: ViewState) -> list[dict[str, Any]]:
        """Encode what is new, and give it."""
        first = len(self.steps)
        for step in view.steps[first:]:
            self._elapsed_ms += step_ms(step)
            self.steps.append(step_view(step, self._elapsed_ms))
        return self.steps[first:]


def _outline(state: RaceState) -> Sequence[object]:
    """Changes where the page should be drawn at once."""
    return state.phase, state.position, tuple((view.phase, view.audit) for view in state.views)


def _num_ended(state: RaceState) -> int:
    """Lanes that have run."""
    return sum(view.finished is not None for view in state.views)


def _card(row: Row) -> dict[str, Any]:
    """The head of a lane."""
    verdict, tone = words.verdict(row)
    return {
        "label": row.label,
        "phase": row.phase,
        "turn": row.turn,
        "emitted": row.emitted,
        "limit": row.limit,
        "seconds": number(row.decode_ms / 1e3, 2),
        "speed": number(row.tokens_per_second, 1),
        "speedup": "1.00" if row.is_plain and row.tokens_per_second else number(row.speedup, 2),
        "verdict": verdict or NONE,
        "tone": tone,
        "problem": row.problem,
    }


def _heading(column: table.Column) -> dict[str, Any]:
    return {
        "heading": column.heading,
        "unit": column.unit,
        "terms": [column.term],
        "isNumber": column.decimals is not None,
    }


def _diff(state: RaceState, place: int, row: Row) -> dict[str, Any] | None:
    """Where a lane parts from the plain one; nothing for the baseline, or without one."""
    plain = state.baseline(place)
    if row.is_plain or not plain:
        return None
    found = divergence(plain, state.views[place].events)
    told = {"text": words.divergence_text(row, found), "tone": words.verdict(row)[1]}
    if found is None:
        return told
    return told | {
        "position": found.position,
        "context": found.context,
        "plain": words.side(found.plain),
        "run": words.side(found.run),
    }
