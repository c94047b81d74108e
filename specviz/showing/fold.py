"""(ViewState, happening) → ViewState: all that a page may show of a run, live or replayed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from engine.events import Event, Prefilled, SessionFinished, SessionStarted, Stepped
from specviz.showing.notices import (
    Audited,
    Auditing,
    Ended,
    Failed,
    FromStore,
    GoesOn,
    Happening,
    Opened,
    Preparing,
    Role,
    Unsaved,
    Waiting,
)
from specviz.showing.steps import steps_of

GOES_ON = "This run is still going on. What is shown here was saved of it so far; open it again for more."
Phase = Literal["idle", "waiting", "preparing", "running", "auditing", "finished", "stopped", "failed", "interrupted"]


@dataclass(frozen=True)
class ViewState:
    """A run as far as it is known."""

    phase: Phase = "idle"
    position: int = 0
    """Place in the waiting line; 1 is next."""
    wait_s: float | None = None
    """How long that may take, where it is known."""
    note: str = ""
    """What is being prepared."""
    role: Role = "method"
    """Whose events are on screen."""
    events: tuple[Event, ...] = ()
    """Of the run on screen."""
    plain_events: tuple[Event, ...] = ()
    """Of the measured baseline, once the method's run has begun."""
    audit: Audited | None = None
    alert: str = ""
    """Something the visitor must know; a sentence."""
    origin: FromStore | None = None
    """Of a stored run."""

    @property
    def is_claim(self) -> bool:
        """Whether figures and verdict are what an imported file says."""
        return self.origin is not None and self.origin.is_claim

    @property
    def started(self) -> SessionStarted | None:
        """How the run on screen was set up."""
        first = self.events[0] if self.events else None
        return first if isinstance(first, SessionStarted) else None

    @property
    def finished(self) -> SessionFinished | None:
        """How the run on screen ended."""
        last = self.events[-1] if self.events else None
        return last if isinstance(last, SessionFinished) else None

    @property
    def steps(self) -> tuple[Stepped, ...]:
        """The steps so far."""
        return steps_of(self.events)


def fold(state: ViewState, happening: Happening) -> ViewState:
    """The state after one more happening."""
    match happening:
        case Waiting(position, seconds):
            return replace(state, phase="waiting", position=position, wait_s=seconds)
        case Preparing(text):
            return replace(state, phase="preparing", note=text, position=0)
        case Opened(role):
            return _opened(state, role)
        case SessionStarted():
            return replace(state, phase="running", events=(happening,), audit=None)
        case Prefilled() | Stepped():
            return _gone_on(state, [happening])
        case SessionFinished():
            return _finished(state, happening)
        case Auditing():
            return replace(state, phase="auditing")
        case Audited(verdict, text):
            alert = (
                f"This method did not write what plain decoding writes: {text}."
                if verdict == "DIFFERENT"
                else state.alert
            )
            return replace(state, audit=happening, alert=alert)
        case Failed(message):
            return replace(state, phase="failed", alert=message)
        case Unsaved(message):
            return replace(state, alert=f"This run is not saved. {message}")
        case FromStore():
            return replace(state, origin=happening)
        case GoesOn():
            return replace(state, phase="running", alert=GOES_ON)
        case Ended():
            return replace(state, phase=_last_phase(state))
    raise TypeError(f"Not a happening: {happening!r}")


def fold_all(state: ViewState, happenings: Iterable[Happening]) -> ViewState:
    """The state after all of them. Steps are taken together: one by one, each would copy all before it."""
    steps: list[Event] = []
    for happening in happenings:
        if isinstance(happening, Prefilled | Stepped):
            steps.append(happening)
        else:
            state, steps = fold(_gone_on(state, steps), happening), []
    return _gone_on(state, steps)


def _gone_on(state: ViewState, steps: Sequence[Event]) -> ViewState:
    return replace(state, events=(*state.events, *steps)) if steps else state


def _opened(state: ViewState, role: Role) -> ViewState:
    """The screen keeps the last run until the new one's first event."""
    is_second = role == "method" and state.role == "baseline"
    plain = state.events if is_second and state.phase != "idle" else ()
    return replace(state, role=role, plain_events=plain, alert="", position=0, origin=None)


def _finished(state: ViewState, event: SessionFinished) -> ViewState:
    alert = f"The run failed. {event.message}" if event.reason == "failed" else event.message or state.alert
    return replace(state, events=(*state.events, event), alert=alert)


def _last_phase(state: ViewState) -> Phase:
    if state.phase == "failed" or state.started is None:
        return "failed" if state.alert else "idle"
    if state.finished is None:
        return "interrupted"
    ended: dict[str, Phase] = {"failed": "failed", "stopped": "stopped", "timeout": "stopped"}
    return ended.get(state.finished.reason, "finished")
