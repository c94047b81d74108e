"""The door to the device: one visitor's turn at a time, each in a thread of its own.

Whatever comes in, from page, API or tool, is held to the policy here, and there is no other way to the device.
`Sessions.perform` is a plain generator of batches. The decode loop has a thread of its own and never waits for whoever
reads the batches. A reader that goes away (closed tab, Stop) stops the loop at its next step; where the work was given
a view, that is only when nobody has joined it again (`join`) for a while, as a page does that was loaded anew. Stopped
and failed runs are stored like finished ones.
"""

from __future__ import annotations

import contextvars
import functools
import logging
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace

from engine.config import GenerationConfig
from engine.errors import BadInput, EngineError
from engine.events import Event
from specviz.decoding.desk import Allowance, Desk, has_ended_by_itself
from specviz.decoding.device import PLAIN, Device, Request
from specviz.decoding.job import Job, Work
from specviz.decoding.line import Line, Ticket
from specviz.decoding.request import check_offered
from specviz.decoding.visitors import Visitors
from specviz.policy import Policy
from specviz.showing.notices import AS_ASKED, Ended, Failed, Happening, Unsaved, Waiting
from specviz.store import Store

MAX_TICKETS = 17
"""One running, sixteen waiting."""
PATIENCE_S = 0.4
"""Longest silence between batches, so that a reader that has gone is noticed."""
PACE_S = 0.11
"""Shortest time between batches: a page draws no faster, and each batch costs a fixed amount."""
GRACE_S = 15.0
"""How long a run goes on whose page has gone: a page that is loaded anew is there again after a few seconds."""
_log = logging.getLogger(__name__)


class Sessions:
    """The door to the device."""

    def __init__(
        self, device: Device, store: Store, visitors: Visitors | None = None, *, grace_s: float = GRACE_S
    ) -> None:
        self.device = device
        self.visitors = visitors or Visitors()
        self._grace_s = grace_s
        self._store = store
        self._line = Line(MAX_TICKETS, self.policy.per_visitor, self.policy.per_address)
        self._jobs: dict[str, Job] = {}
        self._guard = threading.Lock()

    @property
    def policy(self) -> Policy:
        """What visitors may ask for."""
        return self.visitors.policy

    @property
    def num_places(self) -> int:
        """Places of the line that are taken, the running one among them."""
        return len(self._line)

    def run(
        self, request: Request, visitor: str, view: str = "", address: str = ""
    ) -> Generator[list[Happening], None, None]:
        """One session, beside a plain one where asked for; else as `perform`."""
        return self.perform(Work((request,), functools.partial(_run, request)), visitor, view, address)

    def perform(
        self, work: Work, visitor: str, view: str = "", address: str = ""
    ) -> Generator[list[Happening], None, None]:
        """Batches of what happens; an empty one says only that time has passed. Raises BadInput at once.

        Closing the generator stops the work: at once, or where it has a `view`, when nobody has joined it for a while.
        `address`: where it was asked for from.
        """
        job = self._admit(work, visitor, view, address)
        # With the visitor's request around it: a Space's shared GPU is lent to a visitor, by that.
        around = contextvars.copy_context()
        threading.Thread(target=around.run, args=(self._work, job), name="decode", daemon=True).start()
        yield from self._read(job)

    def join(self, visitor: str, view: str) -> Generator[list[Happening], None, None] | None:
        """All that has happened, and what still happens, in this visitor's work of a view; None where there is none."""
        with self._guard:
            job = self._jobs.get(self.visitors.key(visitor))
        return self._read(job) if job is not None and job.view == view else None

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

    def ticket(self, owner: str = "") -> Ticket:
        """A place in the line for what is no session, such as a round of a benchmark. Raises BadInput."""
        return self._line.join(owner)

    def stop(self, visitor: str) -> None:
        """Stop this visitor's run at its next step, if there is one."""
        with self._guard:
            job = self._jobs.get(self.visitors.key(visitor))
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

    def _admit(self, work: Work, visitor: str, view: str, address: str) -> Job:
        key, browser = self.visitors.key(visitor), self.visitors.of_page(visitor)
        for request in work.requests:
            check_offered(self.device, self.policy, request)
        with self._guard:
            if key in self._jobs and not self._jobs[key].has_ended:
                raise BadInput("A run of yours is going on; stop it or wait for its end.")
            job = self._jobs[key] = Job(work, self._line.join(browser or address or key, address), browser, view)
        if position := job.ticket.position():
            job.put(Waiting(position, job.ticket.wait_s()))
        return job

    def _read(self, job: Job) -> Generator[list[Happening], None, None]:
        """Batches at a steady pace until the end; the last reader that leaves before it lets the work go."""
        with self._guard:
            job.num_readers += 1
        num_seen = 0
        try:
            while True:
                started = time.monotonic()
                batch = job.behind(num_seen, PATIENCE_S)
                num_seen += len(batch)
                yield batch
                if batch and isinstance(batch[-1], Ended):
                    return
                time.sleep(max(0.0, PACE_S - (time.monotonic() - started)))
        finally:
            with self._guard:
                job.num_readers -= 1
            if job.view and not job.has_ended:
                _after(self._grace_s, functools.partial(self._let_go, job))
            else:
                self._let_go(job)

    def _let_go(self, job: Job) -> None:
        """Nobody reads it any more: it stops, and its visitor may come again."""
        with self._guard:
            if job.num_readers:
                return
            job.has_stopped.set()
            if not job.is_working:
                job.ticket.leave()
            for key in [key for key, known in self._jobs.items() if known is job]:
                del self._jobs[key]

    def _work(self, job: Job) -> None:
        """Wait, then the whole run; in a thread of its own."""
        allowance = Allowance(self.policy.seconds(len(job.work.requests)), self.policy.run_seconds)
        desk = Desk(
            self.device, self._store, job.put, job.has_stopped.is_set, job.visitor, self.policy, allowance=allowance
        )
        try:
            if self._has_turn(job):
                job.work.do(desk)
            else:
                job.put(Failed("Stopped while waiting; nothing was run."))
        except Exception as error:  # noqa: BLE001 - a bug must not take the page or the line with it
            job.put(Failed(desk.said(error)))
        finally:
            _end(job, desk)

    def _has_turn(self, job: Job) -> bool:
        """Wait for the front of the line; whether nobody stopped the job before."""
        position = known = job.ticket.position()
        while position and not job.has_stopped.is_set():
            position = job.ticket.position(PATIENCE_S, known=known)
            if position and position != known:
                job.put(Waiting(position, job.ticket.wait_s()))
            known = position
        with self._guard:
            job.is_working = position == 0 and not job.has_stopped.is_set()
            return job.is_working


def load(request: Request) -> Work:
    """A visitor's own model, as work for a desk: loaded, in place of the one before; nothing is run."""
    return Work((request,), lambda desk: desk.load(request))


def _end(job: Job, desk: Desk) -> None:
    """The page is told, and the device is free as soon as nothing is being loaded any more."""
    if desk.unfinished:
        job.put(Ended())
    for thread in desk.unfinished:
        thread.join()
    job.ticket.leave()
    job.put(Ended())


def _after(seconds: float, act: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


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
    if request.sharing == "unkept":
        desk.put(Unsaved(AS_ASKED))
    if plain and has_ended_by_itself(events):
        desk.judge(request, plain, events)
