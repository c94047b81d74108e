"""Exactness audit: a run's output against plain decoding, token by token.

Greedy and node-sampling must give the same tokens as plain decoding with the same settings and seed. From the first
difference on, the run's own text is read in passes of one row, as plain decoding reads: each of its tokens must be the
one that plain decoding chooses there, or one whose score lies so close that rounding decides (a near-tie, `Judge`).
So what stands behind a near-tie is compared too. A lossy rule is measured by the same reading, and is never an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from engine import drafters
from engine.config import AUTO, GenerationConfig
from engine.distributions import Distributions
from engine.events import Event, SessionFinished, SessionStarted, Stepped
from engine.loop import generate
from engine.near_ties import Tie, judged
from engine.noise import Noise
from engine.target import Target
from engine.tree import EMPTY_TREE, DraftTree

Finding = Literal["identical", "near-tie", "lossy", "DIFFERENT", "not auditable"]

_SEVENTEEN_ROWS = DraftTree((0,) * 16, (-1,) * 16)
"""A root in company: what rounding does to it shows how far rows are from invariant."""


@dataclass(frozen=True)
class Audit:
    """What the comparison found."""

    verdict: Finding
    num_compared: int
    position: int | None = None
    """Output index of the differing token that the verdict is about: the first, or the first that is an error."""
    gap: float | None = None
    """By how much the run's token falls behind plain decoding's there, in scores (with the place's noise, if sampled);
    None where top-k or top-p do not let it be drawn."""
    tolerance: float | None = None
    num_differing: int = 0
    """Tokens that plain decoding, given the run's own text, would not have written."""
    distance: float | None = None
    """Of a lossy run: the mean, over those tokens, of 1 - the target's probability of the token. It is the total
    variation between certainty of that token, as the rule had it, and the target's distribution."""

    @property
    def text(self) -> str:
        """In a few words, as shown."""
        if self.verdict == "not auditable":
            return "not auditable: this rule keeps the distribution, not the text"
        if self.verdict == "identical":
            return f"identical to plain decoding ({self.num_compared} tokens)"
        if self.verdict == "lossy":
            return (
                f"lossy: {self.num_differing} of {self.num_compared} tokens are not what plain decoding would have "
                f"written (the first is token {self.position}; mean distance {self.distance:.2f})"
            )
        more = f"; {self.num_differing - 1} more behind it" if self.num_differing > 1 else ""
        return f"{self.verdict} at token {self.position} ({self._measure}{more})"

    @property
    def _measure(self) -> str:
        if self.tolerance is None:
            return "the run ended at another place"
        if self.gap is None:
            return "outside top-k or top-p"
        return f"gap {self.gap:.3g}, tolerance {self.tolerance:.3g}"


def output_ids(events: Iterable[Event]) -> list[int]:
    """Emitted token ids."""
    return [token.token_id for event in events if isinstance(event, Stepped) for token in event.emitted]


def plain_run(target: Target, prompt_ids: Sequence[int], config: GenerationConfig) -> list[Event]:
    """Plain decoding of the same prompt with the same settings."""
    rule = config.rule if config.verification_rule.is_reproducible else AUTO
    plain = GenerationConfig(**{**vars(config), "rule": rule})
    return list(generate(target, drafters.create("plain", {}, target), prompt_ids, plain))


def audit(target: Target, plain: Sequence[Event], run: Sequence[Event]) -> Audit:
    """Compare a run with the plain run of the same prompt and settings."""
    started = next(e for e in run if isinstance(e, SessionStarted))
    config = GenerationConfig.from_dict(started.config)
    if not config.verification_rule.is_reproducible:
        return Audit("not auditable", 0)
    expected, given = output_ids(plain), output_ids(run)
    shared = min(len(expected), len(given))
    position = next((i for i in range(shared) if expected[i] != given[i]), None)
    reading = Reading(target, config, list(started.prompt_ids), given)
    if position is None:
        is_cut_short = _was_cut_short(run) or _was_cut_short(plain)
        is_same = len(expected) == len(given) or is_cut_short
        return Audit("identical", shared) if is_same else Audit("DIFFERENT", shared, position=shared)
    return reading.divergence(position) if started.guarantee == "lossy" else reading.verdict(position)


def _was_cut_short(events: Sequence[Event]) -> bool:
    """Whether the run ended from outside: then only what both wrote can be compared."""
    finished = next((e for e in events if isinstance(e, SessionFinished)), None)
    return finished is None or finished.reason in ("stopped", "timeout", "failed")


@dataclass(frozen=True)
class Place:
    """A token of the run that plain decoding would not have written there."""

    index: int
    token: int
    chosen: int
    """What plain decoding writes here."""
    alone: Distributions
    """One row: what follows the text before."""
    in_company: Tensor
    """The logits (1, v) of the same row among seventeen."""


class Reading:
    """A run's own text, read as plain decoding reads: passes of one row behind a prefill of the prompt."""

    def __init__(self, target: Target, config: GenerationConfig, prompt_ids: list[int], given: list[int]) -> None:
        self.target, self.config, self.prompt_ids, self.given = target, config, prompt_ids, given
        self.rule, self.noise = config.verification_rule(), Noise(config.seed)

    def verdict(self, position: int) -> Audit:
        """Of a run that must equal plain decoding and first differs at `position`."""
        ties: list[Tie] = []
        for place in self._differing(position):
            tie = self._judged(place)
            if not tie.is_near:
                return Audit("DIFFERENT", place.index, place.index, tie.gap, tie.tolerance, len(ties) + 1)
            ties.append(tie)
        return Audit("near-tie", len(self.given), position, ties[0].gap, ties[0].tolerance, len(ties))

    def divergence(self, position: int) -> Audit:
        """Of a lossy run that first differs at `position`."""
        places = list(self._differing(position))
        mean = sum(1 - (place.alone.chances([0], [place.token])[0] or 0.0) for place in places) / len(places)
        return Audit("lossy", len(self.given), position, num_differing=len(places), distance=mean)

    def _differing(self, first: int) -> Iterator[Place]:
        """The places from `first` on, which is one of them, where plain decoding chooses otherwise."""
        context = list(self.prompt_ids)
        self.target.prefill(context[:-1])
        for index, token in enumerate(self.given):
            logits = self.target.score(context[-1], EMPTY_TREE).logits
            if index >= first:
                alone = Distributions(logits, self.config, [list(context)])
                chosen = self.rule.verify(EMPTY_TREE, alone, self.noise, len(context)).next_token
                if index == first or chosen != token:
                    yield Place(index, token, chosen, alone, self._in_company(context[-1]))
            self.target.commit(())
            context.append(token)

    def _in_company(self, root_id: int) -> Tensor:
        """What the last row becomes among seventeen; afterwards it waits alone for its commit, as before."""
        self.target.discard()
        logits = self.target.score(root_id, _SEVENTEEN_ROWS).logits[:1]
        self.target.discard()
        self.target.score(root_id, EMPTY_TREE)
        return logits

    def _judged(self, place: Place) -> Tie:
        gumbel = None
        if not self.config.is_greedy:
            gumbel = self.noise.gumbel(len(self.prompt_ids) + place.index, place.alone.width)
        return judged(place.alone, place.in_company, place.token, place.chosen, gumbel, self.target.facts.dtype)
