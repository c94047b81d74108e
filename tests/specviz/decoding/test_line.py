"""The waiting line: first come, first served, to its last place."""

from __future__ import annotations

import threading

import pytest

from specviz.decoding.line import Line, LineFull
from specviz.decoding.session import MAX_TICKETS


def test_a_full_line_says_so() -> None:
    line = Line(MAX_TICKETS)
    tickets = [line.join() for _ in range(MAX_TICKETS)]
    with pytest.raises(LineFull, match="16 runs are waiting"):
        line.join()
    tickets[0].leave()
    tickets[0].leave()
    assert tickets[1].position() == 0


def test_a_line_is_first_come_first_served_to_its_last_place() -> None:
    line = Line(3)
    tickets = [line.join() for _ in range(3)]
    assert [ticket.position() for ticket in tickets] == [0, 1, 2]
    with pytest.raises(LineFull, match="2 runs are waiting already"):
        line.join()
    tickets[1].leave()
    tickets.append(line.join())
    assert [tickets[place].position() for place in (0, 2, 3)] == [0, 1, 2]
    last = line.join(is_last=True)
    assert last.position() == 3, "the last one comes in even where the line is full"


def test_a_place_is_waited_for_until_it_moves() -> None:
    line = Line(2)
    first, second = line.join(), line.join()
    threading.Timer(0.05, first.leave).start()
    assert second.position(20.0, known=1) == 0
    assert second.position(0.0, known=0) == 0
