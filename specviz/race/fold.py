"""(RaceState, happening) → RaceState: all that a page may show of a race, live or reopened. Pure.

Each lane is folded as a single run is, by `specviz.showing.fold`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from engine.events import Event
from engine.metrics import are_comparable
from specviz.decoding.device import PLAIN
from specviz.showing.fold import ViewState, fold
from specviz.showing.fold import fold_all as fold_lane
from specviz.showing.notices import Ended, Failed, Happening, InLane, Lane, Preparing, Racing, Unsaved, Waiting

Phase = Literal["idle", "waiting", "preparing", "racing", "ended"]


@dataclass(frozen=True)
class RaceState:
    """A race as far as it is known."""

    phase: Phase = "idle"
    position: int = 0
    """Place in the waiting line; 1 is next."""
    wait_s: float | None = None
    """How long that may take, where it is known."""
    note: str = ""
    """What is being made ready, in a few words."""
    lanes: tuple[Lane, ...] = ()
    views: tuple[ViewState, ...] = ()
    """One for each lane."""
    order: tuple[int, ...] = ()
    """Places of the lanes in the order in which they ran; empty where it is not known."""
    group_id: str = ""
    alert: str = ""
    """Something the visitor must know; a sentence."""

    @property
    def going_on(self) -> int | None:
        """The lane that is on the device now."""
        busy = ("preparing", "running", "auditing")
        return next((place for place, view in enumerate(self.views) if view.phase in busy), None)

    def turn(self, place: int) -> int | None:
        """When a lane runs; 1 is first."""
        return self.order.index(place) + 1 if place in self.order else None

    def baseline(self, place: int) -> tuple[Event, ...]:
        """The measured plain run that a lane may be compared with; empty where there is none.

        The race's own plain lane, else the plain run that was stored beside the lane's.
        """
        events = list(self.views[place].events)
        ours = self.views[place]
        both = zip(self.lanes, self.views, strict=True)
        own = (view.events for lane, view in both if lane.method == PLAIN and view.is_claim == ours.is_claim)
        for plain in (*own, self.views[place].plain_events):
            if are_comparable(list(plain), events):
                return plain
        return ()


def fold_race(state: RaceState, happening: Happening) -> RaceState:
    """The state after one more happening."""
    match happening:
        case Waiting(position, seconds):
            return replace(state, phase="waiting", position=position, wait_s=seconds)
        case Preparing(note):
            return replace(state, phase="preparing", position=0, note=note)
        case Racing(lanes, order, group_id):
            views = tuple(ViewState() for _ in lanes)
            return RaceState("racing", lanes=lanes, views=views, order=order, group_id=group_id)
        case InLane(place, inner):
            return _with_lane(state, place, fold(state.views[place], inner))
        case Failed(message):
            return replace(state, alert=message)
        case Unsaved(message):
            return replace(state, alert=f"This race is not saved as a whole. {message}")
        case Ended():
            return replace(state, phase="ended" if state.lanes else "idle", position=0)
    raise TypeError(f"Not a happening of a race: {happening!r}")


def fold_all(state: RaceState, happenings: Iterable[Happening]) -> RaceState:
    """The state after all of them. What happens in one lane is taken together, as `specviz.showing.fold` takes it."""
    for place, few in itertools.groupby(happenings, lambda one: one.place if isinstance(one, InLane) else None):
        if place is None:
            state = functools.reduce(fold_race, few, state)
        else:
            inner = (one.happening for one in few if isinstance(one, InLane))
            state = _with_lane(state, place, fold_lane(state.views[place], inner))
    return state


def _with_lane(state: RaceState, place: int, view: ViewState) -> RaceState:
    return replace(state, views=(*state.views[:place], view, *state.views[place + 1 :]))
