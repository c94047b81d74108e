"""Runs sessions: the dashboard's only caller of the device, one run at a time, everything teed to the store.

`Sessions.run` is a plain generator of batches. The decode loop has a thread of its own and never waits for whoever
reads the batches; a reader that goes away (closed tab, Stop) stops the loop at its next step. Stopped and failed runs
are stored like finished ones.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import uuid
from collections.abc import Generator, Iterator
from dataclasses import asdict, is_dataclass, replace
from typing import Any, Protocol, cast

from engine.errors import BadInput, EngineError
from engine.events import Event, SessionFinished, SessionStarted
from engine.metrics import Tally
from specviz.device import Device
from specviz.line import Line, Ticket
from specviz.notices import Audited, Auditing, Ended, Failed, Happening, Opened, Preparing, Role, Unsaved, Waiting
from specviz.request import PLAIN, Request

MAX_TICKETS = 17
"""One running, sixteen waiting."""
PATIENCE_S = 0.4
"""Longest silence between batches, so that a reader that has gone is noticed."""
PACE_S = 0.11
"""Shortest time between batches: a page draws no faster, and each batch costs a fixed amount."""
_log = logging.getLogger(__name__)


class RunRecord(Protocol):
    """A run that is being written."""

    def append(self, event: Event) -> None:
        """Take in the next event."""


class Recorder(Protocol):
    """What of the store a session needs."""

    @property
    def problem(self) -> str | None:
        """Why something is not saved."""

    def begin(self, started: SessionStarted) -> RunRecord:
        """Open a run with its first event."""

    def set_audit(self, run_id: str, audit: dict[str, Any]) -> None:
        """Keep a verdict."""

    def set_baseline(self, run_id: str, baseline_run_id: str) -> None:
        """Say which plain run a speedup is against."""


class Job:
    """One visitor's run: its place in the line, its events on their way to the page, its stop flag."""

    def __init__(self, request: Request, ticket: Ticket) -> None:
        self.request = request
        self.ticket = ticket
        self.has_stopped = threading.Event()
        self._inbox: queue.SimpleQueue[Happening] = queue.SimpleQueue()

    def put(self, happening: Happening) -> None:
        """Never blocks."""
        self._inbox.put(happening)

    def take(self, patience_s: float) -> list[Happening]:
        """All that is there; waits for the first one up to `patience_s`."""
        try:
            batch = [self._inbox.get(timeout=patience_s)]
            while True:
                batch.append(self._inbox.get_nowait())
        except queue.Empty:
            return batch if "batch" in locals() else []


