"""Whose turn it is: waiting, stopping, going away; what one visitor does never touches another's run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from asking import asked, of_type, run_all
from scripted import PATIENCE_S, ScriptedDevice, ScriptedRecorder

from engine.errors import BadInput
from engine.events import SessionFinished, SessionStarted, Stepped
from specviz.decoding.device import Request
from specviz.decoding.line import LineClosed
from specviz.decoding.session import MAX_TICKETS, Sessions
from specviz.pages.compare import Compare
from specviz.pages.playground import Playground
from specviz.showing.channel import Streams
from specviz.showing.notices import Ended, Failed, Happening, Waiting


def let_go_once_stopped(device: ScriptedDevice, sessions: Sessions, visitor: str) -> None:
    """No run is let go before it has been told to stop, so that it cannot end by itself."""
    sessions._jobs[visitor].has_stopped.wait(PATIENCE_S)
    assert device.hold is not None
    device.hold.set()


NUM_TOKENS = 12


def drafting(device: ScriptedDevice, has_baseline: Any = False, **sampling: Any) -> Request:
    """A request of two tokens' depth."""
    return asked(device, baseline=has_baseline, sampling=sampling, depth=2)


def emitted(happenings: list[Happening]) -> int:
    return sum(len(event.emitted) for event in happenings if isinstance(event, Stepped))


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
    sessions: Sessions
    go: Callable[[], None]


@pytest.fixture
def held() -> Held:
    gate = threading.Event()
    device = ScriptedDevice(hold=gate)
    return Held(device, Sessions(device, ScriptedRecorder()), gate.set)


def test_stop_ends_the_run_at_its_next_step_and_stores_it_as_stopped() -> None:
    device, store = ScriptedDevice(hold=threading.Event()), ScriptedRecorder()
    sessions = Sessions(device, store)
    seen: list[Happening] = []
    for batch in sessions.run(asked(device, baseline=False), "v"):
        seen += batch
        sessions.stop("somebody else")
        if of_type(seen, SessionStarted):
            sessions.stop("v")
            assert device.hold is not None
            device.hold.set()
    finished = of_type(seen, SessionFinished)[0]
    assert finished.reason == "stopped"
    assert not of_type(seen, Stepped)
    assert next(iter(store.runs.values()))[-1] == finished


def test_a_reader_that_goes_away_frees_the_device() -> None:
    device, store = ScriptedDevice(hold=threading.Event()), ScriptedRecorder()
    sessions = Sessions(device, store)
    gone = sessions.run(asked(device, sampling={"max_new_tokens": 1000}), "gone")
    next(gone)
    gone.close()
    assert device.hold is not None
    device.hold.set()
    seen = run_all(sessions, asked(device, baseline=False), "next")
    assert not of_type(seen, Failed)
    stopped = next(iter(store.runs.values()))[-1]
    assert isinstance(stopped, SessionFinished)
    assert stopped.reason == "stopped"


def test_a_second_visitor_waits_and_sees_the_place_in_the_line() -> None:
    device = ScriptedDevice(hold=threading.Event())
    sessions = Sessions(device, ScriptedRecorder())
    first = sessions.run(asked(device, baseline=False), "first")
    next(first)
    second = sessions.run(asked(device, baseline=False), "second")
    assert next(second) == [Waiting(1)]
    third = sessions.run(asked(device, baseline=False), "third")
    assert next(third) == [Waiting(2)]
    second.close()
    assert next(third) == [Waiting(1)]
    assert device.hold is not None
    device.hold.set()
    for _ in first:
        pass
    seen = [happening for batch in third for happening in batch]
    assert of_type(seen, SessionFinished)


def test_stopping_while_waiting_leaves_the_line() -> None:
    device = ScriptedDevice(hold=threading.Event())
    sessions = Sessions(device, ScriptedRecorder())
    first = sessions.run(asked(device, baseline=False), "first")
    next(first)
    second = sessions.run(asked(device, baseline=False), "second")
    next(second)
    sessions.stop("second")
    rest = [happening for batch in second for happening in batch]
    assert isinstance(rest[-2], Failed)
    assert isinstance(rest[-1], Ended)
    first.close()
    assert device.hold is not None
    device.hold.set()


def test_whoever_comes_during_the_warm_up_waits_in_line() -> None:
    device, held = ScriptedDevice(), threading.Event()
    prepare = device.prepare

    def slow(model: str, method: str, options: Any) -> None:
        held.wait(PATIENCE_S)
        prepare(model, method, options)

    device.prepare = slow  # type: ignore[method-assign]
    sessions = Sessions(device, ScriptedRecorder())
    sessions.warm_up("toy", "plain")
    run = sessions.run(asked(device, baseline=False), "v")
    assert next(run) == [Waiting(1)]
    held.set()
    assert of_type([happening for batch in run for happening in batch], SessionFinished)


