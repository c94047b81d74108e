"""Measures what rules accept, and how far the lossy ones stray: the tables of docs/verification.md.

    PYTHONPATH=. python scripts/rule_tables.py [--model MODEL] [--draft FOLDER] [--part nodes|drafts] [--budget N]

`nodes`: at one node, behind tokens that the target sampled, from the two distributions alone. `drafts`: real drafts,
each of as many nodes, at every place of texts that plain decoding wrote, the same places for all; what is counted is
the mean of what a rule accepts of a draft, not one throw of it. Prints Markdown. None of it hangs on how busy the
machine is.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from engine import drafters, models, suites, verify
from engine.config import GenerationConfig
from engine.errors import RunFailed
from engine.events import Judged, SessionFinished
from engine.loop import Session
from engine.noise import Noise
from engine.runtime.longrope import make_runner
from engine.sampling import warp
from engine.target import Target
from engine.tree import MAX_BUDGET, DraftTree
from engine.verify import (
    Rule,
    TargetRows,
    Verdict,
    above_threshold,
    among_top,
    block_verification,
    k_seq,
    rejection,
    typical,
)
from engine.verify.base import ending

COUNTS = (1, 2, 4, 8)
NUM_DRAWS = 8
"""Drawn drafts of a place, where no formula gives the mean."""
LOSSY: dict[str, Callable[[Tensor], Tensor]] = {
    "typical": lambda p: p > typical.least_plausible(p),
    "above_threshold": lambda p: p >= above_threshold.THRESHOLD,
    "among_top": lambda p: p >= p.topk(among_top.NUM_LIKELIEST).values[-1],
}
"""Which tokens a rule lets pass, by the target's distribution."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="story")
    parser.add_argument("--draft", default="auto", help="a draft model's folder (default: the preset's own)")
    parser.add_argument("--part", choices=("nodes", "drafts"), default="nodes")
    parser.add_argument("--suite", default="all")
    parser.add_argument("--limit", type=int, default=1, help="questions of a suite")
    parser.add_argument("--tokens", type=int, default=40, help="most of an answer")
    parser.add_argument("--budget", type=int, default=16, help="nodes of a draft: 8 or 16")
    parser.add_argument("--races", type=int, default=256, help="shared noises of a place, for nodes")
    parser.add_argument("--rules", default=",".join(verify.names()), help="for drafts: rules parted by commas")
    parser.add_argument("--temperatures", default="0.7,1")
    given = parser.parse_args()
    target = Target(models.load(given.model, "auto", "auto"))
    questions = suites.questions(given.suite, given.limit, models.kind_of(given.model), None)
    prompts = [target.facts.encode(question.turns[0]) for question in questions]
    for temperature in map(float, given.temperatures.split(",")):
        config = GenerationConfig(max_new_tokens=given.tokens, temperature=temperature)
        print_nodes(target, given.draft, prompts, config, given.races) if given.part == "nodes" else print_drafts(
            target, given.draft, prompts, config, given.budget, given.rules.split(",")
        )


# At one node


def print_nodes(target: Target, draft: str, prompts: Sequence[list[int]], config: GenerationConfig, races: int) -> None:
    """Acceptance by rule and number of drafts; of lossy rules what is moved, too."""
    places = list(places_of(target, draft, prompts, config))
    generator = torch.Generator().manual_seed(0)
    rows: dict[str, list[list[float]]] = {}
    for p, q in places:
        waits = torch.empty(races, len(p)).exponential_(generator=generator)
        first = (p / waits).argmax(dim=1)
        for count in COUNTS:
            for name, value in at_node(p, q, count, waits, first, generator):
                rows.setdefault(name, [[] for _ in COUNTS])[COUNTS.index(count)].append(value)
    print(f"\n| T {config.temperature:g}, {len(places)} places | {' | '.join(f'k = {k}' for k in COUNTS)} |")
    print("| --- |" + " --- |" * len(COUNTS))
    for name, columns in rows.items():
        print(f"| {name} | {' | '.join(f'{sum(found) / len(found):.3f}' for found in columns)} |", flush=True)


def at_node(
    p: Tensor, q: Tensor, count: int, waits: Tensor, first: Tensor, generator: torch.Generator
) -> Iterator[tuple[str, float]]:
    """What each rule does with so many drafts at a node whose distributions (v,) these are.

    `waits` (n, v): noises that drafter and target share; `first` (n,): the target's draws by them.
    """
    rho = k_seq.scale(p.numpy(), q.numpy(), count)
    by_preference = (q / p.clamp(min=1e-30)).argsort(descending=True)
    alike = q[by_preference].cumsum(0) ** count - p[by_preference].cumsum(0)
    yield "`with_replacement`", with_replacement(p, q, count)
    yield "`k_seq`", k_seq.acceptance(min(1.0, float(torch.minimum(q, p / rho).sum())), count)
    yield "the most that k independent drafts can have", 1 - max(0.0, float(alike.max()))
    yield "`rejection`, without replacement", without_replacement(p, q, count, generator)
    yield "`likeliest_drafts`", float(p[q.topk(count).indices].sum())
    slots = (q.float() / waits.sqrt()).topk(count).indices
    is_drafted = (slots == first[:, None]).any(dim=1)
    yield "`node_sampling`, b = ½", float(is_drafted.double().mean())
    for name, passes in LOSSY.items():
        accepted, moved = lossy(p, slots, first, passes(p), keeps_draw=name != "typical")
        yield f"`{name}`: accepted", accepted
        yield f"`{name}`: moved", moved


