"""Exactness audit: a run's output against plain decoding, token by token.

Greedy and node-sampling must give the same tokens as plain decoding with the same settings and
seed. A difference is a near-tie where the two tokens' scores at the first divergence lie closer
than the dtype can tell apart, and an error otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from engine import drafters
from engine.config import GenerationConfig
from engine.events import Event, SessionFinished, SessionStarted, Stepped
from engine.loop import generate
from engine.sampling import Noise, warp
from engine.target import Target
from engine.tree import EMPTY_TREE

Finding = Literal["identical", "near-tie", "DIFFERENT", "not auditable"]

_ULPS = 8
"""Near-tie tolerance: this many units in the last place of the larger logit."""


@dataclass(frozen=True)
class Audit:
    """What the comparison found."""

    verdict: Finding
    num_compared: int
    position: int | None = None
    """Output index of the first differing token."""
    gap: float | None = None
    """Score of plain decoding's token minus score of the run's token, at that place."""
    tolerance: float | None = None

    @property
    def text(self) -> str:
        """In a few words, as shown."""
        if self.verdict in ("near-tie", "DIFFERENT"):
            gap = "no gap known" if self.gap is None else f"gap {self.gap:.3g}, tolerance {self.tolerance:.3g}"
            return f"{self.verdict} at token {self.position} ({gap})"
        if self.verdict == "not auditable":
            return "not auditable: rule rejection keeps the distribution, not the text"
        return f"identical to plain decoding ({self.num_compared} tokens)"


def output_ids(events: Iterable[Event]) -> list[int]:
    """Emitted token ids."""
    return [token.token_id for event in events if isinstance(event, Stepped) for token in event.emitted]


def plain_run(target: Target, prompt_ids: Sequence[int], config: GenerationConfig) -> list[Event]:
    """Plain decoding of the same prompt with the same settings."""
    rule = "auto" if config.rule == "rejection" else config.rule
    plain = GenerationConfig(**{**vars(config), "rule": rule})
    return list(generate(target, drafters.create("plain", {}, target), prompt_ids, plain))


def audit(target: Target, plain: Sequence[Event], run: Sequence[Event]) -> Audit:
    """Compare a run with the plain run of the same prompt and settings."""
    started = next(e for e in run if isinstance(e, SessionStarted))
    config = GenerationConfig(**{**started.config, "stop_strings": tuple(started.config["stop_strings"])})
    expected, given = output_ids(plain), output_ids(run)
    if config.verification_rule == "rejection":
        return Audit("not auditable", 0)
    if _was_cut_short(run) or _was_cut_short(plain):
        shared = min(len(expected), len(given))
        expected, given = expected[:shared], given[:shared]
    position = next((i for i, (a, b) in enumerate(zip(expected, given, strict=False)) if a != b), None)
    if position is None:
        shared = min(len(expected), len(given))
        same_length = len(expected) == len(given)
        return Audit("identical", shared) if same_length else Audit("DIFFERENT", shared, position=shared)
    gap, tolerance = _gap(target, config, list(started.prompt_ids), expected, given[position], position)
    verdict: Finding = "near-tie" if gap <= tolerance else "DIFFERENT"
    return Audit(verdict, position, position, gap, tolerance)


def _was_cut_short(events: Sequence[Event]) -> bool:
    """Whether the run ended from outside: then only what both wrote can be compared."""
    finished = next((e for e in events if isinstance(e, SessionFinished)), None)
    return finished is None or finished.reason in ("stopped", "timeout", "failed")


def _gap(
    target: Target, config: GenerationConfig, prompt_ids: list[int], expected: list[int], token: int, position: int
) -> tuple[float, float]:
    """Score gap between the two tokens under plain decoding, and what the dtype cannot tell apart."""
    context = prompt_ids + expected[:position]
    target.prefill(context[:-1])
    logits = target.score(context[-1], EMPTY_TREE).logits
    if config.is_greedy:
        scores = logits[0]
    else:
        scores = warp(logits, config, [context])[0].log() + Noise(config.seed).gumbel(len(context), logits.shape[1])
    tolerance = _ULPS * torch.finfo(target.loaded.dtype).eps * max(1.0, logits[0].abs().max().item())
    return (scores[expected[position]] - scores[token]).abs().item(), tolerance
