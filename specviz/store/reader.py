"""Read-only questions, answered with small frozen records. Any number of readers, in any thread.

A reader sees whole transactions only: a run's counts, text and events always belong together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Unpack

import sqlalchemy
from sqlalchemy import ColumnElement, Connection, func, select, tuple_

from engine import events
from engine.errors import BadInput
from engine.events import Event
from specviz.store import owner
from specviz.store.copies import RunCopy
from specviz.store.database import Database
from specviz.store.errors import StoreError, UnknownGroup, UnknownRun
from specviz.store.models import GROUPS, RUNS, STEPS, TAGS
from specviz.store.search import Conditions, Sharing, Sort, clauses, is_shown, order
from specviz.store.tally import INTERRUPTED, Origin, RunStatus


@dataclass(frozen=True)
class RunRow:
    """One stored session. Counts and nanoseconds; ratios are computed by `engine.metrics`."""

    id: str
    """The session's id."""
    created_at: str
    """When the session began: UTC, ISO 8601."""
    status: RunStatus
    method: str
    guarantee: str
    """"exact" or "lossy"."""
    model: str
    task: str
    """Of the example that the prompt is; else empty."""
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
    acceptance_histogram: list[int] | None
    """Steps that drafted, by accepted length; None for runs that a version without it saved."""
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
    note: str = ""
    """What a user wrote about it."""
    visitor: str = ""
    """The browser that made it: see specviz.decoding.visitors. Empty where that is not known."""
    sharing: Sharing = "listed"
    origin: Origin = "unknown"
    added_at: str = ""
    """When it came into this database, by its own clock: UTC, ISO 8601. Lists go by it."""
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


AT_ONCE = 1_000
"""Runs of one question: databases take no more than some ten thousand ids in one."""
_BESIDE = (RUNS.c.deleted_at, RUNS.c.owner, RUNS.c.heartbeat_at)
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
        sort: Sort = "when",
        is_descending: bool = True,
        **conditions: Unpack[Conditions],
    ) -> list[RunRow]:
        """Runs that fulfil the conditions, last added first unless another order is asked for.

        `before` is the id of the last run of the page above, newest first. Raises UnknownRun for an unknown one.
        """
        asked = select(RUNS.c.id).where(*clauses(conditions)).order_by(*order(sort, is_descending))
        with self._database.reading() as connection:
            if before is not None:
                asked = asked.where(_is_older(_added_at(connection, before), before))
            # The ids first: skipping `offset` rows of an index is cheap, of the table it is not.
            ids = list(connection.scalars(asked.limit(limit).offset(offset)))
            return _rows(connection, ids)

    def count_runs(self, **conditions: Unpack[Conditions]) -> int:
        """How many runs `list_runs` would list without a limit."""
        return self._count(conditions)

    def find_runs(
        self,
        limit: int = 50,
        offset: int = 0,
        *,
        sort: Sort = "when",
        is_descending: bool = True,
        **conditions: Unpack[Conditions],
    ) -> tuple[list[RunRow], int]:
        """A page as `list_runs` gives it, and how many runs there are on all pages."""
        rows = self.list_runs(limit, offset, sort=sort, is_descending=is_descending, **conditions)
        is_last = 0 < len(rows) < limit or (not rows and offset == 0)
        if is_last:  # a page that is not full tells the number: a search for something rare reads the texts once
            return rows, offset + len(rows)
        if rows and sort == "when" and is_descending:  # what is newer was read already
            return rows, offset + len(rows) + self._count(conditions, older_than=rows[-1])
        return rows, self._count(conditions)

    def count_by_status(self) -> dict[str, int]:
        """How many runs there are of each status."""
        asked = select(RUNS.c.status, func.count()).where(RUNS.c.deleted_at == "").group_by(RUNS.c.status)
        with self._database.reading() as connection:
            return {str(status): int(number) for status, number in connection.execute(asked)}

    def get_runs(self, run_ids: Iterable[str]) -> list[RunRow]:
        """Those of these runs that there are, in the order asked for."""
        with self._database.reading() as connection:
            return _rows(connection, list(run_ids))

    def baselines(self, runs: Iterable[RunRow]) -> dict[str, RunRow]:
        """The plain runs that speedups of these are against, by id; those that are still there."""
        return {run.id: run for run in self.get_runs(dict.fromkeys(run.baseline_run_id or "" for run in runs))}

    def makers(self, run_ids: Iterable[str]) -> dict[str, str]:
        """The browser that made each of these runs, deleted ones among them; unknown runs are left out."""
        asked = select(RUNS.c.id, RUNS.c.visitor).where(RUNS.c.id.in_(list(run_ids)))
        with self._database.reading() as connection:
            return {row.id: row.visitor for row in connection.execute(asked)}

    def known_values(self, viewer: str = "") -> dict[str, list[str]]:
        """The methods, models, tasks and tags of the runs that this browser may see in lists, to choose from."""
        found: dict[str, list[str]] = {}
        with self._database.reading() as connection:
            names = ("method", "model", "task")
            is_there = RUNS.c.deleted_at == "", is_shown(viewer)
            asked = select(*(RUNS.c[name] for name in names)).where(*is_there).distinct()
            together = list(connection.execute(asked))  # one reading of the index for all three
            for place, name in enumerate(names):
                found[name] = sorted({row[place] for row in together if row[place]})
            tagged = select(TAGS.c.name).join(RUNS, RUNS.c.id == TAGS.c.run_id).where(*is_there)
            found["tag"] = sorted(connection.scalars(tagged.distinct()))
        return found

    def get_run(self, run_id: str) -> RunRow:
        """One run. Raises UnknownRun."""
        with self._database.reading() as connection:
            rows = _rows(connection, [run_id])
        if not rows:
            raise UnknownRun(run_id)
        return rows[0]

    def events(self, run_id: str) -> list[Event]:
        """The events of a run as they were, for a replay. Raises UnknownRun."""
        asked = select(STEPS.c.payload).join(RUNS, RUNS.c.id == STEPS.c.run_id)
        asked = asked.where(STEPS.c.run_id == run_id, RUNS.c.deleted_at == "").order_by(STEPS.c.seq)
        with self._database.reading() as connection:
            payloads = list(connection.scalars(asked))
        if not payloads:  # a run is stored together with its first event
            raise UnknownRun(run_id)
        try:
            return [events.from_json(payload) for payload in payloads]
        except BadInput as error:
            raise StoreError(f"An event of run {run_id!r} cannot be read. {error}") from error

    def copy(self, run_id: str) -> RunCopy:
        """A whole run, to be carried elsewhere. Raises UnknownRun."""
        row = self.get_run(run_id)
        events = tuple(self.events(run_id))
        return RunCopy(events, row.task, row.tags, row.note, row.audit, row.baseline_run_id)

    def _count(self, conditions: Conditions, older_than: RunRow | None = None) -> int:
        asked = select(func.count()).select_from(RUNS).where(*clauses(conditions))
        if older_than is not None:
            asked = asked.where(_is_older(older_than.added_at, older_than.id))
        with self._database.reading() as connection:
            return connection.scalar(asked) or 0

    def get_group(self, group_id: str) -> GroupRow:
        """One group. Raises UnknownGroup."""
        with self._database.reading() as connection:
            row = connection.execute(select(GROUPS).where(GROUPS.c.id == group_id)).first()
        if row is None:
            raise UnknownGroup(group_id)
        return GroupRow(**row._mapping)

    def list_groups(
        self, limit: int = 50, offset: int = 0, *, kind: str | None = None, viewer: str | None = None
    ) -> list[GroupRow]:
        """Groups, newest first; those of one kind where it is given.

        `viewer`: only those of which a run is left that this browser may see in lists.
        """
        asked = select(GROUPS).order_by(GROUPS.c.created_at.desc(), GROUPS.c.id.desc()).limit(limit).offset(offset)
        if kind is not None:
            asked = asked.where(GROUPS.c.kind == kind)
        if viewer is not None:
            left = select(RUNS.c.id).where(RUNS.c.group_id == GROUPS.c.id, RUNS.c.deleted_at == "", is_shown(viewer))
            asked = asked.where(left.exists())
        with self._database.reading() as connection:
            return [GroupRow(**row._mapping) for row in connection.execute(asked)]

    def runs_of_groups(self, group_ids: Iterable[str]) -> dict[str, list[str]]:
        """The ids of each group's runs, deleted ones left out, in the order in which they ran."""
        # What was deleted is left out here: asked of the database, it would read the index of all lists instead.
        asked = select(RUNS.c.group_id, RUNS.c.id, RUNS.c.deleted_at).where(RUNS.c.group_id.in_(list(group_ids)))
        found: dict[str, list[str]] = {}
        with self._database.reading() as connection:
            for group_id, run_id, deleted_at in connection.execute(asked.order_by(RUNS.c.created_at, RUNS.c.id)):
                if not deleted_at:
                    found.setdefault(group_id, []).append(run_id)
        return found


