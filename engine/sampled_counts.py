"""What a sampled audit counts, and what it finds in it. Knows numbers and distributions; runs nothing.

Of an emitted token, the mass of the tokens before it in some order and a random share of its own are uniform on (0, 1)
where tokens are draws from the target, and independent of each other. Four parts of the interval are equally likely
then, and so are neighbours' sixteen: `chi_square.serial`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from engine.chi_square import POWER, num_samples, p_value, seen_distortion, serial, serial_freedom

PARTS = 4
FREEDOM = serial_freedom(PARTS)
FINE_PARTS = 16
"""Of the interval, by which the distance of a lossy run is measured: what is moved within a part is not seen."""
FAMILY_ALPHA = 1e-3
"""False alarms of all tests of one audit together."""
SAME = 0.01
"""The distortion that runs which are plain decoding's, token for token, are to see."""

Finding = Literal["fits", "identical", "DIFFERENT", "lossy", "cut short", "failed"]


@dataclass(frozen=True)
class SampledAudit:
    """What was found of one method under one rule, in one setting or in all together."""

    verdict: Finding
    num_tokens: int
    statistic: float
    p_value: float
    seen: float
    """The least total variation of a token's law, or of neighbours', that so many tokens see with probability 0.99."""
    distance: float
    """Total variation between what was counted and what fits, less what chance makes of it; 0 at least. A lower bound
    of the law's own."""
    impossible: int
    """Tokens that the target gives no probability."""
    block_efficiency: float
    seconds: float
    message: str = ""

    @property
    def text(self) -> str:
        """In a few words, as shown."""
        if self.message:
            return f"{self.verdict}: {self.message}"
        found = {
            "identical": f"token for token plain decoding's {self.num_tokens:,}",
            "lossy": f"off by {100 * self.distance:.1f} % at least, {self.num_tokens:,} tokens",
        }.get(self.verdict, f"p {self.p_value:.2g} of {self.num_tokens:,} tokens")
        sees = "" if self.verdict == "lossy" else f"sees {100 * self.seen:.1f} %; "
        return f"{self.verdict} ({found}; {sees}{self.block_efficiency:.2f} tokens a pass; {self.seconds:.0f} s)"


@dataclass(frozen=True)
class Plan:
    """How much of a method under a rule is run."""

    num_tokens: int
    """Of a test by statistics, all settings together."""
    alpha: float
    """Its rate of false alarms."""

    @classmethod
    def to_see(cls, distortion: float, num_tests: int) -> Plan:
        """Sees so much with probability 0.99, where all tests together raise a false alarm at `FAMILY_ALPHA`."""
        alpha = FAMILY_ALPHA / max(1, num_tests)
        return cls(num_samples(distortion, FREEDOM, alpha), alpha)


def uniforms(tokens: Tensor, probs: Tensor, keys: Tensor, chance: Tensor) -> Tensor:
    """Of tokens (m,) by distributions and keys (m, v): the mass of tokens before each, and a share of its own (m,)."""
    probs = probs.double() / probs.double().sum(dim=1, keepdim=True)
    own = keys.gather(1, tokens[:, None])
    places = torch.arange(probs.shape[1])
    is_before = (keys < own) | ((keys == own) & (places < tokens[:, None]))
    mass: Tensor = (probs * is_before).sum(dim=1)
    return mass + chance * probs.gather(1, tokens[:, None])[:, 0]


@dataclass
class Tally:
    """What was counted of one setting so far."""

    numbers: list[float] = field(default_factory=list)
    num_runs: int = 0
    num_steps: int = 0
    impossible: int = 0
    seconds: float = 0.0
    is_same: bool = True
    """Whether all runs were plain decoding's, token for token."""


def finding(tallies: Sequence[Tally], plan: Plan, num_each: int, *, is_lossy: bool, is_same: bool) -> SampledAudit:
    """Of tallies together, the first `num_each` tokens of each; `is_same`: of a rule that keeps the text, all did."""
    counted = [tally.numbers[:num_each] for tally in tallies]
    num = sum(map(len, counted))
    value = serial([[_part(number, PARTS) for number in numbers] for numbers in counted], PARTS)
    tail = p_value(value, FREEDOM) if num else 1.0
    impossible = sum(tally.impossible for tally in tallies)
    is_off = impossible > 0 or (not is_same and tail < plan.alpha)
    is_whole = min(map(len, counted)) == num_each
    whole: Finding = "cut short" if not num else "identical" if is_same else "fits" if is_whole else "cut short"
    return SampledAudit(
        verdict="lossy" if is_lossy else "DIFFERENT" if is_off else whole,
        num_tokens=num,
        statistic=value,
        p_value=tail,
        seen=1 - (1 - POWER) ** (1 / num) if is_same and num else seen_distortion(num, FREEDOM, plan.alpha),
        distance=beyond_chance([_part(number, FINE_PARTS) for numbers in counted for number in numbers]),
        impossible=impossible,
        block_efficiency=sum(len(t.numbers) for t in tallies) / max(1, sum(t.num_steps for t in tallies)),
        seconds=sum(tally.seconds for tally in tallies),
    )


def _part(number: float, num_parts: int) -> int:
    return min(num_parts - 1, max(0, int(number * num_parts)))


def beyond_chance(parts: Sequence[int], num_parts: int = FINE_PARTS) -> float:
    """Total variation between the counts of parts and equal ones, less its mean where they are equal but for chance."""
    if not parts:
        return 0.0
    counts = Counter(parts)
    found = sum(abs(counts[part] / len(parts) - 1 / num_parts) for part in range(num_parts)) / 2
    by_chance = math.sqrt((num_parts - 1) / (2 * math.pi * len(parts)))
    return max(0.0, found - by_chance)


def num_same() -> int:
    """Tokens of a text that see a distortion of `SAME` with probability 0.99 where they are plain decoding's."""
    return math.ceil(math.log(1 - POWER) / math.log(1 - SAME))
