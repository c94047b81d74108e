"""A waiting line: first come, first served, one at the front. Knows nothing of models or pages."""

from __future__ import annotations

import threading

from engine.errors import BadInput


class LineFull(BadInput):
    """Too many are waiting."""

    def __init__(self, num_waiting: int) -> None:
        super().__init__(f"{num_waiting} runs are waiting already; please try again in a minute.")


class LineClosed(BadInput):
    """Nobody may join any more."""

    def __init__(self) -> None:
        super().__init__("The server is closing; nothing new is run.")


class Line:
    """Tickets in order of arrival. Safe to share between threads."""

    def __init__(self, max_tickets: int) -> None:
        self._max_tickets = max_tickets
        self._tickets: list[Ticket] = []
        self._is_closed = False
        self._moved = threading.Condition()

    def join(self, is_last: bool = False) -> Ticket:
        """A ticket at the end; after the last one nobody may join. Raises LineFull or LineClosed."""
        with self._moved:
            if self._is_closed:
                raise LineClosed
            if len(self._tickets) >= self._max_tickets and not is_last:
                raise LineFull(len(self._tickets) - 1)
            self._is_closed = is_last
            ticket = Ticket(self)
            self._tickets.append(ticket)
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

    def _place(self, ticket: Ticket) -> int | None:
        return self._tickets.index(ticket) if ticket in self._tickets else None

    def leave(self, ticket: Ticket) -> None:
        """Give up the place; twice is once."""
        with self._moved:
            if ticket in self._tickets:
                self._tickets.remove(ticket)
                self._moved.notify_all()


class Ticket:
    """A place in a line."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def position(self, patience_s: float = 0.0, known: int | None = None) -> int | None:
        """Tickets ahead; 0 is the front, None has left. Waits up to `patience_s` for a change from `known`."""
        return self._line.position(self, patience_s, known)

    def leave(self) -> None:
        """Give up the place; twice is once."""
        self._line.leave(self)
