"""A stored run as the happenings that it once was, so that the same fold shows it again."""

from __future__ import annotations

from collections.abc import Iterator

from engine.events import Event
from specviz.showing.notices import Audited, Ended, FromStore, GoesOn, Happening, Opened
from specviz.showing.origin import in_words, is_claim, may_compare
from specviz.store import Reader, RunRow, UnknownRun


def replay(archive: Reader, run_id: str, has_baseline: bool = True) -> Iterator[Happening]:
    """The baseline, where it is wanted and still there, the run, the verdict, how it stands. Raises StoreError."""
    run = archive.get_run(run_id)
    plain = _baseline(archive, run) if has_baseline else []
    if plain:
        yield Opened("baseline")
        yield from plain
    yield Opened("method")
    yield FromStore(in_words(run), is_claim(run))
    yield from archive.events(run_id)
    if run.audit:
        yield Audited(str(run.audit.get("verdict", "")), str(run.audit.get("text", "")))
    yield GoesOn() if run.status == "running" else Ended()


def _baseline(archive: Reader, run: RunRow) -> list[Event]:
    """Nothing where it was deleted meanwhile, or where one of the two was measured here and the other imported."""
    try:
        plain = archive.get_run(run.baseline_run_id or "")
        return archive.events(plain.id) if may_compare(run, plain) else []
    except UnknownRun:
        return []
