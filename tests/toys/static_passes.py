"""The GPU's passes on a CPU: static buffers, and graphs that are imitated."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch

from engine.runtime import prepared
from engine.runtime.cuda import buckets, graphs

FEW = 16
"""Columns of the least length bucket, so that short texts cross borders."""


class Replays:
    """How often something was captured, and played again."""

    def __init__(self) -> None:
        self.num_captured = self.num_played = 0
        self.as_one: Callable[[], AbstractContextManager[None]] = nullcontext
        """What a replay is done in: for who counts launches."""

    def capture(self, work: Callable[[], graphs.Outputs], device: torch.device, pool: Any) -> Any:
        """As a graph does it: the first call's work on the first call's tensors, whoever asks later."""
        self.num_captured += 1
        found = work()

        def replay() -> None:
            self.num_played += 1
            with self.as_one():
                for old, new in zip(found, work(), strict=True):
                    old.copy_(new)

        return replay, found


def run_static(monkeypatch: pytest.MonkeyPatch, *, is_captured: bool = False, first_length: int = FEW) -> Replays:
    """From now on models that are made run as on a GPU."""
    replays = Replays()
    monkeypatch.setattr(prepared, "runs_static", lambda device: True)
    monkeypatch.setattr(buckets, "_FIRST_LENGTH", first_length)
    monkeypatch.setattr(buckets, "_LENGTH_STEP", 4 * first_length)
    monkeypatch.setattr(graphs, "can_capture", lambda device: is_captured)
    monkeypatch.setattr(graphs, "capture", replays.capture)
    return replays
