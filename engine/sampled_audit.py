"""Statistical audit of sampled runs: whether each emitted token is a draw from the target at its place.

Rules that weigh draws keep the law, not the text, so a run cannot be compared token by token. But of every emitted
token the target's own distribution is at hand: the rule was given it. Order the tokens, sum the probability of those
before the emitted one and a random share of its own: if, and only if, tokens are draws given what stands before them,
these numbers are uniform on (0, 1) and independent. The order may be any that does not look at the token; here tokens
stand by how much the draft model prefers them over the target, since what goes wrong in verification goes wrong along
that line (by probability, where there is no draft model). Eight parts of the interval for a token and eight for the
one behind it make 64 cells that are equally likely, whatever the text; so steps, runs and prompts count together, and
a later token that is wrong because of an earlier one shows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine import drafters, models
from engine.chi_square import p_value, seen_distortion, statistic
from engine.config import GenerationConfig
from engine.errors import BadInput
from engine.events import SessionFinished
from engine.loop import Session
from engine.noise import Noise
from engine.runtime.longrope import make_runner
from engine.target import Target
from engine.tree import DraftTree
from engine.verify import Rule, TargetRows, Verdict

PARTS = 8
NUM_CELLS = PARTS * PARTS
FAMILY_ALPHA = 1e-3
"""False alarms of all tests of one audit together."""

Finding = Literal["fits", "DIFFERENT", "lossy", "cut short", "failed"]
Key = Callable[[Sequence[int], Tensor], Tensor]
"""By what tokens stand in order (m, v): of the text, and of the target's distributions (m, v) behind its last m + 1
tokens but one."""


@dataclass(frozen=True)
class SampledAudit:
    """What was found of one method under one rule and one setting."""

    verdict: Finding
    num_tokens: int
    num_pairs: int
    statistic: float
    p_value: float
    seen: float
    """The least total variation among the cells that so many pairs see, with probability 0.99."""
    distance: float
    """Total variation between what was counted and what fits, less what chance makes of it; 0 at least."""
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
        return (
            f"{self.verdict} (p {self.p_value:.2g} of {self.num_pairs:,} pairs; sees {100 * self.seen:.1f} %; "
            f"off by {100 * self.distance:.1f} %; {self.block_efficiency:.2f} tokens a pass; {self.seconds:.0f} s)"
        )


class Watched(Rule):
    """A rule that notes the target's distribution behind which each token was emitted."""

    name = "watched"
    draft_mode = "drawn"

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule.has_detail)
        self.rule = rule
        self.__dict__["guarantee"] = rule.guarantee
        self.probs: list[Tensor] = []

    def verify(self, tree: DraftTree, target: TargetRows, noise: Noise, position: int) -> Verdict:
        verdict = self.rule.verify(tree, target, noise, position)
        self.probs += [target[row].clone() for row in (0, *(node + 1 for node in verdict.path))]
        return verdict


