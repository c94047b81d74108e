"""A stored run as the happenings that it once was, so that the same fold shows it again."""

from __future__ import annotations

from collections.abc import Iterator

from engine.events import Event
from specviz.showing.notices import Audited, Ended, GoesOn, Happening, Opened
from specviz.store import Reader, UnknownRun


def replay(archive: Reader, run_id: str, has_baseline: bool = True) -> Iterator[Happening]:
    """The baseline, where it is wanted and still there, the run, the verdict, how it stands. Raises StoreError."""
    run = archive.get_run(run_id)
    plain = _events_if_there(archive, run.baseline_run_id) if has_baseline else []
    if plain:
        yield Opened("baseline")
        yield from plain
    yield Opened("method")
    yield from archive.events(run_id)
    if run.audit:
        yield Audited(str(run.audit.get("verdict", "")), str(run.audit.get("text", "")))
    yield GoesOn() if run.status == "running" else Ended()


def _events_if_there(archive: Reader, run_id: str | None) -> list[Event]:
    """A baseline may have been deleted meanwhile; the run itself is still worth seeing."""
    try:
        return archive.events(run_id) if run_id else []
    except UnknownRun:
        return []
