"""Whose turn it is: what one visitor does never touches another's run; what was cut short is no whole run."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
from scripted import ScriptedDevice, ScriptedRecorder, ScriptedVerdict

from engine.errors import BadInput
from engine.events import Event, SessionFinished, SessionStarted, Stepped
from specviz.decoding import request
from specviz.decoding.device import Request
from specviz.decoding.line import Line, LineFull
from specviz.decoding.session import MAX_TICKETS, Sessions
from specviz.pages.compare import Compare
from specviz.pages.playground import Playground
from specviz.showing.channel import Streams
from specviz.showing.fold import ViewState, fold_all
from specviz.showing.notices import Audited, Auditing, Ended, Failed, Happening, Opened, Preparing, Waiting

NUM_TOKENS = 12


def asked(device: ScriptedDevice, has_baseline: bool = False, **sampling: Any) -> Request:
    settings = {"method": "scripted", "options": {"scripted": {"depth": 2}}}
    settings["sampling"] = {"max_new_tokens": NUM_TOKENS} | sampling
    return request.parse(device, "Tell a story.", "toy", json.dumps(settings), has_baseline)


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


# one visitor and another


def test_stop_of_a_page_without_a_run_stops_nobody(held: Held) -> None:
    run = held.sessions.run(asked(held.device), "A")
    seen = until(run, SessionStarted)
    held.sessions.stop("B")
    held.go()
    seen += [happening for batch in run for happening in batch]
    assert (reasons(seen), emitted(seen)) == (["length"], NUM_TOKENS)


@pytest.mark.parametrize("view", [Playground, Compare])
def test_the_stop_button_is_the_pressing_pages_own(held: Held, view: Any) -> None:
    rest = (None, Streams()) if view is Compare else (Streams(), None)
    page = view(held.sessions, *rest)
    run = held.sessions.run(asked(held.device), "A")
    seen = until(run, SessionStarted)
    page.stop(SimpleNamespace(session_hash="B"))
    held.go()
    seen += [happening for batch in run for happening in batch]
    assert (reasons(seen), emitted(seen)) == (["length"], NUM_TOKENS)
    held.device.hold = threading.Event()
    again = held.sessions.run(asked(held.device), "A")
    until(again, SessionStarted)
    page.stop(SimpleNamespace(session_hash="A"))
    held.device.hold.set()
    assert reasons([happening for batch in again for happening in batch]) == ["stopped"]


def test_the_end_of_one_visitors_run_leaves_the_others_where_they_are(held: Held) -> None:
    """B waits behind A and goes away; A's run is still A's."""
    run = held.sessions.run(asked(held.device), "A")
    seen = until(run, SessionStarted)
    waiting = held.sessions.run(asked(held.device), "B")
    assert next(waiting) == [Waiting(1)]
    waiting.close()
    with pytest.raises(BadInput, match="A run of yours is going on"):
        next(held.sessions.run(asked(held.device), "A"))
    held.sessions.stop("A")
    held.go()
    seen += [happening for batch in run for happening in batch]
    assert reasons(seen) == ["stopped"]


def test_after_the_end_a_visitor_may_run_again(held: Held) -> None:
    held.go()
    for _ in range(2):
        seen = [happening for batch in held.sessions.run(asked(held.device), "A") for happening in batch]
        assert reasons(seen) == ["length"]


def test_a_visitor_who_left_the_line_may_join_it_again(held: Held) -> None:
    run = held.sessions.run(asked(held.device), "A")
    next(run)
    for _ in range(MAX_TICKETS + 1):
        waiting = held.sessions.run(asked(held.device), "B")
        assert next(waiting) == [Waiting(1)]
        waiting.close()
    run.close()
    held.go()


def test_closing_stops_all_and_not_one_alone(held: Held) -> None:
    first, second = (held.sessions.run(asked(held.device), name) for name in "AB")
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


# the line


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


# what was cut short


@dataclass
class Ending(ScriptedDevice):
    """Every run of these methods ends for this reason."""

    reason: Any = "timeout"
    cut: tuple[str, ...] = ("plain", "scripted")

    def _events(self, request: Request, *rest: Any) -> Iterator[Event]:
        for event in super()._events(request, *rest):
            is_cut = isinstance(event, SessionFinished) and request.method in self.cut
            yield replace(event, reason=self.reason) if is_cut else event  # type: ignore[type-var]


def run_all(device: ScriptedDevice, recorder: ScriptedRecorder, has_baseline: bool = True) -> list[Happening]:
    return [
        happening for batch in Sessions(device, recorder).run(asked(device, has_baseline), "v") for happening in batch
    ]


@pytest.mark.parametrize("reason", ["timeout", "stopped", "failed"])
def test_a_method_that_was_cut_short_is_not_audited_and_has_no_baseline(reason: str) -> None:
    device, recorder = Ending(reason=reason, cut=("scripted",)), ScriptedRecorder()
    seen = run_all(device, recorder)
    assert reasons(seen) == ["length", reason]
    assert not any(isinstance(happening, Auditing | Audited) for happening in seen)
    assert (recorder.audits, recorder.baselines, "audit" in device.log) == ({}, {}, False)
    state = fold_all(ViewState(), seen)
    assert state.phase == ("failed" if reason == "failed" else "stopped")


@pytest.mark.parametrize("reason", ["timeout", "stopped", "failed"])
def test_behind_a_baseline_that_was_cut_short_nothing_runs(reason: str) -> None:
    device, recorder = Ending(reason=reason), ScriptedRecorder()
    seen = run_all(device, recorder)
    assert reasons(seen) == [reason]
    assert device.log.count("generate scripted") == 0
    assert recorder.baselines == {}


@pytest.mark.parametrize("reason", ["eos", "length", "stop_string", "context"])
def test_a_run_that_ended_by_itself_is_audited(reason: str) -> None:
    device, recorder = Ending(reason=reason), ScriptedRecorder()
    state = fold_all(ViewState(), run_all(device, recorder))
    assert (state.phase, len(recorder.audits), len(recorder.baselines)) == ("finished", 1, 1)


# what is run and kept


def test_the_baseline_has_the_runs_settings_and_no_options() -> None:
    device, recorder = ScriptedDevice(), ScriptedRecorder()
    wanted = asked(device, True, temperature=0.7, seed=11)
    for _ in Sessions(device, recorder).run(wanted, "v"):
        pass
    first, second = (run[0] for run in recorder.runs.values())
    assert isinstance(first, SessionStarted)
    assert isinstance(second, SessionStarted)
    assert (first.method, first.method_options) == ("plain", {})
    assert (second.method, second.method_options) == ("scripted", {"depth": 2})
    assert first.config == second.config
    assert (first.config["temperature"], first.config["seed"]) == (0.7, 11)
    assert first.session_id != second.session_id


def test_what_is_ready_is_not_prepared_aloud() -> None:
    device = ScriptedDevice()
    first, second = (run_all(device, ScriptedRecorder()) for _ in range(2))
    told = [happening.text for happening in first if isinstance(happening, Preparing)]
    assert told == [f"Loading toy and warming up {name}" for name in ("scripted", "plain")]
    assert not any(isinstance(happening, Preparing) for happening in second)


def test_the_verdict_is_the_runs_and_is_kept_whole() -> None:
    device, recorder = ScriptedDevice(), ScriptedRecorder()
    judged: list[tuple[str, str]] = []

    def audit(model: str, plain: list[Event], events: list[Event]) -> ScriptedVerdict:
        judged.append((plain[0].method, events[0].method))  # type: ignore[union-attr]
        return ScriptedVerdict("near-tie", 7)

    device.audit = audit  # type: ignore[method-assign, assignment]
    seen = run_all(device, recorder)
    plain_id, run_id = recorder.runs
    assert judged == [("plain", "scripted")]
    assert recorder.audits == {run_id: {"verdict": "near-tie", "num_compared": 7, "text": "near-tie (7 tokens)"}}
    assert recorder.baselines == {run_id: plain_id}
    assert [happening for happening in seen if isinstance(happening, Audited)] == [
        Audited("near-tie", "near-tie (7 tokens)")
    ]


def test_an_end_that_breaks_off_counts_what_was_decoded() -> None:
    device, recorder = ScriptedDevice(broken_at=2), ScriptedRecorder()
    run_all(device, recorder, has_baseline=False)
    (run,) = recorder.runs.values()
    last = run[-1]
    assert isinstance(last, SessionFinished)
    assert (last.counts.steps, last.counts.proposed, last.counts.accepted, last.counts.emitted) == (2, 8, 4, 6)
    assert (last.decode_ns, last.message) == (2_000_000, "The scripted device broke.")


def test_a_run_is_parsed_as_it_was_asked_for() -> None:
    device = ScriptedDevice()
    wanted = asked(device, True, temperature=0.5, top_k=3, top_p=0.9, repetition_penalty=1.2, seed=4)
    found = wanted.config
    assert (found.temperature, found.top_k, found.top_p, found.repetition_penalty, found.seed) == (0.5, 3, 0.9, 1.2, 4)
    assert (found.max_new_tokens, wanted.options, wanted.model) == (12, {"depth": 2}, "toy")
    assert wanted.measures_baseline
    assert not replace(wanted, method="plain").measures_baseline
    assert not asked(device, False).measures_baseline
    for not_quite in (1, "true", None):
        assert not asked(device, not_quite).has_baseline  # type: ignore[arg-type]


@pytest.mark.parametrize(("num_chars", "is_fit"), [(20_000, True), (20_001, False)])
def test_a_prompt_has_at_most_20000_characters(num_chars: int, is_fit: bool) -> None:
    settings = json.dumps({"method": "plain"})
    if is_fit:
        assert len(request.parse(ScriptedDevice(), "x" * num_chars, "toy", settings, True).prompt) == num_chars
    else:
        with pytest.raises(BadInput, match="at most 20,000"):
            request.parse(ScriptedDevice(), "x" * num_chars, "toy", settings, True)


def test_settings_of_other_methods_are_left_alone() -> None:
    """A page keeps the options of all methods; only the chosen one's count."""
    settings = {"method": "scripted", "options": {"scripted": {"depth": 5}, "plain": {"depth": 1}}, "sampling": {}}
    found = request.parse(ScriptedDevice(), "Hi", "toy", json.dumps(settings), True)
    assert found.options == {"depth": 5}
    assert [
        happening.role for happening in run_all(ScriptedDevice(), ScriptedRecorder()) if isinstance(happening, Opened)
    ] == [
        "baseline",
        "method",
    ]
