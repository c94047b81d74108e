"""A race on its way to the browser.

A message is `{stream, seq, reset, alert, lanes}`, with `{race, rows}` where they have changed, `{charts}` when a lane
has run and `{board}` at the end. A lane holds its new steps, written as by `showing.wire`. Texts are data: the page
sets them by textContent only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from engine.events import Event
from specviz.decoding.device import Method
from specviz.figures.race import figures, growing, lane_keys
from specviz.figures.row import Row
from specviz.race import board, table, words
from specviz.race.differences import differences, warnings
from specviz.race.divergence import divergence
from specviz.race.fold import RaceState
from specviz.showing.channel import Channel
from specviz.showing.fold import ViewState
from specviz.showing.tiles import NONE, number
from specviz.showing.wire import StepLog


class RaceStream(Channel[RaceState]):
    """One race on its way to one page."""

    steps_key = "lanes"

    def __init__(self, methods: Mapping[str, Method], recorded: str = "") -> None:
        """`recorded`: what to say of a race that was not run here."""
        super().__init__(RaceState())
        self._methods = methods
        self._recorded = recorded
        self._logs: list[StepLog] = []
        self._known: dict[int, tuple[ViewState, tuple[Event, ...], Row]] = {}

    def _outline(self, state: RaceState) -> object:
        return state.phase, state.position, state.note, tuple((view.phase, view.audit) for view in state.views)

    def _take(self, state: RaceState) -> tuple[bool, list[Any]]:
        is_reset = state.lanes is not self._state.lanes
        if is_reset:
            self._logs, self._known = [StepLog() for _ in state.lanes], {}
        return is_reset, [log.take(view) for log, view in zip(self._logs, state.views, strict=True)]

    def _all_steps(self) -> list[Any]:
        return [log.steps for log in self._logs]

    def _figures(self) -> dict[str, Any]:
        state = self._state
        rows = self._rows(state)
        race = {
            "phase": state.phase,
            "text": words.status_text(state, rows),
            "meta": words.meta_text(state),
            "order": words.order_text(state, rows),
            "keys": lane_keys(rows),
            "ids": [lane.run_id for lane in state.lanes],
            "isSaved": bool(state.group_id),
            "recorded": self._recorded,
        }
        return {"race": race, "rows": [_card(row) for row in rows]}

    def _between(self, before: RaceState) -> dict[str, Any]:
        """Charts where a lane has ended, and not meanwhile: drawing slows a run that is being timed (docs/log.md)."""
        return self._charts(self._state) if _num_ended(self._state) > _num_ended(before) else {}

    def _whole(self, *, is_last: bool) -> dict[str, Any]:
        return {"reset": True} | self._charts(self._state) | self._board(self._state)

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
            "warnings": (*warnings(runs), *words.doubts(rows)),
            "settings": [asdict(setting) for setting in differences(runs)],
        }
        return {"board": shown, "spoken": words.spoken_text(state, rows)} if state.phase == "ended" else {}


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
