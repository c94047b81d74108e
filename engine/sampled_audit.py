"""Statistical audit of sampled runs: whether each emitted token is a draw from the target at its place.

Rules that weigh draws keep the law, not the text, so a run cannot be compared token by token. But of every emitted
token the target's own distribution is at hand: the rule was given it. Order the tokens, sum the probability of those
before the emitted one and a random share of its own: if, and only if, tokens are draws given what stands before them,
these numbers are uniform on (0, 1) and independent. The order may be any that does not look at the token; here tokens
stand by how much the draft model prefers them over the target, since what goes wrong in verification goes wrong along
that line (by probability, where there is no draft model). Four parts of the interval are equally likely, whatever the
text, and so are neighbours' sixteen; so steps, runs, prompts and settings count together, and a later token that is
wrong because of an earlier one shows.

A rule under which text and seed belong together is shown by less. Where all of a run's n tokens are those of plain
decoding with the same seed, a distortion of d would have parted them with probability 1 - (1 - d)ⁿ at least, since two
laws at total variation d draw different tokens that often however they share their noise. Where they part, as rounding
may make them, statistics decide. Plain decoding itself is always weighed by statistics.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from engine import drafters, models
from engine.config import GenerationConfig
from engine.errors import BadInput, RunFailed
from engine.events import SessionFinished
from engine.loop import Session
from engine.noise import Noise
from engine.runtime.longrope import make_runner
from engine.sampled_counts import Plan, SampledAudit, Tally, finding, num_same, uniforms
from engine.target import Target
from engine.tree import DraftTree
from engine.verify import Rule, TargetRows, Verdict

Key = Callable[[Sequence[int], Tensor], Tensor]
"""By what tokens stand in order (m, v): of the text, and of the target's distributions (m, v) behind its last m + 1
tokens but one."""


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


class PlainTexts:
    """What plain decoding writes on one target, kept for all who compare."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._kept: dict[tuple[object, ...], list[int]] = {}

    def of(self, prompt: list[int], config: GenerationConfig) -> list[int]:
        """The tokens behind a prompt, whatever rule the settings name. Raises RunFailed."""
        asked = tuple(prompt), *(value for name, value in vars(config).items() if name != "rule")
        if asked not in self._kept:
            drafter = drafters.create("plain", {}, self.target)
            self._kept[asked] = _emitted(Session(self.target, drafter, prompt, config, lambda: False))
        return self._kept[asked]


class MethodAudit:
    """A method under one rule, in one or several settings: a run is added at a time, and findings may be asked for."""

    def __init__(
        self,
        make: Callable[[], drafters.Drafter],
        configs: Sequence[GenerationConfig],
        prompts: Sequence[Sequence[int]],
        plan: Plan,
        key: Key,
        plain: PlainTexts,
    ) -> None:
        self.make, self.configs, self.prompts = make, configs, [list(prompt) for prompt in prompts]
        self.plan, self.key, self.plain = plan, key, plain
        self.tallies = [Tally() for _ in configs]
        self.num_each = math.ceil(plan.num_tokens / len(configs))
        self.fault = ""
        rule = configs[0].verification_rule
        self._is_lossy = rule.guarantee == "lossy"
        self._keeps_text = rule.is_reproducible and not self._is_lossy and make().name != "plain"
        self._chance = torch.Generator().manual_seed(configs[0].seed)

    @property
    def is_same(self) -> bool:
        """Whether all runs had to be plain decoding's, token for token, and were."""
        return self._keeps_text and all(tally.is_same for tally in self.tallies)

    @property
    def is_done(self) -> bool:
        """Whether there are tokens enough, or no more to be had."""
        counts = [len(tally.numbers) for tally in self.tallies]
        is_known = self.is_same and min(counts) > 0 and sum(counts) >= num_same()
        return bool(self.fault) or is_known or min(counts) >= self.num_each

    def add(self) -> None:
        """A run more, of a seed that no other has, in the setting that has fewest tokens."""
        counts = [len(tally.numbers) for tally in self.tallies]
        which = counts.index(min(counts))
        seeded = _seeded(self.configs[which], sum(tally.num_runs for tally in self.tallies))
        started = time.monotonic()
        try:
            self._run(seeded, self.tallies[which])
        except RunFailed as error:
            self.fault = str(error)
        self.tallies[which].seconds += time.monotonic() - started

    def _run(self, config: GenerationConfig, tally: Tally) -> None:
        """Add to the tally. Raises RunFailed."""
        prompt = self.prompts[tally.num_runs % len(self.prompts)]
        session = Session(self.plain.target, self.make(), prompt, config, lambda: False)
        watched = Watched(session.rule)
        session.rule = watched
        tokens = _emitted(session)
        probs = torch.stack(watched.probs[: len(tokens)]).cpu()
        emitted = torch.tensor(tokens)
        shares = torch.rand(len(tokens), generator=self._chance, dtype=torch.float64)
        if self.is_same:
            tally.is_same = tokens == self.plain.of(prompt, config)
        tally.numbers += uniforms(emitted, probs, self.key(session.context.ids, probs), shares).tolist()
        tally.num_runs += 1
        tally.num_steps += session.steps
        tally.impossible += int((probs.gather(1, emitted[:, None]) <= 0).sum())

    def findings(self) -> list[SampledAudit]:
        """Each setting's, and behind those of several all together."""
        if self.fault:
            return [SampledAudit("failed", 0, 0.0, 1.0, 1.0, 0.0, 0, 0.0, 0.0, self.fault)]
        several = [*([tally] for tally in self.tallies), *([self.tallies] if len(self.tallies) > 1 else [])]
        return [
            finding(some, self.plan, self.num_each, is_lossy=self._is_lossy, is_same=self.is_same) for some in several
        ]


def in_rounds(audits: Sequence[MethodAudit], seconds: float = float("inf")) -> Iterator[None]:
    """Add runs, one to each in turn, so that all are as far; after each run the caller may look.

    Ends when all are done or time is up, but not before each has a run.
    """
    started, number = time.monotonic(), 0
    while open_ones := [audit for audit in audits if not audit.is_done]:
        for audit in open_ones:
            if number and time.monotonic() - started > seconds:
                return
            audit.add()
            yield
        number += 1


def _seeded(config: GenerationConfig, number: int) -> GenerationConfig:
    return GenerationConfig(**{**vars(config), "seed": config.seed + number, "has_detail": False})


def _emitted(session: Session) -> list[int]:
    """The tokens of a session, run to its end. Raises RunFailed."""
    *_, last = session.events("audit")
    if isinstance(last, SessionFinished) and last.reason == "failed":
        raise RunFailed(last.message)
    return session.context.ids[len(session.prompt_ids) :]


def refusal(drafter: drafters.Drafter, config: GenerationConfig) -> str:
    """Why a method cannot be run so; empty where it can."""
    try:
        drafter.check(config)
    except BadInput as error:
        return str(error)
    return ""
