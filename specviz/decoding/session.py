"""The door to the device: one visitor's turn at a time, each in a thread of its own.

`Sessions.perform` is a plain generator of batches. The decode loop has a thread of its own and never waits for whoever
reads the batches; a reader that goes away (closed tab, Stop) stops the loop at its next step. Stopped and failed runs
are stored like finished ones.
"""

from __future__ import annotations

import functools
import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace

from engine.config import GenerationConfig
from engine.errors import BadInput, EngineError
from engine.events import Event
from specviz.decoding.desk import Desk, has_ended_by_itself
from specviz.decoding.device import PLAIN, Device, Request
from specviz.decoding.line import Line, Ticket
from specviz.decoding.visitors import Visitors
from specviz.showing.notices import Ended, Failed, Happening, Waiting
from specviz.store import Store

MAX_TICKETS = 17
"""One running, sixteen waiting."""
PATIENCE_S = 0.4
"""Longest silence between batches, so that a reader that has gone is noticed."""
PACE_S = 0.11
"""Shortest time between batches: a page draws no faster, and each batch costs a fixed amount."""
_log = logging.getLogger(__name__)


Work = Callable[[Desk], None]
"""What to do when it is a visitor's turn. Raises EngineError."""


class Job:
    """One visitor's turn: its place in the line, its events on their way to the page, its stop flag."""

    def __init__(self, work: Work, ticket: Ticket, visitor: str = "") -> None:
        self.work = work
        self.ticket = ticket
        self.visitor = visitor
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

    def __init__(self, device: Device, store: Store, visitors: Visitors | None = None) -> None:
        self.device = device
        self.visitors = visitors or Visitors()
        self._store = store
        self._line = Line(MAX_TICKETS)
        self._jobs: dict[str, Job] = {}
        self._guard = threading.Lock()

    def run(self, request: Request, visitor: str) -> Generator[list[Happening], None, None]:
        """One session, beside a plain one where asked for; else as `perform`."""
        return self.perform(functools.partial(_run, request), visitor)

    def perform(self, work: Work, visitor: str) -> Generator[list[Happening], None, None]:
        """Batches of what happens; an empty one says only that time has passed. Raises BadInput at once.

        Closing the generator stops the work.
        """
        job = self._admit(work, visitor)
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
                    self.device.prepare(Request("", model, method, {}, GenerationConfig()))
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

    def _admit(self, work: Work, visitor: str) -> Job:
        with self._guard:
            if visitor in self._jobs:
                raise BadInput("A run of yours is going on; stop it or wait for its end.")
            job = Job(work, self._line.join(), self.visitors.of_page(visitor))
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
        desk = Desk(self.device, self._store, job.put, job.has_stopped.is_set, job.visitor)
        try:
            job.work(desk)
        except EngineError as error:
            job.put(Failed(str(error)))
        except Exception as error:  # noqa: BLE001 - a bug must not take the page or the line with it
            _log.exception("a run broke")
            job.put(Failed(f"The run broke: {type(error).__name__}: {error}"))
        finally:
            _end(job, desk)


def load(request: Request) -> Work:
    """A visitor's own model, as work for a desk: loaded, in place of the one before; nothing is run."""
    return lambda desk: desk.load(request)


def _end(job: Job, desk: Desk) -> None:
    """The page is told, and the device is free as soon as nothing is being loaded any more."""
    if desk.unfinished:
        job.put(Ended())
    for thread in desk.unfinished:
        thread.join()
    job.ticket.leave()
    job.put(Ended())


def _run(request: Request, desk: Desk) -> None:
    """The baseline where asked for, the method's session, the verdict."""
    desk.prepare(request)
    plain: list[Event] = []
    if request.measures_baseline:
        baseline = replace(request, method=PLAIN, options={})
        desk.prepare(baseline)
        plain = desk.record(baseline, "baseline")
        if not has_ended_by_itself(plain):
            return
    events = desk.record(request)
    if plain and has_ended_by_itself(events):
        desk.judge(request, plain, events)


def _read(job: Job) -> Iterator[list[Happening]]:
    """Batches at a steady pace until the end."""
    while True:
        started = time.monotonic()
        batch = job.take(PATIENCE_S)
        yield batch
        if batch and isinstance(batch[-1], Ended):
            return
        time.sleep(max(0.0, PACE_S - (time.monotonic() - started)))