def with_replacement(p: Tensor, q: Tensor, count: int) -> float:
    """Of independent drafts, one behind the other: what is left does not hang on which were refused."""
    refused = 1.0
    for _ in range(count):
        refused *= max(0.0, 1 - float(torch.minimum(p, q).sum()))
        p = rejection.residual_of(p, q)
    return 1 - refused


def without_replacement(p: Tensor, q: Tensor, count: int, generator: torch.Generator) -> float:
    """The mean over drawn drafts."""
    total = 0.0
    for _ in range(NUM_DRAWS):
        drawn = (q / torch.empty_like(q).exponential_(generator=generator)).topk(count).indices.tolist()
        refused, wanted, stated = 1.0, p, q
        for token in drawn:
            if not float(stated[token]) > 0:
                break
            refused *= 1 - min(1.0, float(wanted[token] / stated[token]))
            wanted = rejection.residual_of(wanted, stated)
            stated = stated.clone()
            stated[token] = 0
            stated /= stated.sum().clamp(min=1e-300)
        total += 1 - refused
    return total / NUM_DRAWS


def lossy(p: Tensor, slots: Tensor, first: Tensor, passes: Tensor, *, keeps_draw: bool) -> tuple[float, float]:
    """How often a draft is accepted, and the total variation between the law of what is emitted and p.

    `slots` (n, k): the drafts under n noises; `first` (n,): the target's draws; `passes` (v,): what is let pass.
    `keeps_draw`: a draft that is the target's own draw is taken before any other.
    """
    good = torch.where(passes[slots], p[slots], -1.0)
    best = slots.gather(1, good.argmax(dim=1, keepdim=True))[:, 0]
    stands_in = (good > 0).any(dim=1)
    is_drafted = (slots == first[:, None]).any(dim=1) if keeps_draw else torch.zeros_like(stands_in)
    emitted = torch.where(stands_in & ~is_drafted, best, first)
    gained = torch.bincount(emitted, minlength=len(p)) - torch.bincount(first, minlength=len(p))
    return float((stands_in | is_drafted).double().mean()), float(gained.clamp(min=0).sum()) / len(first)


def places_of(
    target: Target, draft: str, prompts: Sequence[list[int]], config: GenerationConfig
) -> Iterator[tuple[Tensor, Tensor]]:
    """Distributions (v,) of target and draft model behind tokens that the target sampled."""
    small = models.load_draft(models.DraftSpec(draft, "target", "target", 0), target.facts)
    reader = make_runner(small.model, small.max_context, is_row_invariant=False)
    for seed, prompt in enumerate(prompts):
        seeded = GenerationConfig(**{**vars(config), "seed": seed})
        text = plain_text(target, prompt, seeded)
        laws = []
        for runner in (target.runner, reader):
            blocks: list[Tensor] = []
            runner.prefill(text[:-1], tell=lambda rows, blocks=blocks: blocks.append(rows.clone()))
            laws.append(warp(torch.cat(blocks)[len(prompt) - len(text) :], config).double())
        yield from zip(*laws, strict=True)


# Real drafts


class Forced(Rule):
    """Writes a text that is given, one token a step, and counts what a rule would accept of each draft."""

    name = "forced"
    draft_mode = "drawn"

    def __init__(self, rule: Rule, text: Sequence[int]) -> None:
        super().__init__()
        self.rule, self.text = rule, text
        self.lengths: list[float] = []
        self.nodes: list[int] = []

    def verify(self, tree: DraftTree, target: TargetRows, noise: Noise, position: int) -> Verdict:
        self.lengths.append(expected(self.rule, tree, target, noise, position))
        self.nodes.append(len(tree))
        return Verdict((), self.text[position], ending(tree, ()))


