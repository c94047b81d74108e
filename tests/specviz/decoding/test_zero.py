"""A Space's shared GPU: runs in a forked process, only text between, stops and quotas as sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import steps_of
from toys.forking_spaces import ForkingSpaces, QuotaExceeded
from toys.static_passes import run_static

from engine import drafters
from engine.audit import output_ids
from engine.config import GenerationConfig
from engine.errors import BadInput
from engine.events import Event, SessionFinished, SessionStarted
from engine.models.watch import Watch, watched
from specviz.decoding import zero
from specviz.decoding.device import Loading, Request
from specviz.decoding.local import LocalDevice
from specviz.decoding.zero import ZeroDevice

CONFIG = GenerationConfig(max_new_tokens=8)
CPU = Loading(dtype="fp32", device="cpu")


@pytest.fixture
def spaces(monkeypatch: pytest.MonkeyPatch) -> Iterator[ForkingSpaces]:
    """Passes run as on a GPU: compiled ones have threads, and a fork takes none along."""
    run_static(monkeypatch, first_length=256)
    found = ForkingSpaces()
    yield found
    assert found.num_open == 0, "a process that was lent is given back"


@pytest.fixture
def device(spaces: ForkingSpaces, model_folder: Path) -> ZeroDevice:
    return ZeroDevice(spaces, str(model_folder), loading=CPU)


@pytest.fixture
def request_(model_folder: Path) -> Request:
    return Request("Tim found a red ball.", str(model_folder), "prompt_lookup", {"depth": 3}, CONFIG)


def never() -> bool:
    return False


def test_a_run_is_the_local_devices_run(device: ZeroDevice, request_: Request, spaces: ForkingSpaces) -> None:
    assert not device.is_ready(request_)
    device.prepare(request_)
    assert device.is_ready(request_)
    assert spaces.seconds == [], "nothing is lent to load"
    events = list(device.generate(request_, "s1", never))
    assert isinstance(events[0], SessionStarted)
    assert events[0].session_id == "s1"
    local = LocalDevice(request_.model, loading=CPU)
    assert output_ids(events) == output_ids(local.generate(request_, "s2", never))
    assert spaces.seconds == [zero.run_seconds(request_)]
    assert device._target is None, "what ran in the lent process is gone with it"


def test_a_lent_process_waits_for_no_thread_of_the_servers(
    device: ZeroDevice, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads that OpenMP has in the server are not there in a fork."""

    def load(*given: object) -> None:
        raise BadInput(f"{torch.get_num_threads()} in the fork")

    monkeypatch.setattr(LocalDevice, "load", load)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(BadInput, match="1 in the fork"):
            list(device.generate(request_, "s", never))
    finally:
        torch.set_num_threads(before)


def test_a_verdict_is_another_lending(device: ZeroDevice, request_: Request, spaces: ForkingSpaces) -> None:
    plain = list(device.generate(replace(request_, method="plain", options={}), "p", never))
    first = plain[0]
    assert isinstance(first, SessionStarted)
    events = list(device.generate(request_, "m", never, first.prompt_ids))
    assert device.audit(request_, plain, events).verdict == "identical"
    assert len(spaces.seconds) == 3


def test_a_stop_ends_the_lending_with_what_there_is(device: ZeroDevice, request_: Request) -> None:
    asked = replace(request_, config=GenerationConfig(max_new_tokens=100))
    events: list[Event] = []
    for event in device.generate(asked, "s", lambda: len(steps_of(events)) >= 2):
        events.append(event)
    steps = steps_of(events)
    finished = events[-1]
    assert isinstance(finished, SessionFinished)
    assert (finished.reason, finished.counts.steps) == ("stopped", 2)
    assert finished.counts.emitted == sum(len(step.emitted) for step in steps)


def test_a_lending_that_is_taken_back_ends_the_run_with_a_sentence(
    device: ZeroDevice, request_: Request, spaces: ForkingSpaces
) -> None:
    spaces.dies_after = 3
    events = list(device.generate(request_, "s", never))
    finished = events[-1]
    assert isinstance(finished, SessionFinished)
    assert (finished.reason, finished.message) == ("failed", "No GPU was lent: GPU task aborted.")
    assert len(events) == 4


def test_a_quota_is_a_sentence_without_markup(device: ZeroDevice, request_: Request, spaces: ForkingSpaces) -> None:
    spaces.refusal = QuotaExceeded('You have exceeded your <a href="x">GPU quota</a> (60s requested vs. 3s left).')
    with pytest.raises(BadInput, match=r"^No GPU was lent: You have exceeded your GPU quota \(60s requested"):
        device.generate(request_, "s", never)


def test_input_that_cannot_be_used_is_told_as_at_home(device: ZeroDevice, request_: Request) -> None:
    with pytest.raises(BadInput, match=r"The prompt has .* tokens, and this model's context holds 256"):
        device.generate(replace(request_, prompt="ball " * 300), "s", never)
    with pytest.raises(BadInput, match="Unknown option"):
        device.generate(replace(request_, options={"colour": "red"}), "s", never)


def test_what_cannot_cross_is_refused(device: ZeroDevice, request_: Request) -> None:
    with pytest.raises(BadInput, match="No GPU was lent: Can't"):
        device.generate(replace(request_, options={"depth": lambda: 3}), "s", never)


def test_benchmarks_are_off(device: ZeroDevice, request_: Request) -> None:
    with pytest.raises(BadInput, match="Benchmarks are off here"):
        device.load(request_.model)


def test_what_the_page_asks_is_answered_from_the_weights(
    device: ZeroDevice, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert device.texts(request_.model, [1]) is None
    assert device.cannot_run(request_.model, "draft_model") is None
    device.hold(request_.model)
    ids = device.read(request_)
    assert device.texts(request_.model, ids)
    assert device.has_thinking_switch(request_.model) is False
    assert "No draft model is known" in str(device.cannot_run(request_.model, "draft_model"))
    assert device.caveat(request_) == zero.CAVEAT
    monkeypatch.setattr(zero, "why_eager", lambda model: "the gpt2 family has no static pass")
    assert device.caveat(request_).endswith("launched kernel by kernel, because the gpt2 family has no static pass.")


def test_what_a_drafter_says_beforehand_is_told_from_the_lent_process(
    device: ZeroDevice, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafters.get(request_.method), "caveat", "Its weights are another's.", raising=False)
    told: list[str] = []
    with watched(Watch(told.append)):
        events = list(device.generate(request_, "s", never))
    assert told[-1] == f"{zero.CAVEAT} Its weights are another's."
    assert isinstance(events[0], SessionStarted)
    assert isinstance(events[-1], SessionFinished)


@pytest.mark.parametrize(("tokens", "seconds"), [(10, 21), (1000, 80), (100_000, 120)])
def test_a_longer_answer_is_lent_more_time(request_: Request, tokens: int, seconds: int) -> None:
    config: Any = replace(CONFIG, max_new_tokens=tokens)
    assert zero.run_seconds(replace(request_, config=config), "s", None) == seconds


def test_the_stub_takes_nothing_that_has_no_bytes(spaces: ForkingSpaces) -> None:
    with pytest.raises(Exception, match=r"pickle|Can't"):
        list(spaces.GPU()(lambda value: iter((1,)))(lambda: 1))
