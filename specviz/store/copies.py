"""A whole run apart from any database: its events, and what was written beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from engine.events import Event, SessionStarted
from specviz.store import owner
from specviz.store.models import RUNS, STEPS, TAGS
from specviz.store.tally import Tally
from specviz.times import as_utc


@dataclass(frozen=True)
class RunCopy:
    """All that is kept of one run. The first event is its SessionStarted."""

    events: tuple[Event, ...]
    task: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    audit: dict[str, Any] | None = None
    baseline_run_id: str | None = None

    @property
    def started(self) -> SessionStarted:
        """How the run was set up."""
        first = self.events[0]
        assert isinstance(first, SessionStarted)
        return first

    @property
    def run_id(self) -> str:
        """The session's id."""
        return self.started.session_id


def insert(
    connection: Connection, copies: Sequence[RunCopy], owner_name: str, visitor: str = "", sharing: str = "listed"
) -> list[str]:
    """Write runs that are not there yet; returns their ids. A deleted run of the same id makes room."""
    wanted = [copy.run_id for copy in copies]
    connection.execute(RUNS.delete().where(RUNS.c.id.in_(wanted), RUNS.c.deleted_at != ""))
    there = set(connection.scalars(select(RUNS.c.id).where(RUNS.c.id.in_(wanted))))
    new = list({copy.run_id: copy for copy in copies if copy.run_id not in there}.values())
    if not new:
        return []
    in_order = sorted(new, key=lambda copy: (as_utc(copy.started.created_at), copy.run_id))
    tallies = [_tally(copy, owner_name) for copy in in_order]
    connection.execute(RUNS.insert(), list(_rows(in_order, tallies, {"visitor": visitor, "sharing": sharing})))
    connection.execute(STEPS.insert(), [step for tally in tallies for step in tally.steps])
    tags = [{"run_id": copy.run_id, "name": name} for copy in new for name in copy.tags]
    if tags:
        connection.execute(TAGS.insert(), tags)
    _link(connection, new)
    return [copy.run_id for copy in new]


def _tally(copy: RunCopy, owner_name: str) -> Tally:
    tally = Tally(copy.started, None, owner_name, copy.task)
    for event in copy.events[1:]:
        tally.add(event)
    tally.interrupt()
    return tally


def _rows(copies: Sequence[RunCopy], tallies: Sequence[Tally], whose: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Added now, a microsecond apart, so that lists keep the order in which the runs began."""
    now = datetime.fromisoformat(owner.now())
    for place, (copy, tally) in enumerate(zip(copies, tallies, strict=True)):
        added_at = (now + timedelta(microseconds=place)).isoformat(timespec="microseconds")
        brought = {"origin": "imported", "added_at": added_at, **whose}
        yield tally.all_columns() | {"note": copy.note, "audit": copy.audit} | brought


def _link(connection: Connection, copies: Iterable[RunCopy]) -> None:
    """To the baselines that are there."""
    for copy in copies:
        if copy.baseline_run_id is not None:
            known = select(RUNS.c.id).where(RUNS.c.id == copy.baseline_run_id).scalar_subquery()
            connection.execute(RUNS.update().where(RUNS.c.id == copy.run_id).values(baseline_run_id=known))
