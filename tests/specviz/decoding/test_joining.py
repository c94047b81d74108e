"""A run goes on for a while when its page has gone; the page that is loaded anew in the same tab has all of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from asking import asked, of_type
from scripted import ScriptedDevice, ScriptedRecorder, until

from engine.events import SessionFinished, SessionStarted, Stepped
from specviz.decoding.job import Work
from specviz.decoding.session import Sessions
from specviz.decoding.visitors import Visitors
from specviz.pages.compare import Compare
from specviz.pages.playground import Playground
from specviz.showing.channel import Streams
from specviz.showing.notices import Ended, Happening, Waiting
from specviz.store import Store

TAB, BROWSER = "a" * 32, "b" * 32
FOR_EVER = 600.0


def doors(grace_s: float = FOR_EVER) -> tuple[ScriptedDevice, Sessions]:
    """A held device and its sessions; pages "old" and "new" are of one tab, "other" is of another one."""
    device, visitors = ScriptedDevice(hold=threading.Event()), Visitors()
    for page, tab in (("old", TAB), ("new", TAB), ("other", "c" * 32)):
        visitors.greet(page, BROWSER, tab)
    return device, Sessions(device, ScriptedRecorder(), visitors, grace_s=grace_s)  # type: ignore[arg-type]


def first(run: Iterator[list[Happening]], kind: type) -> None:
    """Read until something of a kind has happened."""
    while not any(isinstance(happening, kind) for happening in next(run)):
        pass


def whole(run: Any) -> list[Happening]:
    return [happening for batch in run for happening in batch]


def start(sessions: Sessions, device: ScriptedDevice, page: str = "old") -> Any:
    return sessions.run(asked(device, baseline=False), page, "play")


def test_the_page_that_comes_back_has_all_of_the_run_and_its_end() -> None:
    device, sessions = doors()
    run = start(sessions, device)
    first(run, SessionStarted)
    run.close()
    again = sessions.join("new", "play")
    assert again is not None
    first(again, SessionStarted)
    device.let_go()
    seen = whole(again)
    assert of_type(seen, SessionFinished)[0].reason == "length"
    assert [step.step for step in of_type(seen, Stepped)] == [0, 1, 2, 3]
    assert isinstance(seen[-1], Ended)
    assert sessions.join("new", "play") is None, "its end has been read"


def test_only_the_same_tab_and_view_lead_back() -> None:
    device, sessions = doors()
    run = start(sessions, device)
    first(run, SessionStarted)
    assert sessions.join("other", "play") is None
    assert sessions.join("new", "compare") is None
    sessions.stop("new")
    device.let_go()
    assert of_type(whole(run), SessionFinished)[0].reason == "stopped", "the page that came back may stop it"


def test_a_run_that_ended_meanwhile_is_whole_and_the_next_one_may_begin() -> None:
    device, sessions = doors()
    run = start(sessions, device)
    first(run, SessionStarted)
    run.close()
    device.let_go()
    until(lambda: all(job.has_ended for job in sessions._jobs.values()))
    again = sessions.join("new", "play")
    assert again is not None
    assert of_type(whole(again), SessionFinished)[0].reason == "length"
    assert of_type(whole(start(sessions, device, "new")), SessionFinished)


def test_nobody_comes_back_and_the_run_stops() -> None:
    device, sessions = doors(grace_s=0.01)
    run = start(sessions, device)
    first(run, SessionStarted)
    run.close()
    until(lambda: not sessions._jobs)
    assert sessions.join("new", "play") is None
    device.let_go()
    assert of_type(whole(start(sessions, device, "new")), SessionFinished)


def test_a_place_in_the_line_is_kept_too() -> None:
    device, sessions = doors()
    ahead, run = start(sessions, device, "other"), start(sessions, device)
    first(ahead, SessionStarted)
    assert next(run) == [Waiting(1)]
    run.close()
    again = sessions.join("new", "play")
    assert again is not None
    assert next(again) == [Waiting(1)]
    device.let_go()
    assert of_type(whole(again), SessionFinished)


@pytest.mark.parametrize("view", [Playground, Compare])
def test_a_page_joins_with_its_buttons_as_they_should_be(view: Any, store: Store) -> None:
    device, sessions = doors()
    device.let_go()
    page = view(sessions, Streams(), store) if view is Playground else view(sessions, store, Streams())
    work = sessions.perform(Work((), lambda desk: desk.put(Waiting(3))), "old", page.id)
    next(work)
    event, who = SimpleNamespace(visitor=BROWSER, tab=TAB), SimpleNamespace(session_hash="newest")
    updates = list(page.join(event, who))
    states = [(update[1].interactive, update[-2].interactive) for update in updates]
    num_ready = 1 if view is Playground else 2
    assert states == [(False, True)] * (len(states) - num_ready) + [(True, False)] * num_ready
    assert json.loads(updates[1][0])["seq"] == 0


def test_a_page_without_a_run_is_given_the_saved_one(store: Store) -> None:
    _, sessions = doors()
    page = Playground(sessions, Streams(), store)
    event, who = SimpleNamespace(visitor=BROWSER, tab=TAB, run="nobody"), SimpleNamespace(session_hash="newest")
    (update,) = page.join(event, who)  # type: ignore[arg-type]
    assert "There is no run 'nobody'" in json.loads(update[0])["alert"]
