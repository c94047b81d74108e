"""The store: an open database with its writer thread and its questions.

    with open_store() as store:
        run = store.begin(started)
        run.append(event)
        store.events(run.run_id)

`begin`, `append`, `set_audit` and the like return at once and never raise for the database's sake: look at
`problem`. Methods that give something back, or delete, wait and raise StoreError.
"""

from __future__ import annotations

import atexit
import os
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from engine.events import SessionStarted
from specviz.store import owner
from specviz.store.copies import RunCopy, insert
from specviz.store.database import Database, open_database
from specviz.store.errors import DATABASE_ERRORS, StoreError, UnknownRun, sentence
from specviz.store.housekeeping import Housekeeper, Retention, forget, interrupt_dead_runs, purge
from specviz.store.location import folder_beside, locate
from specviz.store.models import GROUPS, RUNS, TAGS
from specviz.store.reader import Reader
from specviz.store.search import Sharing
from specviz.store.writer import RunWriter, Statements, Writer

_PATIENCE_S = 30.0
_OPENING = threading.Lock()
"""Threads of this process wait here for each other, as long as it takes: SQLite would have them give up in time."""


def open_store(url_or_path: str | os.PathLike[str] | None = None) -> Store:
    """Open, and make or migrate where needed, the database at `url_or_path`.

    None is SPECVIZ_DB, else `specviz/specviz.db` in the per-user data folder; ":memory:" keeps nothing after
    close. Runs whose process has died become interrupted. Raises StoreError with a sentence to show.
    """
    with _OPENING:
        database = open_database(locate(url_or_path))
        try:
            with database.writing() as connection:
                interrupt_dead_runs(connection)
                purge(connection)
        except DATABASE_ERRORS as error:
            database.close()
            raise StoreError(sentence(error, database.name)) from error
    return Store(database)


