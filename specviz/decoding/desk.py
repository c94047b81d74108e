"""The device and the store while it is one visitor's turn: make ready, run a session, judge it.

Everything that happens is handed on at once, to the page and to the store. Knows nothing of lines.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from typing import Any, cast

from engine.errors import EngineError, RunFailed
from engine.events import Event, SessionFinished, SessionStarted
from engine.metrics import Tally
from engine.models.watch import Watch, watched
from specviz.decoding.device import Device, Request
from specviz.decoding.stopping import stoppable
from specviz.explaining.examples import task_of
from specviz.mishaps import broke
from specviz.policy import HOME, Policy
from specviz.showing.notices import Audited, Auditing, Happening, InLane, Opened, Preparing, Role, Unsaved
from specviz.store import RunWriter, Store


class Allowance:
    """How long a turn may decode, in seconds: all its sessions together, and each. Loading is not counted."""

    def __init__(self, seconds: float = 0.0, each: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        """0 is any."""
        self._left, self._each, self._clock = seconds or math.inf, each or math.inf, clock
        self._until = math.inf

    @property
    def is_used_up(self) -> bool:
        """Whether the session that runs, or the next one, must end."""
        return self._left <= 0 or self._clock() >= self._until

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Inside, the time of one session passes."""
        since = self._clock()
        self._until = since + min(self._left, self._each)
        try:
            yield
        finally:
            self._left -= self._clock() - since
            self._until = math.inf


@dataclass(frozen=True)
class Desk:
    """One visitor's turn."""

    device: Device
    store: Store
    put: Callable[[Happening], None]
    """Hands a happening to the page. Never blocks."""
    should_stop: Callable[[], bool]
    visitor: str = ""
    """The visitor's browser, where it is known."""
    policy: Policy = HOME
    """How much a visitor is told."""
    allowance: Allowance = field(default_factory=Allowance)
    prompts: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    """Model and prompt to token ids, once each a turn: a chat template may hold a clock."""
    unfinished: list[threading.Thread] = field(default_factory=list)
    """Loads that were stopped and have not noticed yet: the device is theirs until they end."""

    def lane(self, place: int) -> Desk:
        """The same desk, its happenings said to be those of a race's lane."""
        return replace(self, put=lambda happening: self.put(InLane(place, happening)))

    def prepare(self, request: Request) -> None:
        """Load and warm up. Raises EngineError; LoadingStopped at once where the visitor stops it."""
        if not self.device.is_ready(request):
            self.put(Preparing(f"Loading {request.model} and warming up {request.method}"))
            self._told(lambda: self.device.prepare(request))
        if caveat := self.device.caveat(request):
            self.put(Preparing(caveat))

    def load(self, request: Request) -> None:
        """Load a request's model, and run nothing. Raises EngineError as `prepare`."""
        self.put(Preparing(f"Loading {request.model}"))
        self._told(lambda: self.device.load(request.model, request.loading))

    def _told(self, work: Callable[[], object]) -> None:
        """Load in a thread of its own, its progress on the page."""
        stoppable(lambda: _watched(self._waits(), work), self.should_stop, self.unfinished)

    def _waits(self) -> Watch:
        """The page as somebody who waits for what a run needs."""
        return Watch(lambda text: self.put(Preparing(text)), self.should_stop)

    def record(
        self, request: Request, role: Role = "method", *, group_id: str | None = None, run_id: str = ""
    ) -> list[Event]:
        """One session, to its end: to the page and to the store. Raises EngineError."""
        self.put(Opened(role))
        events: list[Event] = []
        run: RunWriter | None = None
        for event in _with_end(self.events(request, run_id), self.said):
            if isinstance(event, SessionStarted):
                run = self._begin(request, event, group_id)
            elif run is not None:
                run.append(event)
            events.append(event)
            self.put(event)
        if self.store.problem and run is not None:
            self.put(Unsaved(self.store.problem))
        return events

    def _begin(self, request: Request, first: SessionStarted, group_id: str | None) -> RunWriter | None:
        """Where the run is kept; None where its visitor wants none of it kept."""
        sharing = request.sharing or self.policy.sharing
        if sharing == "unkept":
            return None
        whose: dict[str, Any] = {"visitor": self.visitor, "sharing": sharing}
        return self.store.begin(first, group_id=group_id, task=task_of(request.prompt), **whose)

    def events(self, request: Request, run_id: str = "") -> Iterator[Event]:
        """One session that nobody keeps, under a new id where none is given. Raises EngineError."""
        asked = request.model, request.prompt
        run_id = run_id or uuid.uuid4().hex
        with self.allowance.session():
            with watched(self._waits()):
                events = self.device.generate(request, run_id, self._must_end, self.prompts.get(asked))
            for event in events:
                if isinstance(event, SessionStarted):
                    self.prompts[asked] = event.prompt_ids
                yield self._as_told(event) if isinstance(event, SessionFinished) else event

    def _must_end(self) -> bool:
        return self.should_stop() or self.allowance.is_used_up

    def _as_told(self, end: SessionFinished) -> SessionFinished:
        """A session's end: by the clock where nobody stopped it, its message fit for visitors."""
        is_late = end.reason == "stopped" and self.allowance.is_used_up and not self.should_stop()
        return replace(end, reason="timeout" if is_late else end.reason, message=self.policy.shown(end.message))

    def said(self, error: Exception) -> str:
        """What a visitor reads of an error: its sentence, or of a bug that there was one."""
        return self.policy.shown(str(error)) if isinstance(error, EngineError) else broke("The run")

    def judge(self, request: Request, plain: list[Event], events: list[Event]) -> None:
        """Compare a run with the plain one; the verdict goes to the page and to the store."""
        self.put(Auditing())
        verdict = self.device.audit(request, plain, events)
        if request.sharing != "unkept":
            run_id, baseline_id = session_id(events), session_id(plain)
            self.store.set_baseline(run_id, baseline_id)
            kept: dict[str, Any] = asdict(cast(Any, verdict)) if is_dataclass(verdict) else {}
            self.store.set_audit(run_id, {**kept, "verdict": verdict.verdict, "text": verdict.text})
        self.put(Audited(verdict.verdict, verdict.text))


def _watched(waits: Watch, work: Callable[[], object]) -> None:
    with watched(waits):
        work()


def has_ended_by_itself(events: list[Event]) -> bool:
    """Whether nobody stopped the run and nothing broke it."""
    last = events[-1] if events else None
    return isinstance(last, SessionFinished) and last.reason not in ("stopped", "failed", "timeout")


def session_id(events: list[Event]) -> str:
    """Whose events these are."""
    first = events[0]
    assert isinstance(first, SessionStarted)
    return first.session_id


def _with_end(events: Iterator[Event], said: Callable[[Exception], str]) -> Iterator[Event]:
    """The events; where they break off with an error, an end that says so comes before it. Raises EngineError."""
    tally = Tally()
    has_started = False
    try:
        for event in events:
            has_started = True
            tally.add(event)
            yield event
    except Exception as error:
        sentence = said(error)
        if has_started:
            decode_ns = tally.draft_ns + tally.target_ns + tally.host_ns
            yield SessionFinished("failed", tally.counts, decode_ns, sentence)
        if isinstance(error, EngineError):
            raise
        raise RunFailed(sentence) from error
