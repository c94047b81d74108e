"""What a method's speedup should be, from its measured acceptance and its measured costs.

Leviathan, Kalman and Matias (2023, arXiv 2211.17192, theorem 3.8) expect of a chain of γ drafts, each
accepted with probability α and costing c of a target pass, a speedup of

    (1 - α^(γ+1)) / ((1 - α) (γ c + 1)).

The first factor is the expected block efficiency, and γ c + 1 is the cost of a step in passes of plain
decoding, a pass over the whole draft taken to cost no more than one over a single row. With what was
measured in their places the same formula holds for trees and for draft-free methods:

    block efficiency ÷ (relative pass cost + relative draft cost).

It leaves out prefill and host time, which a measured speedup holds. Knows no runs and no files.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Theory:
    """Costs in passes of plain decoding on the same prompts."""

    relative_pass_cost: float
    """The method's time in the target per target pass ÷ plain's."""
    relative_draft_cost: float
    """The method's time in the drafter per target pass ÷ plain's time in the target per pass."""
    expected_speedup: float


@dataclass(frozen=True)
class Work:
    """What all runs of a contender took together."""

    num_emitted: int
    target_passes: int
    draft_ms: float
    target_ms: float


def theory(ours: Work, plain: Work) -> Theory | None:
    """The expectation; None where a pass of either took no time."""
    if not (ours.target_passes and ours.target_ms and plain.target_passes and plain.target_ms):
        return None
    plain_pass_ms = plain.target_ms / plain.target_passes
    pass_cost = ours.target_ms / ours.target_passes / plain_pass_ms
    draft_cost = ours.draft_ms / ours.target_passes / plain_pass_ms
    efficiency = ours.num_emitted / ours.target_passes
    return Theory(pass_cost, draft_cost, efficiency / (pass_cost + draft_cost))


def chain_speedup(acceptance: float, length: int, cost: float) -> float:
    """Theorem 3.8: a chain of `length` drafts, each accepted with probability `acceptance`, below 1.

    `cost` is that of one draft, in passes of the target.
    """
    return (1 - acceptance ** (length + 1)) / ((1 - acceptance) * (length * cost + 1))
