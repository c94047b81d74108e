"""How long the phases of a step take, the device's work for each among it.

On a CUDA device marks are events in its queue, so that no phase ends with waiting for it; only who asks for the times
waits, once. Elsewhere marks are readings of a clock.
"""

from __future__ import annotations

import time
from typing import Protocol, Self

import torch


class Mark(Protocol):
    """A moment."""

    def wait(self) -> None:
        """Return when it has come."""

    def until(self, later: Self) -> int:
        """Nanoseconds from this to a later one, both of which have come."""


class ClockMark:
    """Now, by the machine's clock."""

    def __init__(self) -> None:
        self._ns = time.perf_counter_ns()

    def wait(self) -> None:
        """It has come."""

    def until(self, later: ClockMark) -> int:
        return later._ns - self._ns


class EventMark:
    """When a CUDA device has done what it was given so far."""

    def __init__(self, device: torch.device) -> None:
        self._event = torch.cuda.Event(enable_timing=True)
        self._event.record(torch.cuda.current_stream(device))

    def wait(self) -> None:
        self._event.synchronize()

    def until(self, later: EventMark) -> int:
        ms: float = self._event.elapsed_time(later._event)
        return round(1e6 * ms)


class Laps:
    """Phases, one behind the other, from now on."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._names: list[str] = []
        self._marks = [self._mark()]

    def _mark(self) -> Mark:
        return EventMark(self._device) if self._device.type == "cuda" else ClockMark()

    def lap(self, name: str) -> None:
        """Close the phase that ran since the last lap."""
        self._names.append(name)
        self._marks.append(self._mark())

    def ns(self) -> dict[str, int]:
        """Nanoseconds of each phase; waits for the device."""
        self._marks[-1].wait()
        later = self._marks[1:]
        return {name: mark.until(end) for name, mark, end in zip(self._names, self._marks, later, strict=False)}