def by_preference(target: Target) -> Key:
    """Tokens in the order of the draft model's probability over the target's; by the target's where there is none."""
    if target.facts.draft is None:
        return lambda ids, probs: probs
    draft = models.load_draft(models.DraftSpec("auto", "target", "target", 0), target.facts)
    runner = make_runner(draft.model, draft.max_context, is_row_invariant=False)

    def preference(ids: Sequence[int], probs: Tensor) -> Tensor:
        blocks: list[Tensor] = []
        runner.prefill([min(token, draft.vocab_size - 1) for token in ids[:-1]], tell=lambda rows: blocks.append(rows))
        width = min(probs.shape[1], blocks[0].shape[1])
        stated = torch.zeros_like(probs)
        stated[:, :width] = torch.cat(blocks)[-len(probs) :, :width].float().softmax(dim=1).to(probs)
        return stated / probs.clamp(min=1e-30)

    return preference


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
    """What was counted so far."""

    parts: list[int]
    num_steps: int = 0
    impossible: int = 0

    def finding(self, num_pairs: int, alpha: float, *, is_lossy: bool, seconds: float) -> SampledAudit:
        """Of as many pairs as there are, at most so many."""
        found = min(num_pairs, len(self.parts) // 2)
        cells = [0] * NUM_CELLS
        for first, second in zip(self.parts[0 : 2 * found : 2], self.parts[1 : 2 * found : 2], strict=True):
            cells[PARTS * first + second] += 1
        value = statistic(cells)
        tail = p_value(value, NUM_CELLS) if found else 1.0
        is_off = tail < alpha or self.impossible > 0
        verdict: Finding = (
            "lossy" if is_lossy else "DIFFERENT" if is_off else "fits" if found == num_pairs else "cut short"
        )
        return SampledAudit(
            verdict=verdict,
            num_tokens=len(self.parts),
            num_pairs=found,
            statistic=value,
            p_value=tail,
            seen=seen_distortion(found, NUM_CELLS, alpha),
            distance=beyond_chance(cells),
            impossible=self.impossible,
            block_efficiency=len(self.parts) / max(1, self.num_steps),
            seconds=seconds,
        )


def beyond_chance(cells: Sequence[int]) -> float:
    """Total variation between counts and equal ones, less its mean where they are equal but for chance."""
    total = sum(cells)
    if not total:
        return 0.0
    found = sum(abs(count / total - 1 / len(cells)) for count in cells) / 2
    by_chance = math.sqrt((len(cells) - 1) / (2 * math.pi * total))
    return max(0.0, found - by_chance)


def sampled_audit(
    target: Target,
    make: Callable[[], drafters.Drafter],
    config: GenerationConfig,
    prompts: Sequence[Sequence[int]],
    num_pairs: int,
    alpha: float,
    key: Key,
    seconds: float = float("inf"),
) -> SampledAudit:
    """Runs with one seed after another, over and over the prompts, until there are enough pairs or time is up.

    Raises BadInput where the method cannot work under these settings.
    """
    started, tally = time.monotonic(), Tally([])
    chance = torch.Generator().manual_seed(config.seed)
    number = 0
    while len(tally.parts) < 2 * num_pairs and (number == 0 or time.monotonic() - started < seconds):
        seeded = GenerationConfig(**{**vars(config), "seed": config.seed + number, "has_detail": False})
        problem = _run(target, make(), seeded, list(prompts[number % len(prompts)]), tally, key, chance)
        number += 1
        if problem:
            return SampledAudit("failed", 0, 0, 0.0, 1.0, 1.0, 0.0, 0, 0.0, time.monotonic() - started, problem)
    is_lossy = config.verification_rule.guarantee == "lossy"
    return tally.finding(num_pairs, alpha, is_lossy=is_lossy, seconds=time.monotonic() - started)


def _run(
    target: Target,
    drafter: drafters.Drafter,
    config: GenerationConfig,
    prompt: list[int],
    tally: Tally,
    key: Key,
    chance: torch.Generator,
) -> str:
    """Add a run to the tally; why it broke, or nothing."""
    session = Session(target, drafter, prompt, config, lambda: False)
    watched = Watched(session.rule)
    session.rule = watched
    *_, last = session.events("audit")
    if isinstance(last, SessionFinished) and last.reason == "failed":
        return last.message
    emitted = session.context.ids[len(prompt) :]
    probs = torch.stack(watched.probs[: len(emitted)]).cpu()
    tokens = torch.tensor(emitted)
    shares = torch.rand(len(emitted), generator=chance, dtype=torch.float64)
    found = uniforms(tokens, probs, key(session.context.ids, probs), shares)
    tally.parts += (found * PARTS).long().clamp(0, PARTS - 1).tolist()
    tally.num_steps += session.steps
    tally.impossible += int((probs.gather(1, tokens[:, None]) <= 0).sum())
    return ""


def refusal(drafter: drafters.Drafter, config: GenerationConfig) -> str:
    """Why a method cannot be run so; empty where it can."""
    try:
        drafter.check(config)
    except BadInput as error:
        return str(error)
    return ""
