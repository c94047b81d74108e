"""Measures what rules accept at one node, and how much the lossy ones move: tables of docs/verification.md.

    PYTHONPATH=. python scripts/rule_nodes.py [--model MODEL] [--draft FOLDER] [--suite SUITES] [--tokens N]

Behind tokens that the target sampled, from the two distributions alone. Prints Markdown. None of it hangs on how busy
the machine is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from engine import drafters, models, suites
from engine.config import GenerationConfig
from engine.loop import Session
from engine.runtime.longrope import make_runner
from engine.sampling import warp
from engine.target import Target
from engine.verify import above_threshold, among_top, k_seq, rejection, typical

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
    parser = flags("Measures what rules accept at one node.")
    parser.add_argument("--races", type=int, default=256, help="shared noises of a place")
    given = parser.parse_args()
    target, prompts, configs = asked(given)
    for config in configs:
        print_nodes(target, given.draft, prompts, config, given.races)


def flags(description: str) -> argparse.ArgumentParser:
    """Which model, draft model and texts."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", default="story")
    parser.add_argument("--draft", default="auto", help="a draft model's folder (default: the preset's own)")
    parser.add_argument("--suite", default="all")
    parser.add_argument("--limit", type=int, default=1, help="questions of a suite")
    parser.add_argument("--tokens", type=int, default=40, help="most of an answer")
    parser.add_argument("--temperatures", default="0.7,1")
    return parser


def asked(given: argparse.Namespace) -> tuple[Target, list[list[int]], list[GenerationConfig]]:
    """The target, its prompts, and the settings of each temperature."""
    target = Target(models.load(given.model, "auto", "auto"))
    questions = suites.questions(given.suite, given.limit, models.kind_of(given.model), None)
    prompts = [target.facts.encode(question.turns[0]) for question in questions]
    warmths = map(float, given.temperatures.split(","))
    return target, prompts, [GenerationConfig(max_new_tokens=given.tokens, temperature=warmth) for warmth in warmths]


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


def plain_text(target: Target, prompt: list[int], config: GenerationConfig) -> list[int]:
    """Prompt and answer."""
    session = Session(target, drafters.create("plain", {}, target), prompt, config, lambda: False)
    *_, _last = session.events("measured")
    return session.context.ids


if __name__ == "__main__":
    main()
