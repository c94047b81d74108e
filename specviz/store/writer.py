"""One thread that writes all that happens, so that decoding never waits for a disk.

`RunWriter.append` only puts the event on a queue: no lock, no JSON, no wake-up of another thread. The
writer looks at the queue every FLUSH_S while a run goes on, turns the events into rows and writes them
run by run, each in one transaction; so a killed process loses less than a second, and a stored run has
no gaps.

A write that fails never reaches the decoding. If it may succeed later (locked, disk full, server away),
its rows are kept and tried again with the next flush, up to MAX_WAITING events; else the rest of that
run is not saved. Either way `problem` says so in a sentence, until saving works again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from engine.events import Event, SessionFinished, SessionStarted
from specviz.store.database import Database
from specviz.store.errors import StoreError, is_passing, sentence
from specviz.store.models import RUNS, STEPS
from specviz.store.owner import HEARTBEAT_S, this_owner
from specviz.store.tally import Tally

FLUSH_S = 0.25
MAX_WAITING = 50_000
"""Events of one run that are kept in memory while the database takes none."""

_log = logging.getLogger(__name__)
Statements = Callable[[Connection], Any]


@dataclass
class _Job:
    """Statements to run in a transaction of their own, after the events that were queued before."""

    statements: Statements
    result: Future[Any] = field(default_factory=Future)
    is_kept: bool = False
    """Whether to try again when it fails for a passing reason."""


@dataclass(eq=False)
class _OpenRun:
    """A run that is being written. Made by `begin`, changed by the writer thread only."""

    started: SessionStarted
    group_id: str | None
    task: str = ""
    visitor: str = ""
    sharing: str = "listed"
    tally: Tally | None = None
    is_inserted: bool = False
    is_lost: bool = False
    begun_s: float = field(default_factory=time.monotonic)
    written_s: float = 0.0


class RunWriter:
    """Takes the events of one run, in order. Made by `Store.begin`; its calls never fail and never wait."""

    def __init__(self, inbox: deque[Any], wake: threading.Event, run: _OpenRun) -> None:
        self._inbox = inbox
        self._wake = wake
        self._run = run

    @property
    def run_id(self) -> str:
        """The session's id."""
        return self._run.started.session_id

    def append(self, event: Event) -> None:
        """Add one event; a SessionFinished ends the run. Events after the end are dropped."""
        self._inbox.append((self._run, event))
        if isinstance(event, SessionFinished):
            self._wake.set()

    def finish(self, event: SessionFinished) -> None:
        """Add the last event. The same as appending it."""
        self.append(event)


