"""Whose turn it is: waiting, stopping, going away; what one visitor does never touches another's run."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from asking import asked, of_type
from scripted import PATIENCE_S, ScriptedDevice, ScriptedRecorder

from engine.errors import BadInput
from engine.events import SessionFinished, SessionStarted, Stepped
from specviz.decoding.line import LineClosed
from specviz.decoding.session import MAX_TICKETS, Sessions
from specviz.pages.compare import Compare
from specviz.pages.playground import Playground
from specviz.showing.channel import Streams
from specviz.showing.notices import Ended, Failed, Happening, Waiting


def let_go_once_stopped(held: Held, visitor: str) -> None:
    """No run is let go before it has been told to stop, so that it cannot end by itself."""
    held.sessions._jobs[visitor].has_stopped.wait(PATIENCE_S)
    held.device.let_go()


def reasons(happenings: list[Happening]) -> list[str]:
    return [event.reason for event in happenings if isinstance(event, SessionFinished)]


def until(batches: Iterator[list[Happening]], kind: type) -> list[Happening]:
    """What happens up to the first of a kind."""
    seen: list[Happening] = []
    for batch in batches:
        seen += batch
        if any(isinstance(happening, kind) for happening in batch):
            break
    return seen


@dataclass
class Held:
    """A device that waits before each step, with the sessions at its door."""

    device: ScriptedDevice
    store: ScriptedRecorder
    sessions: Sessions

    def run(self, visitor: str) -> Iterator[list[Happening]]:
        """A run of twelve tokens."""
        return self.sessions.run(asked(self.device, baseline=False), visitor)


@pytest.fixture
def held() -> Held:
    device, store = ScriptedDevice(hold=threading.Event()), ScriptedRecorder()
    return Held(device, store, Sessions(device, store))


def rest_of(run: Iterator[list[Happening]]) -> list[Happening]:
    """What still happens."""
    return [happening for batch in run for happening in batch]


def test_stop_ends_the_run_at_its_next_step_and_stores_it_as_stopped(held: Held) -> None:
    run = held.run("v")
    seen = until(run, SessionStarted)
    held.sessions.stop("v")
    held.device.let_go()
    seen += rest_of(run)
    finished = of_type(seen, SessionFinished)[0]
    assert finished.reason == "stopped"
    assert not of_type(seen, Stepped)
    assert next(iter(held.store.runs.values()))[-1] == finished


def test_a_reader_that_goes_away_frees_the_device(held: Held) -> None:
    gone = held.run("gone")
    next(gone)
    gone.close()
    held.device.let_go()
    assert not of_type(rest_of(held.run("next")), Failed)
    stopped = next(iter(held.store.runs.values()))[-1]
    assert isinstance(stopped, SessionFinished)
    assert stopped.reason == "stopped"


def test_a_second_visitor_waits_and_sees_the_place_in_the_line(held: Held) -> None:
    first, second, third = (held.run(name) for name in ("first", "second", "third"))
    next(first)
    assert next(second) == [Waiting(1)]
    assert next(third) == [Waiting(2)]
    second.close()
    assert of_type(until(third, Waiting), Waiting) == [Waiting(1)]
    held.device.let_go()
    rest_of(first)
    assert reasons(rest_of(third)) == ["length"]


def test_stopping_while_waiting_leaves_the_line(held: Held) -> None:
    first, second = held.run("first"), held.run("second")
    next(first)
    next(second)
    held.sessions.stop("second")
    assert [type(happening) for happening in rest_of(second)[-2:]] == [Failed, Ended]
    first.close()
    held.device.let_go()


def test_whoever_comes_during_the_warm_up_waits_in_line() -> None:
    device, held = ScriptedDevice(), threading.Event()
    prepare = device.prepare

    def slow(model: str, method: str, options: Any) -> None:
        held.wait(PATIENCE_S)
        prepare(model, method, options)


def test_closing_stops_every_run_and_waits_for_the_device(held: Held) -> None:
    going_on = held.run("v")
    next(going_on)
    threading.Thread(target=let_go_once_stopped, args=(held, "v")).start()
    held.sessions.close(PATIENCE_S)
    last = next(iter(held.store.runs.values()))[-1]
    assert isinstance(last, SessionFinished)
    assert last.reason == "stopped"
    going_on.close()
    with pytest.raises(LineClosed, match="closing"):
        next(held.run("too late"))


def test_the_loop_does_not_wait_for_a_slow_reader() -> None:
    device, store = ScriptedDevice(), ScriptedRecorder()
    batches = Sessions(device, store).run(asked(device, baseline=False, sampling={"max_new_tokens": 300}), "v")
    others = set(threading.enumerate())
    next(batches)
    for decoding in set(threading.enumerate()) - others:
        if decoding.name == "decode":
            decoding.join(PATIENCE_S)
    assert isinstance(next(iter(store.runs.values()))[-1], SessionFinished)
    assert len(list(batches)) <= 1, "what came meanwhile is one batch"


def test_stop_of_a_page_without_a_run_stops_nobody(held: Held) -> None:
    run = held.run("A")
    seen = until(run, SessionStarted)
    held.sessions.stop("B")
    held.device.let_go()
    seen += rest_of(run)
    assert reasons(seen) == ["length"]


@pytest.mark.parametrize("view", [Playground, Compare])
def test_the_stop_button_is_the_pressing_pages_own(held: Held, view: Any) -> None:
    rest = (None, Streams()) if view is Compare else (Streams(), None)
    page = view(held.sessions, *rest)
    run = held.run("A")
    seen = until(run, SessionStarted)
    page.stop(SimpleNamespace(session_hash="B"))
    held.device.let_go()
    seen += rest_of(run)
    assert reasons(seen) == ["length"]
    held.device.hold = threading.Event()
    again = held.run("A")
    until(again, SessionStarted)
    page.stop(SimpleNamespace(session_hash="A"))
    held.device.hold.set()
    assert reasons(rest_of(again)) == ["stopped"]


def test_the_end_of_one_visitors_run_leaves_the_others_where_they_are(held: Held) -> None:
    """B waits behind A and goes away; A's run is still A's."""
    run = held.run("A")
    seen = until(run, SessionStarted)
    waiting = held.run("B")
    assert next(waiting) == [Waiting(1)]
    waiting.close()
    with pytest.raises(BadInput, match="A run of yours is going on"):
        next(held.run("A"))
    held.sessions.stop("A")
    held.device.let_go()
    seen += rest_of(run)
    assert reasons(seen) == ["stopped"]


def test_a_visitor_who_left_the_line_may_join_it_again(held: Held) -> None:
    run = held.run("A")
    next(run)
    for _ in range(MAX_TICKETS + 1):
        waiting = held.run("B")
        assert next(waiting) == [Waiting(1)]
        waiting.close()
    run.close()
    held.device.let_go()


def test_closing_stops_all_and_not_one_alone(held: Held) -> None:
    first, second = held.run("A"), held.run("B")
    next(first)
    next(second)
    closing = threading.Thread(target=held.sessions.close)
    closing.start()
    rest = rest_of(second)
    held.device.let_go()
    seen = rest_of(first)
    closing.join(10)
    assert reasons(seen) in (["stopped"], [])
    assert [type(happening) for happening in rest[-2:]] == [Failed, Ended]


def test_a_run_has_its_visitors_request_around_it() -> None:
    """A Space's shared GPU is lent to whom the request in this context is from."""
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="nobody's")

    class Asking(ScriptedDevice):
        def generate(self, *given: Any, **more: Any) -> Iterator[Any]:
            self.log.append(request.get())
            return super().generate(*given, **more)

    device, store = Asking(), ScriptedRecorder()
    sessions = Sessions(device, store)
    request.set("a visitor's")
    rest_of(sessions.run(asked(device, baseline=False), "v"))
    assert "a visitor's" in device.log
    assert "nobody's" not in device.log
