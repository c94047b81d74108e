from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from scripted import PATIENCE_S, ClockedDevice, ScriptedDevice, ScriptedRecorder

from engine.errors import BadInput, UnknownName
from engine.events import SessionFinished, SessionStarted, Stepped
from specviz.decoding import request
from specviz.decoding.device import Request
from specviz.decoding.line import Line, LineClosed, LineFull
from specviz.decoding.session import MAX_TICKETS, Sessions
from specviz.showing.notices import Audited, Ended, Failed, Happening, Opened, Preparing, Unsaved, Waiting


def settings(method: str = "scripted", sampling: dict[str, Any] | None = None, **options: Any) -> str:
    return json.dumps({"method": method, "options": {method: options}, "sampling": sampling or {"max_new_tokens": 12}})


def asked(device: ScriptedDevice, prompt: str = "Tell a story.", baseline: bool = True, **more: Any) -> Request:
    return request.parse(device, prompt, "toy", settings(**more), baseline)


def run_all(sessions: Sessions, wanted: Request, visitor: str = "v") -> list[Happening]:
    return [happening for batch in sessions.run(wanted, visitor) for happening in batch]


def let_go_once_stopped(device: ScriptedDevice, sessions: Sessions, visitor: str) -> None:
    """No run is let go before it has been told to stop, so that it cannot end by itself."""
    sessions._jobs[visitor].has_stopped.wait(PATIENCE_S)
    assert device.hold is not None
    device.hold.set()


def of_type(happenings: list[Happening], kind: type) -> list[Any]:
    return [happening for happening in happenings if isinstance(happening, kind)]


def test_the_baseline_runs_first_and_the_verdict_comes_last() -> None:
    device, store = ScriptedDevice(), ScriptedRecorder()
    seen = run_all(Sessions(device, store), asked(device))
    assert [happening.role for happening in of_type(seen, Opened)] == ["baseline", "method"]
    assert [happening.method for happening in of_type(seen, SessionStarted)] == ["plain", "scripted"]
    assert isinstance(seen[-2], Audited)
    assert isinstance(seen[-1], Ended)


def test_what_a_target_cannot_promise_is_said_before_its_run() -> None:
    device = ScriptedDevice()
    device.said_before = "Near-tie possible: rows share a pass."
    seen = run_all(Sessions(device, ScriptedRecorder()), asked(device, baseline=False))
    assert seen.index(Preparing(device.said_before)) < seen.index(of_type(seen, Opened)[0])


def test_a_request_reads_its_prompt_once_and_the_next_one_anew() -> None:
    sessions, wanted = Sessions(ClockedDevice(), ScriptedRecorder()), asked(ClockedDevice())
    seen = [of_type(run_all(sessions, wanted), SessionStarted) for _ in range(2)]
    assert [[started.prompt_ids for started in two] for two in seen] == [[(1,), (1,)], [(2,), (2,)]]


def test_everything_is_stored_while_it_streams() -> None:
    device, store = ScriptedDevice(), ScriptedRecorder()
    seen = run_all(Sessions(device, store), asked(device))
    plain_id, run_id = (happening.session_id for happening in of_type(seen, SessionStarted))
    assert store.runs[run_id] == [e for e in seen[seen.index(store.runs[run_id][0]) :] if e in store.runs[run_id]]
    assert isinstance(store.runs[plain_id][-1], SessionFinished)
    assert store.baselines == {run_id: plain_id}
    assert store.audits[run_id]["verdict"] == "identical"


def test_without_a_baseline_nothing_is_audited() -> None:
    device, store = ScriptedDevice(), ScriptedRecorder()
    seen = run_all(Sessions(device, store), asked(device, baseline=False))
    assert not of_type(seen, Audited)
    assert "audit" not in device.log


def test_plain_decoding_is_not_measured_twice() -> None:
    device = ScriptedDevice()
    run_all(Sessions(device, ScriptedRecorder()), asked(device, method="plain"))
    assert device.log.count("generate plain") == 1


def test_a_fault_becomes_a_sentence_and_the_device_is_free_again() -> None:
    device, store = ScriptedDevice(broken_at=2), ScriptedRecorder()
    sessions = Sessions(device, store)
    seen = run_all(sessions, asked(device, baseline=False))
    assert of_type(seen, Failed)[0].message == "The scripted device broke."
    last = next(iter(store.runs.values()))[-1]
    assert isinstance(last, SessionFinished)
    assert last.reason == "failed"
    assert last.counts.steps == 2
    device.broken_at = None
    assert not of_type(run_all(sessions, asked(device, baseline=False)), Failed)


