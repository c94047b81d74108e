"""How long the phases of a step take, the device's work among them, and together: as long as a clock says.

On a CUDA device a phase ends with an event in its queue, so that no phase ends with waiting for it. The step waits
once, for what it has to know (`meet`); from there on a clock is read. What the device still does for a step then, the
next one waits for, and has in its first phase. On other devices that work on their own a phase waits for them.
"""

from __future__ import annotations

import itertools
import time

import torch

from engine.runtime.device import synchronise


class Laps:
    """Phases, one behind the other, from now on."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._names: list[str] = []
        self._events: list[torch.cuda.Event] = []
        self._met_at: int | None = None
        self._num_met = 0
        self._clock: list[int] = []
        self._mark()

    def lap(self, name: str) -> None:
        """Close the phase that ran since the last lap."""
        self._names.append(name)
        self._mark()

    def meet(self) -> None:
        """The device has just been waited for: it is done with all that it was given."""
        if self._device.type == "cuda" and self._met_at is None:
            self._events.append(self._event())
            self._met_at, self._num_met = time.perf_counter_ns(), len(self._names)

    def ns(self) -> dict[str, int]:
        """Nanoseconds of each phase; waits for a CUDA device that was not met before."""
        found = [later - earlier for earlier, later in itertools.pairwise(self._clock)]
        if self._device.type == "cuda":
            found = self._with_events(found)
        return dict(zip(self._names, found, strict=True))

    def _mark(self) -> None:
        if self._device.type == "cuda":
            if self._met_at is None:
                self._events.append(self._event())
        else:
            synchronise(self._device)
        self._clock.append(time.perf_counter_ns())

    def _event(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event

    def _with_events(self, by_clock: list[int]) -> list[int]:
        """The phases before the meeting by their events; what is missing of the clock's time is the first one's."""
        if self._met_at is None:
            self._events[-1].synchronize()
            self.meet()
        assert self._met_at is not None
        self._events[-1].synchronize()  # it is as good as over: the device was idle
        shares = [round(1e6 * one.elapsed_time(other)) for one, other in itertools.pairwise(self._events)]
        shares[0] += self._met_at - self._clock[0] - sum(shares)
        if self._num_met < len(by_clock):  # the phase of the meeting went on behind it
            shares[-1] += self._clock[self._num_met + 1] - self._met_at
        return [*shares[: len(by_clock)], *by_clock[len(shares) :]]
