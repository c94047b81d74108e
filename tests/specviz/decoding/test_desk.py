"""A visitor's turn: what runs, what is kept, what is judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from asking import asked, of_type, run_all
from scripted import ScriptedDevice, ScriptedRecorder, ScriptedVerdict
from scripted_kinds import ClockedDevice

from engine.events import Event, SessionFinished, SessionStarted
from specviz.decoding.device import Request
from specviz.decoding.session import Sessions
from specviz.showing.fold import ViewState, fold_all
from specviz.showing.notices import Audited, Auditing, Ended, Failed, Happening, Opened, Preparing, Unsaved


def drafting(device: ScriptedDevice, has_baseline: Any = False, **sampling: Any) -> Request:
    """A request of two tokens' depth."""
    return asked(device, baseline=has_baseline, sampling=sampling, depth=2)


def reasons(happenings: list[Happening]) -> list[str]:
    return [event.reason for event in happenings if isinstance(event, SessionFinished)]


@dataclass
class Ending(ScriptedDevice):
    """Every run of these methods ends for this reason."""

    reason: Any = "timeout"
    cut: tuple[str, ...] = ("plain", "scripted")

    def _events(self, request: Request, *rest: Any) -> Iterator[Event]:
        for event in super()._events(request, *rest):
            is_cut = isinstance(event, SessionFinished) and request.method in self.cut
            yield replace(event, reason=self.reason) if is_cut else event  # type: ignore[type-var]


def turn(device: ScriptedDevice, recorder: ScriptedRecorder, has_baseline: bool = True) -> list[Happening]:
    return run_all(Sessions(device, recorder), drafting(device, has_baseline))


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


def test_a_store_in_trouble_does_not_stop_the_run() -> None:
    device = ScriptedDevice()
    seen = run_all(Sessions(device, ScriptedRecorder(problem="The disk is full.")), asked(device, baseline=False))
    assert of_type(seen, Unsaved)[0].message == "The disk is full."
    assert of_type(seen, SessionFinished)


@pytest.mark.parametrize("reason", ["timeout", "stopped", "failed"])
def test_a_method_that_was_cut_short_is_not_audited_and_has_no_baseline(reason: str) -> None:
    device, recorder = Ending(reason=reason, cut=("scripted",)), ScriptedRecorder()
    seen = turn(device, recorder)
    assert reasons(seen) == ["length", reason]
    assert not any(isinstance(happening, Auditing | Audited) for happening in seen)
    assert (recorder.audits, recorder.baselines, "audit" in device.log) == ({}, {}, False)
    state = fold_all(ViewState(), seen)
    assert state.phase == ("failed" if reason == "failed" else "stopped")


@pytest.mark.parametrize("reason", ["timeout", "stopped", "failed"])
def test_behind_a_baseline_that_was_cut_short_nothing_runs(reason: str) -> None:
    device, recorder = Ending(reason=reason), ScriptedRecorder()
    seen = turn(device, recorder)
    assert reasons(seen) == [reason]
    assert device.log.count("generate scripted") == 0
    assert recorder.baselines == {}


@pytest.mark.parametrize("reason", ["eos", "length", "stop_string", "context"])
def test_a_run_that_ended_by_itself_is_audited(reason: str) -> None:
    device, recorder = Ending(reason=reason), ScriptedRecorder()
    state = fold_all(ViewState(), turn(device, recorder))
    assert (state.phase, len(recorder.audits), len(recorder.baselines)) == ("finished", 1, 1)


def test_the_baseline_has_the_runs_settings_and_no_options() -> None:
    device, recorder = ScriptedDevice(), ScriptedRecorder()
    wanted = drafting(device, True, temperature=0.7, seed=11)
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
    first, second = (turn(device, ScriptedRecorder()) for _ in range(2))
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
    seen = turn(device, recorder)
    plain_id, run_id = recorder.runs
    assert judged == [("plain", "scripted")]
    assert recorder.audits == {run_id: {"verdict": "near-tie", "num_compared": 7, "text": "near-tie (7 tokens)"}}
    assert recorder.baselines == {run_id: plain_id}
    assert [happening for happening in seen if isinstance(happening, Audited)] == [
        Audited("near-tie", "near-tie (7 tokens)")
    ]


def test_an_end_that_breaks_off_counts_what_was_decoded() -> None:
    device, recorder = ScriptedDevice(broken_at=2), ScriptedRecorder()
    turn(device, recorder, has_baseline=False)
    (run,) = recorder.runs.values()
    last = run[-1]
    assert isinstance(last, SessionFinished)
    assert (last.counts.steps, last.counts.proposed, last.counts.accepted, last.counts.emitted) == (2, 8, 4, 6)
    assert (last.decode_ns, last.message) == (2_000_000, "The scripted device broke.")