def _added_at(connection: Connection, run_id: str) -> str:
    added_at: str | None = connection.scalar(select(RUNS.c.added_at).where(RUNS.c.id == run_id))
    if added_at is None:
        raise UnknownRun(run_id)
    return added_at


def _is_older(added_at: str, run_id: str) -> ColumnElement[bool]:
    bound = tuple_(sqlalchemy.literal(added_at, RUNS.c.added_at.type), sqlalchemy.literal(run_id, RUNS.c.id.type))
    return tuple_(RUNS.c.added_at, RUNS.c.id) < bound


def _rows(connection: Connection, run_ids: list[str]) -> list[RunRow]:
    """In the order of the ids; deleted ones are left out."""
    parts = (run_ids[first : first + AT_ONCE] for first in range(0, len(run_ids), AT_ONCE))
    return [row for part in parts for row in _few_rows(connection, part)]


def _few_rows(connection: Connection, run_ids: list[str]) -> list[RunRow]:
    # Deletion is looked at afterwards: as a condition it makes SQLite read the whole index of the lists.
    asked = select(*_RUN_COLUMNS, *_BESIDE).where(RUNS.c.id.in_(run_ids))
    found = {row["id"]: dict(row) for row in connection.execute(asked).mappings() if not row["deleted_at"]}
    tags: dict[str, list[str]] = {}
    worded = select(TAGS.c.run_id, TAGS.c.name).where(TAGS.c.run_id.in_(list(found))).order_by(TAGS.c.name)
    for run_id, name in connection.execute(worded):
        tags.setdefault(run_id, []).append(name)
    for row in found.values():
        _, owner_name, heartbeat_at = (row.pop(column.name) for column in _BESIDE)
        if row["status"] == "running" and not owner.is_alive(owner_name, heartbeat_at):
            row |= {"status": "interrupted", "message": INTERRUPTED}  # as the next start of the program will write it
    return [RunRow(**found[name], tags=tuple(tags.get(name, ()))) for name in run_ids if name in found]
