"""A run in numbers, as figures and tables of several runs read it."""

from __future__ import annotations

from dataclasses import dataclass

from engine.metrics import TimePerToken
from specviz.decoding.device import PLAIN


@dataclass(frozen=True)
class Row:
    """One lane; None where there is nothing to divide by, or nothing to compare with."""

    label: str
    method: str
    guarantee: str = ""
    turn: int | None = None
    """When it ran; 1 is first."""
    phase: str = ""
    emitted: int = 0
    limit: int | None = None
    """Most tokens that were asked for."""
    decode_ms: float = 0.0
    tokens_per_second: float | None = None
    speedup: float | None = None
    block_efficiency: float | None = None
    acceptance_rate: float | None = None
    wasted_drafts_per_token: float | None = None
    time_per_token: TimePerToken | None = None
    verdict: str = ""
    """Empty where the run was not audited."""
    verdict_text: str = ""
    problem: str = ""
    """Why it failed or was not run; empty where all is well."""
    is_claim: bool = False
    """Whether a file says so: see `specviz.showing.origin`."""

    @property
    def is_plain(self) -> bool:
        """Whether this is the baseline."""
        return self.method == PLAIN
