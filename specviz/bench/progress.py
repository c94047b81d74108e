"""How far a benchmark is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Phase = Literal["idle", "waiting", "preparing", "running", "stopped", "finished", "failed"]


@dataclass(frozen=True)
class Progress:
    """How far the benchmark is that runs now, or ran last."""

    bench_id: str = ""
    phase: Phase = "idle"
    num_done: int = 0
    num_total: int = 0
    num_different: int = 0
    """Runs that did not write what plain decoding wrote."""
    seconds_left: float | None = None
    note: str = ""
    """What is being done, or why it failed; a sentence."""
    version: int = 0
    """Grows with every change."""
    num_reports: int = 0
    """Grows when the figures have changed."""

    @property
    def is_going_on(self) -> bool:
        """Whether it has not ended."""
        return self.phase in ("waiting", "preparing", "running")