class Store(Reader):
    """An open database. Safe to share between threads; close it, or use it in a `with`."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._writer = Writer(database)
        self._retention = Retention()
        self._housekeeper = Housekeeper(lambda: self._now(interrupt_dead_runs), self.tidy)
        atexit.register(self.close)  # the writer is a daemon thread: without this its last events are lost

    @property
    def name(self) -> str:
        """The database's short name: no folder, host or password."""
        return self._database.name

    @property
    def kept(self) -> str:
        """Where runs are kept, and for how long, in a few words."""
        until, journal = self._database.lasts_until, self._database.journal
        told = f"{self.name} (no write-ahead log: {journal})" if journal else self.name
        return f"{told}, until {until}" if until else told

    def folder(self, name: str) -> Path | None:
        """Where files of this kind lie beside the database; not made yet. None where nothing outlives the program."""
        return folder_beside(self._database.engine.url, name)

    @property
    def num_waiting(self) -> int:
        """Events that are not in the database yet."""
        return self._writer.num_waiting

    @property
    def problem(self) -> str | None:
        """Why something is not saved, in a sentence; None where all is well."""
        return self._writer.problem

    def begin(
        self,
        started: SessionStarted,
        *,
        group_id: str | None = None,
        task: str = "",
        visitor: str = "",
        sharing: Sharing = "listed",
    ) -> RunWriter:
        """Open a run with its first event.

        `task`: what kind of prompt it is; `visitor`: which browser made it; `sharing`: who finds it in lists.
        """
        return self._writer.begin(started, group_id, task, visitor, sharing)

    def set_audit(self, run_id: str, audit: dict[str, Any]) -> None:
        """Keep the verdict of a run's exactness audit."""
        self._later(RUNS.update().where(RUNS.c.id == run_id).values(audit=audit))

    def set_baseline(self, run_id: str, baseline_run_id: str) -> None:
        """Say which plain run this one's speedup is against. An unknown one leaves the place empty."""
        known = select(RUNS.c.id).where(RUNS.c.id == baseline_run_id).scalar_subquery()
        self._later(RUNS.update().where(RUNS.c.id == run_id).values(baseline_run_id=known))

    def add_copies(self, copies: Sequence[RunCopy], visitor: str = "", sharing: Sharing = "listed") -> list[str]:
        """Write whole runs, all or none; those that are already here stay as they are. Returns the ids of the new."""
        whose = owner.this_owner(), visitor, sharing
        added: list[str] = self._now(lambda connection: insert(connection, copies, *whose))
        return added

    def add_group(self, kind: str, title: str, details: dict[str, Any] | None = None) -> str:
        """Make a group; its id goes to `begin`."""
        group_id = uuid.uuid4().hex
        row = {"id": group_id, "created_at": owner.now(), "kind": kind, "title": title, "details": details or {}}
        self._now(lambda connection: connection.execute(GROUPS.insert(), row))
        return group_id

    def set_group_details(self, group_id: str, details: dict[str, Any]) -> None:
        """Write anew what is known of a group as a whole."""
        self._later(GROUPS.update().where(GROUPS.c.id == group_id).values(details=details))

    def add_tag(self, run_id: str, name: str) -> None:
        """Put a word on a run; twice is once. Raises UnknownRun."""

        def statements(connection: Connection) -> None:
            _expect_run(connection, run_id)
            mine = TAGS.select().where(TAGS.c.run_id == run_id, TAGS.c.name == name)
            if connection.execute(mine).first() is None:
                connection.execute(TAGS.insert(), {"run_id": run_id, "name": name})

        self._now(statements)

    def remove_tag(self, run_id: str, name: str) -> None:
        """Take a word off a run."""
        gone = TAGS.delete().where(TAGS.c.run_id == run_id, TAGS.c.name == name)
        self._now(lambda connection: connection.execute(gone))

    def set_note(self, run_id: str, note: str) -> None:
        """Write a note on a run, in place of the last one. Raises UnknownRun."""

        def statements(connection: Connection) -> None:
            _expect_run(connection, run_id)
            connection.execute(RUNS.update().where(RUNS.c.id == run_id).values(note=note))

        self._now(statements)

    def trash(self, run_ids: Sequence[str]) -> list[str]:
        """Take runs out of every list; `restore` brings them back for KEPT_DELETED. Returns those that were there."""
        return self._mark_deleted(run_ids, RUNS.c.deleted_at == "", owner.now())

    def restore(self, run_ids: Sequence[str]) -> list[str]:
        """Bring deleted runs back. Returns those that still were there."""
        return self._mark_deleted(run_ids, RUNS.c.deleted_at != "", "")

    def delete_run(self, run_id: str) -> None:
        """Delete a run with its events and tags, for good. Raises UnknownRun."""

        def statements(connection: Connection) -> None:
            _expect_run(connection, run_id)
            connection.execute(RUNS.delete().where(RUNS.c.id == run_id))

        self._now(statements)

    def keep_only(self, retention: Retention) -> None:
        """From now on delete what is too old or too much, at once and each hour. Raises StoreError."""
        self._retention = retention
        self.tidy()

    def tidy(self) -> int:
        """Delete for good what was deleted a day ago, and what the retention does not keep; how many of these."""
        self._now(purge)
        num_gone, few = 0, -1
        while few:
            few = int(self._now(lambda connection: forget(connection, self._retention)))
            num_gone += few
        return num_gone

    def flush(self) -> bool:
        """Wait until what was queued before is written; whether it was."""
        try:
            self._now(lambda connection: None)
        except StoreError:
            return False
        return self.problem is None

    def close(self) -> None:
        """Write what is queued and close the database. Runs that have not ended become interrupted."""
        atexit.unregister(self.close)
        self._housekeeper.close()
        self._writer.close()
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _later(self, statement: Any) -> None:
        self._writer.submit(lambda connection: connection.execute(statement), is_kept=True)

    def _mark_deleted(self, run_ids: Sequence[str], is_meant: ColumnElement[bool], deleted_at: str) -> list[str]:
        def statements(connection: Connection) -> list[str]:
            found = list(connection.scalars(select(RUNS.c.id).where(RUNS.c.id.in_(list(run_ids)), is_meant)))
            connection.execute(RUNS.update().where(RUNS.c.id.in_(found)).values(deleted_at=deleted_at))
            return found

        moved: list[str] = self._now(statements)
        return moved

    def _now(self, statements: Statements) -> Any:
        answer: Future[Any] = self._writer.submit(statements)
        try:
            return answer.result(timeout=_PATIENCE_S)
        except DATABASE_ERRORS as error:
            raise StoreError(sentence(error, self.name)) from error
        except TimeoutError as error:
            raise StoreError(f"{self.name} is busy: no answer after {_PATIENCE_S:g} seconds. Try again.") from error


def _expect_run(connection: Connection, run_id: str) -> None:
    there = select(RUNS.c.id).where(RUNS.c.id == run_id, RUNS.c.deleted_at == "")
    if connection.execute(there).first() is None:
        raise UnknownRun(run_id)
