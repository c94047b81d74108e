"""Read-only questions, answered with small frozen records. Any number of readers, in any thread.

A reader sees whole transactions only: a run's counts, text and events always belong together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import ColumnElement, Connection, Row, Text, func, or_, select, tuple_, type_coerce

from engine import events
from engine.errors import BadInput
from engine.events import Event
from specviz.store.database import Database
from specviz.store.errors import StoreError, UnknownGroup, UnknownRun
from specviz.store.exact import encode
from specviz.store.models import GROUPS, RUNS, STEPS, TAGS
from specviz.store.tally import RunStatus

_LONGEST_SEARCH = 1000  # SQLite refuses very long patterns


@dataclass(frozen=True)
class RunRow:
    """One stored session. Counts and nanoseconds; ratios are computed by `engine.metrics`."""

    id: str
    """The session's id."""
    created_at: str
    """UTC, ISO 8601, as the session gave it."""
    status: RunStatus
    method: str
    guarantee: str
    """"exact" or "lossy"."""
    model: str
    device: str
    dtype: str
    temperature: float | None
    seed: int | None
    max_new_tokens: int | None
    reason: str | None
    """Why it ended; None while it runs and where it was interrupted."""
    message: str
    """More about a failed or interrupted run; else empty."""
    steps: int
    proposed: int
    accepted: int
    emitted: int
    target_passes: int
    num_prompt_tokens: int
    prefill_ns: int | None
    decode_ns: int | None
    """From the end of prefill to the last emitted token; None until the run has ended."""
    draft_ns: int
    target_ns: int
    verify_ns: int
    commit_ns: int
    host_ns: int
    group_id: str | None
    baseline_run_id: str | None
    """The measured plain run that a speedup is against."""
    prompt: str
    method_options: dict[str, Any]
    config: dict[str, Any]
    machine: dict[str, Any]
    audit: dict[str, Any] | None
    """The verdict of the exactness audit; None where there was none."""
    text: str
    """The emitted output so far."""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class GroupRow:
    """Runs that belong together."""

    id: str
    created_at: str
    kind: str
    """"comparison" or "benchmark"."""
    title: str
    details: dict[str, Any]
    """What its maker wrote of the whole: a race its lanes and the order in which they ran."""


_RUN_COLUMNS = [RUNS.c[field.name] for field in dataclasses.fields(RunRow) if field.name != "tags"]


class Reader:
    """The questions. Raises StoreError where the database cannot be read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_runs(
        self,
        limit: int = 50,
        offset: int = 0,
        *,
        before: str | None = None,
        search: str | None = None,
        method: str | None = None,
        status: RunStatus | None = None,
        group_id: str | None = None,
        tag: str | None = None,
    ) -> list[RunRow]:
        """Runs, newest first.

        `before` is the id of the last run of the page above. `search` is looked for in prompt and text, without
        regard to the case of a to z. Raises UnknownRun for an unknown `before`.
        """
        asked = select(RUNS.c.id).where(*_conditions(search, method, status, group_id, tag))
        with self._database.reading() as connection:
            if before is not None:
                asked = asked.where(_is_older(connection, before))
            # The ids first: skipping `offset` rows of an index is cheap, of the table it is not.
            ids = list(connection.scalars(_newest_first(asked).limit(limit).offset(offset)))
            rows = connection.execute(_newest_first(select(*_RUN_COLUMNS).where(RUNS.c.id.in_(ids)))).all()
            return _with_tags(connection, rows)

    def count_runs(
        self,
        *,
        search: str | None = None,
        method: str | None = None,
        status: RunStatus | None = None,
        group_id: str | None = None,
        tag: str | None = None,
    ) -> int:
        """How many runs `list_runs` would list without a limit."""
        asked = select(func.count()).select_from(RUNS).where(*_conditions(search, method, status, group_id, tag))
        with self._database.reading() as connection:
            return connection.scalar(asked) or 0

    def get_run(self, run_id: str) -> RunRow:
        """One run. Raises UnknownRun."""
        with self._database.reading() as connection:
            rows = connection.execute(select(*_RUN_COLUMNS).where(RUNS.c.id == run_id)).all()
            if not rows:
                raise UnknownRun(run_id)
            return _with_tags(connection, rows)[0]

    def events(self, run_id: str) -> list[Event]:
        """The events of a run as they were, for a replay. Raises UnknownRun."""
        asked = select(STEPS.c.payload).where(STEPS.c.run_id == run_id).order_by(STEPS.c.seq)
        with self._database.reading() as connection:
            payloads = list(connection.scalars(asked))
        if not payloads:  # a run is stored together with its first event
            raise UnknownRun(run_id)
        try:
            return [events.from_json(payload) for payload in payloads]
        except BadInput as error:
            raise StoreError(f"An event of run {run_id!r} cannot be read. {error}") from error

    def get_group(self, group_id: str) -> GroupRow:
        """One group. Raises UnknownGroup."""
        with self._database.reading() as connection:
            row = connection.execute(select(GROUPS).where(GROUPS.c.id == group_id)).first()
        if row is None:
            raise UnknownGroup(group_id)
        return GroupRow(**row._mapping)

    def list_groups(self, limit: int = 50, offset: int = 0) -> list[GroupRow]:
        """Groups, newest first."""
        asked = select(GROUPS).order_by(GROUPS.c.created_at.desc(), GROUPS.c.id.desc()).limit(limit).offset(offset)
        with self._database.reading() as connection:
            return [GroupRow(**row._mapping) for row in connection.execute(asked)]


def _conditions(
    search: str | None, method: str | None, status: str | None, group_id: str | None, tag: str | None
) -> list[ColumnElement[bool]]:
    wanted = {"method": method, "status": status, "group_id": group_id}
    conditions = [RUNS.c[name] == value for name, value in wanted.items() if value is not None]
    if tag is not None:
        conditions.append(RUNS.c.id.in_(select(TAGS.c.run_id).where(TAGS.c.name == tag)))
    if search:
        pattern = encode(search)[:_LONGEST_SEARCH]
        columns = [type_coerce(RUNS.c[name], Text) for name in ("prompt", "text")]  # the pattern is encoded already
        conditions.append(or_(*(column.icontains(pattern, autoescape=True) for column in columns)))
    return conditions


def _newest_first(asked: sqlalchemy.Select[Any]) -> sqlalchemy.Select[Any]:
    return asked.order_by(RUNS.c.created_at.desc(), RUNS.c.id.desc())


def _is_older(connection: Connection, run_id: str) -> ColumnElement[bool]:
    created_at = connection.scalar(select(RUNS.c.created_at).where(RUNS.c.id == run_id))
    if created_at is None:
        raise UnknownRun(run_id)
    bound = tuple_(sqlalchemy.literal(created_at, RUNS.c.created_at.type), sqlalchemy.literal(run_id, RUNS.c.id.type))
    return tuple_(RUNS.c.created_at, RUNS.c.id) < bound


def _with_tags(connection: Connection, rows: Iterable[Row[Any]]) -> list[RunRow]:
    found = {row.id: row for row in rows}
    tags: dict[str, list[str]] = {}
    asked = select(TAGS.c.run_id, TAGS.c.name).where(TAGS.c.run_id.in_(list(found))).order_by(TAGS.c.name)
    for run_id, name in connection.execute(asked):
        tags.setdefault(run_id, []).append(name)
    return [RunRow(**row._mapping, tags=tuple(tags.get(run_id, ()))) for run_id, row in found.items()]
