"""Stored runs as the race that they were, or as one that they never were: any few runs can be put side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.errors import BadInput
from specviz.decoding.request import MOST_LANES
from specviz.showing.listing import MAX_ID_CHARS
from specviz.showing.notices import Ended, Failed, Happening, InLane, Lane, Racing
from specviz.showing.replay import replay
from specviz.store import Reader, RunRow, StoreError, UnknownRun


def run_ids(address: str) -> tuple[str, ...]:
    """The ids of an address such as `ids=a,b`, each once. Raises BadInput."""
    found = tuple(dict.fromkeys(part.strip() for part in address.split(",") if part.strip()))
    if not found:
        raise BadInput("The address names no runs: it should end with ids=, and the ids of 2 to 8 saved runs.")
    if len(found) > MOST_LANES:
        raise BadInput(f"{len(found)} runs are too many to compare; this page shows at most {MOST_LANES}.")
    if any(len(run_id) > MAX_ID_CHARS for run_id in found):
        raise BadInput("That is not a list of run ids.")
    return found


def reopen(archive: Reader, ids: Sequence[str]) -> Iterator[Happening]:
    """The runs side by side; one that is not there has a sentence in its lane. Raises StoreError where none is."""
    runs = [_run(archive, run_id) for run_id in ids]
    missing = next((run for run in runs if isinstance(run, StoreError)), None)
    if missing and not any(isinstance(run, RunRow) for run in runs):
        raise missing
    group_id, details = _group(archive, runs)
    asked = {str(lane.get("run_id")): lane for lane in details.get("lanes", [])}
    yield Racing(
        tuple(_lane(run_id, run, asked.get(run_id, {})) for run_id, run in zip(ids, runs, strict=True)),
        _order(ids, asked, details),
        group_id,
    )
    for place, (run_id, run) in enumerate(zip(ids, runs, strict=True)):
        happenings = _missing(run, asked.get(run_id, {})) if isinstance(run, StoreError) else _stored(archive, run, ids)
        for happening in happenings:
            yield InLane(place, happening)
    yield Ended()


def _run(archive: Reader, run_id: str) -> RunRow | UnknownRun:
    try:
        return archive.get_run(run_id)
    except UnknownRun as error:
        return error


def _group(archive: Reader, runs: Sequence[RunRow | UnknownRun]) -> tuple[str, Mapping[str, Any]]:
    """The group that all the runs which are there belong to, with what is known of it; else nothing."""
    groups = {run.group_id for run in runs if isinstance(run, RunRow)}
    group_id = groups.pop() if len(groups) == 1 else None
    return (group_id, archive.get_group(group_id).details) if group_id else ("", {})


def _lane(run_id: str, run: RunRow | UnknownRun, asked: Mapping[str, Any]) -> Lane:
    if isinstance(run, RunRow):
        return Lane(run.method, run.method_options, run_id)
    return Lane(str(asked.get("method", "unknown run")), asked.get("options", {}), run_id)


def _order(ids: Sequence[str], asked: Mapping[str, Any], details: Mapping[str, Any]) -> tuple[int, ...]:
    """In which the lanes ran; known only where the whole race is shown."""
    known = list(asked)
    if set(known) != set(ids):
        return ()
    return tuple(ids.index(known[place]) for place in details.get("order", ()))


def _missing(error: StoreError, asked: Mapping[str, Any]) -> Iterator[Happening]:
    yield Failed(str(asked.get("problem") or error))
    yield Ended()


def _stored(archive: Reader, run: RunRow, ids: Sequence[str]) -> Iterator[Happening]:
    """Its own baseline comes with it only where that is not a lane itself."""
    return replay(archive, run.id, has_baseline=run.baseline_run_id not in ids)