def expected(rule: Rule, tree: DraftTree, target: TargetRows, noise: Noise, position: int) -> float:
    """Tokens of a draft that a rule accepts: the mean over its own numbers, of a rule that weighs draws."""
    if isinstance(rule, block_verification.BlockVerification):
        return expected_of_block(tree, target)
    if not isinstance(rule, k_seq.KSeq | rejection.Rejection):
        return len(rule.verify(tree, target, noise, position).path)
    weigh = k_seq.select if isinstance(rule, k_seq.KSeq) else rejection.examine
    reached = {-1: 1.0}
    for node in range(-1, len(tree)):
        judged: list[Judged] = []
        left = reached.get(node, 0.0)
        if left > 0:
            weigh(tree, node, target[node + 1].double(), itertools.repeat(math.inf), judged)
        for draw in judged:
            chance = min(1.0, draw.ratio or 0.0)
            reached[draw.node] = reached.get(draw.node, 0.0) + left * chance
            left *= 1 - chance
    return sum(reached.values()) - 1


def expected_of_block(tree: DraftTree, target: TargetRows) -> float:
    """The longest part of a chain that holds."""
    if tree.draws is None:
        return 0.0
    probs = torch.stack([target[row] for row in range(len(tree) + 1)]).double()
    laws = tree.draws.rows[list(tree.draws.row_of)].to(probs)
    shares = block_verification.held_shares(tree.tokens, probs, laws)
    left = (probs.new_tensor(shares[:-1])[:, None] * probs[:-1] - laws).clamp_(min=0).sum(dim=1).tolist()
    none_holds, total = 1.0, 0.0
    for chance in reversed(block_verification.holding_chances(shares, left)):
        none_holds *= 1 - chance
        total += 1 - none_holds
    return total


def contenders(budget: int, draft: str) -> Iterator[tuple[str, str, dict[str, Any], str]]:
    """Label, method, options and rule, each with so many nodes a draft."""
    width, depth = budget // 4, 4
    fixed = {"model": draft, "budget": "fixed"}
    chain = {**fixed, "depth": budget, "min_confidence": 0.0}
    paths = {**fixed, "paths": width, "depth": depth}
    tree = {**fixed, "nodes": budget, "width": width, "depth": depth, "min_confidence": 0.0}
    yield "chain, `rejection`", "draft_model", chain, "rejection"
    yield "chain, `block_verification`", "draft_model", chain, "block_verification"
    yield "`spectr`, `with_replacement`", "spectr", paths, "with_replacement"
    yield "`spectr`, `k_seq`", "spectr", paths, "k_seq"
    yield "`rsd`, `rejection`", "rsd", {**fixed, "width": width, "depth": depth}, "rejection"
    yield "`sequoia`, `rejection`", "sequoia", {**fixed, "nodes": budget}, "rejection"
    for rule in ("likeliest_drafts", "node_sampling", *LOSSY):
        yield f"tree, `{rule}`", "draft_model", tree, rule


def print_drafts(
    target: Target,
    draft: str,
    prompts: Sequence[list[int]],
    config: GenerationConfig,
    budget: int,
    rules: Sequence[str],
) -> None:
    """Tokens a pass and nodes a draft; behind, how far each is above the first, place by place."""
    texts = [plain_text(target, prompt, config) for prompt in prompts]
    print(f"\n| T {config.temperature:g} | nodes | tokens a pass | above the first |\n| --- | --- | --- | --- |")
    first: Tensor | None = None
    for label, method, options, rule in (one for one in contenders(budget, draft) if one[-1] in rules):
        counted = [forced(target, method, options, rule, *pair, config) for pair in zip(prompts, texts, strict=True)]
        lengths = torch.tensor([length for one in counted for length in one.lengths], dtype=torch.float64)
        nodes = [number for one in counted for number in one.nodes]
        first = lengths if first is None else first
        above = lengths - first
        error = float(above.std() / len(above) ** 0.5)
        row = f"{sum(nodes) / len(nodes):.1f} | {1 + lengths.mean():.3f} | {above.mean():+.3f} ± {error:.3f}"
        print(f"| {label} | {row} |", flush=True)
    print(f"\n{len(lengths)} places of {len(texts)} texts")


def forced(
    target: Target,
    method: str,
    options: dict[str, Any],
    rule: str,
    prompt: list[int],
    text: list[int],
    config: GenerationConfig,
) -> Forced:
    """What was counted at every place of a text but its prompt's."""
    ruled = GenerationConfig(
        **{**vars(config), "rule": rule, "has_detail": False, "max_new_tokens": len(text) - len(prompt) + MAX_BUDGET}
    )
    counted = Forced(verify.get(rule)(), text)
    is_over = lambda: len(session.context.ids) == len(text)  # noqa: E731
    session = Session(target, drafters.create(method, options, target), prompt, ruled, is_over)
    session.rule = counted
    *_, last = session.events("measured")
    if isinstance(last, SessionFinished) and last.reason == "failed":
        raise RunFailed(last.message)
    return counted


def plain_text(target: Target, prompt: list[int], config: GenerationConfig) -> list[int]:
    """Prompt and answer."""
    session = Session(target, drafters.create("plain", {}, target), prompt, config, lambda: False)
    *_, _last = session.events("measured")
    return session.context.ids


if __name__ == "__main__":
    main()