class Sessions:
    """The door to the device."""

    def __init__(self, device: Device, store: Recorder) -> None:
        self.device = device
        self._store = store
        self._line = Line(MAX_TICKETS)
        self._jobs: dict[str, Job] = {}
        self._guard = threading.Lock()

    def run(self, request: Request, visitor: str) -> Generator[list[Happening], None, None]:
        """Batches of what happens; an empty one says only that time has passed. Raises BadInput at once.

        Closing the generator stops the run.
        """
        job = self._admit(request, visitor)
        is_working = False
        try:
            yield from self._wait(job)
            if not job.has_stopped.is_set():
                is_working = True
                threading.Thread(target=self._work, args=(job,), name="decode", daemon=True).start()
                yield from _read(job)
        finally:
            job.has_stopped.set()
            with self._guard:
                self._jobs.pop(visitor, None)
            if not is_working:
                job.ticket.leave()

    def warm_up(self, model: str, *methods: str) -> None:
        """Prepare these in the background; whoever comes meanwhile waits in line."""
        ticket = self._line.join()

        def work() -> None:
            try:
                for method in methods:
                    self.device.prepare(model, method, {})
            except EngineError as error:
                _log.warning("warm-up: %s", error)
            finally:
                ticket.leave()

        threading.Thread(target=work, name="warm-up", daemon=True).start()

    def ticket(self) -> Ticket:
        """A place in the line for what is no session, such as a round of a benchmark. Raises BadInput."""
        return self._line.join()

    def stop(self, visitor: str) -> None:
        """Stop this visitor's run at its next step, if there is one."""
        with self._guard:
            job = self._jobs.get(visitor)
        if job is not None:
            job.has_stopped.set()

    def close(self, patience_s: float = 10.0) -> None:
        """Stop every run, and wait until the device is free."""
        with self._guard:
            for job in self._jobs.values():
                job.has_stopped.set()
        ticket = self._line.join(is_last=True)
        until = time.monotonic() + patience_s
        position: int | None = None
        while position != 0 and time.monotonic() < until:
            position = ticket.position(PATIENCE_S, known=position)
        ticket.leave()

    def _admit(self, request: Request, visitor: str) -> Job:
        with self._guard:
            if visitor in self._jobs:
                raise BadInput("A run of yours is going on; stop it or wait for its end.")
            job = Job(request, self._line.join())
            self._jobs[visitor] = job
            return job

    def _wait(self, job: Job) -> Iterator[list[Happening]]:
        position = job.ticket.position()
        while position > 0 and not job.has_stopped.is_set():
            yield [Waiting(position)]
            position = job.ticket.position(PATIENCE_S, known=position)
        if job.has_stopped.is_set():
            yield [Failed("Stopped while waiting; nothing was run."), Ended()]

    def _work(self, job: Job) -> None:
        """The whole run, in a thread of its own."""
        try:
            self._perform(job)
        except EngineError as error:
            job.put(Failed(str(error)))
        except Exception as error:  # noqa: BLE001 - a bug must not take the page or the line with it
            _log.exception("a run broke")
            job.put(Failed(f"The run broke: {type(error).__name__}: {error}"))
        finally:
            job.ticket.leave()
            job.put(Ended())

    def _perform(self, job: Job) -> None:
        request = job.request
        self._prepare(job, request)
        plain: list[Event] = []
        if request.measures_baseline:
            baseline = replace(request, method=PLAIN, options={})
            self._prepare(job, baseline)
            plain = self._record(job, baseline, "baseline")
            if not _has_ended_by_itself(plain):
                return
        events = self._record(job, request, "method")
        if plain and _has_ended_by_itself(events):
            self._judge(job, plain, events)

    def _prepare(self, job: Job, request: Request) -> None:
        if not self.device.is_ready(request.model, request.method):
            job.put(Preparing(f"Loading {request.model} and warming up {request.method}"))
        self.device.prepare(request.model, request.method, request.options)

    def _record(self, job: Job, request: Request, role: Role) -> list[Event]:
        """One session: to the page, to the store and to the audit."""
        job.put(Opened(role))
        events: list[Event] = []
        run: RunRecord | None = None
        for event in _with_end(self._events(job, request)):
            if isinstance(event, SessionStarted):
                run = self._store.begin(event)
            elif run is not None:
                run.append(event)
            events.append(event)
            job.put(event)
        if self._store.problem:
            job.put(Unsaved(self._store.problem))
        return events

    def _events(self, job: Job, request: Request) -> Iterator[Event]:
        return self.device.generate(
            request.model,
            request.method,
            request.options,
            request.prompt,
            request.config,
            uuid.uuid4().hex,
            job.has_stopped.is_set,
        )

    def _judge(self, job: Job, plain: list[Event], events: list[Event]) -> None:
        job.put(Auditing())
        verdict = self.device.audit(job.request.model, plain, events)
        run_id, baseline_id = _session_id(events), _session_id(plain)
        self._store.set_baseline(run_id, baseline_id)
        kept: dict[str, Any] = asdict(cast(Any, verdict)) if is_dataclass(verdict) else {}
        self._store.set_audit(run_id, {**kept, "verdict": verdict.verdict, "text": verdict.text})
        job.put(Audited(verdict.verdict, verdict.text))


def _read(job: Job) -> Iterator[list[Happening]]:
    """Batches at a steady pace until the end."""
    while True:
        started = time.monotonic()
        batch = job.take(PATIENCE_S)
        yield batch
        if batch and isinstance(batch[-1], Ended):
            return
        time.sleep(max(0.0, PACE_S - (time.monotonic() - started)))


def _with_end(events: Iterator[Event]) -> Iterator[Event]:
    """The events; where they break off with an error, an end that says so comes before it."""
    tally = Tally()
    has_started = False
    try:
        for event in events:
            has_started = True
            tally.add(event)
            yield event
    except Exception as error:
        if has_started:
            decode_ns = tally.draft_ns + tally.target_ns + tally.host_ns
            yield SessionFinished("failed", tally.counts, decode_ns, str(error))
        raise


def _has_ended_by_itself(events: list[Event]) -> bool:
    last = events[-1] if events else None
    return isinstance(last, SessionFinished) and last.reason not in ("stopped", "failed", "timeout")


def _session_id(events: list[Event]) -> str:
    first = events[0]
    assert isinstance(first, SessionStarted)
    return first.session_id
