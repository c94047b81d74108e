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


def test_turns_go_round_those_who_wait() -> None:
    line = Line(9)
    tickets = {name: line.join(name[0]) for name in ("a1", "a2", "a3", "b1", "c1", "b2")}
    in_order = sorted(tickets, key=lambda name: tickets[name].position() or 0)
    assert in_order == ["a1", "b1", "c1", "a2", "b2", "a3"]
    tickets["a1"].leave()
    late = line.join("d")
    assert late.position() == 2, "behind the others' first turns, before all second ones"


def test_nobodys_tickets_are_first_come_first_served() -> None:
    line = Line(9)
    tickets = [line.join() for _ in range(4)]
    assert [ticket.position() for ticket in tickets] == [0, 1, 2, 3]


def test_a_visitor_and_an_address_hold_so_many_places() -> None:
    line = Line(9, per_owner=2, per_address=3)
    held = [line.join("a", "here"), line.join("a", "here"), line.join("b", "here")]
    with pytest.raises(LineFull, match="Each visitor has 2 places"):
        line.join("a", "elsewhere")
    with pytest.raises(LineFull, match="Each network address has 3 places"):
        line.join("c", "here")
    line.join("c", "elsewhere")
    held[0].leave()
    assert line.join("a", "here").position() == 3


def test_a_wait_is_estimated_from_the_turns_before() -> None:
    now = [0.0]
    line = Line(9, clock=lambda: now[0])
    first, second, third = (line.join() for _ in range(3))
    assert third.wait_s() is None, "nobody knows yet"
    now[0] = 10.0
    first.leave()
    assert (second.wait_s(), third.wait_s()) == (0.0, 10.0)
    now[0] = 14.0
    assert third.wait_s() == 6.0
    now[0] = 60.0
    assert third.wait_s() == 0.0
    assert first.wait_s() is None
