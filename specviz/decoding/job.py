"""One visitor's turn: what is to be done in it, what has happened in it, who reads that, and its stop flag."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from specviz.decoding.desk import Desk
from specviz.decoding.device import Request
from specviz.decoding.line import Ticket
from specviz.showing.notices import Ended, Happening


@dataclass(frozen=True)
class Work:
    """What to do when it is a visitor's turn."""

    requests: tuple[Request, ...]
    """All that it asks of the device: one, or those of a race. The door looks at them before it lets them in."""
    do: Callable[[Desk], None]
    """Raises EngineError."""


class Job:
    """One visitor's turn."""

    def __init__(self, work: Work, ticket: Ticket, visitor: str = "", view: str = "") -> None:
        self.work = work
        self.ticket = ticket
        self.visitor = visitor
        self.view = view
        """Where on the page it is shown."""
        self.has_stopped = threading.Event()
        self.is_working = False
        self.num_readers = 0
        self._happenings: list[Happening] = []
        self._moved = threading.Condition()

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes."""
        with self._moved:
            return bool(self._happenings) and isinstance(self._happenings[-1], Ended)

    def put(self, happening: Happening) -> None:
        """Never blocks for long."""
        with self._moved:
            self._happenings.append(happening)
            self._moved.notify_all()

    def behind(self, num_seen: int, patience_s: float) -> list[Happening]:
        """All that has happened behind the first few; waits up to `patience_s` where that is nothing."""
        with self._moved:
            self._moved.wait_for(lambda: len(self._happenings) > num_seen, timeout=patience_s)
            return self._happenings[num_seen:]
