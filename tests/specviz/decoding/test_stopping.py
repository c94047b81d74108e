"""Loading is given up at once, and the device is free when it has really ended."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from asking import asked, of_type, run_all
from scripted import PATIENCE_S, ScriptedDevice, ScriptedRecorder, until

from engine.errors import BadInput
from engine.models import watch
from specviz.decoding.device import Loading, Request
from specviz.decoding.request import parse_loading
from specviz.decoding.session import Sessions, load
from specviz.decoding.stopping import stoppable
from specviz.showing.notices import Ended, Failed, Happening, Preparing


@dataclass
class Loader(ScriptedDevice):
    """Loads until it is let go, and notices a stop only then, as a library does that is in the middle of a file."""

    takes_own: bool = True
    begun: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def load(self, model: str, loading: Loading = Loading()) -> Any:  # noqa: B008 - frozen
        watch.report(f"Reading {model} 40 %")
        self.begun.set()
        assert self.go.wait(PATIENCE_S)
        return super().load(model, loading)

    def prepare(self, request: Request) -> None:
        self.load(request.model)
        super().prepare(request)


def test_what_is_done_is_waited_for_and_what_it_raises_is_raised() -> None:
    done: list[int] = []
    stoppable(lambda: done.append(1), lambda: False, [])
    assert done == [1]
    with pytest.raises(ZeroDivisionError):
        stoppable(lambda: 1 / 0, lambda: False, [])  # type: ignore[arg-type, return-value]


def test_loading_tells_how_far_it_is_and_runs_nothing() -> None:
    device = Loader()
    device.go.set()
    sessions = Sessions(device, ScriptedRecorder())  # type: ignore[arg-type]
    wanted = parse_loading(device, "own", {"dtype": "fp32"})
    seen = [happening for batch in sessions.perform(load(wanted), "v") for happening in batch]
    assert [happening.text for happening in of_type(seen, Preparing)] == ["Loading own", "Reading own 40 %"]
    assert device.log == ["load own auto fp32 auto"]
    assert seen[-1] == Ended()


@pytest.mark.parametrize("is_run", [True, False])
def test_a_stop_answers_at_once_and_the_next_one_waits_for_the_loader(is_run: bool) -> None:
    device = Loader()
    sessions = Sessions(device, ScriptedRecorder())  # type: ignore[arg-type]
    wanted = parse_loading(device, "own", {})
    batches = sessions.run(asked(device), "v") if is_run else sessions.perform(load(wanted), "v")
    seen: list[Happening] = next(batches)
    assert device.begun.wait(PATIENCE_S)
    sessions.stop("v")
    seen += [happening for batch in batches for happening in batch]
    assert [failed.message for failed in of_type(seen, Failed)] == [str(watch.LoadingStopped())]
    next_one = sessions.ticket()
    assert next_one.position() == 1, "the loader holds the device"
    device.go.set()
    until(lambda: next_one.position() == 0)
    next_one.leave()
    run_all(sessions, asked(device))


def test_a_model_that_cannot_be_loaded_is_a_sentence() -> None:
    device = Loader()
    device.go.set()
    sessions = Sessions(device, ScriptedRecorder())  # type: ignore[arg-type]
    batches = sessions.perform(load(parse_loading(device, "a/b", {})), "v")
    failed = of_type([happening for batch in batches for happening in batch], Failed)
    assert [one.message for one in failed] == ["Model a/b cannot be loaded."]
    with pytest.raises(BadInput, match="cannot be loaded"):
        device.load("a/b")
