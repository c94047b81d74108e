"""What is told of a run beside its first figures: spread of times, acceptance as servers name it, what looks wrong.

Ratios are those of `engine.metrics`, names and denominators those of `engine.definitions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from engine.events import Event, SessionFinished, Stepped
from engine.metrics import Acceptance, acceptance, per_step, ratio

FEWEST_STEPS = 20
"""Of fewer steps with a draft, acceptance says nothing."""
SHORT_LENGTH = 1.1
LOW_FIRST = 0.05
STEPS_OF_A_SPEED = 16
MEASURED_TO = 1.05
"""Two runs beside nothing else differ by less."""


def run_report(events: Sequence[Event]) -> dict[str, Any]:
    """`speculative_decoding`, `latency`, `memory_bytes` and `notices` of one request, as plain JSON values."""
    found = acceptance(events)
    return {
        "speculative_decoding": found.to_dict() | per_step(events),
        "latency": latency(events),
        "memory_bytes": memory_bytes(events),
        "notices": notices(found),
    }


def memory_bytes(events: Sequence[Event]) -> dict[str, int] | None:
    """`target`, `drafter` and `kv`; None of a session that has not ended, or of a former version."""
    last = events[-1] if events else None
    return asdict(last.memory) if isinstance(last, SessionFinished) and last.memory else None


def notices(found: Acceptance) -> list[str]:
    """What such acceptance says is wrong, a sentence each."""
    length, num_steps = found.mean_acceptance_length, found.num_spec_steps
    if length is None or num_steps < FEWEST_STEPS:
        return []
    first = found.joint_acceptance_rates[0]
    seen = f"mean acceptance length {length:.2f}, first position {100 * first:.1f} %, {num_steps:,} steps with a draft"
    if first < LOW_FIRST:
        return [
            f"Hardly a draft is accepted ({seen}): so looks a drafter that does not fit its target (weights, "
            "vocabulary, template), or a text in which there is nothing to copy."
        ]
    return [f"Drafting gains little here ({seen})."] if length < SHORT_LENGTH else []


def is_beyond_drafting(speedup: float | None, block_efficiency: float | None) -> bool:
    """Whether something else than drafting made the difference, as other work on the machine during the plain run does.

    A pass over a draft takes no less time than one over a token, so time per token falls by block efficiency at most.
    """
    return speedup is not None and block_efficiency is not None and speedup > MEASURED_TO * block_efficiency


def latency(events: Sequence[Event]) -> dict[str, Any]:
    """`step_time_ms`, `token_time_ms` and `tokens_per_second_over_time`, as plain JSON values."""
    steps = [(_step_ns(event) / 1e6, len(event.emitted)) for event in events if isinstance(event, Stepped)]
    return {
        "step_time_ms": _percentiles([ms for ms, _ in steps]),
        "token_time_ms": _percentiles([ms / num_tokens for ms, num_tokens in steps for _ in range(num_tokens)]),
        "tokens_per_second_over_time": list(_speeds(steps)),
    }


def _step_ns(step: Stepped) -> int:
    return step.draft_ns + step.target_ns + step.commit_ns + step.verify_ns + step.host_ns


def _percentiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return dict(zip(("p50", "p90", "p99"), np.percentile(values, (50, 90, 99)).tolist(), strict=True))


def _speeds(steps: Sequence[tuple[float, int]]) -> Iterator[list[float | None]]:
    seconds = 0.0
    for first in range(0, len(steps), STEPS_OF_A_SPEED):
        some = steps[first : first + STEPS_OF_A_SPEED]
        spent = sum(ms for ms, _ in some) / 1e3
        seconds += spent
        yield [seconds, ratio(sum(num_tokens for _, num_tokens in some), spent)]