def test_a_prompt_that_does_not_fit_is_refused_and_nothing_is_stored() -> None:
    device, store = ScriptedDevice(), ScriptedRecorder()
    seen = run_all(Sessions(device, store), asked(device, "too long a prompt"))
    assert "5000 tokens" in of_type(seen, Failed)[0].message
    assert store.runs == {}


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


def test_a_full_line_says_so() -> None:
    line = Line(MAX_TICKETS)
    tickets = [line.join() for _ in range(MAX_TICKETS)]
    with pytest.raises(LineFull, match="16 runs are waiting"):
        line.join()
    tickets[0].leave()
    tickets[0].leave()
    assert tickets[1].position() == 0


def test_a_store_in_trouble_does_not_stop_the_run() -> None:
    device = ScriptedDevice()
    seen = run_all(Sessions(device, ScriptedRecorder(problem="The disk is full.")), asked(device, baseline=False))
    assert of_type(seen, Unsaved)[0].message == "The disk is full."
    assert of_type(seen, SessionFinished)


def test_the_loop_does_not_wait_for_a_slow_reader() -> None:
    device, store = ScriptedDevice(), ScriptedRecorder()
    batches = Sessions(device, store).run(asked(device, baseline=False, sampling={"max_new_tokens": 300}), "v")
    others = set(threading.enumerate())
    next(batches)
    for decoding in set(threading.enumerate()) - others:
        decoding.join(PATIENCE_S)
    assert isinstance(next(iter(store.runs.values()))[-1], SessionFinished)
    assert len(list(batches)) <= 1, "what came meanwhile is one batch"


@pytest.mark.parametrize(
    ("prompt", "model", "given", "says"),
    [
        ("", "toy", settings(), "prompt is empty"),
        (" \n\t ", "toy", settings(), "prompt is empty"),
        (None, "toy", settings(), "prompt is empty"),
        ("x" * 20_001, "toy", settings(), "20,001 characters"),
        ("Hi", "/etc", settings(), "there are: big, toy"),
        ("Hi", None, settings(), "Unknown model"),
        ("Hi", "toy", settings("sorcery"), "there are: plain, scripted"),
        ("Hi", "toy", settings(breadth=2), "there are: depth, model"),
        ("Hi", "toy", settings(depth=9), "from 1 to 8 tokens"),
        ("Hi", "toy", settings(depth=[1]), "no single short value"),
        ("Hi", "toy", settings(model="/etc/passwd"), "choose one of: auto, toy-draft"),
        ("Hi", "toy", settings(sampling={"max_new_tokens": 0}), "from 1 to 2000"),
        ("Hi", "toy", settings(sampling={"max_new_tokens": -3}), "from 1 to 2000"),
        ("Hi", "toy", settings(sampling={"max_new_tokens": 10**9}), "from 1 to 2000"),
        ("Hi", "toy", settings(sampling={"max_new_tokens": "many"}), "whole number"),
        ("Hi", "toy", settings(sampling={"temperature": -0.1}), "from 0 to 10"),
        ("Hi", "toy", settings(sampling={"temperature": "nan"}), "from 0 to 10"),
        ("Hi", "toy", settings(sampling={"top_p": 1.5}), "from 0 to 1"),
        ("Hi", "toy", settings(sampling={"top_p": 0}), "above 0"),
        ("Hi", "toy", settings(sampling={"rule": "greedy"}), "Unknown sampling setting"),
        ("Hi", "toy", "{", "settings cannot be read"),
        ("Hi", "toy", "[" * 10_000, "settings cannot be read"),
        ("Hi", "toy", "[]", "settings cannot be read"),
        ("Hi", "toy", None, "settings are missing"),
        ("Hi", "toy", " " * 20_001, "settings are missing or too long"),
    ],
)
def test_input_that_cannot_be_used_gets_a_sentence(prompt: Any, model: Any, given: Any, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        request.parse(ScriptedDevice(), prompt, model, given, True)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 400


def test_unknown_names_are_cut_in_messages() -> None:
    with pytest.raises(UnknownName) as caught:
        request.parse(ScriptedDevice(), "Hi", "x" * 10_000, settings(), True)
    assert len(str(caught.value)) < 200


def test_lone_surrogates_of_a_prompt_become_visible() -> None:
    assert asked(ScriptedDevice(), "a \ud800 b").prompt == "a \\ud800 b"
