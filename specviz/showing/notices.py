"""What happens around a session beside the engine's own events: waiting, warming up, the verdict, a refusal.

Together with `engine.events` these are all that a page ever folds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.events import Event

Role = Literal["baseline", "method"]


@dataclass(frozen=True)
class Waiting:
    """The device is busy with somebody else's run."""

    position: int
    """1 is next."""
    seconds: float | None = None
    """How long it may take; None where nobody knows."""


@dataclass(frozen=True)
class Preparing:
    """The device is ours; something must be done before the run."""

    text: str


@dataclass(frozen=True)
class Opened:
    """The events that follow belong to the baseline or to the method's run."""

    role: Role


@dataclass(frozen=True)
class Auditing:
    """The output is being compared with plain decoding."""


@dataclass(frozen=True)
class Audited:
    """The verdict on exactness."""

    verdict: str
    text: str


@dataclass(frozen=True)
class Failed:
    """The run cannot go on; a sentence for the page."""

    message: str


AS_ASKED = "You asked that nothing of it is kept."


@dataclass(frozen=True)
class Unsaved:
    """The store cannot keep this run; a sentence for the page."""

    message: str


@dataclass(frozen=True)
class Lane:
    """One contender of a race, as it was asked for."""

    method: str
    options: Mapping[str, Any]
    run_id: str = ""


@dataclass(frozen=True)
class Racing:
    """A race begins, or one that was saved is opened."""

    lanes: tuple[Lane, ...]
    order: tuple[int, ...] = ()
    """Places of the lanes in the order in which they run; empty where it is not known."""
    group_id: str = ""
    """Where it is kept; empty where it is not."""


@dataclass(frozen=True)
class InLane:
    """Something happened in one lane of a race."""

    place: int
    happening: Happening


@dataclass(frozen=True)
class GoesOn:
    """The stored run is still being decoded, by another page or process; this is what was saved of it so far."""


@dataclass(frozen=True)
class FromStore:
    """The run on screen is a stored one."""

    origin: str
    """Where it was measured, in words."""
    is_claim: bool
    """Whether its figures are what a file says."""


@dataclass(frozen=True)
class Ended:
    """Nothing more comes."""


Notice = (
    Waiting | Preparing | Opened | Auditing | Audited | Failed | Unsaved | Racing | InLane | GoesOn | FromStore | Ended
)
Happening = Event | Notice