class Writer:
    """The thread and its queue."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._owner = this_owner()
        self._inbox: deque[Any] = deque()
        self._wake = threading.Event()
        self._is_closing = False
        self._runs: list[_OpenRun] = []
        self._jobs: list[_Job] = []
        self._trouble: str | None = None
        self._loss: str | None = None
        self._lost_s = 0.0
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> str | None:
        """Why something is not saved, in a sentence; None where all is well."""
        return self._loss or self._trouble

    @property
    def num_waiting(self) -> int:
        """What is queued, and what was turned into rows and not written yet."""
        return len(self._inbox) + sum(len(run.tally.steps) for run in list(self._runs) if run.tally)

    def begin(
        self, started: SessionStarted, group_id: str | None, task: str, visitor: str = "", sharing: str = "listed"
    ) -> RunWriter:
        """Open a run and queue its first event."""
        run = _OpenRun(started, group_id, task, visitor, sharing)
        self._inbox.append((run, started))
        self._wake.set()
        return RunWriter(self._inbox, self._wake, run)

    def submit(self, statements: Statements, *, is_kept: bool = False) -> Future[Any]:
        """Queue statements; the future has their result or the database's error."""
        job = _Job(statements, is_kept=is_kept)
        if self._is_closing:
            job.result.set_exception(StoreError("The store is closed."))
            return job.result
        self._inbox.append(job)
        self._wake.set()
        return job.result

    def close(self) -> None:
        """Write what is queued, mark runs that have not ended as interrupted, and end the thread."""
        self._is_closing = True
        self._wake.set()
        self._thread.join()
        self._inbox.clear()

    # ---- from here on: the writer thread only

    def _work(self) -> None:
        is_last = False
        while not is_last:
            self._wake.wait(FLUSH_S if self._runs or self._jobs else None)
            self._wake.clear()
            is_last = self._is_closing  # read before the queue: what was queued by then is written
            self._flush(is_last)

    def _flush(self, is_last: bool) -> None:
        for _ in range(len(self._inbox)):
            item = self._inbox.popleft()
            if isinstance(item, _Job):
                self._jobs.append(item)
            else:
                self._take(*item)
        for run in list(self._runs):
            self._save(run, is_last)
        self._run_jobs(is_last)
        if not self._is_waiting():
            self._trouble = None

    def _is_waiting(self) -> bool:
        return bool(self._jobs) or any(run.tally and run.tally.steps for run in self._runs)

    def _take(self, run: _OpenRun, event: Event) -> None:
        if run.is_lost:
            return
        try:
            if run.tally is None:
                run.tally = Tally(run.started, run.group_id, self._owner, run.task)
                self._runs.append(run)
            elif run.tally.is_running and not isinstance(event, SessionStarted):  # begin had that one
                run.tally.add(event)
        except Exception as error:  # noqa: BLE001 - whatever an event holds, the thread lives on for the other runs
            self._lose(run, f"The rest of a run was not saved: one of its events is not plain data ({error}).")
        if run.tally and len(run.tally.steps) > MAX_WAITING:
            self._lose(run, f"The rest of a run was not saved. {self._trouble or ''}".strip())

    def _save(self, run: _OpenRun, is_last: bool) -> None:
        tally = run.tally
        assert tally is not None  # only runs with one are in the list
        if is_last:
            tally.interrupt()
        is_due = time.monotonic() - run.written_s > HEARTBEAT_S
        if not (tally.steps or is_due or not tally.is_running):
            return
        try:
            is_there = self._write(run, tally)
        except Exception as error:  # noqa: BLE001 - kept or given up, never raised
            self._note_trouble(error)
            if not is_passing(error):
                self._lose(run, f"The rest of a run was not saved. {self._trouble}")
            return
        if run.begun_s > self._lost_s:  # a run that began after the loss was saved: saving works again
            self._loss = None
        run.is_inserted, run.written_s = True, time.monotonic()
        tally.steps = []
        if not is_there or not tally.is_running:
            run.is_lost = not is_there
            self._runs.remove(run)
            _log.info("run %s: %s", tally.run_id, tally.in_words if is_there else "deleted while it was written")

    def _write(self, run: _OpenRun, tally: Tally) -> bool:
        """Whether the run is there; a user may have deleted it meanwhile."""
        with self._database.writing() as connection:
            if not run.is_inserted:
                whose = {"visitor": run.visitor, "sharing": run.sharing}
                connection.execute(RUNS.insert(), tally.all_columns() | whose)
            else:
                changed = RUNS.update().where(RUNS.c.id == tally.run_id).values(**tally.changing_columns())
                if connection.execute(changed).rowcount == 0:
                    return False
            if tally.steps:
                connection.execute(STEPS.insert(), tally.steps)
        return True

    def _lose(self, run: _OpenRun, why: str) -> None:
        """Give up on a run, and mark what is stored of it."""
        self._note_loss(why)
        _log.error("run %s: %s", run.started.session_id, why)
        run.is_lost = True
        if run in self._runs:
            self._runs.remove(run)
        if run.is_inserted:
            mark = RUNS.update().where(RUNS.c.id == run.started.session_id)
            mark = mark.values(status="interrupted", message="The rest of this run was not saved.")
            self._jobs.append(_Job(lambda connection: connection.execute(mark), is_kept=True))

    def _run_jobs(self, is_last: bool) -> None:
        jobs, self._jobs = self._jobs, []
        for job in jobs:
            if job.is_kept and self._is_waiting() and not is_last:  # its run may not be there yet
                self._jobs.append(job)
            else:
                self._run(job, is_last)

    def _run(self, job: _Job, is_last: bool) -> None:
        try:
            with self._database.writing() as connection:
                result = job.statements(connection)
        except Exception as error:  # noqa: BLE001 - for the caller, who waits for the future or looks at `problem`
            self._job_failed(job, error, is_last)
        else:
            job.result.set_result(result)

    def _job_failed(self, job: _Job, error: Exception, is_last: bool) -> None:
        if not job.is_kept:
            job.result.set_exception(error)
            return
        self._note_trouble(error)
        if is_passing(error) and not is_last:
            self._jobs.append(job)
        else:
            self._note_loss(sentence(error, self._database.name))

    def _note_trouble(self, error: Exception) -> None:
        """Said once in the log, however often it is tried again."""
        told = sentence(error, self._database.name)
        if told != self._trouble:
            _log.warning("%s (%s)", told, type(error).__name__)
        self._trouble = told

    def _note_loss(self, why: str) -> None:
        self._loss = why
        self._lost_s = time.monotonic()
