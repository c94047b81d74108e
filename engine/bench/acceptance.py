"""Acceptance of a bench's runs: each run's own counts, and their figures pooled. Ratios are those of engine.metrics."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from engine.events import Event
from engine.metrics import Acceptance, acceptance

_POOLED = (
    *("mean_acceptance_length", "draft_acceptance_rate", "acceptance_histogram"),
    *("joint_acceptance_rates", "conditional_acceptance_rates"),
)


def of_turns(sessions: Sequence[Sequence[Event]]) -> dict[str, Any]:
    """`acceptance_histogram` and `num_draft_tokens` of a run, all turns together; nothing where no events are known."""
    if not sessions:
        return {}
    found = sum(map(acceptance, sessions), start=Acceptance())
    return {"acceptance_histogram": list(found.acceptance_histogram), "num_draft_tokens": found.num_draft_tokens}


def of_runs(counts: Sequence[tuple[Sequence[int] | None, int | None]]) -> dict[str, Any]:
    """Figures of acceptance over runs, pooled and per run, from the counts of each; None where none of them drafted."""
    runs = [Acceptance(tuple(histogram), num_drafted or 0) for histogram, num_drafted in counts if histogram]
    own = [length for run in runs if (length := run.mean_acceptance_length) is not None]
    pooled = sum(runs, start=Acceptance()).to_dict()
    mean = statistics.fmean(own) if own else None
    return {name: pooled[name] if own else None for name in _POOLED} | {"mean_acceptance_length_per_run": mean}