def test_one_visitor_has_one_run() -> None:
    device = ScriptedDevice(hold=threading.Event())
    sessions = Sessions(device, ScriptedRecorder())
    first = sessions.run(asked(device), "v")
    next(first)
    with pytest.raises(BadInput, match="going on"):
        next(sessions.run(asked(device), "v"))
    first.close()
    assert device.hold is not None
    device.hold.set()


def test_closing_stops_every_run_and_waits_for_the_device() -> None:
    device, store = ScriptedDevice(hold=threading.Event()), ScriptedRecorder()
    sessions = Sessions(device, store)
    going_on = sessions.run(asked(device, baseline=False), "v")
    next(going_on)
    threading.Thread(target=let_go_once_stopped, args=(device, sessions, "v")).start()
    sessions.close(PATIENCE_S)
    last = next(iter(store.runs.values()))[-1]
    assert isinstance(last, SessionFinished)
    assert last.reason == "stopped"
    going_on.close()
    with pytest.raises(LineClosed, match="closing"):
        next(sessions.run(asked(device), "too late"))


def test_the_loop_does_not_wait_for_a_slow_reader() -> None:
    device, store = ScriptedDevice(), ScriptedRecorder()
    batches = Sessions(device, store).run(asked(device, baseline=False, sampling={"max_new_tokens": 300}), "v")
    others = set(threading.enumerate())
    next(batches)
    for decoding in set(threading.enumerate()) - others:
        decoding.join(PATIENCE_S)
    assert isinstance(next(iter(store.runs.values()))[-1], SessionFinished)
    assert len(list(batches)) <= 1, "what came meanwhile is one batch"


def test_stop_of_a_page_without_a_run_stops_nobody(held: Held) -> None:
    run = held.sessions.run(drafting(held.device), "A")
    seen = until(run, SessionStarted)
    held.sessions.stop("B")
    held.go()
    seen += [happening for batch in run for happening in batch]
    assert (reasons(seen), emitted(seen)) == (["length"], NUM_TOKENS)


@pytest.mark.parametrize("view", [Playground, Compare])
def test_the_stop_button_is_the_pressing_pages_own(held: Held, view: Any) -> None:
    rest = (None, Streams()) if view is Compare else (Streams(), None)
    page = view(held.sessions, *rest)
    run = held.sessions.run(drafting(held.device), "A")
    seen = until(run, SessionStarted)
    page.stop(SimpleNamespace(session_hash="B"))
    held.go()
    seen += [happening for batch in run for happening in batch]
    assert (reasons(seen), emitted(seen)) == (["length"], NUM_TOKENS)
    held.device.hold = threading.Event()
    again = held.sessions.run(drafting(held.device), "A")
    until(again, SessionStarted)
    page.stop(SimpleNamespace(session_hash="A"))
    held.device.hold.set()
    assert reasons([happening for batch in again for happening in batch]) == ["stopped"]


def test_the_end_of_one_visitors_run_leaves_the_others_where_they_are(held: Held) -> None:
    """B waits behind A and goes away; A's run is still A's."""
    run = held.sessions.run(drafting(held.device), "A")
    seen = until(run, SessionStarted)
    waiting = held.sessions.run(drafting(held.device), "B")
    assert next(waiting) == [Waiting(1)]
    waiting.close()
    with pytest.raises(BadInput, match="A run of yours is going on"):
        next(held.sessions.run(drafting(held.device), "A"))
    held.sessions.stop("A")
    held.go()
    seen += [happening for batch in run for happening in batch]
    assert reasons(seen) == ["stopped"]


def test_a_visitor_who_left_the_line_may_join_it_again(held: Held) -> None:
    run = held.sessions.run(drafting(held.device), "A")
    next(run)
    for _ in range(MAX_TICKETS + 1):
        waiting = held.sessions.run(drafting(held.device), "B")
        assert next(waiting) == [Waiting(1)]
        waiting.close()
    run.close()
    held.go()


def test_closing_stops_all_and_not_one_alone(held: Held) -> None:
    first, second = (held.sessions.run(drafting(held.device), name) for name in "AB")
    next(first)
    next(second)
    closing = threading.Thread(target=held.sessions.close)
    closing.start()
    rest = [happening for batch in second for happening in batch]
    held.go()
    seen = [happening for batch in first for happening in batch]
    closing.join(10)
    assert reasons(seen) in (["stopped"], [])
    assert [type(happening) for happening in rest[-2:]] == [Failed, Ended]
