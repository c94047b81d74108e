"""A waiting line: one at the front, turns go round those who wait. Knows nothing of models or pages.

Who asks for a second turn stands behind everybody's first. An owner, or an address, holds so many places and no more.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable

from engine.errors import BadInput

NUM_REMEMBERED = 8
"""Turns of which an estimate is made."""


class LineFull(BadInput):
    """Too many are waiting."""

    def __init__(self, num_waiting: int) -> None:
        super().__init__(f"{num_waiting} runs are waiting already; please try again in a minute.")


class TooMany(LineFull):
    """Whoever asks has all its places already."""

    def __init__(self, whose: str, most: int) -> None:
        BadInput.__init__(
            self, f"{whose} has {most} places in the line, and they are taken; wait until one of these runs has ended."
        )


class LineClosed(BadInput):
    """Nobody may join any more."""

    def __init__(self) -> None:
        super().__init__("The server is closing; nothing new is run.")


class Line:
    """Tickets in the order of their turns. Safe to share between threads."""

    def __init__(
        self,
        max_tickets: int,
        per_owner: int = 0,
        per_address: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`per_owner`, `per_address`: places each may hold; 0 for any."""
        self._max_tickets, self._per_owner, self._per_address = max_tickets, per_owner, per_address
        self._clock = clock
        self._tickets: list[Ticket] = []
        self._front_since = clock()
        self._durations: deque[float] = deque(maxlen=NUM_REMEMBERED)
        self._is_closed = False
        self._moved = threading.Condition()

    def join(self, owner: str = "", address: str = "", *, is_last: bool = False) -> Ticket:
        """A ticket behind all of this round; after the last one nobody may join. Raises LineFull or LineClosed.

        Nobody's tickets, without an owner, are each of another one.
        """
        with self._moved:
            if self._is_closed:
                raise LineClosed
            if not is_last:
                self._check(owner, address)
            self._is_closed = is_last
            ticket = Ticket(self, owner, address, math.inf if is_last else self._round_of(owner))
            behind = [place for place, other in enumerate(self._tickets) if place and other.round > ticket.round]
            self._tickets.insert(min(behind, default=len(self._tickets)), ticket)
            self._front_since = self._clock() if len(self._tickets) == 1 else self._front_since
            self._moved.notify_all()
            return ticket

    def __len__(self) -> int:
        """Places that are taken."""
        with self._moved:
            return len(self._tickets)

    def position(self, ticket: Ticket, patience_s: float, known: int | None = None) -> int | None:
        """Tickets ahead; 0 is the front, None has left. Waits up to `patience_s` for a change from `known`."""
        with self._moved:
            if known is not None:
                self._moved.wait_for(lambda: self._place(ticket) != known, timeout=patience_s)
            return self._place(ticket)

    def wait_s(self, ticket: Ticket) -> float | None:
        """How long it may take until its turn, in seconds, by the last turns; None where nobody knows."""
        with self._moved:
            place = self._place(ticket)
            if place is None or not self._durations:
                return None
            mean = sum(self._durations) / len(self._durations)
            return max(0.0, place * mean - (self._clock() - self._front_since) if place else 0.0)

    def leave(self, ticket: Ticket) -> None:
        """Give up the place; twice is once."""
        with self._moved:
            place = self._place(ticket)
            if place is None:
                return
            del self._tickets[place]
            if place == 0:
                self._durations.append(self._clock() - self._front_since)
                self._front_since = self._clock()
            self._moved.notify_all()

    def _check(self, owner: str, address: str) -> None:
        if len(self._tickets) >= self._max_tickets:
            raise LineFull(len(self._tickets) - 1)
        if owner and self._per_owner and sum(other.owner == owner for other in self._tickets) >= self._per_owner:
            raise TooMany("Each visitor", self._per_owner)
        held = sum(other.address == address for other in self._tickets)
        if address and self._per_address and held >= self._per_address:
            raise TooMany("Each network address", self._per_address)

    def _round_of(self, owner: str) -> float:
        """The one that goes on, or the one behind the owner's last ticket."""
        now = self._tickets[0].round if self._tickets else 0.0
        return max([now, *(other.round + 1 for other in self._tickets if owner and other.owner == owner)])

    def _place(self, ticket: Ticket) -> int | None:
        return self._tickets.index(ticket) if ticket in self._tickets else None


class Ticket:
    """A place in a line."""

    def __init__(self, line: Line, owner: str = "", address: str = "", round_: float = 0.0) -> None:
        self._line = line
        self.owner, self.address, self.round = owner, address, round_

    def position(self, patience_s: float = 0.0, known: int | None = None) -> int | None:
        """Tickets ahead; 0 is the front, None has left. Waits up to `patience_s` for a change from `known`."""
        return self._line.position(self, patience_s, known)

    def wait_s(self) -> float | None:
        """How long it may take until its turn, in seconds; None where nobody knows."""
        return self._line.wait_s(self)

    def leave(self) -> None:
        """Give up the place; twice is once."""
        self._line.leave(self)
