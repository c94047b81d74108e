"""How long a turn may decode: a run, and a race as a whole; and what a visitor is told of what breaks."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from asking import asked, of_type, run_all
from scripted import ScriptedDevice, ScriptedRecorder

from engine.errors import BadInput
from engine.events import Event, SessionFinished
from specviz.decoding.desk import Allowance
from specviz.decoding.request import parse_race
from specviz.decoding.session import Sessions
from specviz.decoding.visitors import Visitors
from specviz.policy import HOME, PUBLIC
from specviz.race.course import OUT_OF_TIME, course
from specviz.showing.notices import Failed, InLane


@dataclass
class Clocked(ScriptedDevice):
    """Every step takes a second of the desk's clock."""

    now: list[float] = field(default_factory=lambda: [0.0])

    def _events(self, *given: Any) -> Iterator[Event]:
        for event in super()._events(*given):
            self.now[0] += 1.0
            yield event


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Clocked:
    clocked = Clocked()

    class OnItsClock(Allowance):
        def __init__(self, *seconds: float) -> None:
            super().__init__(*seconds, clock=lambda: clocked.now[0])

    monkeypatch.setattr("specviz.decoding.session.Allowance", OnItsClock)
    return clocked


def sessions(device: ScriptedDevice, **limits: int) -> Sessions:
    return Sessions(device, ScriptedRecorder(), Visitors(replace(HOME, **limits)))


def ends(happenings: list[Any]) -> list[str]:
    inner = [found.happening if isinstance(found, InLane) else found for found in happenings]
    return [event.reason for event in inner if isinstance(event, SessionFinished)]


def test_a_run_ends_by_the_clock_and_keeps_what_it_has(device: Clocked) -> None:
    wanted = asked(device, baseline=False, sampling={"max_new_tokens": 300})
    seen = run_all(sessions(device, run_seconds=9), wanted)
    assert ends(seen) == ["timeout"]
    assert of_type(seen, SessionFinished)[0].counts.emitted > 9
    assert ends(run_all(sessions(device), wanted)) == ["length"], "at home nothing ends it"


def test_a_race_ends_as_a_whole_and_says_what_was_not_run(device: Clocked) -> None:
    lanes = [{"method": "scripted", "options": {"depth": depth}} for depth in (1, 2, 3)]
    settings = json.dumps({"lanes": lanes, "sampling": {"max_new_tokens": 30}})
    work = course(parse_race(device, "Hi", "toy", settings))
    seen = [found for batch in sessions(device, race_seconds=60).perform(work, "v") for found in batch]
    problems = [found.happening.message for found in of_type(seen, InLane) if isinstance(found.happening, Failed)]
    assert problems
    assert set(problems) == {OUT_OF_TIME}
    assert "length" in ends(seen)


def test_each_session_has_its_own_limit_and_all_together_another() -> None:
    now = [0.0]
    allowance = Allowance(5.0, 3.0, clock=lambda: now[0])
    with allowance.session():
        now[0] = 2.9
        assert not allowance.is_used_up
        now[0] = 3.0
        assert allowance.is_used_up
    assert not allowance.is_used_up
    with allowance.session():
        now[0] = 4.9
        assert not allowance.is_used_up
        now[0] = 5.0
        assert allowance.is_used_up
    assert allowance.is_used_up


@dataclass
class Telling(ScriptedDevice):
    """Breaks with a path in what it says."""

    error: Callable[[str], Exception] = ValueError

    def _events(self, *given: Any) -> Iterator[Event]:
        yield from list(super()._events(*given))[:2]
        raise self.error("cannot read /home/alice/secret.bin")


@pytest.mark.parametrize("policy", [HOME, PUBLIC])
def test_what_breaks_is_told_by_an_id_that_the_log_knows(policy: Any, caplog: pytest.LogCaptureFixture) -> None:
    device, recorder = Telling(), ScriptedRecorder()
    with caplog.at_level(logging.ERROR):
        seen = run_all(Sessions(device, recorder, Visitors(policy)), asked(device, baseline=False))
    (said,) = {failed.message for failed in of_type(seen, Failed)} | {
        event.message for event in of_type(seen, SessionFinished)
    }
    assert said.startswith("The run broke; the server's log says why, under ")
    assert said.removesuffix(".")[-8:] in caplog.text
    assert "/home/alice" in caplog.text
    assert "alice" not in str(list(recorder.runs.values()))


def test_a_sentence_of_ours_is_told_in_public_without_its_folders() -> None:
    for policy, name in ((HOME, "/home/alice/secret.bin"), (PUBLIC, "…/secret.bin")):
        device = Telling(error=BadInput)
        seen = run_all(Sessions(device, ScriptedRecorder(), Visitors(policy)), asked(device, baseline=False))
        assert {failed.message for failed in of_type(seen, Failed)} == {f"cannot read {name}"}
