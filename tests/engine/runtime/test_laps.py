"""Phases of a step: what the host does, what the device does for them, and one wait for all."""

from __future__ import annotations

import types

import pytest
import torch

from engine.runtime import laps
from engine.runtime.laps import Laps


class Gpu:
    """A device with a queue: nanoseconds of the host, and until when the queue keeps it busy."""

    def __init__(self) -> None:
        self.now = self.busy_until = self.num_waits = 0

    def work(self, ns: int) -> None:
        self.busy_until = max(self.now, self.busy_until) + ns


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    gpu = Gpu()

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self, stream: object) -> None:
            assert stream == "stream of cuda:1"
            self.at = max(gpu.now, gpu.busy_until)

        def synchronize(self) -> None:
            gpu.num_waits += 1
            gpu.now = max(gpu.now, self.at)

        def elapsed_time(self, later: Event) -> float:
            assert later.at <= gpu.now, "torch raises where an event has not come"
            return (later.at - self.at) / 1e6

    cuda = types.SimpleNamespace(Event=Event, current_stream=lambda device: f"stream of {device}")
    monkeypatch.setattr(laps.torch, "cuda", cuda)
    monkeypatch.setattr(laps.time, "perf_counter_ns", lambda: gpu.now)
    return gpu


def test_a_phase_on_cuda_lasts_until_the_device_is_done_with_it_and_nobody_waits_meanwhile(gpu: Gpu) -> None:
    found = Laps(torch.device("cuda:1"))
    gpu.now += 300  # a draft made by the host alone
    found.lap("draft")
    gpu.work(10_000)
    gpu.now += 700  # to launch it
    found.lap("target")
    gpu.now += 500  # beside the device
    gpu.work(2_000)
    found.lap("verify")
    assert gpu.num_waits == 0
    assert found.ns() == {"draft": 300, "target": 10_000, "verify": 2_000}
    assert gpu.now == 12_300, "phases add up to all that was waited for"


def test_behind_the_moment_that_a_step_waits_for_a_clock_tells(gpu: Gpu) -> None:
    gpu.work(400)  # of the step before
    found = Laps(torch.device("cuda:1"))
    gpu.now += 300
    found.lap("draft")
    gpu.work(10_000)
    found.lap("target")
    gpu.work(2_000)
    gpu.now = gpu.busy_until  # the verdict's download
    found.meet()
    gpu.now += 50
    found.lap("verify")
    gpu.work(900)  # keeps the path
    gpu.now += 20
    found.lap("commit")
    gpu.now += 80
    found.lap("host")
    before = gpu.now
    assert found.ns() == {"draft": 400, "target": 10_000, "verify": 2_050, "commit": 20, "host": 80}
    assert gpu.now == before, "the next step waits for what is kept"


def test_a_device_that_works_on_its_own_is_waited_for_at_each_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    monkeypatch.setattr(torch.mps, "synchronize", lambda: waited.append(1))
    found = Laps(torch.device("mps"))
    found.lap("draft")
    assert list(found.ns()) == ["draft"]
    assert waited == [1, 1]


def test_elsewhere_phases_are_read_off_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1_000, 1_300, 2_000])
    monkeypatch.setattr(laps.time, "perf_counter_ns", lambda: next(times))
    found = Laps(torch.device("cpu"))
    found.lap("draft")
    found.lap("target")
    assert found.ns() == {"draft": 300, "target": 700}
