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
    gpu.now += 100
    found.lap("host")
    assert gpu.num_waits == 0
    assert found.ns() == {"draft": 300, "target": 10_000, "verify": 2_000, "host": 0}
    assert gpu.num_waits == 1
    assert gpu.now == 12_300, "phases add up to all that was waited for"


def test_elsewhere_phases_are_read_off_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1_000, 1_300, 2_000])
    monkeypatch.setattr(laps.time, "perf_counter_ns", lambda: next(times))
    found = Laps(torch.device("cpu"))
    found.lap("draft")
    found.lap("target")
    assert found.ns() == {"draft": 300, "target": 700}
