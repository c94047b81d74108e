"""Races that were run before, newest first, as rows for the page: what opens again, and what is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import BadInput
from specviz.decoding.device import Method
from specviz.race.board import label
from specviz.race.course import KIND, TITLE_CHARS
from specviz.showing.notices import Lane
from specviz.store import GroupRow, Reader
from specviz.text import first_line
from specviz.times import MINUTES, day_and_time

NUM_ROWS = 10
MAX_PAGE = 100_000


def earlier(archive: Reader, methods: Mapping[str, Method], page: object = 0, viewer: str = "") -> dict[str, Any]:
    """`{rows, page, hasOlder}` of races of which the viewer's browser may see a run. Raises BadInput, StoreError."""
    if type(page) is not int or not 0 <= page <= MAX_PAGE:
        raise BadInput("That page of the list does not exist.")
    found = archive.list_groups(NUM_ROWS + 1, page * NUM_ROWS, kind=KIND, viewer=viewer)
    groups = found[:NUM_ROWS]
    there = archive.runs_of_groups(group.id for group in groups)
    rows = [_row(group, there.get(group.id, []), methods) for group in groups]
    return {"rows": rows, "page": page, "hasOlder": len(found) > NUM_ROWS}


def _row(group: GroupRow, there: Sequence[str], methods: Mapping[str, Method]) -> dict[str, Any]:
    lanes = [_lane(row) for row in group.details.get("lanes", [])]
    ids = [lane.run_id for lane in lanes] or list(there)
    failed = {str(row.get("run_id")) for row in group.details.get("lanes", []) if row.get("problem")}
    return {
        "when": day_and_time(group.created_at, MINUTES),
        "prompt": first_line(group.title, TITLE_CHARS),
        "methods": ", ".join(label(lane, methods) for lane in lanes),
        "runs": len(there),
        "ids": ids if there else [],
        "note": _note(len(set(ids) - set(there) - failed), len(there)),
    }


def _lane(row: Mapping[str, Any]) -> Lane:
    return Lane(str(row.get("method", "")), row.get("options") or {}, str(row.get("run_id", "")))


def _note(num_gone: int, num_there: int) -> str:
    """What is missing, in a sentence; lanes that failed say why themselves."""
    if not num_there:
        return "None of its runs is here any more: they were deleted, or never run."
    if not num_gone:
        return ""
    return f"{num_gone} of its runs {'is' if num_gone == 1 else 'are'} not here: deleted, or never run."
